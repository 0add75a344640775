"""The agent: site file and profiles to ports, ports to one TaskGroup. Only the ports differ between a Pi and a test."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_contract.batch import SCHEDULE, START, Record, Start
from data_contract.calibration import CALIBRATION
from data_contract.schedule import Poll, Schedule
from device_profiles.library import Library
from device_profiles.profile import Profile
from device_profiles.registers import decoder
from edge_agent import say
from edge_agent.clock import SystemClock
from edge_agent.config import (
    BinConfig,
    BusConfig,
    DeviceConfig,
    EdgeConfig,
    Hx711Config,
    ModbusRtuConfig,
    ModbusTcpConfig,
)
from edge_agent.errors import DiskFull, Fatal
from edge_agent.keep import recovery
from edge_agent.keep.dating import Timeline
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.interval import Interval
from edge_agent.keep.sealer import Sealer
from edge_agent.keep.spool import Spool
from edge_agent.ports import Bus, Clock, Disk, Link
from edge_agent.read.modbus import ModbusTcpBus
from edge_agent.read.pace import Pace
from edge_agent.read.planner import plan
from edge_agent.read.poller import FieldReader, Poller, PollPlan, Weighing
from edge_agent.send.flight import Flight
from edge_agent.send.lanes import Lanes
from edge_agent.send.link import MqttLink, tls_context
from edge_agent.send.sender import Sender
from edge_agent.weigh.bin import FIELDS, BinMeter, BinRule
from yaml_models.bad_file import BadFile
from yaml_models.files import read_secret

log = logging.getLogger("loopgauge.edge")

FLIGHT_BYTES_MAX = 262_144
FLIGHT_BATCHES_MAX = 32
STOP_WAIT_S = 5.0
"""How long a stopping agent waits for the last batches to be confirmed; what is not, waits on disk."""


def open_bus(config: BusConfig) -> Bus:
    """A bus, closed. What only some gateways have is imported where one has it."""
    match config:
        case ModbusTcpConfig():
            return ModbusTcpBus(host=config.host, port=config.port)
        case ModbusRtuConfig():
            from edge_agent.read.rtu import ModbusRtuBus

            return ModbusRtuBus(port=config.port, baud=config.baud, parity=config.parity, stop_bits=config.stop_bits)
        case Hx711Config():
            from edge_agent.read.hx711_pins import Hx711Bus

            return Hx711Bus(
                dout_pin=config.dout_pin, clock_pin=config.clock_pin, door_pin=config.door_pin, rate_hz=config.rate_hz
            )


Devices = Mapping[str, tuple[DeviceConfig, Profile]]


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything by which chance enters."""

    clock: Clock
    disk: Disk
    link: Link
    buses: Mapping[str, Bus]
    rng: random.Random


def _profile_of(name: str, device: DeviceConfig, library: Library) -> Profile:
    try:
        library.folder(device.profile)
    except BadFile as error:
        raise Fatal(f"devices.{name}.profile: {error.problem}: {device.profile}; {error.mend}") from None
    return library.load(device.profile)


def load_devices(config: EdgeConfig, library: Library) -> Devices:
    """The profile of each device, checked against the site file. Raises BadFile, Fatal."""
    devices = {}
    for name, device in config.devices.items():
        profile = _profile_of(name, device, library)
        for field in device.fields or ():
            if field not in profile.fields:
                known = ", ".join(profile.fields)
                raise Fatal(f"devices.{name}.fields: {profile.profile} has no field {field!r}; it has {known}")
        for group in device.every_s:
            if group not in profile.groups:
                known = ", ".join(profile.groups)
                raise Fatal(f"devices.{name}.every_s: {profile.profile} has no group {group!r}; it has {known}")
        if device.bin is not None:
            _check_bin(f"devices.{name}.bin", device, device.bin, profile)
        devices[name] = (device, profile)
    return devices


def _check_bin(where: str, device: DeviceConfig, of: BinConfig, profile: Profile) -> None:
    for key, field in (("weight", of.weight), ("door", of.door)):
        if field is not None and (field not in profile.fields or field not in (device.fields or profile.fields)):
            raise Fatal(f"{where}.{key}: {field!r} is not read from this device; add it to its fields")
    if of.door is not None and profile.fields[of.door].group != profile.fields[of.weight].group:
        raise Fatal(f"{where}.door: {of.door} is in another poll group than {of.weight}; leave it out")
    unit = profile.fields[of.weight].unit
    if unit != "kg" and not of.calibrations:
        raise Fatal(f"{where}.calibrations: {of.weight} is in {unit}, not kg; run `loopgauge edge calibrate`")
    if unit == "kg" and of.calibrations:
        raise Fatal(f"{where}.calibrations: {of.weight} is in kg already; leave them out")


def _weighing(of: BinConfig) -> Weighing:
    rule = BinRule(
        tare_kg=of.tare_kg,
        least_kg=2 * of.division_kg,
        emptying_kg=of.emptying_kg,
        steady_samples=of.steady_samples,
        steady_span_kg=of.steady_divisions * of.division_kg,
        calibrations=of.calibrations,
    )
    return Weighing(of.weight, of.door, BinMeter(rule))


def plans_of(name: str, device: DeviceConfig, profile: Profile) -> list[PollPlan]:
    """How each poll group of a device is read."""
    plans = []
    for group, about in profile.groups.items():
        fields = {
            field: of
            for field, of in profile.fields.items()
            if of.group == group and (device.fields is None or field in device.fields)
        }
        if not fields:
            continue
        every_s = device.every_s.get(group, about.every_s)
        readers = {
            field: FieldReader(of.address, of.type.registers, decoder(of, profile.modbus.word_order))
            for field, of in fields.items()
        }
        weighing = _weighing(device.bin) if device.bin is not None and device.bin.weight in fields else None
        polled = (*fields, *FIELDS) if weighing is not None else tuple(fields)
        kind = say.kind_of(device, profile)
        poll = Poll(device=name, kind=kind, group=group, every_ms=round(every_s * 1000), fields=polled)
        unit = profile.modbus.unit_id if device.unit_id is None else device.unit_id
        requests = plan(fields, profile.modbus, profile.forbidden)
        plans.append(PollPlan(poll, unit, profile.modbus.timeout_ms / 1000, requests, readers, weighing))
    return plans


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
        damaged: str | None = None,
    ) -> None:
        self._config = config
        self._devices = devices
        self._ports = ports
        self._board = board
        self._version = version
        self._damaged = damaged
        self.run_id = f"{ports.rng.getrandbits(128):032x}"
        self.spool = Spool(disk=ports.disk, run=self.run_id, boot=ports.clock.boot)
        self.flight = Flight(bytes_max=FLIGHT_BYTES_MAX, batches_max=FLIGHT_BATCHES_MAX, rng=ports.rng)
        self.sender = Sender(
            gateway=config.gateway,
            board=board,
            link=ports.link,
            spool=self.spool,
            flight=self.flight,
            lanes=Lanes(run=self.run_id),
            birth=self._birth,
            send_every_s=config.uplink.send_every_s,
            rng=ports.rng,
        )
        self._plans: dict[str, list[PollPlan]] = {bus: [] for bus in config.buses}
        for name, (device, profile) in devices.items():
            self._plans[device.bus].extend(plans_of(name, device, profile))
        self._bins = {
            plan.poll.device: plan.bin.meter for plans in self._plans.values() for plan in plans if plan.bin is not None
        }

    def _birth(self) -> bytes:
        return say.birth(
            gateway=self._config.gateway,
            board=self._board,
            version=self._version,
            run=self.run_id,
            devices=self._devices,
        )

    @property
    def schedule(self) -> Schedule:
        """What this run samples."""
        polls = tuple(plan.poll for plans in self._plans.values() for plan in plans)
        return Schedule(seal_every_ms=round(self._config.seal_every_s * 1000), polls=polls)

    async def run(self, stop: asyncio.Event) -> None:
        """Read, keep and send until `stop` is set; then seal what is left. Raises Fatal."""
        clock = self._ports.clock
        try:
            await self.spool.open()
        except DiskFull as error:
            raise Fatal(f"spool.file: no room to begin ({error}); free some space or raise spool.bytes_max") from None
        mono = clock.mono_ms()
        previous = self.spool.previous
        timeline = Timeline(
            mono_ms=mono,
            civil=clock.civil(),
            backsteps=self.spool.backsteps,
            used_to_ms=None if previous is None else previous.to_ms,
        )
        interval = Interval(from_=mono)
        start = Start(run=self.run_id, version=self._version, boot=clock.boot, previous=previous, damaged=self._damaged)
        interval.happened(Record(kind=START, data=start.model_dump(exclude_none=True)))
        interval.happened(Record(kind=SCHEDULE, data=self.schedule.model_dump(mode="json")))
        self._wake_bins(interval)
        every_ms = self.schedule.seal_every_ms
        paces = {
            bus: Pace(polls=[p.poll for p in plans], timeline=timeline, start_mono=mono, seal_every_ms=every_ms)
            for bus, plans in self._plans.items()
            if plans
        }
        pollers = {
            bus: Poller(bus=self._ports.buses[bus], plans=self._plans[bus], pace=pace, interval=interval, clock=clock)
            for bus, pace in paces.items()
        }
        sealer = self._sealer(timeline, interval, paces, pollers)
        try:
            async with asyncio.TaskGroup() as tasks:
                polling = [tasks.create_task(poller.run(), name=f"bus {bus}") for bus, poller in pollers.items()]
                sealing = tasks.create_task(sealer.run(), name="seal")
                sending = tasks.create_task(self.sender.run(), name="send")
                await stop.wait()
                for poller in pollers.values():
                    poller.stop()
                await asyncio.gather(*polling)
                sealer.stop()
                await sealing
                now = clock.mono_ms()
                await sealer.finish(min([now, *(pace.watermark() for pace in paces.values())]))
                await self._flush()
                sending.cancel()
            with contextlib.suppress(DiskFull):
                await self.spool.forget(self.sender.confirmed())
        finally:
            await self._close()

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
            sealed=self.sender.look,
            remember=lambda: {device: meter.remember() for device, meter in self._bins.items()},
            wait_s=self._config.clock.wait_s,
        )

    def _wake_bins(self, interval: Interval) -> None:
        """Bins go on from what they knew at the last seal; what turns their counts into kilograms is put on record."""
        for name, meter in self._bins.items():
            if name in self.spool.memory:
                try:
                    meter.restore(self.spool.memory[name])
                except ValueError:
                    log.error("%s: what the spool remembers of it cannot be read; its totals begin again at 0", name)
            of = self._config.devices[name].bin
            if of is not None and of.calibrations:
                data = {"calibrations": [each.model_dump(mode="json", by_alias=True) for each in of.calibrations]}
                interval.happened(Record(kind=CALIBRATION, device=name, data=data))

    async def _flush(self) -> None:
        """Give what is sealed a moment to be confirmed."""
        self.sender.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                while not self.sender.settled:
                    self.sender.look()
                    await asyncio.sleep(0.05)

    async def _close(self) -> None:
        for bus in self._ports.buses.values():
            await bus.close()
        await self.spool.close()


def _give_up(pollers: Sequence[Poller], before: int) -> None:
    for poller in pollers:
        poller.give_up(before)


def read_board() -> str:
    """The serial number of this board: the Pi's, else the machine id. Raises Fatal."""
    for path in ("/sys/firmware/devicetree/base/serial-number", "/etc/machine-id"):
        with contextlib.suppress(OSError):
            text = Path(path).read_text(encoding="ascii", errors="replace").strip("\0\n ").lower()
            if text.isalnum() and len(text) <= 32:
                return text
    raise Fatal("board: this machine has no serial number and no machine id; give `board` in the site file")


def open_agent(config: EdgeConfig, *, library: Library, version: str) -> Agent:
    """An agent on this machine's clock, disk, buses and network; nothing is connected yet.

    Raises BadFile, Fatal, ValueError.
    """
    devices = load_devices(config, library)
    path = Path(config.spool.file)
    damaged = recovery.check(path)
    if damaged is not None:
        kept = recovery.set_aside(path)
        log.error("spool: %s is damaged (%s); moved to %s, starting an empty one", path, damaged, kept.name)
    password = read_secret(Path(config.uplink.password_file)) if config.uplink.password_file else None
    tls_context(config.uplink)
    ports = Ports(
        clock=SystemClock.from_environment(trust_always=config.clock.trust == "always"),
        disk=FileDisk(path=path, bytes_max=config.spool.bytes_max),
        link=MqttLink(gateway=config.gateway, config=config.uplink, password=password),
        buses={name: open_bus(bus) for name, bus in config.buses.items()},
        rng=random.Random(uuid.uuid4().int),
    )
    return Agent(
        config=config,
        devices=devices,
        ports=ports,
        board=config.board or read_board(),
        version=version,
        damaged=damaged,
    )


def check(config: EdgeConfig, *, library: Library) -> Sequence[str]:
    """One line per poll group: what would be read, without connecting to anything. Raises BadFile, Fatal."""
    lines = []
    for name, (device, profile) in load_devices(config, library).items():
        for each in plans_of(name, device, profile):
            group = each.poll.group
            asks = ", ".join(f"{r.table} {r.address}+{r.count}" for r in each.requests)
            every_s = each.poll.every_ms / 1000
            lines.append(
                f"{name} ({profile.title}) {group}: {len(each.poll.fields)} fields every {every_s:g} s: {asks}"
            )
    return lines
