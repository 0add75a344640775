"""Zero and one known mass: the two points from which the counts of a load cell become kilograms.

It waits for rest at each, and refuses a pair that cannot be right: a person on a ladder makes mistakes, and every
kilogram of the next year is multiplied by this one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from data_contract.calibration import Calibration
from data_contract.reading import Quality
from edge_agent.errors import Fatal, NotSampled
from edge_agent.ports import Answer, Ask, Bus, Talk
from edge_agent.read.hx711 import saturated

READINGS = 7
"""Readings in a row that have to agree."""
PAUSE_S = 0.1
"""Between two readings, in real s."""
WAIT_S = 120.0
"""How long rest is waited for, in real s."""
FAILURES_MAX = 5
"""Readings in a row that may fail."""

SPREAD_MAX_COUNTS = 2_000
"""Readings at rest lie this close together. An HX711 of gain 128 has a noise of some 50 counts; the wind has more."""
RISE_MIN_COUNTS = 1_000
"""The known mass moves the cell at least so far."""
SPREAD_SHARE_MAX = 0.01
"""Readings at rest spread over at most this part of what the known mass adds."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How the counts of a device are read."""

    bus: Bus
    ask: Ask
    decode: Callable[[Sequence[int]], tuple[float | None, Quality]]


@dataclass(frozen=True, slots=True)
class Rest:
    """A load at rest, in counts: the middle of READINGS readings, and how far they lay apart."""

    counts: float
    spread: float


async def at_rest(scale: Scale, *, away_from: float | None = None) -> Rest:
    """Read until the load rests; if `away_from` is given, until it rests somewhere else. Raises Fatal."""
    last: deque[float] = deque(maxlen=READINGS)
    failures = 0
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                counts = await _read(scale)
                if isinstance(counts, NotSampled):
                    failures += 1
                    if failures >= FAILURES_MAX:
                        raise Fatal(f"no reading: {counts.detail} ({counts.cause.value})")
                else:
                    failures = 0
                    last.append(counts)
                if len(last) == READINGS and max(last) - min(last) <= SPREAD_MAX_COUNTS:
                    rest = Rest(median(last), max(last) - min(last))
                    if away_from is None or abs(rest.counts - away_from) >= RISE_MIN_COUNTS:
                        return rest
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise Fatal(_restless(last, away_from)) from None


def _restless(last: Iterable[float], away_from: float | None) -> str:
    seen = list(last)
    if away_from is not None and seen and abs(median(seen) - away_from) < RISE_MIN_COUNTS:
        return f"the load did not change by {RISE_MIN_COUNTS} counts within {WAIT_S:g} s; is the mass on the platform?"
    return f"the load was not at rest within {WAIT_S:g} s; close the lid, and shelter it from wind and hands"


async def _read(scale: Scale) -> float | NotSampled:
    heard: list[Answer] = []

    def talk() -> Talk:
        heard.append((yield scale.ask))

    await scale.bus.carry(talk())
    [answer] = heard
    if isinstance(answer, NotSampled):
        return answer
    value, _ = scale.decode(answer)
    if value is None or saturated(round(value)):
        raise Fatal("the load is beyond what the converter can show; look at the wires of the load cell, or take less")
    return value


def line_through(zero: Rest, loaded: Rest, *, mass_kg: float, name: str, since: datetime) -> Calibration:
    """The calibration that the two points give. Raises Fatal where they cannot be right."""
    if not 0 < mass_kg < 1e5:
        raise Fatal(f"a known mass of {mass_kg:g} kg: give what it weighs, in kg")
    rise = loaded.counts - zero.counts
    if abs(rise) < RISE_MIN_COUNTS:
        raise Fatal(
            f"{mass_kg:g} kg moved the cell by {rise:g} counts; is the mass on the platform, and the cell wired?"
        )
    spread = max(zero.spread, loaded.spread)
    if spread > SPREAD_SHARE_MAX * abs(rise):
        seen = f"readings spread over {spread:g} counts, and {mass_kg:g} kg are {abs(rise):g}"
        raise Fatal(f"{seen}; shelter the platform, or take a larger mass")
    said = {"id": name, "from": since, "zero_counts": zero.counts, "mass_kg": mass_kg}
    return Calibration.model_validate(said | {"counts_per_kg": round(rise / mass_kg, 4)})


def name_of(since: datetime, taken: Iterable[str]) -> str:
    """A name that no other calibration of the device has: its date and a letter. A bare date would be none in YAML."""
    known = set(taken)
    for letter in "abcdefghijklmnopqrstuvwxyz":
        if (name := f"{since.date().isoformat()}-{letter}") not in known:
            return name
    raise Fatal(f"{since.date().isoformat()} has 26 calibrations already; remove those that are not needed")


def entry(made: Calibration, zero: Rest, loaded: Rest) -> str:
    """The lines for `calibrations:` of the device's `bin:` in the site file."""
    spread = max(zero.spread, loaded.spread)
    return "\n".join(
        [
            f"- id: {made.id}",
            f"  from: {made.from_.isoformat(timespec='seconds')}",
            f"  zero_counts: {made.zero_counts:g}"
            if made.zero_counts % 1
            else f"  zero_counts: {made.zero_counts:.0f}",
            f"  counts_per_kg: {made.counts_per_kg!r}",
            f"  mass_kg: {made.mass_kg!r}",
            f"  # spread of {READINGS} readings: {zero.spread:.0f} counts empty, {loaded.spread:.0f} loaded, at most "
            f"{spread / abs(made.counts_per_kg):.4f} kg",
        ]
    )
