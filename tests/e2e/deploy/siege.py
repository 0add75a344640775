"""A gateway at work while others attack: broker, database, workers, agent and meter from rendered files, in fast time.

The gateway under attack must keep its connection, and every value that its meter ever showed must arrive, exactly.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from data_contract.receipt import read
from data_contract.schedule import Poll
from loopgauge.judge import Verdict, judge
from series_store.table import Receipt
from simulators.truth.record import Record
from tests.e2e.compare import ALWAYS_MS, ask, unheard
from tests.e2e.deploy.line import METER, METER_PORTS, METRICS_PORTS
from tests.e2e.deploy.rendered import (
    BROKER_PORT,
    CLOUD,
    GATEWAYS,
    INFLUX_PORT,
    WORKERS,
    Fleet,
    Host,
    RenderedBroker,
    RenderedInflux,
)
from tests.e2e.halts import Halts
from tests.e2e.programs import Program
from tests.e2e.servers import PATIENCE_S, Server, accepts, free_port, wait_until

VICTIM, INTRUDER = GATEWAYS
SPEED = 4.0
"""Civil seconds a second: a batch every 2.5 s."""
METRICS = "http://127.0.0.1:{}/metrics"


class Siege:
    """All that is attacked. The database must have its users already."""

    def __init__(self, *, fleet: Fleet, broker: RenderedBroker, influx: RenderedInflux, folder: Path) -> None:
        self.fleet = fleet
        self.broker = broker
        self.influx = influx
        self.folder = folder
        self._halts = Halts(folder)
        real_ms = int(time.time() * 1000)
        self._clock = ScaledClock(origin_ms=real_ms, real_origin_ms=real_ms, speed=SPEED)
        env = {CLOCK_VARIABLE: self._clock.text()}
        meter_port, self._agent_metrics = free_port(), free_port()
        self.worker_metrics = dict(zip(WORKERS, (free_port(), free_port()), strict=True))
        ports = {BROKER_PORT: broker.port, INFLUX_PORT: influx.port}
        of_workers = dict(zip(METRICS_PORTS[1::2], self.worker_metrics.values(), strict=True))
        self.cloud = Host(fleet=fleet, name=CLOUD, folder=folder / CLOUD)
        self.cloud.place(ports | of_workers)
        self.host = Host(fleet=fleet, name=VICTIM, folder=folder / VICTIM)
        self.host.place(ports | {METER_PORTS[VICTIM]: meter_port, METRICS_PORTS[0]: self._agent_metrics})
        self.meter = _meter(folder / "meter", meter_port, env)
        self.agent = self.host.program("loopgauge-edge.service", env=env)
        self.workers = [
            self.cloud.program("loopgauge-ingest@.service", worker, env=env, ready=partial(accepts, port))
            for worker, port in self.worker_metrics.items()
        ]

    @property
    def programs(self) -> list[Program]:
        """Ours, in the order in which they are started."""
        return [self.meter, *self.workers, self.agent]

    @property
    def servers(self) -> list[Server]:
        """All that run."""
        return [self.broker, self.influx, *self.programs]

    def __enter__(self) -> Self:
        self._halts.__enter__()
        for program in self.programs:
            program.start()
        self.wait(lambda: bool(self.receipts()), what="nothing arrives even in peace")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for program in reversed(self.programs):
            program.stop()
        self._halts.__exit__()

    def now_ms(self) -> int:
        """Civil time, ms UTC."""
        return self._clock.now_ms(time.time() * 1000)

    def wait(self, ready: Callable[[], bool], *, what: str) -> None:
        """Wait for a condition; AssertionError says `what`, or which program is no more."""

        def over() -> bool:
            for server in self.servers:
                assert not server.has_died, f"{server.folder.name} has ended: {server.log()[-2000:]}"
            return ready()

        def said() -> str:
            return "".join(f"--- {program.folder.name}\n{program.log()[-800:]}" for program in self.programs)

        assert wait_until(over, every_s=0.1), f"within {PATIENCE_S:g} s: {what}\n{said()}"

    def receipts(self) -> list[Receipt]:
        """Every receipt of the gateway under attack."""
        trust = self.influx.host.file("/etc/loopgauge/pki/ca.crt")
        return ask(
            self.influx.store("reader"),
            lambda reader: reader.receipts_between(VICTIM, 0, ALWAYS_MS),
            secret=self.fleet.secret("influxdb-reader"),
            ca_file=trust,
        )

    def verdict(self, to_ms: int) -> Verdict:
        """Everything that the meter has shown before `to_ms` against the store."""
        trust = self.influx.host.file("/etc/loopgauge/pki/ca.crt")
        tolerance_ms = int(self._halts.stamp_error_s * 1000 * SPEED)
        polls = [Poll(device=METER, kind="any", group="any", every_ms=1, fields=())]
        truth = Record.open_readonly(self.meter.folder / "record.db")
        try:
            return ask(
                self.influx.store("reader"),
                lambda reader: judge(truth, reader, VICTIM, polls, 0, to_ms, tolerance_ms),
                secret=self.fleet.secret("influxdb-reader"),
                ca_file=trust,
            )
        finally:
            truth.close()

    def unheard(self) -> int:
        """Values that the agent counts as not answered in time: the meter may have noted them all the same."""
        batches = {(batch.run, batch.seq): batch for batch in self.receipts()}.values()
        told = (read(batch.counts).devices.get(METER) for batch in batches)
        return sum(unheard(causes) for device in told if device is not None for _, _, causes in device.counts.values())

    def agent_figure(self, name: str) -> float:
        """A figure of the agent's metrics."""
        return figure(self._agent_metrics, f"loopgauge_edge_{name}")

    def confirmed(self) -> float:
        """Batches that the agent has seen confirmed in this life."""
        return self.agent_figure("batches_confirmed_total")

    def refused(self) -> dict[str, float]:
        """Reason → messages that workers have refused by their header."""
        found: dict[str, float] = {}
        for port in self.worker_metrics.values():
            for reason, count in re.findall(
                r'^loopgauge_ingest_refused_total{reason="(\w+)"} (\S+)$', page(port), re.M
            ):
                found[reason] = found.get(reason, 0) + float(count)
        return found

    def spool(self) -> dict[tuple[str, int], str]:
        """(run, seq) → digest of its body, of every batch on the gateway's disk."""
        file = self.host.file("/var/lib/loopgauge/edge/spool.db")
        db = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT run, seq, body FROM batch JOIN run ON id = run_id").fetchall()
        finally:
            db.close()
        return {(run, seq): hashlib.sha256(body.encode()).hexdigest() for run, seq, body in rows}

    def restart_agent(self) -> None:
        """The gateway is switched off and on again; returns when the broker has let it in."""
        self.agent.stop()
        self.agent.start()
        self.wait(lambda: accepts(self._agent_metrics), what="the agent does not come up")
        self.wait(lambda: self.agent_figure("connects_total") > 0, what="who comes anew is not let in")

    def withstands(self, attack: Callable[[], None], *, batches: int = 1) -> None:
        """Attack again and again until so many more batches were confirmed: on the same connection, nothing missing."""
        connects, confirmed = self.agent_figure("connects_total"), self.confirmed()

        def unmoved() -> bool:
            attack()
            return self.confirmed() >= confirmed + batches

        self.wait(unmoved, what="nothing is confirmed any more")
        assert self.agent_figure("connects_total") == connects, "the agent has lost its connection"
        self.all_is_there()

    def all_is_there(self) -> None:
        """All that the meter has shown until now is stored, each value once, and nothing else is."""
        to_ms = self.now_ms()
        self.wait(lambda: max(r.to_ms for r in self.receipts()) >= to_ms, what="what is read now does not arrive")
        # A message that has to come again is overtaken by later ones.
        self.wait(
            lambda: self.verdict(to_ms).missing <= self.unheard(), what="not all that the meter has shown arrives"
        )
        verdict = self.verdict(to_ms)
        assert verdict.delivered > 0, "the meter has shown nothing"
        assert not verdict.foreign, f"stored, and never shown by the meter: {verdict.foreign_rows[:5]}"
        # What comes twice is acknowledged twice, and an ack that is lost on the way is none.
        foreign_acks, repeats = self.agent_figure("foreign_acks_total"), self.agent_figure("messages_redelivered_total")
        assert foreign_acks <= repeats, f"{foreign_acks:g} acks of nothing reached the agent, {repeats:g} repeats"

    def delays_s(self, count: int) -> list[float]:
        """Real s from the end of a batch to its receipt, just before its ack, of the next so many batches."""
        since = max(receipt.to_ms for receipt in self.receipts())
        found: list[Receipt] = []

        def enough() -> bool:
            found[:] = [receipt for receipt in self.receipts() if receipt.to_ms > since]
            return len({receipt.seq for receipt in found}) >= count

        self.wait(enough, what="no more batches are stored")
        first = {receipt.seq: receipt for receipt in reversed(found)}  # later receipts of a batch are of its repeats
        return [self._clock.real_s(receipt.at_us / 1000 - receipt.to_ms) for receipt in first.values()]


def _meter(folder: Path, port: int, env: Mapping[str, str]) -> Program:
    folder.mkdir(parents=True)
    shown = {"profile": "eastron-sdm630", "port": port, "fields": {"power_w": "train-1.energy.power_w"}}
    scenario = {"scenario": "line", "gateway": VICTIM, "trains": {"train-1": {"feed_m3_h": 40}}}
    (folder / "scenario.yaml").write_text(json.dumps(scenario | {"meters": {METER: shown}}))
    words = ["simulate", "modbus", "--scenario", str(folder / "scenario.yaml"), "--record", str(folder / "record.db")]
    words += ["--ports", str(folder / "ports.json")]
    return Program(folder=folder, words=words, env=env, ready=lambda: accepts(port))


def page(port: int) -> str:
    """What /metrics says."""
    with urllib.request.urlopen(METRICS.format(port), timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
        return text


def figure(port: int, name: str) -> float:
    """A figure without labels; 0 where there is none."""
    found = re.search(rf"^{name} (\S+)$", page(port), re.M)
    return float(found[1]) if found else 0.0


def memory_bytes(pid: int, line: str = "VmHWM") -> int:
    """Most memory that a process ever held, or with `VmRSS` holds now."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (found,) = re.findall(rf"^{line}:\s+(\d+) kB$", status, re.M)
    return int(found) * 1024
