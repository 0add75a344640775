"""Which of the scenario's faults holds a device at a given moment."""

from __future__ import annotations

from simulators.scenario import Fault, Scenario


class FaultPlan:
    """The faults of one device, in order; they never overlap."""

    def __init__(self, *, faults: tuple[Fault, ...], origin_ms: int) -> None:
        self._faults = tuple(sorted(faults, key=lambda fault: fault.start_s))
        self._origin_ms = origin_ms

    @classmethod
    def of(cls, scenario: Scenario, device: str, *, origin_ms: int) -> FaultPlan:
        """The faults of `device` in `scenario`, counted from `origin_ms`."""
        return cls(faults=tuple(fault for fault in scenario.faults if fault.device == device), origin_ms=origin_ms)

    def active(self, t_ms: int) -> Fault | None:
        """The fault that holds the device at `t_ms`, its begin included and its end not."""
        since_s = (t_ms - self._origin_ms) / 1000.0
        for fault in self._faults:
            if fault.start_s <= since_s < fault.end_s:
                return fault
        return None

    def counting_since_ms(self, t_ms: int) -> int | None:
        """When the device last began to count at 0 again before or at `t_ms`; None if it never did."""
        since_s = (t_ms - self._origin_ms) / 1000.0
        resets = [fault.start_s for fault in self._faults if fault.what == "reboot_reset" and fault.start_s <= since_s]
        return self._origin_ms + round(resets[-1] * 1000.0) if resets else None
