"""A bin's content, and two totalisers kept at the edge: kilograms in and kilograms out.

They move from one level of rest to the next, so that at each moment `in - out` is the content less that of the first
day, and noise never adds up: a change below the smallest that counts is left until it has grown. Pure; the totals are
handed out as text, which the spool keeps in the transaction of each seal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from data_contract.calibration import Calibration, in_force
from data_contract.reading import FieldKind
from edge_agent.ports import Civil
from edge_agent.weigh.steady import Steady

FIELDS = ("weight_kg", "mass_in_kg", "mass_out_kg", "emptyings")
"""What it adds to the fields of the device's profile."""
KINDS = {name: FieldKind.GAUGE if name == "weight_kg" else FieldKind.COUNTER for name in FIELDS}
UNITS = {name: "1" if name == "emptyings" else "kg" for name in FIELDS}

DIGITS = 4
"""Kilograms are kept to 0.1 g: finer than any scale here, coarse enough to drop what binary fractions add."""


class Memory(BaseModel):
    """What a bin must still know after a power cut."""

    model_config = ConfigDict(extra="ignore")

    level_kg: float | None = None
    """Content at the last rest."""
    in_kg: float = 0.0
    out_kg: float = 0.0
    emptyings: int = 0
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class BinRule:
    """How a bin's weight is understood. The masses are in kg."""

    tare_kg: float
    least_kg: float
    """Smallest change that counts."""
    emptying_kg: float
    """A drop of at least this much is an emptying; a smaller one was taken out by somebody."""
    steady_samples: int
    steady_span_kg: float
    calibrations: tuple[Calibration, ...]
    """Empty where the scale gives kilograms."""


class BinMeter:
    """One bin."""

    def __init__(self, rule: BinRule) -> None:
        self._rule = rule
        self._steady = Steady(samples=rule.steady_samples, span_kg=rule.steady_span_kg)
        self._memory = Memory()

    def restore(self, text: str) -> None:
        """Go on where an earlier run of the agent was at its last seal. ValueError for what is no memory."""
        self._memory = Memory.model_validate_json(text)

    def remember(self) -> str:
        """What `restore` takes."""
        return self._memory.model_dump_json()

    def weigh(self, raw: float | None, *, door_open: bool, civil: Civil) -> tuple[float | None, float, float, float]:
        """The values of FIELDS after one more sample: kilograms, or counts where there are calibrations."""
        weight = None if raw is None else self._content(raw, civil)
        if weight is None or door_open:
            self._steady.disturbed()
        elif (level := self._steady.feed(weight)) is not None:
            self._rest(level)
        memory = self._memory
        return weight, round(memory.in_kg, DIGITS), round(memory.out_kg, DIGITS), float(memory.emptyings)

    def _content(self, raw: float, civil: Civil) -> float:
        gross = raw
        if self._rule.calibrations:
            held = self._calibration(civil)
            if held.id != self._memory.calibration:
                # Another line through the same counts moves the level, and that was nobody's deposit.
                self._memory.level_kg, self._memory.calibration = None, held.id
                self._steady.disturbed()
            gross = held.kilograms(raw)
        return round(gross - self._rule.tare_kg, DIGITS) + 0.0

    def _calibration(self, civil: Civil) -> Calibration:
        if not civil.trusted:
            return max(self._rule.calibrations, key=lambda each: each.from_)
        return in_force(self._rule.calibrations, datetime.fromtimestamp(civil.utc_ms / 1000, UTC))

    def _rest(self, level_kg: float) -> None:
        memory, before = self._memory, self._memory.level_kg
        if before is None:
            memory.level_kg = level_kg
            return
        change = level_kg - before
        if abs(change) < self._rule.least_kg:
            return
        memory.level_kg = level_kg
        if change > 0:
            memory.in_kg += change
        else:
            memory.out_kg -= change
            memory.emptyings += -change >= self._rule.emptying_kg
