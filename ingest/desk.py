"""What a worker does beside its messages: requests of operators, and word to the store of boards that are parked.

Of a replay the order is: data → receipt → what is left in place of the letter → the request is gone. Killed between
any two, the same is done once more, and counts once. Acts only through ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data_contract.reading import GATEWAY_DEVICE
from data_contract.verdict import CLOSED, PARKED, Parked
from ingest.errors import NoRoom
from ingest.ports import DeadLetters, Kept, Requests
from ingest.request import Allow, Close, Replay, Request
from series_store import names
from series_store.table import Table
from service_health.promises import Promises

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ingest.worker import Worker

log = logging.getLogger("loopgauge.ingest.desk")

LOOK_S = 2.0
"""How often the desk looks whether anything is asked."""
STEP_S_MAX = 120.0
"""One step that needs no store: a file of dead letters read or written again."""
AGAIN_S = 30.0
"""Pause after a request that could not be carried out."""
GROUP_BYTES = 4_000_000
"""Letters that are taken through the steps together, by the length of their texts; at least one message."""
_TASK = "desk"


class Desk:
    """Carries out one request after the other."""

    def __init__(
        self, *, worker: Worker, dead: DeadLetters, requests: Requests, promises: Promises | None = None
    ) -> None:
        self._worker = worker
        self._dead = dead
        self._requests = requests
        self._promises = promises or Promises(lambda: 0.0)
        self._told: set[tuple[str, str]] = set()
        self.carried_out = 0
        """Requests since the start."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look for requests until `stop`."""
        while not stop.is_set():
            pause_s = LOOK_S
            try:
                await self._tell_parked(stop)
                while not stop.is_set() and (request := await self._next()) is not None:
                    if not await self._carry_out(request, stop):
                        pause_s = AGAIN_S
                        break
            except NoRoom as error:
                log.warning("%s; the request waits", error)
                pause_s = AGAIN_S
            self._promises.within(_TASK, pause_s + STEP_S_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
        self._promises.done(_TASK)

    async def _next(self) -> Request | None:
        self._promises.within(_TASK, STEP_S_MAX)
        return await self._requests.next()

    async def _carry_out(self, request: Request, stop: asyncio.Event) -> bool:
        match request.wish:
            case Replay(ids=ids):
                done = await self._replay(frozenset(ids), stop)
            case Close(gateway=gateway, said=said):
                done = await self._say(gateway, CLOSED, request.at_ms, said, stop)
            case Allow(gateway=gateway, board=board, by=by):
                allowed = Parked(board=board, allowed=True, by=by)
                done = await self._say(gateway, PARKED, request.at_ms, allowed, stop)
        if done:
            self._promises.within(_TASK, STEP_S_MAX)
            await self._requests.done(request)
            self.carried_out += 1
        return done

    async def _replay(self, ids: frozenset[str], stop: asyncio.Event) -> bool:
        stored = refused = 0
        for segment in await self._dead.segments():
            self._promises.within(_TASK, STEP_S_MAX)
            for group in _groups(await self._dead.find(segment, ids)):
                self._promises.done(_TASK)  # the worker's own steps promise for themselves
                left = None if stop.is_set() else await self._worker.replay(group, stop)
                if left is None:
                    return False
                self._promises.within(_TASK, STEP_S_MAX)
                await self._dead.settle(segment, left)
                refused += sum(bool(letters) for letters in left.values())
                stored += sum(not letters for letters in left.values())
        log.info("replay: %d letters stored, %d refused again", stored, refused)
        return True

    async def _tell_parked(self, stop: asyncio.Event) -> None:
        for gateway, board, at_ms in self._worker.parked():
            if (gateway, board) not in self._told:
                if not await self._say(gateway, PARKED, at_ms, Parked(board=board), stop):
                    return
                self._told.add((gateway, board))

    async def _say(self, gateway: str, kind: str, at_ms: int, said: BaseModel, stop: asyncio.Event) -> bool:
        """One event in the store, under a time of its own: saying it twice is saying it once."""
        self._promises.done(_TASK)
        tags = ((names.GATEWAY, gateway), (names.DEVICE, GATEWAY_DEVICE), (names.KIND, kind))
        text = said.model_dump_json(exclude_defaults=True)
        return await self._worker.put(Table(names.EVENT, tags, (names.EVENT_TEXT,), [at_ms], [[text]]), stop)


def _groups(letters: Sequence[Kept]) -> Iterator[list[Kept]]:
    """Letters in groups of bounded size, those of one message together."""
    group: list[Kept] = []
    size = 0
    for kept in letters:
        letter = kept.letter
        same = group and letter.message and group[-1].letter.message == letter.message
        if size > GROUP_BYTES and not same:
            yield group
            group, size = [], 0
        group.append(kept)
        size += len(letter.line) + sum(len(value[3]) + 40 for value in letter.values)
    if group:
        yield group
