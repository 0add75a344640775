"""What a gateway is expected to sample, and when. The agent polls by it and the audit counts by it: one function.

A slot is an instant of civil time at which a poll group is due: every multiple of its interval since 1970 UTC, so that
two programs that know the interval agree on every slot without talking to each other.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

GAP_INTERVALS = 2.5
"""Successive readings further apart than so many sampling intervals have a hole between them: two in a row are
missing.
"""


class Poll(BaseModel):
    """One poll group of one device: its fields are called for together, `every_ms` apart."""

    model_config = ConfigDict(frozen=True)

    device: str
    kind: str
    group: str
    every_ms: int = Field(gt=0)
    fields: tuple[str, ...]


class Schedule(BaseModel):
    """All poll groups of a gateway, and its longest seal interval in ms. Sealed as a record whenever it changes."""

    model_config = ConfigDict(frozen=True)

    seal_every_ms: int = Field(gt=0)
    polls: tuple[Poll, ...]


def next_slot(every_ms: int, t_ms: int) -> int:
    """The first slot at or after `t_ms`."""
    return -(-t_ms // every_ms) * every_ms


def slots(every_ms: int, from_ms: int, to_ms: int) -> int:
    """How many slots lie in [from_ms, to_ms)."""
    return max(0, -(-to_ms // every_ms) - -(-from_ms // every_ms))


def expected(poll: Poll, from_ms: int, to_ms: int) -> int:
    """How many readings the poll group is called for in [from_ms, to_ms): slots x fields."""
    return slots(poll.every_ms, from_ms, to_ms) * len(poll.fields)
