"""What all lines to Modbus units have in common: how a conversation is carried, when a lost line is tried again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from data_contract.cause import Missing
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask, Talk

RECONNECT_MIN_S, RECONNECT_MAX_S = 1.0, 30.0
"""First and longest pause between attempts to connect; requests in between fail at once."""

STAMP_AGE_MAX_S = 1.0
"""A request is stamped when it is yielded. One that waited longer for a connection is not made under that stamp."""

TIMEOUTS_MAX = 10
"""Requests in a row without an answer from any unit after which the line itself is suspected and opened anew."""


class Connection(Protocol):
    """A line that is up."""

    async def carry(self, talk: Talk, ask: Ask) -> Ask | None:
        """Make the request and those after it. None at the end of the talk; or the request that met no connection."""


async def carry(talk: Talk, connected: Callable[[], Awaitable[Connection]]) -> None:
    """Carry a talk to its end. Where `connected` raises NotSampled, that is the answer to the request at hand."""
    with contextlib.closing(talk):
        now_s, ask = asyncio.get_running_loop().time, next(talk, None)
        while ask is not None:
            asked_s = now_s()
            try:
                connection = await connected()
            except NotSampled as why:
                ask = said(talk, why)
                continue
            if (late_s := now_s() - asked_s) > STAMP_AGE_MAX_S:
                ask = said(talk, NotSampled(Missing.BUS_DOWN, f"connected, but {late_s:.1f} s too late"))
            else:
                ask = await connection.carry(talk, ask)


def said(talk: Talk, answer: Answer) -> Ask | None:
    """The next request of a talk that is told `answer`; None at its end."""
    try:
        return talk.send(answer)
    except StopIteration:
        return None


async def answer_each(talk: Talk, answer: Callable[[Ask], Awaitable[Answer]]) -> None:
    """Carry a talk to its end on a line that takes one request after the other, each by itself."""
    with contextlib.closing(talk):
        ask = next(talk, None)
        while ask is not None:
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
