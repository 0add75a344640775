"""What goes into a store and what comes out of it: columns, never rows of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Cell = float | str | None
"""Readings are float; events, receipts and the like may hold text. None: this row has no such field."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one series: a measurement and its tags, one time per row, one column per field.

    Times are ms UTC, or microseconds where `micros`. All columns are as long as `times`. A key (measurement, tags,
    time, field) that is written twice keeps the last value.
    """

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: tuple[str, ...]
    times: Sequence[int]
    columns: Sequence[Sequence[Cell]]
    micros: bool = False

    def __post_init__(self) -> None:
        assert len(self.fields) == len(self.columns)
        assert {len(self.times)}.issuperset(map(len, self.columns))

    @property
    def values(self) -> int:
        """How many cells it holds at most."""
        return len(self.times) * len(self.fields)


class Refusal(NamedTuple):
    """A row that the store will never take: its place in what was written, and why."""

    table: int
    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a write. `retry_after_s` set: assume nothing was stored, and write the same again after that time.

    Otherwise everything is durable except the rows named in `refused`.
    """

    retry_after_s: float | None = None
    reason: str = ""
    refused: tuple[Refusal, ...] = ()

    @property
    def stored(self) -> bool:
        """Everything that was not refused is durable."""
        return self.retry_after_s is None


STORED = Outcome()


class SeriesKey(NamedTuple):
    """One field of one device."""

    measurement: str
    gateway: str
    device: str
    field: str


@dataclass(frozen=True, slots=True)
class Window:
    """Readings of one field in time order: `t` in ms UTC (int64), `value` (float64), `quality` (float64, 0 is good).

    Rows without a value (only a quality was stored) are not in it.
    """

    t: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Receipt:
    """One batch that an ingest worker made durable. A batch that came twice has several; (run, seq) makes it one.

    `at_us` is its time in the store (microseconds UTC, strictly rising per worker); [from_ms, to_ms) is the time that
    the batch accounts for; `readings` are the values stored, `bad` the values refused. `counts` is JSON text as
    `data_contract.receipt` writes and reads it; for a batch that was rejected whole, from and to are 0.
    """

    at_us: int
    gateway: str
    worker: str
    run: str
    seq: int
    from_ms: int
    to_ms: int
    readings: int
    bad: int
    counts: str


class Event(NamedTuple):
    """A record as stored: `text` is JSON."""

    t_ms: int
    gateway: str
    device: str
    kind: str
    text: str
    values: tuple[tuple[str, float], ...] = ()
