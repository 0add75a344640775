"""The whole line as real processes: simulated meters with their record, an agent, ingest workers; and how it is judged.

Civil time may run faster than real time, the same for all of them, so that a test of many seal intervals takes seconds.
Everything lies in the test's own folder, and only what was started here is ever signalled.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from data_contract.reading import GATEWAY_DEVICE
from data_contract.topics import READY
from loopgauge.judge import Verdict
from series_store.table import Receipt
from tests.e2e import compare
from tests.e2e.compare import unheard
from tests.e2e.halts import Halts
from tests.e2e.mqtt import Client
from tests.e2e.programs import Program, run
from tests.e2e.servers import PATIENCE_S, accepts, free_port, wait_until

GATEWAY = "binhai-1"
BOARD = "board1"
TRAIN_METERS = {"feed-meter": "tuf-2000m", "permeate-meter": "tuf-2000m", "energy-meter": "eastron-sdm630"}
ENERGY_METER = {"energy-meter": "eastron-sdm630"}

_QUANTITIES = {
    "feed-meter": {"volume_m3": "train-1.feed.volume_m3", "flow_m3_h": "train-1.feed.flow_m3_h"},
    "permeate-meter": {"volume_m3": "train-1.permeate.volume_m3", "flow_m3_h": "train-1.permeate.flow_m3_h"},
    "energy-meter": {"power_w": "train-1.energy.power_w", "energy_import_kwh": "train-1.energy.energy_kwh"},
}


class Line:
    """One gateway with its meters, and `workers` equal workers that write to `store`.

    `uplink` and `broker` are the MQTT settings of agent and workers beyond the host; `stores` gives each worker a store
    address of its own (a proxy before the same database).
    """

    def __init__(
        self,
        *,
        folder: Path,
        store: str,
        uplink: Mapping[str, Any],
        broker: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        gateway: str = GATEWAY,
        workers: int = 1,
        stores: Sequence[str] = (),
        meters: Mapping[str, str] = TRAIN_METERS,
        faults: Sequence[Mapping[str, Any]] = (),
        speed: float = 4.0,
        every_s: float = 1.0,
        seal_every_s: float = 2.0,
        spool: Path | None = None,
        listener: tuple[str | None, str | None] = (None, None),
    ) -> None:
        self.folder = folder
        self.gateway = gateway
        self.store = store
        self.speed = speed
        self.seal_every_s = seal_every_s
        self.spool = spool or folder / "spool" / "spool.db"
        self.record = folder / "record.db"
        self.gateways_file = folder / "gateways.json"
        self._listener = listener
        real_ms = int(time.time() * 1000)
        self._clock = ScaledClock(origin_ms=real_ms, real_origin_ms=real_ms, speed=speed)
        self.env = {CLOCK_VARIABLE: self._clock.text()}
        self._ports = {name: free_port() for name in meters}
        self.halts = Halts(folder)
        self.meters = self._meters(meters, faults)
        brokers = [broker] * workers if isinstance(broker, Mapping) else list(broker)
        self._brokers = brokers
        self.workers = [
            self._worker(number, brokers[number - 1], stores[number - 1] if stores else store)
            for number in range(1, workers + 1)
        ]
        self.agent = self._agent(meters, uplink, every_s)

    @property
    def programs(self) -> dict[str, Program]:
        """All programs by name, in the order in which they are to be stopped."""
        workers = {worker.folder.name: worker for worker in self.workers}
        return {"agent": self.agent, **workers, "meters": self.meters}

    def _write(self, name: str, content: Mapping[str, Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        return path

    def _meters(self, meters: Mapping[str, str], faults: Sequence[Mapping[str, Any]]) -> Program:
        said: dict[str, Any] = {
            "scenario": "line",
            "gateway": self.gateway,
            "trains": {"train-1": {"feed_m3_h": 40}},
            "meters": {
                name: {"profile": profile, "port": self._ports[name], "fields": _QUANTITIES[name]}
                for name, profile in meters.items()
            },
        }
        ports, scenario = self.folder / "ports.json", self.folder / "scenario.yaml"

        def prepare() -> None:
            ports.unlink(missing_ok=True)
            if not self.record.exists():  # else the scenario is the record's
                # Its time is that of the clock, which began before.
                since_s = (self.now_ms() - self._clock.origin_ms) / 1000
                later = [{**fault, "start_s": fault["start_s"] + since_s} for fault in faults]
                self._write(scenario.name, {**said, "faults": later})

        words = ["simulate", "modbus", "--scenario", str(scenario), "--record", str(self.record), "--ports", str(ports)]
        return Program(
            folder=self.folder / "meters",
            words=words,
            env=self.env,
            ready=lambda: ports.exists() and all(accepts(port) for port in self._ports.values()),
            prepare=prepare,
        )

    def _worker(self, number: int, broker: Mapping[str, Any], store: str) -> Program:
        name = f"w{number}"
        file = self._write(
            f"{name}.yaml",
            {
                "worker": name,
                "broker": {"host": "127.0.0.1", **broker},
                "store": {"url": store},
                "gateways_file": str(self.gateways_file),
                "dead_letters": str(self.folder / name / "dead"),
            },
        )
        return Program(folder=self.folder / name, words=["ingest", "run", str(file)], env=self.env)

    def _agent(self, meters: Mapping[str, str], uplink: Mapping[str, Any], every_s: float) -> Program:
        groups = {"tuf-2000m": ("main", "diagnosis")}
        file = self._write(
            "edge.yaml",
            {
                "gateway": self.gateway,
                "board": BOARD,
                "seal_every_s": self.seal_every_s,
                "spool": {"file": str(self.spool)},
                "uplink": {"host": "127.0.0.1", **uplink},
                "clock": {"trust": "always"},
                "buses": {
                    name: {"type": "modbus_tcp", "host": "127.0.0.1", "port": port}
                    for name, port in self._ports.items()
                },
                "devices": {
                    name: {
                        "profile": profile,
                        "bus": name,
                        "every_s": dict.fromkeys(groups.get(profile, ("main",)), every_s),
                        "simulated": True,
                    }
                    for name, profile in meters.items()
                },
            },
        )
        return Program(
            folder=self.folder / "agent",
            words=["edge", "run", str(file)],
            env=self.env,
            prepare=lambda: self.spool.parent.mkdir(parents=True, exist_ok=True),
        )

    def __enter__(self) -> Self:
        self.halts.__enter__()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.halts.__exit__()
        for program in self.programs.values():
            program.stop()
        if error is None:
            self.check_logs()
        else:
            for name, text in self.logs().items():
                print(f"--- {name}\n{text[-4000:]}")

    def start(self) -> None:
        """Make the store, then start everything: whoever is to hear it is there before it speaks. The meters begin last
        but one, since what is to happen to them happens so long after their begin, however slow the machine is."""
        made = run("store", "init", "--store", self.store)
        assert made.returncode == 0, made.stderr
        self.start_workers()
        self.meters.start()
        self.agent.start()

    def start_workers(self) -> None:
        """Start all workers, and wait until each has subscribed and says so."""
        user, password = self._listener
        for worker, broker in zip(self.workers, self._brokers, strict=True):
            with Client(port=int(broker["port"]), user=user, password=password).connected() as client:
                client.subscribe(READY)
                worker.start()
                name, payload = client.hear()
                assert (name, json.loads(payload)["worker"]) == (READY, worker.folder.name)

    def now_ms(self) -> int:
        """Civil time, ms UTC."""
        return self._clock.now_ms(time.time() * 1000)

    def wait(self, ready: Callable[[], bool], *, what: str, within_s: float = PATIENCE_S) -> None:
        """Wait for a condition; AssertionError says `what` did not happen, or which program is no more."""

        def over() -> bool:
            for name, program in self.programs.items():
                assert not program.has_died, f"{name} ended by itself: {program.log()[-2000:]}"
            return ready()

        assert wait_until(over, within_s=within_s, every_s=0.05), f"within {within_s:g} s: {what}"

    def held(self) -> list[tuple[str, int]]:
        """(run, seq) of every batch in the spool, oldest first; none where there is no spool yet."""
        if not self.spool.exists():
            return []
        try:
            db = sqlite3.connect(f"{self.spool.as_uri()}?mode=ro", uri=True)
            try:
                return db.execute("SELECT run, seq FROM batch JOIN run ON id = run_id ORDER BY id, seq").fetchall()
            finally:
                db.close()
        except sqlite3.OperationalError:
            return []  # the agent is just making it

    def receipts(self) -> list[Receipt]:
        """All receipts in the store."""
        return compare.receipts(self.store)

    def readings(self) -> int:
        """How many readings of the meters the store holds; what the gateway says of itself is not among them."""
        return compare.readings(self.store, self.gateway)

    def fates(self) -> dict[str, int]:
        """What became of the meters' readings, as the audit tells; it must add up."""
        found: Counter[str] = Counter()
        for account in self.audit()["accounts"]:
            if account["device"] != GATEWAY_DEVICE:
                found.update(account["fates"])
        return dict(found)

    def account(self) -> dict[str, int]:
        """The fates, where every value in the store was served once, and whatever else was served is told to be lost.

        An answer that came too late was served, and may be missing.
        """
        fates, found = self.fates(), self.verdict()
        assert found.foreign_rows == ()
        assert found.delivered == fates["stored"]
        assert found.missing <= unheard(fates), found.missing_rows[:5]
        return fates

    def drain(self) -> None:
        """Wait until everything that is in the spool now has been confirmed and deleted."""
        waiting = set(self.held())
        self.wait(lambda: not waiting & set(self.held()), what="the spool did not drain")

    def stop(self) -> None:
        """A clean stop: the agent seals what it has and sees it confirmed; then the others."""
        for name, program in self.programs.items():
            assert program.runs, f"{name} ended by itself: {program.log()[-2000:]}"
            program.stop()
            assert program.exit_code == 0, f"{name} ended with {program.exit_code}: {program.log()[-2000:]}"
        assert self.held() == [], "the spool is not empty after a clean stop"

    def verdict(self) -> Verdict:
        """The store against the record."""
        tolerance_ms = int(self.halts.stamp_error_s * 1000 * self.speed)
        return compare.compare(self.record, self.store, self.gateway, self._ports, tolerance_ms=tolerance_ms)

    def audit(self) -> dict[str, Any]:
        """What `loopgauge audit` says of the gateway; it must add up."""
        done = run("audit", "--store", self.store, "--json", env=self.env)
        assert done.returncode == 0, f"the audit does not add up: {done.stdout}{done.stderr}"
        (gateway,) = json.loads(done.stdout)["gateways"]
        said: dict[str, Any] = gateway
        return said

    def logs(self) -> dict[str, str]:
        """What each program has written, over all its starts."""
        return {name: program.log() for name, program in self.programs.items()}

    def check_logs(self) -> None:
        """No program shows its user a traceback."""
        for name, text in self.logs().items():
            assert "Traceback" not in text and "never retrieved" not in text, f"{name}: {text[-4000:]}"
