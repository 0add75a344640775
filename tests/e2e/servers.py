"""Real servers on loopback, each in a folder of its own, started and stopped by the test that needs it.

Nothing that runs on the machine already is touched: ports are free ones, and only a process started here is ever
signalled. A server keeps its port and its folder over `kill()` and `start()`, as a real one does over a crash.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

PATIENCE_S = 90.0
"""How long a test waits for what must come: however busy the machine, only one that fails ever waits so long."""
STOP_S_MAX = 30.0
PORT_TRIES_MAX = 5

QUEUED_MESSAGES_MAX = 1_000_000
"""More than any test sends. Not 0 (no bound): Mosquitto 2.0.11 then drops the connection of whoever the ACL refuses."""

_PACKAGES = {"mosquitto": "mosquitto", "influxd": "influxdb", "chromium": "chromium"}
_ALSO_LOOK_IN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Debian keeps servers here, off the PATH of an ordinary user."""


_FIRST_PORT, _PROCESSES, _PORTS = 20_000, 10, 1_200
"""Below those that Linux gives to whoever asks for any (32768 and above)."""
_STRIDE = 7
"""The port after one that was given is not the next to be given."""
_ports = itertools.count(os.getpid())


class ServerFailed(RuntimeError):
    """A server did not come up or did not go; the message ends with what it said itself."""


def find(program: str) -> str | None:
    """The path of a server's binary, or None."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *_ALSO_LOOK_IN]))


def require(program: str) -> str:
    """The path of a server's binary; without one the test is left out (and fails where CI=true)."""
    path = find(program)
    if path is None:
        pytest.skip(f"{program} is not installed: sudo apt-get install -y {_PACKAGES.get(program, program)}")
    return path


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago, and that nobody gets who asks for just any port.

    Each process of a test run has its own, so it is free for its server again after that was killed, too.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    for _ in range(_PORTS):
        port = _FIRST_PORT + process * _PORTS + next(_ports) * _STRIDE % _PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerFailed(f"none of {_PORTS} ports is free")


def wait_until(ready: Callable[[], bool], *, within_s: float = PATIENCE_S, every_s: float = 0.02) -> bool:
    """Ask `ready` until it says yes or `within_s` real seconds have passed; its last answer."""
    deadline = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def accepts(port: int) -> bool:
    """Whether something on loopback accepts a connection to `port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Server:
    """One child process with a folder, a log and the signals that tests send; subclasses say how to start it."""

    def __init__(self, *, folder: Path) -> None:
        self.folder = folder
        self.exit_code: int | None = None
        """How it ended last; negative: by that signal."""
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        """Write what the server reads, and return how to start it."""
        raise NotImplementedError

    def _environment(self) -> dict[str, str] | None:
        """The environment of the process; None: that of the tests."""
        return None

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _choose_ports(self) -> None:
        """Take ports anew; called before the first start, and again where another process was faster."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        for attempt in range(PORT_TRIES_MAX):
            self._choose_ports()
            try:
                self.start()
            except ServerFailed as failure:
                if "in use" not in str(failure) or attempt == PORT_TRIES_MAX - 1:
                    raise
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def runs(self) -> bool:
        """Whether it was started, and has not ended by itself."""
        return self._process is not None and not self.has_died

    @property
    def has_died(self) -> bool:
        """Whether it has ended though nobody here stopped or killed it."""
        return self._process is not None and self._process.poll() is not None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{type(self).__name__} does not run"
        return self._process

    def start(self) -> None:
        """Start the server, also again after `kill()`: same port, same folder. Returns when it answers."""
        assert self._process is None, f"{type(self).__name__} runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self._command()
        with self._log_path().open("ab") as log:
            # A session of its own: Ctrl-C reaches pytest alone, which then stops its servers in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
            )
        process = self._process
        wait_until(lambda: process.poll() is not None or self._is_ready())
        if process.poll() is not None:
            self._process = None
            raise ServerFailed(f"{command[0]} ended with {process.returncode}: {self.log()[-2000:]}")
        if not self._is_ready():
            self.kill()
            raise ServerFailed(f"{command[0]} did not answer within {PATIENCE_S:g} s: {self.log()[-2000:]}")

    def stop(self) -> None:
        """Stop the server as an operator would; it is killed where it does not obey. Harmless when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.exit_code = self._process.returncode
        self._process = None

    def kill(self) -> None:
        """SIGKILL: nothing is written any more."""
        process = self._running()
        process.kill()
        self.exit_code = process.wait()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause()`."""
        self._running().send_signal(signal.SIGCONT)

    def _log_path(self) -> Path:
        return self.folder / "server.log"

    def log(self) -> str:
        """What the server has written to its standard output and error, over all its starts."""
        try:
            return self._log_path().read_text(errors="replace")
        except FileNotFoundError:
            return ""


class MosquittoServer(Server):
    """Mosquitto, by default with one open listener on 127.0.0.1 and queues that no test fills.

    `config` replaces the default as a whole; `{port}` in it becomes the port. `password_file` has lines
    `user:password`, in plain text or already hashed; `acl_file` is taken as it is. Either is added to the config, and
    with a password file the default config refuses the anonymous.
    """

    def __init__(
        self, *, folder: Path, config: str | None = None, password_file: str | None = None, acl_file: str | None = None
    ) -> None:
        super().__init__(folder=folder)
        self.port = 0
        self._binary = require("mosquitto")
        self._config = config
        self._password_file = password_file
        self._acl_file = acl_file

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _is_ready(self) -> bool:
        return accepts(self.port)

    def _command(self) -> list[str]:
        lines = [(self._config or self._default_config()).replace("{port}", str(self.port))]
        if self._password_file is not None:
            hashed = "\n".join(hashed_password(line) for line in self._password_file.split())
            lines.append(f"password_file {self._write('passwords', hashed)}")
        if self._acl_file is not None:
            lines.append(f"acl_file {self._write('acl', self._acl_file)}")
        return [self._binary, "-c", str(self._write("mosquitto.conf", "\n".join(lines)))]

    def _default_config(self) -> str:
        # Started by root it would become the user `mosquitto`, who may not read a temporary folder.
        user = pwd.getpwuid(os.getuid()).pw_name
        return "\n".join(
            [
                "listener {port} 127.0.0.1",
                f"allow_anonymous {str(self._password_file is None).lower()}",
                f"max_queued_messages {QUEUED_MESSAGES_MAX}",
                "max_queued_bytes 0",
                "persistence false",
                "log_type all",
                f"user {user}",
            ]
        )

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path


def hashed_password(line: str) -> str:
    """`user:password` as Mosquitto 2 keeps it: PBKDF2 with SHA-512, 101 rounds (mosquitto_passwd(1)); hashed: as is."""
    user, _, password = line.partition(":")
    if password.startswith(("$6$", "$7$")):
        return line
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


_INFLUX_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"

[meta]
  dir = "{folder}/meta"

[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  query-log-enabled = false

[monitor]
  store-enabled = false

[subscriber]
  enabled = false

[continuous_queries]
  enabled = false

[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  {http_options}
"""


class InfluxServer(Server):
    """InfluxDB 1.x with an empty store and the `tsi1` index; `http_options` are lines of its `[http]` section."""

    def __init__(self, *, folder: Path, http_options: str = "") -> None:
        super().__init__(folder=folder)
        self.port = 0
        self._rpc_port = 0
        self._binary = require("influxd")
        self._http_options = http_options

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def _choose_ports(self) -> None:
        self.port, self._rpc_port = free_port(), free_port()

    def _command(self) -> list[str]:
        config = self.folder / "influxdb.conf"
        config.write_text(
            _INFLUX_CONFIG.format(
                port=self.port, rpc_port=self._rpc_port, folder=self.folder, http_options=self._http_options
            )
        )
        return [self._binary, "run", "-config", str(config)]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:
                return int(answer.status) == http.client.NO_CONTENT
        except (OSError, http.client.HTTPException):
            return False

    def create_database(self, name: str) -> None:
        """Make an empty database; harmless when it is there."""
        self.query(f'CREATE DATABASE "{name}"')

    def query(self, statement: str, *, database: str = "") -> list[dict[str, object]]:
        """Run one InfluxQL statement and return its series, times in ms; an error in the answer is raised."""
        body = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "ms"}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data=body, timeout=PATIENCE_S) as answer:
            result = json.load(answer)["results"][0]
        if "error" in result:
            raise ServerFailed(f"{statement}: {result['error']}")
        series: list[dict[str, object]] = result.get("series", [])
        return series
