"""`loopgauge edge read`: what the devices of a site file say right now, without keeping or sending any of it."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime

from device_profiles.library import Library
from device_profiles.profile import Profile
from edge_agent import machine, site_plan
from edge_agent.clock import SystemClock
from edge_agent.commission.read_once import DeviceRead, Reader, Target, read_on, read_once
from edge_agent.commission.read_table import as_data, as_text, summary
from edge_agent.config import DeviceConfig, EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.read.poller import PollPlan
from loopgauge.cli.common import run_until_signal
from yaml_models.explain import one_of, suggest

INTERRUPTED = 130


def targets_of(config: EdgeConfig, library: Library, device: str | None) -> list[Target]:
    """What is to be read: all devices, or one. Raises BadFile, Fatal."""
    bare = {name: of.model_copy(update={"bin": None}) for name, of in config.devices.items()}
    devices = site_plan.load_devices(config.model_copy(update={"devices": bare}), library)
    if device is not None and device not in devices:
        meant = suggest(device, devices)
        raise Fatal(f"--device {device}: no such device; " + (f"did you mean {meant}?" if meant else one_of(devices)))
    key = machine.privacy_key(config)

    def plans(name: str, profile: Profile) -> tuple[PollPlan, ...]:
        return tuple(site_plan.plans_of(name, _weighable(config.devices[name], profile), profile, key=key))

    return [
        Target(name, of.bus, profile, plans(name, profile))
        for name, (of, profile) in devices.items()
        if device in (None, name)
    ]


def _weighable(device: DeviceConfig, profile: Profile) -> DeviceConfig:
    """Without its bin while that has no calibration yet: raw counts are what one looks for first."""
    if device.bin is None or device.bin.calibrations:
        return device
    weight = profile.fields.get(device.bin.weight)
    return device if weight is not None and weight.unit == "kg" else device.model_copy(update={"bin": None})


def read(args: argparse.Namespace, config: EdgeConfig, library: Library) -> int:
    """0 if every field was read, 1 if something was not. Raises BadFile, Fatal."""
    targets = targets_of(config, library, args.device)
    clock = SystemClock.from_environment(trust_always=config.clock.trust == "always")
    reads: list[DeviceRead] = []
    missed = finished = False

    def heard(read: DeviceRead) -> None:
        nonlocal missed
        missed = missed or bool(read.misses)
        bus, t_ms = config.buses[read.bus], clock.civil().utc_ms
        if args.json:
            print(json.dumps({"t_ms": t_ms, **as_data(read, bus=bus)}, ensure_ascii=False), flush=True)
            return
        if args.once:
            reads.append(read)
        else:
            print(datetime.fromtimestamp(t_ms // 1000, UTC).isoformat())
        print(as_text(read, bus=bus), flush=True)

    async def program(stop: asyncio.Event) -> None:
        nonlocal finished
        buses = {name: machine.open_bus(config.buses[name]) for name in dict.fromkeys(t.bus for t in targets)}
        reader = Reader(buses, clock.civil, heard)
        reading = asyncio.create_task((read_once if args.once else read_on)(targets, reader), name="read")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finished = reading.done()
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
        finally:
            stopping.cancel()
            for bus in buses.values():
                await bus.close()

    asyncio.run(run_until_signal(program))
    if args.once and not finished:
        return INTERRUPTED
    if args.once and not args.json:
        print(summary(reads))
    return int(missed)
