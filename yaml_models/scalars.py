"""What an unquoted word of a YAML file means: the core schema of YAML 1.2, narrowed to what cannot surprise.

Only `true` and `false` are booleans, so `no`, `on` and `N` stay text; `1:30`, `2024-01-01`, `1_000` and `007` stay text
too; `0x1F` is a number because registers are printed that way. Source: YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

DIGITS_MAX = 40
"""Longest number; beyond it the cost of conversion grows and the meaning does not."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}


def read_scalar(text: str) -> Scalar:
    """The value of an unquoted word. ValueError says what is wrong with a number that no program could hold."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _HEX.fullmatch(text):
        return int(_bounded(text), 16)
    if _INTEGER.fullmatch(text):
        return int(_bounded(text))
    if _FLOAT.fullmatch(text):
        return _finite(_bounded(text))
    return text


def write_scalar(value: Scalar) -> str:
    """The shortest spelling that `read_scalar`, or a YAML parser for quoted text, gives back as `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return value if _is_plain(value) else _quoted(value)


_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./%+@-]*(?: [A-Za-z0-9_./%+@-]+)*")


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and read_scalar(text) == text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escape(c) for c in escaped) + '"'


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def _bounded(text: str) -> str:
    if len(text) > DIGITS_MAX:
        raise ValueError(f"a number of {len(text)} characters")
    return text


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is larger than any number that can be held")
    return value
