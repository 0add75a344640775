"""What the step from one reading of a totaliser to the next means: gateway and rollups must agree on it, or volumes
differ.

A totaliser only ever rises. What else it shows has five reasons, and each costs or invents volume if it is mistaken for
another:

    ordinary    it rose by no more than the meter can pass in the time: the rise is volume
    rollover    it passed the end of its width and began again: the rise goes through the end; believed only where
                that rise is possible and less than half of the width: beyond, forwards and backwards look the same
    reset       it began again, near zero: what it shows is the volume since then, what passed before is unknown;
                or it stands at quite another level (a meter was swapped or set): nothing is known of that step
    dip         it fell a little and will rise again (a torn read, a stale answer, a moment of backflow): nothing
                passed until the old maximum is passed
    impossible  it rose by more than the meter can pass: nothing of it is volume

So a step is judged against the last value that was believed, not against the last that was read. `Walk` keeps that
value, the *mark*. A reading that is not an ordinary continuation of the mark is a *suspect*: the next reading
decides. Does it continue the mark, then the suspect was a glitch, and is passed over; does it continue the suspect,
then the total really is there. A dip is given HOLD_MS for its return before it counts as the new level. So a doubt
ends within HOLD_MS and one reading (only noise in which no two readings agree lasts longer, and counts nothing), and
a program that starts LOOKBACK_MS before an instant judges what comes after it as any other would.

A possible rise is `rate_max_per_h` times the time since the mark's value was first shown, so that a meter that shows
whole cubic metres is not judged by the one poll in which its display moves. Without a rate every rise is possible,
and a glitch upwards is volume: give each billing counter its rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

HOLD_MS = 1_200_000
"""How long a dip may last before the lower level is believed."""

LOOKBACK_MS = 2 * HOLD_MS
"""A walk that begins this long before an instant has settled at it, wherever it began."""

REACH = 2
"""How many readings on either side of a step can decide what it is."""

DISPLAY_MS = 30_000
"""A meter may show late what has passed: so much is added to the time that a rise had."""

_MS_PER_H = 3_600_000
_WRAP_SHARE_MAX = 0.5
# Where no rate is known, only what is tiny beside the total can be told from another level.
_RATELESS_WRAP_SHARE_MAX = 0.01
_RATELESS_RESET_SHARE_MAX = 0.01
_RATELESS_DIP_SHARE_MAX = 0.001


class StepKind(StrEnum):
    """What a step of a totaliser is."""

    ORDINARY = "ordinary"
    ROLLOVER = "rollover"
    RESET = "reset"
    DIP = "dip"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Law:
    """What a totaliser can do: the total at which it begins again at 0, and its largest rise per hour; None: not
    known.

    A total that rises in steps, as that of a scale does, may rise by `step_max` at once, whatever its rate.
    """

    rollover: float | None = None
    rate_max_per_h: float | None = None
    step_max: float = 0.0

    def rise_max(self, elapsed_ms: int) -> float:
        """The largest possible rise in that time, in the total's unit; infinite where no rate is known."""
        if self.rate_max_per_h is None:
            return float("inf")
        return self.rate_max_per_h * (elapsed_ms + DISPLAY_MS) / _MS_PER_H + self.step_max


@dataclass(frozen=True, slots=True)
class Step:
    """What a step is, and how much passed in it, in the total's unit, never negative."""

    kind: StepKind
    delta: float


def step(before: float, after: float, elapsed_ms: int, law: Law) -> Step:
    """Judge `after` against the believed total `before`, which was first shown `elapsed_ms` ago. Both are finite."""
    rise = after - before
    if rise >= 0:
        possible = rise <= law.rise_max(elapsed_ms)
        return Step(StepKind.ORDINARY, rise) if possible else Step(StepKind.IMPOSSIBLE, 0.0)
    wrapped = _wrapped(before, after, elapsed_ms, law)
    if wrapped is not None:
        return Step(StepKind.ROLLOVER, wrapped)
    if _is_near_zero(before, after, elapsed_ms, law):
        return Step(StepKind.RESET, after)
    return Step(StepKind.DIP if -rise <= _dip_max(before, law) else StepKind.RESET, 0.0)


def _wrapped(before: float, after: float, elapsed_ms: int, law: Law) -> float | None:
    """The rise through the end of the width, where it is possible."""
    if law.rollover is None or before > law.rollover or after < 0:
        return None
    rise = law.rollover - before + after
    share = _RATELESS_WRAP_SHARE_MAX if law.rate_max_per_h is None else _WRAP_SHARE_MAX
    return rise if rise <= min(law.rise_max(elapsed_ms), law.rollover * share) else None


def _is_near_zero(before: float, after: float, elapsed_ms: int, law: Law) -> bool:
    """Whether the total can have begun again at zero and risen to `after` in the time."""
    # A young total is always near zero; only one that lost most of itself has begun again.
    if not 0 <= after < before / 2:
        return False
    return after <= (before * _RATELESS_RESET_SHARE_MAX if law.rate_max_per_h is None else law.rise_max(elapsed_ms))


def _dip_max(before: float, law: Law) -> float:
    """The largest fall that may be a dip: what can have passed while the older value was current."""
    if law.rate_max_per_h is None:
        return abs(before) * _RATELESS_DIP_SHARE_MAX
    return law.rate_max_per_h * HOLD_MS / _MS_PER_H


class Span(NamedTuple):
    """What passed in (from_ms, to_ms]. Where `believed`, the total went on from there; a reading that was passed over
    is a dip or an impossible rise, and the believed span that follows covers its time.
    """

    from_ms: int
    to_ms: int
    kind: StepKind
    delta: float
    believed: bool = True


class _Suspect(NamedTuple):
    t_ms: int
    value: float
    step: Step
    since_ms: int
    """When the first reading came that did not continue the mark."""


class Walk:
    """Follows one total from reading to reading, from a first one that is believed as it is."""

    __slots__ = ("_law", "_mark_ms", "_shown_ms", "_suspect", "_value")

    def __init__(self, law: Law, t_ms: int, value: float, shown_ms: int | None = None) -> None:
        """`shown_ms`: when `value` was first shown, if that was before `t_ms`."""
        self._law = law
        self._mark_ms, self._value = t_ms, value
        self._shown_ms = t_ms if shown_ms is None else max(shown_ms, t_ms - HOLD_MS)
        self._suspect: _Suspect | None = None

    @property
    def settled(self) -> bool:
        """Whether the last reading was believed."""
        return self._suspect is None

    def take(self, t_ms: int, value: float, late_ms: int = 0) -> list[Span]:
        """The next reading, later than all before; what has become certain with it.

        `late_ms`: added to the time that it had, where readings before it were given up (see `witness`).
        """
        judged = step(self._value, value, t_ms - self._shown_ms + late_ms, self._law)
        suspect = self._suspect
        if judged.kind in (StepKind.ORDINARY, StepKind.ROLLOVER):
            passed_over = [self._pass_over(suspect)] if suspect else []
            return [*passed_over, self._believe(t_ms, value, judged)]
        if suspect is not None:
            return self._doubt(suspect, t_ms, value, judged)
        self._suspect = _Suspect(t_ms, value, judged, t_ms)
        return []

    def _doubt(self, suspect: _Suspect, t_ms: int, value: float, judged: Step) -> list[Span]:
        """A second reading that does not continue the mark."""
        onwards = step(suspect.value, value, t_ms - suspect.t_ms, self._law)
        overdue = t_ms - suspect.since_ms > HOLD_MS
        if onwards.kind is StepKind.ORDINARY and (overdue or suspect.step.kind is not StepKind.DIP):
            # The level is believed after all. A dip that did not return was a change of level.
            kind = StepKind.RESET if suspect.step.kind is StepKind.DIP else suspect.step.kind
            changed = self._believe(suspect.t_ms, suspect.value, Step(kind, suspect.step.delta))
            return [changed, self._believe(t_ms, value, onwards)]
        if overdue and judged.kind is StepKind.DIP:
            return [self._believe(t_ms, value, Step(StepKind.RESET, 0.0))]
        if onwards.kind is not StepKind.ORDINARY:
            self._suspect = _Suspect(t_ms, value, judged, suspect.since_ms)
        return []

    def _pass_over(self, suspect: _Suspect) -> Span:
        # What came back was no reset, however far it fell.
        kind = StepKind.IMPOSSIBLE if suspect.step.kind is StepKind.IMPOSSIBLE else StepKind.DIP
        return Span(self._mark_ms, suspect.t_ms, kind, 0.0, believed=False)

    def _believe(self, t_ms: int, value: float, judged: Step) -> Span:
        span = Span(self._mark_ms, t_ms, judged.kind, judged.delta)
        if value != self._value:
            self._shown_ms = t_ms
        else:
            self._shown_ms = max(self._shown_ms, t_ms - HOLD_MS)
        self._mark_ms, self._value, self._suspect = t_ms, value, None
        return span
