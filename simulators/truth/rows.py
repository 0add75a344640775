"""The rows of the record."""

from __future__ import annotations

from typing import NamedTuple


class Shown(NamedTuple):
    """One field of one answer: the decimal value that its registers hold (None: not a number), and they in hex."""

    field: str
    value: float | None
    words: str


class Served(NamedTuple):
    """One noted field: when it was served (civil ms UTC), to be read by which gateway, and what it showed."""

    t_ms: int
    gateway: str
    device: str
    field: str
    value: float | None


class Traced(NamedTuple):
    """One row of a trace: at `t_ms` (ms UTC) a quantity was so, a field showed that, or something happened.

    `what` is truth, shown, served, refused or the kind of an event. `true` is what the world's quantity behind a field
    was at that moment; a totaliser shows its start besides. `text` holds registers in hex, a reason, or a fault.
    """

    t_ms: int
    what: str
    device: str
    name: str
    value: float | None
    true: float | None = None
    text: str = ""
