"""Several gateways with their meters, a broker, workers and a store: real processes, with a hand on each of them."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from data_contract.topics import Channel, gateway_of
from tests.chaos.stepped import OFFSET_FILE, write_offset
from tests.e2e.halts import Halts
from tests.e2e.kills import ACK, PUBLISH, SPOOL, STORE
from tests.e2e.line import Line
from tests.e2e.programs import ROOT, Program, run
from tests.e2e.servers import PATIENCE_S, InfluxServer, MosquittoServer, Server, wait_until
from tests.e2e.sightings import Sightings
from tests.e2e.taps import Feed, MqttReader, Tap, WriteReader
from tests.e2e.watch import FolderWatch

PLAIN, FULL, STEPPED, TORN = GATEWAYS = ("plain-1", "full-1", "stepped-1", "torn-1")
"""Each may be killed, stopped and cut off; the second one's disk fills, the third one's clock steps, the last one's
spool is garbled. These three harms stay apart, so that what each of them may cost is known exactly."""
SEAL_EVERY_S = 2.0
EVERY_S = 1.0
DISK_BYTES = 12_000_000
DRAIN_S_MAX = 240.0
START_S_MAX = 30.0
PASSWORD = "salt-and-tide"  # of a broker that lives for minutes on loopback
_BROKER_ROLE = ROOT / "deploy" / "ansible" / "roles" / "broker"


def debian_broker(folder: Path) -> MosquittoServer:
    """With the queues, limits and persistence of Debian's mosquitto.conf, which sets nothing else that matters."""
    keep = f"persistence true\npersistence_location {folder}/\nlog_dest stderr\nuser {_user()}"
    return MosquittoServer(folder=folder, config=f"{keep}\nlistener {{port}} 127.0.0.1\nallow_anonymous true")


def _user() -> str:
    """Started by root it would become `mosquitto`, who may not read a temporary folder."""
    return pwd.getpwuid(os.getuid()).pw_name


def shipped_broker(folder: Path) -> MosquittoServer:
    """With the access list and the limits that are shipped; TLS is the matter of tests/e2e/deploy."""
    numbers = yaml.safe_load((_BROKER_ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    text = (_BROKER_ROLE / "templates" / "loopgauge.conf.j2").read_text(encoding="utf-8")
    kept = text.replace("{{ ansible_managed }}", "").partition("# One listener")[0]
    kept = kept.replace("{{ broker_memory_bytes_max * 3 // 4 }}", str(numbers["broker_memory_bytes_max"] * 3 // 4))
    kept = re.sub(r"\{\{ (\w+) \}\}", lambda name: str(numbers[name[1]]), kept)
    assert re.search(r"max_queued_messages \d", kept), "the template's limits are not where they were"
    assert "{{" not in kept, kept
    shipped = "per_listener_settings false\nallow_anonymous false\nmax_qos 1\nuse_username_as_clientid true"
    config = f"{kept}\nlistener {{port}} 127.0.0.1\n{shipped}\nuser {_user()}"
    users = "\n".join(f"{user}:{PASSWORD}" for user in (*GATEWAYS, "ingest"))
    acl = (ROOT / "deploy" / "broker" / "acl").read_text(encoding="utf-8")
    return MosquittoServer(folder=folder, config=config, password_file=users, acl_file=acl)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of DISK_BYTES of its own in `folder`; False where this machine refuses to mount one."""
    folder.mkdir(parents=True)
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = [*root, "mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=1777", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, check=False, timeout=START_S_MAX)
    try:
        yield made.returncode == 0
    finally:
        if made.returncode == 0:
            subprocess.run([*root, "umount", "-l", str(folder)], check=True, timeout=START_S_MAX)


class SteppedAgent(Program):
    """An agent whose civil clock a file puts ahead or back."""

    def _command(self) -> list[str]:
        _, *rest = super()._command()[2:]
        return [sys.executable, "-m", "tests.chaos.stepped", str(self.folder / OFFSET_FILE), *rest]


class Fleet:
    """All of it. `servers`: what can be killed and stopped, by name; `links`: ways to the broker that can be cut."""

    def __init__(
        self, *, folder: Path, broker: MosquittoServer, influx: InfluxServer | None, workers: int, rights: bool
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.influx = influx
        self.sightings = Sightings()
        self.store = f"sqlite:{folder / 'store'}" if influx is None else f"influx1://127.0.0.1:{influx.port}/loopgauge"
        self.links: dict[str, Tap] = {}
        self.lines: dict[str, Line] = {}
        self.can_fill = False
        self.workers: dict[str, Program] = {}
        self.halts = Halts(folder)
        self._count = workers
        self._rights = rights
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Fleet:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.halts)
            self.can_fill = stack.enter_context(small_disk(self.folder / "disk"))
            for gateway in GATEWAYS:
                self._gateway(stack, gateway)
            self.workers = {f"w{n}": self._worker(stack, f"w{n}") for n in range(1, self._count + 1)}
            if self.influx is None:
                stack.enter_context(self._watch(self.folder / "store", "readings.db", STORE, ""))
            for program in self.programs.values():
                stack.callback(program.stop)
            made = run("store", "init", "--store", self.store)
            assert made.returncode == 0, made.stderr
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def agents(self) -> dict[str, Program]:
        """Gateway → its agent."""
        return {gateway: line.agent for gateway, line in self.lines.items()}

    @property
    def programs(self) -> dict[str, Program]:
        """Every program of ours, in the order in which it is to be stopped."""
        meters = {f"meters of {gateway}": line.meters for gateway, line in self.lines.items()}
        return {**self.agents, **self.workers, **meters}

    @property
    def servers(self) -> dict[str, Server]:
        """Whatever a storm may kill."""
        database: dict[str, Server] = {"database": self.influx} if self.influx is not None else {}
        return {**self.agents, **self.workers, "broker": self.broker, **database}

    def start(self) -> None:
        """Start all, and wait until something of each gateway is stored and confirmed."""
        for line in self.lines.values():
            line.meters.start()
        for program in (*self.workers.values(), *self.agents.values()):
            program.start()

        def all_heard() -> bool:
            return all(self.sightings.first_after(0, ACK, gateway) for gateway in self.lines)

        assert wait_until(all_heard), f"no ack for each gateway in {PATIENCE_S:g} s"

    def _gateway(self, stack: contextlib.ExitStack, gateway: str) -> None:
        folder = self.folder / gateway
        link = self.links[gateway] = stack.enter_context(
            Tap(
                target=self.broker.port,
                upward=self._published(Channel.DATA, PUBLISH, gateway),
                downward=self._published(Channel.ACK, ACK, gateway),
            )
        )
        uplink = {"port": link.port, "keepalive_s": 5, "timeout_s": 5, **self._login(gateway)}
        spool = (self.folder / "disk" if gateway == FULL and self.can_fill else folder / "spool") / "spool.db"
        line = Line(
            folder=folder,
            store=self.store,
            uplink=uplink,
            broker=(),
            gateway=gateway,
            workers=0,
            speed=1.0,
            every_s=EVERY_S,
            seal_every_s=SEAL_EVERY_S,
            spool=spool,
        )
        stack.enter_context(self._watch(spool.parent, spool.name, SPOOL, gateway))
        if gateway == STEPPED:
            line.agent = SteppedAgent(folder=line.agent.folder, words=line.agent.words, env=line.env)
            line.agent.folder.mkdir()
            write_offset(line.agent.folder / OFFSET_FILE, 0)
        self.lines[gateway] = line

    def _worker(self, stack: contextlib.ExitStack, name: str) -> Program:
        link = self.links[name] = stack.enter_context(
            Tap(target=self.broker.port, upward=self._published(Channel.ACK, ACK, name))
        )
        store = self.store
        if self.influx is not None:
            wrote = stack.enter_context(
                Tap(
                    target=self.influx.port,
                    upward=lambda: WriteReader(lambda _receipts: self.sightings.note(STORE, name)).feed,
                )
            )
            store = f"influx1://127.0.0.1:{wrote.port}/loopgauge"
        login = {"username": "ingest", **self._login("ingest")} if self._rights else {}
        settings = {
            "worker": name,
            "broker": {"host": "127.0.0.1", "port": link.port, **login},
            "store": {"url": store},
            "gateways_file": str(self.folder / "gateways.json"),
            "dead_letters": str(self.folder / name / "dead"),
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return Program(folder=self.folder / name, words=["ingest", "run", str(file)], env={})

    def _login(self, user: str) -> dict[str, str]:
        if not self._rights:
            return {}
        path = self.folder / f"{user}.password"
        path.write_text(f"{PASSWORD}\n", encoding="utf-8")
        path.chmod(0o600)
        return {"password_file": str(path)}

    def _published(self, channel: Channel, step: str, by: str) -> Callable[[], Feed]:
        def said(topic: str) -> None:
            if gateway_of(topic, channel) is not None:
                self.sightings.note(step, by)

        return lambda: MqttReader(said).feed

    def _watch(self, folder: Path, file: str, step: str, by: str) -> FolderWatch:
        folder.mkdir(parents=True, exist_ok=True)
        return FolderWatch(
            folder=folder, written=lambda name: self.sightings.note(step, by) if name == f"{file}-wal" else None
        )
