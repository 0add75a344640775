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
    """The boards of each gateway: the first one is taken on, any other is parked until allowed."""

    def __init__(self) -> None:
        self.boards: dict[str, set[str]] = {}
        self.parked: set[tuple[str, str]] = set()

    async def admits(self, gateway: str, board: str) -> bool:
        if board in self.boards.setdefault(gateway, {board}):
            return True
        self.parked.add((gateway, board))
        return False

    def allow(self, gateway: str, board: str) -> None:
        """What `ingest gateway allow` does."""
        self.boards.setdefault(gateway, set()).add(board)
        self.parked.discard((gateway, board))
