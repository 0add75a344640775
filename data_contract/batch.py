"""A batch: the readings of all devices of a gateway over one seal interval, by column, immutable once sealed.

It stands alone: per device its kind, per column its field's name. Times are ms relative to the batch's base (the UTC of
that boot's zero), and the base travels beside the batch, because a gateway without a clock chip may learn it later.
A digest is a batch, too: it stands in for batches that a full spool had to give up.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contract.reading import GATEWAY_DEVICE, is_field, is_id

BATCH_BYTES_MAX = 262_144
"""Plain JSON of one batch. The gateway seals well before; ingest refuses what is larger."""

Millis = Annotated[int, Field(ge=-(2**53), le=2**53)]
Count = Annotated[int, Field(ge=0, le=2**40)]
Code = Annotated[int, Field(ge=0, le=255)]
Span = tuple[str, Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
"""(run, first seq, last seq), both ends included."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)


class Block(_Model):
    """Samples that share their times: `n` times, and columns of `n` values; null where the device had none.

    `t` holds steps in ms: the first from the batch's `from`, each later one from its predecessor.
    `quality` holds, per field, `[index, code]` for every value that is not good.
    """

    t: list[Millis]
    values: dict[str, list[float | None]]
    quality: dict[str, list[tuple[int, Code]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Block:
        rows = len(self.t)
        for field, column in self.values.items():
            if not is_field(field):
                raise ValueError(f"{field!r} is no field name")
            if len(column) != rows:
                raise ValueError(f"{field}: {len(column)} values for {rows} times")
        for field, marks in self.quality.items():
            if field not in self.values or any(not 0 <= index < rows for index, _ in marks):
                raise ValueError(f"quality of {field} points beside its column")
        return self


Counts = tuple[Count, Count, dict[str, Count]]
"""Readings of one poll group in [from, to): called for, sampled, missing by cause. The first is the sum of the rest."""

Summary = tuple[Millis, Millis, Count, float, float, float]
"""(first stamp, last stamp, count, min, max, mean over the time) of successive readings of a gauge that were evicted,
without a hole between them and within one hour of UTC. Stamps as in `t`, but all from the zero of the base."""

Witnessed = tuple[Millis, Millis, Count]
"""The same of a counter or a state, of which the readings that decide stand in the blocks."""


class Device(_Model):
    """What one device contributed: its measurement (`kind`), counts by poll group, and blocks of samples."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    counts: dict[str, Counts] = Field(default_factory=dict)
    blocks: list[Block] = Field(default_factory=list)
    summary: dict[str, list[Summary]] = Field(default_factory=dict)
    witnessed: dict[str, list[Witnessed]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _adds_up(self) -> Device:
        for group, (called, sampled, missing) in self.counts.items():
            if called != sampled + sum(missing.values()):
                raise ValueError(f"counts of {group}: {called} called for, {sampled} sampled, {missing} missing")
        return self


class Record(_Model):
    """Something that happened rather than was measured: a start, a change of schedule, an emptying.

    `t` is in ms from the batch's `from`; `values` are numbers to compute with, `data` is for people and for the audit.
    """

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    t: Millis = 0
    device: str = GATEWAY_DEVICE
    values: dict[str, float] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)


START, STOP, SCHEDULE = "start", "stop", "schedule"
"""Kinds of records that the audit reads."""


class Previous(BaseModel):
    """The run before this one, as the spool remembers it. Part of the data of a start record."""

    run: str
    last: int = Field(ge=0, description="last seq that was sealed, 0 if none")
    to_ms: int | None = Field(default=None, description="end of its last batch, ms UTC; null where it was never dated")
    clean: bool = Field(description="it sealed everything and said so")


class Start(BaseModel):
    """Data of the record that opens a run."""

    run: str = Field(default="", description="the run that begins; empty only where a record was written by hand")
    version: str
    boot: str
    previous: Previous | None = None
    damaged: str | None = Field(default=None, description="what happened to the spool, if it was damaged")
    missing: list[Span] = Field(
        default_factory=list, description="of it: what its runs had sealed and cannot be read, confirmed before or lost"
    )
    carried: list[Span] = Field(default_factory=list, description="of it: what can be read and is sent as usual")


class Body(_Model):
    """What a gateway knows about [from, to), in ms since the zero of its base."""

    from_: Millis = Field(validation_alias="from", serialization_alias="from")
    to: Millis
    prev: Millis | None = None
    """The `to` of the previous batch of this run; absent in the first."""
    devices: dict[str, Device] = Field(default_factory=dict)
    records: list[Record] = Field(default_factory=list)
    pending: list[Span] = Field(default_factory=list)
    """What else was in the spool, unconfirmed, when this batch was sealed."""
    aside: list[tuple[str, int, int, str]] = Field(default_factory=list)
    """(run, first, last, reason) of batches that the gateway no longer offers."""
    replaces: list[Span] = Field(default_factory=list)
    """Only in a digest: the batches that it stands in for."""
    off_grid: bool = False
    """Sampled before the clock could be trusted: its slots lie on the grid of a clock that may have been wrong. Of a
    digest: some of what it stands in for was, or there is a hole within."""
    unsure: tuple[Millis, Millis] | None = None
    """The base is an estimate; the true one lies within these bounds, ms UTC. Joined on when the batch is dated."""

    @model_validator(mode="after")
    def _in_order(self) -> Body:
        if self.to < self.from_:
            raise ValueError(f"to {self.to} lies before from {self.from_}")
        for name in self.devices:
            if not is_id(name):
                raise ValueError(f"{name!r} is no device id")
        for record in self.records:
            if not is_id(record.device):
                raise ValueError(f"{record.device!r} is no device id")
        return self


class Batch(BaseModel):
    """A decoded batch: its number within the run, the base of its times (ms UTC), and what it says."""

    model_config = ConfigDict(frozen=True)

    seq: int
    base_ms: int
    body: Body

    @property
    def from_ms(self) -> int:
        """Begin of the batch, ms UTC."""
        return self.base_ms + self.body.from_

    @property
    def to_ms(self) -> int:
        """End of the batch, ms UTC, not included."""
        return self.base_ms + self.body.to


def _short(value: Any) -> Any:
    """The same value with whole floats as integers: `5`, not `5.0`."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return value


def write_body(body: Body) -> str:
    """The plain JSON of a body on one line, as the spool keeps it. Raises ValueError on NaN or infinity."""
    shape = body.model_dump(by_alias=True, exclude_defaults=True)
    return json.dumps(_short(shape), separators=(",", ":"), allow_nan=False, ensure_ascii=True)
