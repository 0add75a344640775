"""Twins of what else an ingest worker keeps: dead letters and known boards, both in memory that outlives the worker."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.errors import NoRoom
from ingest.ports import DeadLetter


class DeadLettersTwin:
    """A list; can be full."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.full = False

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        if self.full:
            raise NoRoom("full")
        self.letters.extend(letters)


class GatewaysTwin:
    """The first board of each gateway."""

    def __init__(self) -> None:
        self.boards: dict[str, str] = {}

    async def admits(self, gateway: str, board: str) -> bool:
        return self.boards.setdefault(gateway, board) == board
