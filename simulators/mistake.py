"""A mistake in a scenario: it keeps its place in the file, so that the reader of YAML files can name the line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """One mistake, at its place in the file: what is wrong, and what would mend it."""

    at: Place
    problem: str
    mend: str


NAMES_MAX = 8
"""Most names that a mend lists; a list that is longer helps nobody."""


def unknown(at: Place, what: str, given: str, known: Iterable[str]) -> Mistake:
    """Nothing has the name `given`; the mend is the nearest that something has."""
    names = sorted(known)
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    there = f"there is {', '.join(names[:NAMES_MAX]) or 'none'}{more}"
    return Mistake(at, f"no {what} {given!r}", f"did you mean {near[0]}?" if near else there)
