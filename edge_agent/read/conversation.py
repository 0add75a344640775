"""What all lines to Modbus units have in common: how a conversation is carried, when a lost line is tried again."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk

RECONNECT_MIN_S, RECONNECT_MAX_S = 1.0, 30.0
"""First and longest pause between attempts to connect; requests in between fail at once."""

TIMEOUTS_MAX = 10
"""Requests in a row without an answer from any unit after which the line itself is suspected and opened anew."""


class Connection(Protocol):
    """A line that is up."""

    async def carry(self, talk: Talk, ask: Ask, asked: Callable[[], None]) -> Ask | None:
        """Make the request and those after it. None at the end of the talk; or the request that met no connection.

        `asked` is called as each leaves.
        """


async def carry(talk: Talk, connected: Callable[[], Awaitable[Connection]], asked: Callable[[], None]) -> None:
    """Carry a talk to its end. Where `connected` raises NotSampled, that is the answer to the request at hand."""
    with contextlib.closing(talk):
        ask = next(talk, None)
        while ask is not None:
            try:
                connection = await connected()
            except NotSampled as why:
                ask = said(talk, why)
                continue
            ask = await connection.carry(talk, ask, asked)


def said(talk: Talk, answer: Answer) -> Ask | None:
    """The next request of a talk that is told `answer`; None at its end."""
    try:
        return talk.send(answer)
    except StopIteration:
        return None


async def answer_each(talk: Talk, answer: Callable[[Ask], Awaitable[Answer]], asked: Callable[[], None]) -> None:
    """Carry a talk to its end on a line that takes one request after the other, each by itself and at once."""
    with contextlib.closing(talk):
        ask = next(talk, None)
        while ask is not None:
            asked()
            ask = said(talk, await answer(ask))


class Retry:
    """When a line that is down may be tried again. Pauses double until something on it has answered."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._pause_s = RECONNECT_MIN_S

    def may(self, now_s: float) -> bool:
        """Whether it may be tried now."""
        return now_s >= self._at_s

    def failed(self, now_s: float) -> None:
        """It could not be opened, or nothing came of it."""
        self._at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, RECONNECT_MAX_S)

    def worked(self) -> None:
        """Something on it answered: the next attempt may follow at once."""
        self._pause_s = RECONNECT_MIN_S
