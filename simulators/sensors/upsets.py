"""What a timed fault of a sensor makes of the value that it would show."""

from __future__ import annotations

import math
from collections.abc import Callable

from data_contract.reading import FieldKind
from device_profiles.profile import ProfileField
from simulators import chance
from simulators.faults import FaultPlan
from simulators.parts.fault import Fault
from simulators.parts.meter import Meter
from simulators.sensors.widths import WIDTHS, can_show_nothing

Read = Callable[[int], float]
"""What a field shows at a time, ms UTC."""

CONVERTER_ENDS = (-float(2**23), float(2**23 - 1))
"""What a 24-bit converter behind a load cell shows beyond its range."""

SPIKE_TIMES = 9.0
"""What a spike adds to a value where the scenario does not say by how much: so many times itself."""

_F32_ENDS = (-3.4028234663852886e38, 3.4028234663852886e38)


def ends_of(field: str, spec: ProfileField, meter: Meter) -> tuple[float, float]:
    """The lowest and the highest value that a sensor shows: by the scenario, its converter, the profile, its type."""
    if field in meter.ends:
        return meter.ends[field]
    if meter.load_cell is not None and meter.fields.get(field, "").endswith(".gross_kg"):
        return CONVERTER_ENDS
    if spec.range is not None:
        return spec.range
    if spec.type not in WIDTHS:
        return _F32_ENDS
    bits, signed = WIDTHS[spec.type]
    low = -(2.0 ** (bits - 1)) if signed else 0.0
    return low * spec.scale, (low + 2.0**bits - 1.0) * spec.scale


def upset(read: Read, field: str, *, spec: ProfileField, meter: Meter, faults: FaultPlan) -> Read:
    """`read`, with the timed faults of this field upon it; `read` itself if there are none."""
    planned = tuple(fault for fault in faults.of_field(field) if _can(fault, field, spec))
    if not planned:
        return read
    ends = ends_of(field, spec, meter)
    if ends != CONVERTER_ENDS:
        planned = tuple(fault for fault in planned if fault.what != "wire_off")
    of = chance.key(faults.of, field)

    def shown(t_ms: int) -> float:
        for fault in planned:
            if faults.held(fault, t_ms):
                return _upset(fault, read, t_ms, begin_ms=faults.begin_ms(fault), spec=spec, ends=ends, of=of)
        return read(t_ms)

    return shown


def _can(fault: Fault, field: str, spec: ProfileField) -> bool:
    """Whether a fault changes what `field` shows; where it names no fields, only what is measured leaves its range."""
    if fault.what in ("spike", "saturated"):
        return spec.kind is FieldKind.GAUGE or field in fault.fields
    return fault.what in _SHOWN


_SHOWN = ("stuck", "no_value", "wire_off")


def _upset(
    fault: Fault, read: Read, t_ms: int, *, begin_ms: int, spec: ProfileField, ends: tuple[float, float], of: int
) -> float:
    if fault.what == "stuck":
        return read(begin_ms)
    if fault.what == "saturated":
        return ends[1] if fault.side == "high" else ends[0]
    if fault.what == "no_value":
        return math.nan if can_show_nothing(spec) else read(t_ms)
    if fault.what == "wire_off":  # an open input drifts to either rail
        return ends[int(chance.unit(of, t_ms) < 0.5)]
    slot = int((t_ms - begin_ms) / (fault.spike_s * 1000.0))
    if chance.unit(of, begin_ms + 2 * slot) >= fault.spike_share:
        return read(t_ms)
    value = read(t_ms)
    size = SPIKE_TIMES * value if fault.spike_by is None else fault.spike_by
    value += size if chance.unit(of, begin_ms + 2 * slot + 1) < 0.5 else -size
    return min(max(value, ends[0]), ends[1]) if ends == CONVERTER_ENDS else value
