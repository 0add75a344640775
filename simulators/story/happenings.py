"""What happened, to the second, read off the quantities of the world themselves.

A count that rises and a lid that opens are looked at second by second, so every part that has such a quantity tells its
events, and what they add up to is what its total rose by. Spells of rain and the like are quantities beyond a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.scenario import Scenario
from simulators.story.calendar import SECOND_MS
from simulators.world.world import World

RISES: dict[str, str] = {
    "mass_in_kg": "deposit",
    "mass_out_kg": "emptying",
    "membranes.cleanings": "cleaning",
    "collected_kg": "loading",
    "delivered_kg": "delivery",
    "weighbridge.net_total_kg": "weighing",
    "rounds": "round",
}
"""What a total is called behind its part -> what its rise is called; the value is how much it rose by."""
SWITCHES: dict[str, tuple[str, str]] = {"door_open": ("door_open", "door_close")}
"""What a quantity of 0 and 1 is called behind its part -> what going up and going down is called."""


class Spell(NamedTuple):
    """While a quantity is at least, or else less than, `limit` there is `what`."""

    what: str
    limit: float
    at_least: bool = True


SPELLS: dict[str, Spell] = {
    "rain_mm_h": Spell("rain", 0.1),
    "overflow.flow_m3_h": Spell("overflow", 1e-6),
    "supply_share": Spell("shortage", 1.0 - 1e-9, at_least=False),
}
"""What a rate is called behind its part -> what its spells are called; they begin and end as NAME_begin and NAME_end.
The value is the quantity's. One that is over within a minute may be missed."""

DIGITS = 6
_MINUTE_MS = 60_000


class Happening(NamedTuple):
    """Something that happened: when (ms UTC, the first whole second at which it shows), to which part or device."""

    t_ms: int
    kind: str
    part: str
    value: float
    text: str = ""


def told_by(names: Iterable[str]) -> list[str]:
    """Those of these quantities that tell of events."""
    endings = (*RISES, *SWITCHES, *SPELLS)
    return [name for name in names if name.partition(".")[2] in endings]


def happenings(world: World, names: Iterable[str], begin_ms: int, end_ms: int) -> list[Happening]:
    """What the quantities `names` tell of [begin, end), in order of time; both ends are whole seconds."""
    found: list[Happening] = []
    for name in told_by(names):
        part, _, what = name.partition(".")
        if what in RISES:
            found += [Happening(t, RISES[what], part, rise) for t, rise in _rises(world, name, begin_ms, end_ms)]
        elif what in SPELLS:
            found += _spells(world, name, begin_ms, end_ms)
        else:
            up, down = SWITCHES[what]
            found += [Happening(t, up if on else down, part, on) for t, on in _turns(world, name, begin_ms, end_ms)]
    return sorted(found)


def faults(scenario: Scenario, origin_ms: int, begin_ms: int, end_ms: int) -> list[Happening]:
    """Begins and ends of the scenario's faults in [begin, end); `value` is how long they last, in s."""
    found = []
    for fault in scenario.faults:
        for kind, at_s in (("fault_begin", fault.start_s), ("fault_end", fault.end_s)):
            t_ms = origin_ms + round(at_s * 1000.0)
            if begin_ms <= t_ms < end_ms:
                found.append(Happening(t_ms, kind, fault.device, fault.duration_s, fault.what))
    return sorted(found)


def _rises(world: World, name: str, begin_ms: int, end_ms: int) -> Iterator[tuple[int, float]]:
    """The seconds at which a total rises. Minutes in which it does not are passed over."""
    edges = np.arange(begin_ms - SECOND_MS, end_ms, _MINUTE_MS, dtype=np.int64)
    edges = np.append(edges, end_ms - SECOND_MS) if edges[-1] != end_ms - SECOND_MS else edges
    minutes = np.flatnonzero(np.diff(_seen(world, name, edges)))
    within = [np.arange(edges[n], edges[n + 1] + 1, SECOND_MS, dtype=np.int64) for n in minutes]
    seconds = np.unique(np.concatenate([*within, edges[:0]]))
    seen = _seen(world, name, seconds)
    for n in np.flatnonzero(np.diff(seen)):
        if seconds[n + 1] - seconds[n] == SECOND_MS:  # between minutes that are not neighbours nothing happened
            yield int(seconds[n + 1]), round(float(seen[n + 1] - seen[n]), DIGITS)


def _turns(world: World, name: str, begin_ms: int, end_ms: int) -> Iterator[tuple[int, float]]:
    """The seconds at which a quantity of 0 and 1 turns, and what it is then."""
    seconds = np.arange(begin_ms - SECOND_MS, end_ms, SECOND_MS, dtype=np.int64)
    seen = _seen(world, name, seconds)
    for n in np.flatnonzero(np.diff(seen)):
        yield int(seconds[n + 1]), float(seen[n + 1])


def _spells(world: World, name: str, begin_ms: int, end_ms: int) -> Iterator[Happening]:
    """Begins and ends of the spells of a quantity; only minutes in which it turns are looked at by the second."""
    part, _, what = name.partition(".")
    spell = SPELLS[what]

    def on(t_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        seen = world.column(name, np.maximum(t_ms, world.origin_ms))
        found: NDArray[np.bool_] = ((seen >= spell.limit) == spell.at_least) & (t_ms >= world.origin_ms)
        return found

    edges = np.append(
        np.arange(begin_ms - SECOND_MS, end_ms - SECOND_MS, _MINUTE_MS, dtype=np.int64), end_ms - SECOND_MS
    )
    for n in np.flatnonzero(np.diff(on(edges))):
        seconds = np.arange(edges[n], edges[n + 1] + 1, SECOND_MS, dtype=np.int64)
        turned = on(seconds)
        for at in np.flatnonzero(np.diff(turned)):
            t_ms = int(seconds[at + 1])
            value = round(world.value(name, t_ms), DIGITS)
            yield Happening(t_ms, f"{spell.what}_{'begin' if turned[at + 1] else 'end'}", part, value)


def _seen(world: World, name: str, t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """The quantity, 0 before the origin."""
    return np.where(t_ms < world.origin_ms, 0.0, world.column(name, np.maximum(t_ms, world.origin_ms)))
