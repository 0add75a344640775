"""What a fleet is: how many gateways, what each measures and how often, and what follows from it. Pure.

Everything that a gateway says is a function of the plan and of time, so a batch that has to be sent again is made again
instead of being kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Self

from data_contract.batch import BATCH_BYTES_MAX, SCHEDULE, START, Record, Start
from data_contract.control import Birth, DeviceBirth, FieldBirth, write
from data_contract.reading import FieldKind, is_id
from data_contract.schedule import Poll, Schedule, slots
from simulators.fleet.columns import FIELDS

KIND = "energy_meter"
GROUP = "main"
BOARD = "simulated"
VERSION = "simulated fleet"
STAGGER_MS = 4
"""Meters of one gateway are asked one after the other, this far apart at most, in ms."""
JITTER_MS = 3
"""An answer comes up to this much later than the last one did, in ms."""
READING_BYTES = 10
"""Plain JSON of one reading, stamps included; never less in a batch of any size."""
GATEWAYS_MAX, METERS_MAX = 99_999, 240


class BadPlan(ValueError):
    """The fleet that was asked for cannot be; one line says why, and the mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """A fleet: every gateway has the same number of meters, each with the same fields."""

    gateways: int
    meters: int = 10
    fields: int = 10
    every_ms: int = 10_000
    seal_ms: int = 10_000
    seed: int = 1
    begin_ms: int = 0
    """Where all begin to sample, ms UTC, a multiple of `seal_ms`."""
    missing: float = 0.001
    """Share of requests that a meter leaves unanswered."""
    prefix: str = "fleet"

    def __post_init__(self) -> None:
        _within("--gateways", self.gateways, 1, GATEWAYS_MAX)
        _within("--meters", self.meters, 1, METERS_MAX)
        _within("--fields", self.fields, 1, len(FIELDS))
        _within("--every", self.every_ms / 1000, 0.1, 86_400)
        _within("--seal", self.seal_ms / 1000, 0.1, 3_600)
        _within("--missing", self.missing, 0, 1)
        _within("--seed", self.seed, 0, 2**63)
        if not is_id(self.gateway(GATEWAYS_MAX)):
            raise BadPlan(f"--prefix {self.prefix}: lower-case letters, digits, _ and -, at most 57 characters")
        if self.begin_ms % self.seal_ms:
            raise BadPlan(f"a fleet begins at a multiple of its seal interval ({self.seal_ms} ms), not {self.begin_ms}")
        if self.batch_readings * READING_BYTES > BATCH_BYTES_MAX:
            raise BadPlan(
                f"a batch of {self.batch_readings} readings would be larger than {BATCH_BYTES_MAX} bytes;"
                " take fewer --meters or --fields, a longer --every or a shorter --seal"
            )

    @property
    def rows_max(self) -> int:
        """Most slots of one meter in one seal interval."""
        return -(-self.seal_ms // self.every_ms)

    @property
    def batch_readings(self) -> int:
        """Most readings in one batch."""
        return self.meters * self.fields * self.rows_max

    @property
    def natural_rate(self) -> float:
        """Readings per s of civil time that the whole fleet is called for."""
        return self.gateways * self.meters * self.fields * 1000 / self.every_ms

    @property
    def stagger_ms(self) -> int:
        """How far apart two meters of a gateway are asked: all are done long before the next slot."""
        return min(STAGGER_MS, self.every_ms // (4 * self.meters))

    def gateway(self, number: int) -> str:
        """The id of a gateway; they are numbered from 0."""
        return f"{self.prefix}-{number:05d}"

    def meter(self, number: int) -> str:
        """The id of a meter of any gateway; they are numbered from 0."""
        return f"meter-{number + 1:03d}"

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields of every meter."""
        return tuple(field.name for field in FIELDS[: self.fields])

    def run(self, number: int) -> str:
        """The run of a gateway: another one with each seed and each beginning."""
        text = f"{self.seed}\x1f{self.begin_ms}\x1f{self.gateway(number)}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def schedule(self) -> Schedule:
        """What every gateway of the fleet is expected to sample."""
        polls = tuple(
            Poll(device=self.meter(n), kind=KIND, group=GROUP, every_ms=self.every_ms, fields=self.field_names)
            for n in range(self.meters)
        )
        return Schedule(seal_every_ms=self.seal_ms, polls=polls)

    def opening(self, number: int) -> list[Record]:
        """The records of a run's first batch."""
        start = Start(run=self.run(number), version=VERSION, boot=f"{self.gateway(number)}-{self.begin_ms}")
        return [
            Record(kind=START, data=start.model_dump(exclude_none=True)),
            Record(kind=SCHEDULE, data=self.schedule().model_dump(mode="json")),
        ]

    def birth(self, number: int) -> bytes:
        """What a gateway says about itself when it connects."""
        fields = {
            field.name: FieldBirth(unit=field.unit, kind=FieldKind(field.kind)) for field in FIELDS[: self.fields]
        }
        meter = DeviceBirth(kind=KIND, profile="simulated-meter", profile_version=1, simulated=True, fields=fields)
        devices = {self.meter(n): meter for n in range(self.meters)}
        name = self.gateway(number)
        return write(Birth(gateway=name, board=BOARD, version=VERSION, run=self.run(number), devices=devices))

    def rows(self, from_ms: int, to_ms: int) -> int:
        """Slots of one meter in [from_ms, to_ms)."""
        return slots(self.every_ms, from_ms, to_ms)

    def as_json(self) -> dict[str, Any]:
        """The plan as an object of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        """The plan that `as_json` wrote. Raises TypeError, ValueError."""
        return cls(**said)


def _within(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise BadPlan(f"{option} {value:g}: give a number from {low:g} to {high:g}")
