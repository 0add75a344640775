"""What is to happen in a storm, drawn from one seed before it begins: which fault, to whom, when and for how long.

While one fault holds a victim no other hits it, but for a kill of what is stopped or has no room; different victims
suffer at the same time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KILL, STOP, LINK, DISK, CLOCK, TEAR = KINDS = ("kill", "stop", "link", "disk", "clock", "tear")
WEIGHTS = {KILL: 8, STOP: 5, LINK: 4, DISK: 2, CLOCK: 3, TEAR: 2}
STOP_S_MIN, STOP_S_MAX = 1.0, 40.0
LINK_S_MAX = 15.0
DISK_S_MAX = 12.0
DOWN_S_MAX = 6.0
STEP_MS_MAX = 20_000
GAP_S_MEAN = 1.6
REST_S = 3.0
"""Between two faults of one victim."""
KILLED_IN_IT = 0.25
"""Share of stops and full disks that end with a kill."""
AIMED = 0.7
"""Share of kills that wait for a step."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, in s since the begin of the storm."""

    at_s: float
    kind: str
    victim: str
    last_s: float
    """How long it holds; a killed process stays down for so long."""
    step: str = ""
    """Which step a kill waits for; none: it comes at once."""
    fatal: bool = False
    """A kill ends it, not its undoing."""
    offset_ms: int = 0
    """Where a clock is put, or the seed of what is torn."""

    def __str__(self) -> str:
        return f"{self.at_s:7.1f} s  {self.kind:5} {self.victim:10} {self.last_s:4.1f} s  {self.step}"


def plan(seed: int, *, length_s: float, victims: Mapping[str, Sequence[str]], steps: Sequence[str]) -> list[Fault]:
    """The faults of a storm in order of time. `victims`: kind → whom it may hit; a kind without any does not occur."""
    rng = random.Random(seed)
    kinds = [kind for kind in KINDS if victims.get(kind)]
    free_s: dict[str, float] = {}
    faults: list[Fault] = []
    at_s = 0.0
    while (at_s := at_s + rng.expovariate(1 / GAP_S_MEAN)) < length_s:
        kind = rng.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        victim = rng.choice(list(victims[kind]))
        fault = _drawn(rng, at_s, kind, victim, steps)
        if free_s.get(victim, 0.0) > at_s:
            continue
        free_s[victim] = at_s + fault.last_s + REST_S
        faults.append(fault)
    return faults


def _drawn(rng: random.Random, at_s: float, kind: str, victim: str, steps: Sequence[str]) -> Fault:
    share, fatal = rng.random(), rng.random() < KILLED_IN_IT
    step = rng.choice(list(steps)) if rng.random() < AIMED else ""
    number = rng.randrange(-STEP_MS_MAX, STEP_MS_MAX)
    match kind:
        case "kill":
            return Fault(at_s, kind, victim, DOWN_S_MAX * share**2, step=step)
        case "stop":
            last_s = STOP_S_MIN + (STOP_S_MAX - STOP_S_MIN) * share**3
            return Fault(at_s, kind, victim, last_s, fatal=fatal)
        case "link":
            return Fault(at_s, kind, victim, 0.1 + LINK_S_MAX * share**2)
        case "disk":
            return Fault(at_s, kind, victim, 3 + (DISK_S_MAX - 3) * share, fatal=fatal)
        case "clock":
            # Half of all steps set the clock right again, as a synchronisation does.
            return Fault(at_s, kind, victim, 5 + 5 * share, offset_ms=0 if fatal or share < 0.4 else number)
        case _:
            return Fault(at_s, kind, victim, 2 * share, offset_ms=abs(number))
