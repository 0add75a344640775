"""Site file and profiles to what is polled: which device is read by which requests, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from data_contract.batch import BATCH_BYTES_MAX
from data_contract.schedule import Poll, Schedule
from device_profiles.library import Library
from device_profiles.profile import Profile, ProfileField, WordOrder
from device_profiles.registers import decoder, whole
from edge_agent import say
from edge_agent.config import BinConfig, DeviceConfig, EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.keep.alarms import Alarms, Limit
from edge_agent.keep.evict import FieldPlan, Fields
from edge_agent.keep.interval import Decode
from edge_agent.read.planner import plan
from edge_agent.read.poller import FieldReader, PollPlan, Weighing
from edge_agent.read.pseudonym import hidden
from edge_agent.weigh.bin import FIELDS, BinMeter, BinRule
from yaml_models.bad_file import BadFile

Devices = Mapping[str, tuple[DeviceConfig, Profile]]

SCHEDULE_BYTES_MAX = BATCH_BYTES_MAX // 2
"""JSON of a schedule. The first batch of a run holds it beside all else, and one that is too large is refused whole:
then the audit would not know what was expected, and so miss nothing."""


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
        personal = [f for f in device.fields or profile.fields if profile.fields[f].personal]
        if personal and config.privacy is None:
            raise Fatal(
                f"devices.{name}.profile: {personal[0]} is personal; add privacy.key_file, or leave it out by `fields`"
            )
        if device.bin is not None:
            _check_bin(f"devices.{name}.bin", device, device.bin, profile)
        for field in device.alarms:
            _check_alarm(f"devices.{name}.alarms.{field}", field, device, profile)
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


def _check_alarm(where: str, field: str, device: DeviceConfig, profile: Profile) -> None:
    read = [*(device.fields or profile.fields), *(FIELDS if device.bin is not None else ())]
    if field not in read:
        raise Fatal(f"{where}: {field!r} is not read from this device; it has {', '.join(read)}")
    if field in profile.fields and profile.fields[field].personal:
        raise Fatal(f"{where}: {field} is personal and has no limits; leave it out")


def limits_of(config: EdgeConfig) -> Alarms:
    """The limits that the site file sets."""
    return Alarms(
        {
            (name, field): Limit(of.below, of.above, of.clear_by)
            for name, device in config.devices.items()
            for field, of in device.alarms.items()
        }
    )


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


def _decoder(of: ProfileField, order: WordOrder, key: bytes) -> Decode:
    decode = decoder(of, order)
    return hidden(decode, whole(of, order), key) if of.personal else decode


def plans_of(name: str, device: DeviceConfig, profile: Profile, *, key: bytes = b"") -> list[PollPlan]:
    """How each poll group of a device is read. `key` makes pseudonyms of what is personal."""
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
            field: FieldReader(of.address, of.type.registers, _decoder(of, profile.modbus.word_order, key))
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


def fields_of(devices: Devices, plans: Iterable[Sequence[PollPlan]]) -> Fields:
    """How each field is read and adds up: what must be known to give up its detail."""
    kinds = say.kinds(devices)
    found: dict[str, dict[str, FieldPlan]] = {}
    for poll in (each.poll for some in plans for each in some):
        of = kinds.get(poll.device, {})
        here = {field: FieldPlan(of[field], poll.every_ms) for field in poll.fields if field in of}
        found.setdefault(poll.device, {}).update(here)
    return found


def bounded(schedule: Schedule) -> Schedule:
    """The same schedule, if a batch has room for it. Raises Fatal."""
    size = len(schedule.model_dump_json())
    if size > SCHEDULE_BYTES_MAX:
        raise Fatal(
            f"devices: what a run tells of them when it begins takes {size} bytes of at most {SCHEDULE_BYTES_MAX};"
            " give some of them to another gateway, or read fewer fields"
        )
    return schedule


def check(config: EdgeConfig, *, library: Library) -> Sequence[str]:
    """One line per poll group: what would be read, without connecting to anything. Raises BadFile, Fatal."""
    lines, polls = [], []
    for name, (device, profile) in load_devices(config, library).items():
        for each in plans_of(name, device, profile):
            polls.append(each.poll)
            group = each.poll.group
            asks = ", ".join(f"{r.table} {r.address}+{r.count}" for r in each.requests)
            every_s = each.poll.every_ms / 1000
            lines.append(
                f"{name} ({profile.title}) {group}: {len(each.poll.fields)} fields every {every_s:g} s: {asks}"
            )
    bounded(Schedule(seal_every_ms=round(config.seal_every_s * 1000), polls=tuple(polls)))
    return lines
