"""Every file that the roles put on hosts, rendered once, and the real programs started from it.

A rendered file is used as it is, except that its absolute paths lead into a folder of the test and its ports are free
ones: what is proven here holds for the file that a host gets.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import ROOT, Program
from tests.e2e.servers import PATIENCE_S, Server, ServerFailed, accepts, free_port, require, wait_until

ANSIBLE = ROOT / "deploy" / "ansible"
INVENTORY = Path(__file__).with_name("fleet.yml")
CLOUD = "cloud"
GATEWAYS = ("plant-1", "yard-1")
WORKERS = ("worker-1", "worker-2")
OPERATORS = ("anna", "bert")

RENDER_S_MAX = 600.0
"""Ansible starts a process for each task: half a minute of computing, more on a busy machine."""

BROKER_PORT = 8883
INFLUX_PORT = 8086
INFLUX_RPC_PORT = 8088

PROGRAM = "/opt/loopgauge/current/bin/loopgauge"
_MOVED = ("/etc/", "/var/lib/", "/run/loopgauge")
"""What absolute paths in rendered files begin with."""
_OPAQUE = {".crt", ".key", ".pem"}


def ansible(*words: str, folder: Path = ANSIBLE) -> subprocess.CompletedProcess[str]:
    """Run `ansible-playbook WORDS…` with the settings of this repository; without it the test is left out."""
    places = [str(ROOT / ".venv-deploy" / "bin"), os.environ.get("PATH", os.defpath)]
    found = shutil.which("ansible-playbook", path=os.pathsep.join(places))
    if found is None:
        pytest.skip("ansible-playbook is not installed: sh tools/setup_deploy.sh")
    return subprocess.run(
        [found, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=RENDER_S_MAX,
        env={**os.environ, "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        check=False,
    )


class Fleet:
    """The rendered files of an inventory: a folder for each host, and the authority that made their certificates."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.authority = root / ".fleet" / "pki"
        self.secrets = root / ".fleet" / "secrets"

    @classmethod
    def render(cls, folder: Path, *, inventory: Path = INVENTORY, extra: Sequence[str] = ()) -> Fleet:
        """Render an inventory into a folder; `extra` are further words, as in `("-e", "pki_days=1")`."""
        done = ansible("-i", str(inventory), "playbooks/render.yml", "-e", f"render_to={folder}", *extra)
        assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"
        return cls(folder)

    def file(self, host: str, path: str) -> Path:
        """A file of a host by its path there."""
        return self.root / host / path.lstrip("/")

    def text(self, host: str, path: str) -> str:
        """What stands in a file of a host."""
        return self.file(host, path).read_text(encoding="utf-8")

    def secret(self, name: str) -> str:
        """A password that was made for this fleet, by its name on the controller."""
        return (self.secrets / name).read_text(encoding="utf-8").strip()

    def context(self, host: str | None = None, name: str | None = None) -> ssl.SSLContext:
        """What a client trusts that knows the fleet's authority; with `host` and `name`, its certificate as well."""
        trusted = ssl.create_default_context(cafile=str(self.authority / "ca.crt"))
        if host is not None:
            folder = self.file(host, "/etc/loopgauge/pki")
            trusted.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
        return trusted

    def gateway(self, gateway: str) -> ssl.SSLContext:
        """What a gateway's agent connects with."""
        return self.context(gateway, "edge")

    def operator_file(self, operator: str, name: str) -> Path:
        """A file of an operator on the controller."""
        return self.root / ".fleet" / "operators" / operator / name

    def operator(self, operator: str) -> ssl.SSLContext:
        """What an operator connects with."""
        trusted = self.context()
        certificate, key = (self.operator_file(operator, f"operator.{end}") for end in ("crt", "key"))
        trusted.load_cert_chain(certificate, key)
        return trusted

    def worker(self, worker: str = WORKERS[0]) -> ssl.SSLContext:
        """What a worker of ingest connects with."""
        return self.context(CLOUD, f"ingest-{worker}")


class Host:
    """The files of one host in a folder of the test, as they are but for paths and ports."""

    def __init__(self, *, fleet: Fleet, name: str, folder: Path) -> None:
        self.fleet = fleet
        self.name = name
        self.folder = folder

    def file(self, path: str) -> Path:
        """Where a path of the host leads in this test."""
        return self.folder / path.lstrip("/")

    def place(self, ports: Mapping[int, int]) -> None:
        """Write all files anew, with each port of the rendered files replaced as `ports` says."""
        source = self.fleet.root / self.name
        for path in sorted(each for each in source.rglob("*") if each.is_file()):
            target = self.folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if path.suffix in _OPAQUE or path.parent.name == "secrets":
                shutil.copy(path, target)
                continue
            target.write_text(self._moved(path.read_text(encoding="utf-8"), ports), encoding="utf-8")
            target.chmod(path.stat().st_mode)

    def _moved(self, text: str, ports: Mapping[int, int]) -> str:
        if ports:
            numbers = "|".join(str(port) for port in ports)
            text = re.sub(rf"(?<!\d)({numbers})(?!\d)", lambda found: str(ports[int(found[1])]), text)
        begins = "|".join(re.escape(each) for each in _MOVED)
        return re.sub(rf"(?<![\w/.-])(?={begins})", lambda _: str(self.folder), text)

    def words(self, unit: str, instance: str = "") -> list[str]:
        """What a unit starts, without the program's own path: `["ingest", "run", …]`."""
        text = self.file(f"/etc/systemd/system/{unit}").read_text(encoding="utf-8").replace("\\\n", " ")
        (line,) = re.findall(rf"^ExecStart={re.escape(PROGRAM)} (.*)$", text, re.MULTILINE)
        return shlex.split(line.replace("%i", instance))

    def program(
        self,
        unit: str,
        instance: str = "",
        *,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] = lambda: True,
    ) -> Program:
        """The program that a unit starts, with the folders that systemd would have made for it."""
        stem = unit.partition(".")[0].rstrip("@").removeprefix("loopgauge-")
        state = self.file(f"/var/lib/loopgauge/{stem}")
        return Program(
            folder=self.folder / "logs" / f"{stem}-{instance}".rstrip("-"),
            words=self.words(unit, instance),
            env=env or {},
            ready=ready,
            prepare=lambda: state.mkdir(parents=True, exist_ok=True),
        )


class RenderedBroker(Server):
    """Mosquitto from the file that the broker's host gets."""

    def __init__(self, *, fleet: Fleet, folder: Path) -> None:
        super().__init__(folder=folder)
        self.host = Host(fleet=fleet, name=CLOUD, folder=folder / "host")
        self.port = 0
        self._binary = require("mosquitto")

    def file(self, path: str) -> Path:
        """Where a path of the host leads, to change a file before `reload()` or a new start."""
        return self.host.file(path)

    def reload(self) -> None:
        """What `systemctl reload mosquitto` does."""
        seen = self.log().count("Reloading config")
        os.kill(self.pid, signal.SIGHUP)
        reloaded = wait_until(lambda: self.log().count("Reloading config") > seen)
        assert reloaded, self.log()[-2000:]

    def _choose_ports(self) -> None:
        self.port = free_port()
        self.host.place({BROKER_PORT: self.port})
        # Its unit starts it as `mosquitto`. Started by root without a unit it would become that user by itself, who may
        # not read a temporary folder.
        config = self.file("/etc/mosquitto/loopgauge.conf")
        user = pwd.getpwuid(os.getuid()).pw_name
        config.write_text(f"{config.read_text()}\nuser {user}\n")

    def _command(self) -> list[str]:
        return [self._binary, "-c", str(self.file("/etc/mosquitto/loopgauge.conf"))]

    def _is_ready(self) -> bool:
        return accepts(self.port)


class RenderedInflux(Server):
    """InfluxDB from the file that the database's host gets; `provision()` makes its users as the role does."""

    def __init__(self, *, fleet: Fleet, folder: Path) -> None:
        super().__init__(folder=folder)
        self.fleet = fleet
        self.host = Host(fleet=fleet, name=CLOUD, folder=folder / "host")
        self.port = 0
        self.rpc_port = 0
        self._binary = require("influxd")

    def store(self, user: str) -> str:
        """The address of the store for a user, as units and files name it."""
        return f"influx1+https://{user}@localhost:{self.port}/loopgauge"

    def _choose_ports(self) -> None:
        self.port, self.rpc_port = free_port(), free_port()
        self.host.place({INFLUX_PORT: self.port, INFLUX_RPC_PORT: self.rpc_port})

    def _command(self) -> list[str]:
        self.host.file("/var/lib/influxdb").mkdir(parents=True, exist_ok=True)
        return [self._binary, "-config", str(self.host.file("/etc/influxdb/loopgauge.conf"))]

    def _is_ready(self) -> bool:
        try:
            return self.ask("GET", "/ping")[0] == http.client.NO_CONTENT
        except (OSError, http.client.HTTPException):
            return False

    def ask(
        self, method: str, path: str, body: str = "", *, user: str | None = None, password: str | None = None
    ) -> tuple[int, str]:
        """Status and text of an answer, over TLS, with the fleet's authority as the only one that is trusted.

        Without a password a user has the one that was made for it in this fleet.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if user is not None:
            secret = self.fleet.secret(f"influxdb-{user}") if password is None else password
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=PATIENCE_S, context=self.fleet.context()
        )
        try:
            connection.request(method, path, body.encode(), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def query(self, statement: str, *, user: str = "admin") -> list[dict[str, Any]]:
        """Run one InfluxQL statement on the database as a user and return its series; what is refused is raised."""
        body = urllib.parse.urlencode({"q": statement, "db": "loopgauge", "epoch": "ms"})
        status, text = self.ask("POST", "/query", body, user=user)
        result = json.loads(text).get("results", [{}])[0]
        if status != http.client.OK or "error" in result:
            raise ServerFailed(f"{statement}: {status} {text}")
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def provision(self, **settings: object) -> str:
        """Make database, users and rights by the role's own tasks, with variables of its own; what Ansible said."""
        play = self.folder / "provision.yml"
        play.write_text(_PROVISION, encoding="utf-8")
        inventory = self.folder / "inventory" / INVENTORY.name
        inventory.parent.mkdir(exist_ok=True)
        shutil.copy(INVENTORY, inventory)
        given: dict[str, object] = {
            "fleet_dir": str(self.fleet.root / ".fleet"),
            "fleet_root": str(self.host.folder),
            "fleet_influxdb_port": self.port,
        }
        done = ansible("-i", str(inventory), str(play), "-e", json.dumps(given | settings))
        assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"
        return done.stdout


_PROVISION = f"""
- hosts: {CLOUD}
  gather_facts: false
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
  tasks:
    - ansible.builtin.include_role:
        name: influxdb
        tasks_from: users
"""
