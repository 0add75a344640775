"""`loopgauge edge calibrate`: leads through zero and one known mass, and prints the entry for the site file."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime

from device_profiles.library import Library
from edge_agent import machine, site_plan
from edge_agent.clock import SystemClock
from edge_agent.commission.calibrate import READINGS, Rest, Scale, at_rest, entry, line_through, name_of
from edge_agent.config import EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.ports import Ask, Civil
from edge_agent.read.poller import PollPlan
from yaml_models.explain import one_of


def calibrate(args: argparse.Namespace, config: EdgeConfig, library: Library) -> int:
    """0 if there is an entry. Raises BadFile, Fatal."""
    field, taken = _weight_of(args.device, config)
    plan = _plan_of(args.device, field, config, library)
    clock = SystemClock.from_environment(trust_always=config.clock.trust == "always")
    try:
        zero, loaded, mass_kg = _weigh(args, config, plan, field)
    except EOFError:
        raise Fatal("nobody answers here; give --zero-now and --mass") from None
    civil = clock.civil()
    since = _local(civil)
    made = line_through(zero, loaded, mass_kg=mass_kg, name=name_of(since, taken), since=since)
    if not civil.trusted:
        print("# the clock of this machine is not set by a time source: check the date below")
    print(f"# {args.file}: under devices.{args.device}.bin.calibrations")
    print(entry(made, zero, loaded))
    return 0


def _weight_of(name: str, config: EdgeConfig) -> tuple[str, list[str]]:
    """The field with the counts, and the names of the calibrations that there are."""
    device = config.devices.get(name)
    if device is None:
        raise Fatal(f"--device {name}: no such device; {one_of(config.devices)}")
    if device.bin is None:
        raise Fatal(f"devices.{name}.bin: missing; write `bin: {{weight: …}}` with the field that holds the counts")
    return device.bin.weight, [each.id for each in device.bin.calibrations]


def _plan_of(name: str, field: str, config: EdgeConfig, library: Library) -> PollPlan:
    # Without its bin: a site file that has no calibrations yet is what this verb is for.
    bare = config.devices[name].model_copy(update={"bin": None})
    devices = site_plan.load_devices(config.model_copy(update={"devices": {name: bare}}), library)
    _, profile = devices[name]
    if field not in profile.fields or field not in (bare.fields or profile.fields):
        raise Fatal(f"devices.{name}.bin.weight: {field!r} is not read from this device; {one_of(profile.fields)}")
    if profile.fields[field].unit == "kg":
        raise Fatal(f"devices.{name}.bin.weight: {field} is in kg already; calibrate the instrument itself")
    return next(plan for plan in site_plan.plans_of(name, bare, profile) if field in plan.readers)


def _weigh(args: argparse.Namespace, config: EdgeConfig, plan: PollPlan, field: str) -> tuple[Rest, Rest, float]:
    """Nothing is open while a person climbs and carries."""
    if not args.zero_now:
        input("Empty the platform, close the lid, let it settle; then press ENTER. ")
    print(f"zero: {READINGS} readings …", flush=True)
    zero = asyncio.run(_rest(args.device, config, plan, field))
    print(f"zero: {zero.counts:.0f} counts, spread {zero.spread:.0f}", flush=True)
    mass_kg = args.mass
    if mass_kg is None:
        mass_kg = _kilograms(input("Put the known mass on it. Its mass in kg: "))
    else:
        print(f"put {mass_kg:g} kg on it …", flush=True)
    loaded = asyncio.run(_rest(args.device, config, plan, field, away_from=zero.counts))
    print(f"loaded: {loaded.counts:.0f} counts, spread {loaded.spread:.0f}", flush=True)
    return zero, loaded, mass_kg


async def _rest(device: str, config: EdgeConfig, plan: PollPlan, field: str, *, away_from: float | None = None) -> Rest:
    reader = plan.readers[field]
    request = next(request for request in plan.requests if field in request.fields)
    ask = Ask(plan.unit, request.table, reader.address, reader.registers, plan.timeout_s)
    bus = machine.open_bus(config.buses[config.devices[device].bus])
    try:
        return await at_rest(Scale(bus, ask, reader.decode), away_from=away_from)
    finally:
        await bus.close()


def _kilograms(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise Fatal(f"{text!r} is no mass; give a number of kilograms, such as 20") from None


def _local(civil: Civil) -> datetime:
    return datetime.fromtimestamp(civil.utc_ms // 1000, UTC).astimezone()
