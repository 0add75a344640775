"""What a chip's input gives when a conversion ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Sensed:
    """The load in counts, before the ends of the chip's own range, the door, and whether the chip has power at all."""

    count: int
    door_open: bool = False
    powered: bool = True


Sense = Callable[[int], Sensed | None]
"""What the load cell gives for an input (25: A at 128, 26: B at 32, 27: A at 64); None: the chip gets nothing."""


class Pending(Enum):
    """The conversion goes on: what it gives is not known yet."""

    UNDER_WAY = "under way"


SenseSoon = Callable[[int], Sensed | Pending | None]
"""Like `Sense`, but it never waits: a conversion lasts until there is something to give."""
