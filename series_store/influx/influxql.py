"""InfluxQL: how names, texts and times are written into a statement, and the statements that a reader asks."""

from __future__ import annotations

from collections.abc import Iterable

from series_store.names import RECEIPT, RUN
from series_store.vet import TIME_MS_MAX

_IDENTIFIER = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_TEXT = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n"})


NUMBER_MAX = 2**53


def name(identifier: str) -> str:
    """A measurement, tag key or field, quoted."""
    return f'"{identifier.translate(_IDENTIFIER)}"'


def text(value: str) -> str:
    """A string literal, quoted."""
    return f"'{value.translate(_TEXT)}'"


def names(identifiers: Iterable[str]) -> str:
    """Quoted, with commas between."""
    return ", ".join(map(name, identifiers))


def tagged(tags: dict[str, str]) -> list[str]:
    """A condition per tag."""
    return [f"{name(key)} = {text(value)}" for key, value in tags.items()]


def since_ms(time: int) -> str:
    """At or after a time; bounded by what InfluxDB can count."""
    return f"time >= {_clamp(time, 1)}ms"


def before_ms(time: int) -> str:
    """Before a time."""
    return f"time < {_clamp(time, 1)}ms"


def after_us(time: int) -> str:
    """After a time in microseconds."""
    return f"time > {_clamp(time, 1000)}u"


def at_us(time: int) -> str:
    """At a time in microseconds."""
    return f"time = {_clamp(time, 1000)}u"


def number(value: int) -> int:
    """A number to compare a field with, bounded by what a float64 holds exactly."""
    return max(-NUMBER_MAX, min(NUMBER_MAX, value))


def select(what: str, measurement: str, conditions: Iterable[str] = (), tail: str = "") -> str:
    """`SELECT what FROM measurement WHERE all conditions tail`."""
    where = " AND ".join(conditions)
    return f"SELECT {what} FROM {name(measurement)}{' WHERE ' + where if where else ''}{' ' + tail if tail else ''}"  # noqa: S608  (quoted)


def _clamp(time: int, units_per_ms: int) -> int:
    return max(-units_per_ms, min((TIME_MS_MAX + 1) * units_per_ms, time))


PROBE = select(name(RUN), RECEIPT, tail="LIMIT 1")
"""Answered quickly by any database that exists and may be read; SHOW takes a missing one for an empty one."""
