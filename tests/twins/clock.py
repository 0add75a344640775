"""Twin of the agent's clock: civil time follows the event loop, and steps when told to."""

from __future__ import annotations

import asyncio

from edge_agent.ports import Civil

ORIGIN_MS = 1_790_000_000_000
"""Civil time at loop time 0; a whole multiple of 10 s."""


def loop_ms() -> int:
    """Milliseconds of the running loop."""
    return round(asyncio.get_running_loop().time() * 1000)


def civil_ms() -> int:
    """Civil time that nobody has stepped: the cloud's."""
    return ORIGIN_MS + loop_ms()


class ClockTwin:
    """A gateway's clocks. `offset_ms` is how wrong civil time is; `trusted`, whether the kernel calls it right."""

    def __init__(self, *, boot: str = "boot-1", booted_ms: int = -100_000) -> None:
        self._offset_ms = 0
        self.told: list[tuple[int, int]] = [(-(2**62), 0)]
        """(loop ms, offset from then on): what it has shown."""
        self.trusted = True
        self._boot = boot
        self.booted_ms = booted_ms
        """Loop ms at which this boot counted 0."""

    @property
    def offset_ms(self) -> int:
        return self._offset_ms

    @offset_ms.setter
    def offset_ms(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms
        self.told.append((loop_ms(), offset_ms))

    def shown(self, from_ms: int, to_ms: int) -> set[int]:
        """The offsets that it had in [from, to], ms of the loop."""
        ends = [at_ms for at_ms, _ in self.told[1:]] + [2**62]
        return {
            offset for (at_ms, offset), end in zip(self.told, ends, strict=True) if at_ms <= to_ms and end > from_ms
        }

    @property
    def boot(self) -> str:
        return self._boot

    def reboot(self, boot: str) -> None:
        """Begin counting milliseconds anew."""
        self._boot = boot
        self.booted_ms = loop_ms()

    def mono_ms(self) -> int:
        return loop_ms() - self.booted_ms

    def civil(self) -> Civil:
        return Civil(civil_ms() + self.offset_ms, self.trusted)

    def real_s(self, span_ms: float) -> float:
        return span_ms / 1000
