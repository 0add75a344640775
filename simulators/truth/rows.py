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
