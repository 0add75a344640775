"""Twins of what else an ingest worker keeps: dead letters, known boards, requests, in memory that outlives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from ingest.errors import NoRoom
from ingest.letters import id_of
from ingest.ports import DeadLetter, Kept
from ingest.request import Request, Wish


class DeadLettersTwin:
    """A list; can be full."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.full = False
        self.step: Callable[[str], None] = lambda _: None
        """Called before and after letters are settled."""

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        if self.full:
            raise NoRoom("full")
        self.letters.extend(letters)

    async def segments(self) -> list[str]:
        return ["all"] if self.letters else []

    async def find(self, segment: str, ids: Set[str]) -> list[Kept]:
        return [Kept(id_of(letter), 0, letter) for letter in self.letters if id_of(letter) in ids]

    async def settle(self, segment: str, left: Mapping[str, Sequence[DeadLetter]]) -> None:
        if self.full:
            raise NoRoom("full")
        self.step("settle.before")
        put: set[str] = set()
        found: list[DeadLetter] = []
        for letter in self.letters:
            id_ = id_of(letter)
            if id_ not in left:
                found.append(letter)
            elif id_ not in put:
                put.add(id_)
                found += left[id_]
        self.letters = found
        self.step("settle.after")


class RequestsTwin:
    """Requests in the order in which they were made."""

    def __init__(self) -> None:
        self.waiting: list[Request] = []
        self.step: Callable[[str], None] = lambda _: None
        """Called before and after a request is done with."""

    def leave(self, wish: Wish, at_ms: int) -> None:
        self.waiting.append(Request(at_ms, wish))

    async def next(self) -> Request | None:
        return self.waiting[0] if self.waiting else None

    async def done(self, request: Request) -> None:
        self.step("done.before")
        self.waiting.remove(request)
        self.step("done.after")


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
