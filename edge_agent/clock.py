"""The gateway's clocks: boot id, milliseconds since boot, civil time and whether the kernel believes it."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from data_contract.civil import CLOCK_VARIABLE, ScaledClock
from edge_agent.ports import Civil

_TIME_ERROR = 5
"""Return value of adjtimex(2) while the system clock is not synchronised."""


def _synchronised() -> bool:
    """What adjtimex(2) says; a system without it counts as not synchronised."""
    state = ctypes.create_string_buffer(512)
    try:
        result = ctypes.CDLL(None, use_errno=True).adjtimex(state)
    except (OSError, AttributeError):
        return False
    return 0 <= int(result) < _TIME_ERROR


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"started-{time.time_ns() - time.monotonic_ns()}"


class SystemClock:
    """The system's clocks, scaled where a demo says so."""

    def __init__(self, *, trust_always: bool, scaled: ScaledClock) -> None:
        self._trust_always = trust_always
        self._scaled = scaled
        self._boot = _boot_id()

    @classmethod
    def from_environment(cls, *, trust_always: bool) -> SystemClock:
        """The clock that LOOPGAUGE_CLOCK describes. ValueError says what is wrong with it."""
        return cls(trust_always=trust_always, scaled=ScaledClock.parse(os.environ.get(CLOCK_VARIABLE)))

    @property
    def boot(self) -> str:
        return self._boot

    def mono_ms(self) -> int:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 * self._scaled.speed)

    def civil(self) -> Civil:
        return Civil(self._scaled.now_ms(time.time() * 1000), self._trust_always or _synchronised())

    def real_s(self, span_ms: float) -> float:
        return self._scaled.real_s(span_ms)
