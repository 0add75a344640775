"""The agent: site file and profiles to ports, ports to one TaskGroup. Only the ports differ between a Pi and a test."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_contract.batch import SCHEDULE, START, Record, Start
from data_contract.reading import GATEWAY_DEVICE
from data_contract.schedule import Schedule
from device_profiles.library import Library
from edge_agent import machine, own_device, say
from edge_agent.clock import SystemClock
from edge_agent.config import EdgeConfig
from edge_agent.errors import DiskFull, Fatal
from edge_agent.health import SystemBoard, read_board
from edge_agent.keep import recovery
from edge_agent.keep.alarms import HELD, read_held
from edge_agent.keep.dating import Timeline
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.interval import Interval
from edge_agent.keep.salvage import Salvage
from edge_agent.keep.sealer import Sealer
from edge_agent.keep.spool import Spool
from edge_agent.keep.tally import Tally
from edge_agent.keep.wreck import Recovered
from edge_agent.obey import Obeyer
from edge_agent.own_device import OwnBus
from edge_agent.ports import Board, Bus, Clock, Disk, Link
from edge_agent.read.pace import Pace
from edge_agent.read.poller import Poller, PollPlan
from edge_agent.report import BUS, Report
from edge_agent.send.budget import Budget
from edge_agent.send.commands import Commands
from edge_agent.send.flight import Flight
from edge_agent.send.lanes import Lanes
from edge_agent.send.link import MqttLink, tls_context
from edge_agent.send.sender import Sender
from edge_agent.site_plan import Devices, bounded, fields_of, limits_of, load_devices, plans_of
from edge_agent.weigh.waking import wake
from service_health import watchdog
from service_health.metric import Metric
from service_health.notify import Notifier
from service_health.promises import Promises
from yaml_models.files import read_secret

log = logging.getLogger("loopgauge.edge")

STOP_WAIT_S = 5.0
"""How long a stopping agent waits for the last batches to be confirmed; what is not, waits on disk."""
BUSY_S = 10.0
"""What a busy machine may add to what a task has promised, in real s: then it is not the task that hangs."""
STATUS_S = 10.0
"""How often the service manager is told how things are, in real s."""
OWN = "health"
"""Task that samples the gateway itself; those of buses are called `bus …`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything by which chance enters."""

    clock: Clock
    disk: Disk
    link: Link
    buses: Mapping[str, Bus]
    board: Board
    rng: random.Random


class Agent:
    """One run of the agent, from its start record to its stop record."""

    def __init__(
        self,
        *,
        config: EdgeConfig,
        devices: Devices,
        ports: Ports,
        board: str,
        version: str,
        recovered: Recovered = Recovered(),  # noqa: B008  # it never changes
        key: bytes = b"",
        notifier: Notifier | None = None,
    ) -> None:
        """`recovered`: damaged spools; `notifier`: the service manager's ear, where there is one."""
        self._config = config
        self._devices = devices
        self._ports = ports
        self._board = board
        self._version = version
        self._recovered = recovered
        self._notifier = notifier or Notifier()
        self.promises = Promises(lambda: asyncio.get_running_loop().time())
        self._tally = Tally()
        self._report: Report | None = None
        self._obeyer: Obeyer | None = None
        self.run_id = f"{ports.rng.getrandbits(128):032x}"
        self._plans: dict[str, list[PollPlan]] = {_task(bus): [] for bus in config.buses}
        for name, (device, profile) in devices.items():
            self._plans[_task(device.bus)].extend(plans_of(name, device, profile, key=key))
        if config.health_every_s:
            self._plans[OWN] = [own_device.plan(config.health_every_s)]
        bounded(self.schedule)
        fields, boot = fields_of(devices, self._plans.values()), ports.clock.boot
        self.spool = Spool(
            disk=ports.disk,
            run=self.run_id,
            boot=boot,
            wrecks=recovered.wrecks,
            told=recovered.tells,
            fields=fields,
        )
        self.flight = Flight(rng=ports.rng)
        own = {GATEWAY_DEVICE} if config.health_every_s else set()
        self._lanes = Lanes(run=self.run_id)
        self.commands = Commands(run=self.run_id, devices=devices.keys() | own)
        self.sender = Sender(
            gateway=config.gateway,
            board=board,
            link=ports.link,
            spool=self.spool,
            flight=self.flight,
            lanes=self._lanes,
            budget=Budget(bytes_per_s=config.uplink.bytes_per_s_max),
            birth=self._birth,
            commands=self.commands,
            send_every_s=config.uplink.send_every_s,
            rng=ports.rng,
            promise=self._promise("send"),
        )
        self._bins = {p.poll.device: p.bin.meter for some in self._plans.values() for p in some if p.bin is not None}

    def _birth(self) -> bytes:
        return say.birth(
            gateway=self._config.gateway,
            board=self._board,
            version=self._version,
            run=self.run_id,
            devices=self._devices,
            health=OWN in self._plans,
        )

    def _promise(self, task: str) -> Callable[[float], None]:
        """How a task says by when it will be heard of again."""
        return lambda seconds: self.promises.within(task, seconds + BUSY_S)

    @property
    def restarting(self) -> bool:
        """It has stopped in order to be started again."""
        return self._obeyer is not None and self._obeyer.restarting

    @property
    def schedule(self) -> Schedule:
        """What this run samples."""
        polls = tuple(plan.poll for plans in self._plans.values() for plan in plans)
        return Schedule(seal_every_ms=round(self._config.seal_every_s * 1000), polls=polls)

    async def run(self, stop: asyncio.Event) -> None:
        """Read, keep and send until `stop` is set; then seal what is left. Raises Fatal."""
        metrics = self._config.metrics
        if metrics is None:
            return await self._run(stop)
        # A library that only those gateways load that are asked for metrics.
        from service_health.endpoint import MetricsEndpoint

        endpoint = MetricsEndpoint(host=metrics.host, port=metrics.port, read=self._metrics)
        try:
            await endpoint.start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
            raise Fatal(
                f"metrics: cannot listen on {metrics.host}:{metrics.port}: {why}; choose another port, or leave it out"
            ) from None
        try:
            await self._run(stop)
        finally:
            await endpoint.close()

    def _metrics(self) -> Sequence[Metric]:
        return () if self._report is None else self._report.metrics()

    async def _run(self, stop: asyncio.Event) -> None:
        try:
            await self.spool.open()
        except DiskFull as error:
            raise Fatal(f"spool.file: no room to begin ({error}); free some space or raise spool.bytes_max") from None
        self._lanes.recall(read_held(self.spool.memory.get(HELD, "")))
        clock, every_ms = self._ports.clock, self.schedule.seal_every_ms
        mono = clock.mono_ms()
        timeline = Timeline(mono_ms=mono, civil=clock.civil(), past=self.spool.past, late_ms=2 * every_ms)
        interval = self._interval(mono)
        paces = {
            task: Pace(polls=[p.poll for p in plans], timeline=timeline, start_mono=mono, seal_every_ms=every_ms)
            for task, plans in self._plans.items()
            if plans
        }
        pollers: dict[str, Poller] = {}
        report = self._report = self._reporting(timeline, pollers)
        pollers |= self._pollers(paces, interval, report)
        sealer = self._sealer(timeline, interval, paces, pollers)
        obeyer = self._obeyer = Obeyer(
            commands=self.commands,
            sender=self.sender,
            sealer=sealer,
            pollers=pollers,
            stop=stop,
            promise=self._promise("obey"),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = [
                    tasks.create_task(watchdog.keep(self.promises, self._notifier), name="watchdog"),
                    tasks.create_task(self._tell(report), name="status"),
                    tasks.create_task(obeyer.run(), name="obey"),
                ]
                polling = [tasks.create_task(self._kept(t, poller.run()), name=t) for t, poller in pollers.items()]
                sealing = tasks.create_task(self._kept("seal", sealer.run()), name="seal")
                salvaging = tasks.create_task(self._kept("carry", self._salvage("carry").run()), name="carry")
                sending = tasks.create_task(self._kept("send", self.sender.run()), name="send")
                await asyncio.sleep(0)
                self._notifier.ready()
                await stop.wait()
                self._notifier.stopping()
                for poller in pollers.values():
                    poller.stop()
                await asyncio.gather(*polling)
                sealer.stop()
                await sealing
                await sealer.finish(min([clock.mono_ms(), *(pace.watermark() for pace in paces.values())]))
                await self.sender.flush(STOP_WAIT_S)
                for task in (sending, salvaging, *watching):
                    task.cancel()
            with contextlib.suppress(DiskFull):
                await self.spool.forget(self.sender.confirmed())
        finally:
            await self._close()

    def _salvage(self, task: str) -> Salvage:
        return Salvage(
            spool=self.spool,
            recovered=self._recovered,
            look=self.sender.look,
            promise=self._promise(task),
            told=lambda: self.spool.has_sealed or not self._recovered.tells,
        )

    async def _kept(self, task: str, work: Awaitable[None]) -> None:
        """Who has come to an end promises nothing more."""
        try:
            await work
        finally:
            self.promises.done(task)

    def _interval(self, mono: int) -> Interval:
        """The first interval of this run, with what is put on record at a start."""
        interval = Interval(from_=mono, alarms=limits_of(self._config))
        start = Start(
            run=self.run_id,
            version=self._version,
            boot=self._ports.clock.boot,
            previous=self.spool.previous,
            damaged=self._recovered.what,
            missing=self._recovered.missing,
            carried=self._recovered.carried,
        )
        interval.happened(Record(kind=START, data=start.model_dump(mode="json", exclude_defaults=True)))
        interval.happened(Record(kind=SCHEDULE, data=self.schedule.model_dump(mode="json")))
        for record in wake(self._bins, self.spool.memory, self._config.devices):
            interval.happened(record)
        return interval

    def _pollers(self, paces: Mapping[str, Pace], interval: Interval, report: Report) -> dict[str, Poller]:
        """One for each task that has something to poll."""
        buses: dict[str, Bus] = {_task(name): bus for name, bus in self._ports.buses.items()}
        buses[OWN] = OwnBus(board=self._ports.board, vitals=report.vitals)
        return {
            task: Poller(
                bus=buses[task],
                plans=self._plans[task],
                pace=pace,
                interval=interval,
                clock=self._ports.clock,
                promise=self._promise(task),
            )
            for task, pace in paces.items()
        }

    def _reporting(self, timeline: Timeline, pollers: Mapping[str, Poller]) -> Report:
        clock = self._ports.clock
        return Report(
            version=self._version,
            clock=clock,
            board=self._ports.board,
            spool=self.spool,
            flight=self.flight,
            sender=self.sender,
            commands=self.commands,
            tally=self._tally,
            promises=self.promises,
            backsteps=lambda: timeline.at(clock.mono_ms()).backsteps,
            pollers=pollers,
            devices=len(self._devices),
            spool_bytes_max=self._config.spool.bytes_max,
            now_s=asyncio.get_running_loop().time,
        )

    async def _tell(self, report: Report) -> None:
        """Keep the service manager's line about us fresh, until cancelled."""
        while True:
            self._notifier.status(report.status())
            await asyncio.sleep(STATUS_S)

    def _sealer(
        self, timeline: Timeline, interval: Interval, paces: Mapping[str, Pace], pollers: Mapping[str, Poller]
    ) -> Sealer:
        return Sealer(
            clock=self._ports.clock,
            timeline=timeline,
            interval=interval,
            spool=self.spool,
            every_ms=self.schedule.seal_every_ms,
            watermark=lambda: min((pace.watermark() for pace in paces.values()), default=2**62),
            give_up=functools.partial(_give_up, list(pollers.values())),
            confirmed=self.sender.confirmed,
            busy=self.sender.busy,
            alarms=lambda: self._lanes.alarms(self.spool.held),
            alarmed=self._lanes.alarm,
            sealed=self.sender.look,
            remember=lambda: {device: meter.remember() for device, meter in self._bins.items()},
            tally=self._tally,
            promise=self._promise("seal"),
            wait_s=self._config.clock.wait_s,
        )

    async def _close(self) -> None:
        for bus in self._ports.buses.values():
            await bus.close()
        await self.spool.close()


def _task(bus: str) -> str:
    """Name of the task that polls a bus."""
    return BUS + bus


def _give_up(pollers: Sequence[Poller], before: int) -> None:
    for poller in pollers:
        poller.give_up(before)


def open_agent(config: EdgeConfig, *, library: Library, version: str, notifier: Notifier | None = None) -> Agent:
    """An agent on this machine's clock, disk, buses and network; nothing is connected yet.

    `notifier`: the service manager's ear, where there is one. Raises BadFile, Fatal, ValueError.
    """
    devices = load_devices(config, library)
    path = Path(config.spool.file)
    password = read_secret(Path(config.uplink.password_file)) if config.uplink.password_file else None
    tls_context(config.uplink)
    disk = FileDisk(path=path, bytes_max=config.spool.bytes_max)
    disk.take()
    ports = Ports(
        clock=SystemClock.from_environment(trust_always=config.clock.trust == "always"),
        disk=disk,
        link=MqttLink(gateway=config.gateway, config=config.uplink, password=password),
        buses={name: machine.open_bus(bus) for name, bus in config.buses.items()},
        board=SystemBoard(folder=path.parent),
        rng=random.Random(uuid.uuid4().int),
    )
    return Agent(
        config=config,
        devices=devices,
        ports=ports,
        board=config.board or read_board(),
        version=version,
        recovered=recovery.recover(path),
        key=machine.privacy_key(config),
        notifier=notifier,
    )
