"""A timed entry of what goes wrong: with a sensor, with a device that should answer, or with the line it answers on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulators.parts.base import PartModel
from simulators.parts.meter import FieldName

SENSOR_FAULTS = ("stuck", "spike", "saturated", "no_value", "frozen", "drift", "reset", "wire_off")
"""A device with one of these answers as ever; only what it shows is wrong."""
LINE_FAULTS = ("unplugged", "hang_up", "half_open")
"""These hold a port, with everything that answers behind it."""
CHIP_FAULTS = ("wire_off", "power_down")
"""These only happen to a chip on a gateway's pins."""
BY_SHARE = ("silent", "exception", "late", "nan", "torn", "garbage", "wrong_unit")
"""These may befall a share of the requests only."""

MEANT_FOR: dict[str, tuple[str, ...]] = {
    "exception_code": ("exception",),
    "late_ms": ("late",),
    "jitter_ms": ("late",),
    "share": BY_SHARE,
    "after_bytes": ("torn",),
    "garbage_bytes": ("garbage",),
    "answers_as": ("wrong_unit",),
    "period_s": ("flapping",),
    "off_share": ("flapping",),
    "totals": ("reboot",),
    "fields": ("stuck", "spike", "saturated", "no_value", "frozen", "drift", "reset"),
    "spike_by": ("spike",),
    "spike_s": ("spike",),
    "spike_share": ("spike",),
    "side": ("saturated",),
    "percent_per_day": ("drift",),
}
"""Key -> the faults that it means anything to."""

NEEDED: dict[str, str] = {"wrong_unit": "answers_as", "drift": "percent_per_day"}
"""Fault -> the key without which it would be none."""


class Fault(PartModel):
    """What goes wrong with one device or line, from `start_s` after the origin for `duration_s` of civil time."""

    device: str = Field(description="which meter; or which line, for unplugged, hang_up and half_open")
    what: Literal[
        "silent", "exception", "late", "nan", "reboot_reset",
        "torn", "garbage", "wrong_unit", "flapping", "reboot",
        "unplugged", "hang_up", "half_open",
        "stuck", "spike", "saturated", "no_value", "frozen", "drift", "reset",
        "wire_off", "power_down",
    ] = Field(
        description="silent: no answer · exception: an exception answer · late: a late answer · nan: every value is not"
        " a number · reboot_reset: no answer, and its totalisers have begun again at 0 · torn: an answer is cut ·"
        " garbage: something else than an answer · wrong_unit: it answers under another unit id · flapping: silent at"
        " intervals · reboot: no answer and no counting, then it begins anew · unplugged: nobody can connect, a serial"
        " port is gone · hang_up: whoever asks is cut off · half_open: connections stay, and nothing is heard ·"
        " stuck: shows what it showed at the begin · spike: now and then a value far off · saturated: shows an end of"
        " its range · no_value: shows its sign for no value · frozen: totalisers stand, and what passes is not counted"
        " · drift: its relative error grows · reset: its totalisers begin again at 0 · wire_off: a load cell's signal"
        " wire is loose · power_down: a chip is off"
    )  # fmt: skip
    start_s: Annotated[float, Field(ge=0)] = Field(
        description="begin, in s of civil time after the origin", examples=[3600.0]
    )
    duration_s: Annotated[float, Field(gt=0)] = Field(description="how long, in s of civil time", examples=[600.0])
    exception_code: Literal[1, 2, 3, 4, 5, 6, 7, 8, 10, 11] = Field(
        default=4, description="exception: the Modbus code that it answers with"
    )
    late_ms: Annotated[int, Field(ge=1, le=60_000)] = Field(default=1500, description="late: by how many real ms")
    jitter_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        default=0, description="late: by up to so many real ms more, each time another number"
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(default=1.0, description="share of the requests that it befalls")
    after_bytes: Annotated[int, Field(ge=0, le=260)] = Field(default=3, description="torn: how many bytes leave")
    garbage_bytes: Annotated[int, Field(ge=1, le=512)] = Field(default=16, description="garbage: how many bytes leave")
    answers_as: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None, description="wrong_unit: the unit id that stands in its answers"
    )
    period_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=20.0, description="flapping: from one silence to the next, in s of civil time"
    )
    off_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="flapping: the share of each period in which it is silent; it comes first"
    )
    totals: Literal["kept", "reset"] = Field(
        default="kept", description="reboot: what becomes of its totalisers; its working time always begins anew"
    )
    fields: tuple[FieldName, ...] = Field(default=(), description="fields that it befalls; default: all that it can")
    spike_by: float | None = Field(
        default=None, description="spike: by how much, in the unit of the field, up or down; default: nine times itself"
    )
    spike_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=10.0, description="spike: how long one lasts, in s of civil time"
    )
    spike_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="spike: in what share of the time there is one"
    )
    side: Literal["high", "low"] = Field(default="high", description="saturated: which end of its range it shows")
    percent_per_day: Annotated[float, Field(ge=-100, le=100)] | None = Field(
        default=None, description="drift: by how much its relative error grows in a day, in %"
    )

    @property
    def end_s(self) -> float:
        """When it is over, in s of civil time after the origin."""
        return self.start_s + self.duration_s

    @property
    def of_sensor(self) -> bool:
        """Whether it concerns what the device shows, and not whether and how it answers."""
        return self.what in SENSOR_FAULTS
