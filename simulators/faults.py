"""Which of the scenario's faults holds a device, a sensor or a line at a given moment."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from simulators import chance
from simulators.parts.fault import BY_SHARE, Fault

if TYPE_CHECKING:
    from simulators.scenario import Scenario

_BOOTS = ("reboot_reset", "reboot")


class FaultPlan:
    """The faults of one device or line. Those of a sensor stand beside those of the device, which never overlap."""

    def __init__(self, *, faults: tuple[Fault, ...], origin_ms: int, of: int = 0) -> None:
        """`of` is the key that chance is drawn by."""
        ordered = sorted(faults, key=lambda fault: fault.start_s)
        self._device = [fault for fault in ordered if not fault.of_sensor]
        self._starts_s = [fault.start_s for fault in self._device]
        self._sensor = [fault for fault in ordered if fault.of_sensor]
        self._origin_ms = origin_ms
        self.of = of

    @classmethod
    def of_device(cls, scenario: Scenario, device: str, *, origin_ms: int) -> FaultPlan:
        """The faults of `device`, a meter or a line of `scenario`, counted from `origin_ms`."""
        faults = tuple(fault for fault in scenario.faults if fault.device == device)
        return cls(faults=faults, origin_ms=origin_ms, of=chance.key(scenario.seed, device, "faults"))

    def begin_ms(self, fault: Fault) -> int:
        """When `fault` begins, ms UTC."""
        return self._origin_ms + round(fault.start_s * 1000.0)

    def active(self, t_ms: int) -> Fault | None:
        """The fault that holds the device at `t_ms`, its begin included and its end not; a sensor's is none."""
        since_s = (t_ms - self._origin_ms) / 1000.0
        at = bisect_right(self._starts_s, since_s) - 1
        if at < 0 or since_s >= self._device[at].end_s:
            return None
        fault = self._device[at]
        if fault.what == "flapping" and (since_s - fault.start_s) % fault.period_s >= fault.off_share * fault.period_s:
            return None
        if fault.what in BY_SHARE and fault.share < 1.0 and chance.unit(self.of, t_ms) >= fault.share:
            return None
        return fault

    def has(self, *what: str) -> bool:
        """Whether it holds any of these faults at all."""
        return any(fault.what in what for fault in (*self._device, *self._sensor))

    def of_field(self, field: str) -> tuple[Fault, ...]:
        """The faults of the sensor behind `field`, in order."""
        return tuple(fault for fault in self._sensor if not fault.fields or field in fault.fields)

    def of_whole_sensor(self) -> tuple[Fault, ...]:
        """The faults that befall all that the sensor shows, in order."""
        return tuple(fault for fault in self._sensor if not fault.fields)

    def held(self, fault: Fault, t_ms: int) -> bool:
        """Whether `fault` lasts at `t_ms`."""
        return fault.start_s <= (t_ms - self._origin_ms) / 1000.0 < fault.end_s

    def booted_ms(self, t_ms: int) -> int | None:
        """When the device last began anew before or at `t_ms`; None if it never did."""
        boots = [self._boot_s(fault) for fault in self._device if fault.what in _BOOTS]
        return self._last(boots, t_ms)

    def counting_since_ms(self, t_ms: int, field: str) -> int | None:
        """When `field` last began to count at 0 again before or at `t_ms`; None if it never did."""
        zeros = [
            self._boot_s(fault)
            for fault in self._device
            if fault.what == "reboot_reset" or (fault.what == "reboot" and fault.totals == "reset")
        ]
        return self._last(zeros + [fault.start_s for fault in self.of_field(field) if fault.what == "reset"], t_ms)

    def counted_spans_ms(self, field: str, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """The parts of [from, to] in which the device counts `field`: not while it is off, or its totaliser stands."""
        stops = [fault for fault in self._device if fault.what == "reboot"]
        stops += [fault for fault in self.of_field(field) if fault.what == "frozen"]
        spans, begin_ms = [], from_ms
        for fault in sorted(stops, key=lambda fault: fault.start_s):
            stop_ms, go_ms = self.begin_ms(fault), self._origin_ms + round(fault.end_s * 1000.0)
            if go_ms <= begin_ms:
                continue
            if stop_ms >= to_ms:
                break
            if stop_ms > begin_ms:
                spans.append((begin_ms, stop_ms))
            begin_ms = go_ms
        if begin_ms < to_ms or not spans:
            spans.append((min(begin_ms, to_ms), to_ms))
        return spans

    def _boot_s(self, fault: Fault) -> float:
        return fault.end_s if fault.what == "reboot" else fault.start_s

    def _last(self, moments_s: list[float], t_ms: int) -> int | None:
        since_s = (t_ms - self._origin_ms) / 1000.0
        past = [moment for moment in moments_s if moment <= since_s]
        return self._origin_ms + round(max(past) * 1000.0) if past else None
