"""Pairs of fault and step that cannot meet, each with its reason; every other cell of the table must have been hit."""

from __future__ import annotations

IMPOSSIBLE: dict[tuple[str, str], str] = {}
"""None: a fault strikes at the instant at which some process goes through a step, its own victim or another."""
