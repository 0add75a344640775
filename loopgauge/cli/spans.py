"""Spans of time as a person writes them on a command line."""

from __future__ import annotations

import argparse

SPAN_S_MAX = 3660 * 86_400


def span_s(text: str) -> float:
    """`14d`, `36h`, `90m`, `60s` or a number of seconds; at most ten years."""
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1]) * factor if factor else float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= SPAN_S_MAX:
        raise argparse.ArgumentTypeError(f"expected a time such as 14d, 36h or 600s, got {text!r}")
    return seconds


def span_ms(text: str) -> int:
    """The same in whole milliseconds, and never 0."""
    ms = round(span_s(text) * 1000)
    if ms < 1:
        raise argparse.ArgumentTypeError(f"expected a time such as 1m or 10s, got {text!r}")
    return ms
