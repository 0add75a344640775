"""The whole line from rendered files: meters, agents, workers, rollups and page beside a broker and a database."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

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
from tests.e2e.programs import Program
from tests.e2e.servers import PATIENCE_S, accepts, free_port, wait_until

METER = "energy-meter"
METER_PORTS = dict(zip(GATEWAYS, (5021, 5022), strict=True))
"""As the inventory of the tests has them."""
PAGE_PORT = 8080
METRICS_PORTS = (9464, 9465, 9466, 9475)


class RenderedLine:
    """Everything that a fleet runs, for one or more of its gateways. The database must have its users already."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        broker: RenderedBroker,
        influx: RenderedInflux,
        folder: Path,
        gateways: Sequence[str] = GATEWAYS[:1],
        workers: Sequence[str] = WORKERS,
    ) -> None:
        self.influx = influx
        self.ports = {PAGE_PORT: free_port(), BROKER_PORT: broker.port, INFLUX_PORT: influx.port}
        self.ports |= {port: free_port() for port in METRICS_PORTS}
        self.cloud = Host(fleet=fleet, name=CLOUD, folder=folder / CLOUD)
        self.cloud.place(self.ports)
        self.meters: dict[str, Program] = {}
        self.agents: dict[str, Program] = {}
        for gateway in gateways:
            self._add_gateway(fleet, gateway, folder)
        self.workers = [self.cloud.program("loopgauge-ingest@.service", worker) for worker in workers]
        self.rollups = self.cloud.program("loopgauge-rollups.service")
        self.page = self.cloud.program("loopgauge-console.service", ready=lambda: accepts(self.ports[PAGE_PORT]))

    @property
    def programs(self) -> list[Program]:
        """All programs, in the order in which they are to be started."""
        return [*self.meters.values(), *self.workers, self.rollups, self.page, *self.agents.values()]

    def _add_gateway(self, fleet: Fleet, gateway: str, folder: Path) -> None:
        meter_port = free_port()
        own = {METER_PORTS[gateway]: meter_port, METRICS_PORTS[0]: free_port()}
        host = Host(fleet=fleet, name=gateway, folder=folder / gateway)
        host.place(self.ports | own)
        self.meters[gateway] = _meter(folder / f"meter-{gateway}", gateway, meter_port)
        self.agents[gateway] = host.program("loopgauge-edge.service")

    def __enter__(self) -> Self:
        for program in self.programs:
            program.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all: agents first, whose last batches are still confirmed."""
        for program in reversed(self.programs):
            program.stop()

    def wait(self, ready: Callable[[], bool], *, what: str) -> None:
        """Wait for a condition; AssertionError says `what` did not happen, or which program is no more."""

        def over() -> bool:
            for program in self.programs:
                assert not program.has_died, f"{program.words}: {program.log()[-2000:]}"
            return ready()

        def said() -> str:
            return "".join(program.log()[-1000:] for program in self.programs)

        assert wait_until(over, every_s=0.5), f"within {PATIENCE_S:g} s: {what}\n{said()}"

    def stored(self, gateway: str = GATEWAYS[0]) -> int:
        """How many values of the meter's power the database holds."""
        statement = f"SELECT count(power_w) FROM energy_meter WHERE gateway = '{gateway}'"  # noqa: S608
        found = self.influx.query(statement, user="reader")
        return int(found[0]["values"][0][1]) if found else 0


def _meter(folder: Path, gateway: str, port: int) -> Program:
    folder.mkdir(parents=True)
    meter = {"profile": "eastron-sdm630", "port": port, "fields": {"power_w": "train-1.energy.power_w"}}
    scenario = {"scenario": "line", "gateway": gateway, "trains": {"train-1": {"feed_m3_h": 40}}}
    (folder / "scenario.yaml").write_text(json.dumps(scenario | {"meters": {METER: meter}}))
    words = ["simulate", "modbus", "--scenario", str(folder / "scenario.yaml"), "--record", str(folder / "record.db")]
    words += ["--ports", str(folder / "ports.json")]
    return Program(folder=folder, words=words, env={}, ready=lambda: accepts(port))
