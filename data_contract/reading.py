"""What one reading is: its kind, quality, rules for its names, and the key that makes writing it twice harmless."""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import NamedTuple

GATEWAY_DEVICE = "gateway"
"""The device id under which a gateway reports about itself."""

QUALITY_PREFIX = "q_"
"""A stored field `q_<field>` holds the quality of a reading that is not good; no field of a device may start so."""

PSEUDONYM_SUFFIX = "_pseudonym"
"""End of the name of a field that stands for a person. It is never shown, and never holds the person's own number."""

EARLIEST_MS = 1_262_304_000_000
"""A stamp before 2010 is refused: no gateway existed. What has one is not sent, as long as it can still be mended."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")


class FieldKind(StrEnum):
    """How a field may be added up."""

    GAUGE = "gauge"
    """An instantaneous value: means and extremes are defined, sums are not."""
    COUNTER = "counter"
    """A totaliser: only differences mean something."""
    STATE = "state"
    """An enumeration: only durations and changes mean something."""


class Quality(IntEnum):
    """Why a reading is not plainly good. Stored as a number; the codes never change their meaning."""

    GOOD = 0
    UNCERTAIN = 1
    """The device itself says that the value is doubtful."""
    OUT_OF_RANGE = 2
    """Outside the valid range of the profile; the value is kept as it was read."""
    INVALID = 3
    """The device answered, but with its mark for "no value" (NaN, a sentinel, a failed status); there is no value."""
    SATURATED = 4
    """At the end of the converter's range; the true value lies beyond."""


class Key(NamedTuple):
    """What a reading is written under. The value under a key never changes, so writing it twice is harmless."""

    gateway: str
    device: str
    field: str
    t_ms: int


def is_id(text: str) -> bool:
    """Whether `text` may name a gateway or a device: lower-case letters, digits, `_` and `-`, at most 63 characters."""
    return _ID.fullmatch(text) is not None


def is_field(text: str) -> bool:
    """Whether `text` may name a field of a device: lower-case letters, digits and `_`, not beginning with `q_`."""
    return _FIELD.fullmatch(text) is not None and not text.startswith(QUALITY_PREFIX)


def is_pseudonym(field: str) -> bool:
    """Whether the values of a field stand for persons: no page, report or dashboard shows them one by one."""
    return field.endswith(PSEUDONYM_SUFFIX)
