"""The order that makes an ack mean "durable": decode, data, dead letters, receipt, ack. A kill between two is harmless.

A group of messages goes through as one, several groups at a time. Whatever fails is tried again from the step that
failed; the gateway, which hears nothing, keeps its copy. Acts only through ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from data_contract import control
from data_contract.batch import Batch
from data_contract.message import unpack_sized
from data_contract.topics import READY, Channel, topic
from ingest.bounds import Bounds
from ingest.errors import NoRoom
from ingest.guard import SECOND_BOARD, Admitted, Refused, admit
from ingest.merge import merge
from ingest.named import NOTHING, Named, Over, named_in
from ingest.part import RECEIPT_FIELDS, Part, brought
from ingest.ports import Consumer, DeadLetter, DeadLetters, Delivery, Gateways, Kept
from ingest.replay import again, named_by, part_of
from ingest.replay import outcome as what_is_left
from ingest.tally import Tally
from series_store import names
from series_store.port import Writer
from series_store.table import Outcome, Table
from service_health.promises import Promises

log = logging.getLogger("loopgauge.ingest")

GROUPS_MAX = 3
"""Groups of messages under way at once: while one waits for the store, the next is decoded."""
PORTION_BYTES_MAX = 4_000_000
"""Of a group so much plain JSON is decoded at once, and what is over by its last message: 150 MB in memory at worst."""
ATTEMPT_MAX_S = 60.0
"""A receipt whose write took longer is written again under a new time, since rollups look back two minutes only."""
TAKE_WAIT_S = 0.5
SAMPLES_MAX = 20
"""Refused messages of each kind that are logged; the rest is only counted."""
RETRY_MIN_S, RETRY_MAX_S = 0.2, 30.0
"""Pauses while the store or the dead letters cannot take anything: doubling."""
PARKED_MAX = 1000
"""Parked boards that the store is told of, in one life of a worker."""
STEP_S_MAX = 60.0
"""A step that needs no store: decoding a message, asking for a board, an fsync. What takes longer hangs."""
STORE_S_MAX = 600.0
"""One write: its requests end by time-outs of their own, and a search for lines that are refused takes many."""


class Worker:
    """Takes messages, makes them durable, acknowledges. `now_ms` and `now_us` are civil time."""

    def __init__(
        self,
        *,
        worker: str,
        consumer: Consumer,
        writer: Writer,
        dead: DeadLetters,
        gateways: Gateways,
        now_us: Callable[[], int],
        promises: Promises | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """`promises`: where each task says by when it will be heard of again; `bounds`: of what a gateway may name."""
        self._bounds = bounds
        self._promises = promises or Promises(lambda: 0.0)
        self._worker = worker
        self._consumer = consumer
        self._writer = writer
        self._dead = dead
        self._gateways = gateways
        self._now_us = now_us
        self._last_us = 0
        self._away: set[str] = set()
        self._parked: dict[tuple[str, str], int] = {}
        self.tally = Tally()
        self.counts: Counter[str] = Counter()
        """Messages refused by reason; messages, batches and readings stored."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then finish what is under way, if the store lets it."""
        places = asyncio.Semaphore(GROUPS_MAX)
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                # While all groups are under way this waits for one of them, and they have promises of their own.
                self._promises.done("take")
                await places.acquire()
                self._promises.within("take", TAKE_WAIT_S + STEP_S_MAX)
                deliveries = await self._consumer.take(TAKE_WAIT_S)
                if not deliveries:
                    places.release()
                    continue
                tasks.create_task(self._through(deliveries, places, stop), name="group")
            self._promises.done("take")

    async def _through(self, deliveries: Sequence[Delivery], places: asyncio.Semaphore, stop: asyncio.Event) -> None:
        try:
            await self.confirm(deliveries, stop)
        finally:
            self._promises.done(_task())
            self._consumer.settle(deliveries)
            places.release()

    async def confirm(self, deliveries: Sequence[Delivery], stop: asyncio.Event) -> bool:
        """Take a group of messages through all steps. False: some are not acknowledged, and come again."""
        whole, done = True, 0
        while done < len(deliveries) and (whole or not stop.is_set()):
            taken, safe = await self._portion(deliveries[done:], stop)
            whole, done = whole and safe, done + taken
        return whole

    async def _portion(self, deliveries: Sequence[Delivery], stop: asyncio.Event) -> tuple[int, bool]:
        """As many of them as may be decoded at once: how many, and whether all of these are acknowledged."""
        parts, taken = await self._decode(deliveries)
        return taken, not parts or await self._through_steps(parts, stop)

    async def _through_steps(self, parts: Sequence[Part], stop: asyncio.Event) -> bool:
        merged = merge(table for part in parts for table in part.tables.tables)
        if merged:
            outcome = await self._write(lambda: merged, stop)
            if outcome is None:
                return False
            self._put_down(parts, merged, outcome)
        safe = await self._keep(parts)
        gateways = list(dict.fromkeys(part.header.gateway for part in safe))
        if safe:
            outcome = await self._write(lambda: [self._receipts(safe, gateway) for gateway in gateways], stop)
            if outcome is None or not _whole(outcome):
                return False
        self._acknowledge(safe)
        return len(safe) == len(parts)

    async def _decode(self, deliveries: Sequence[Delivery]) -> tuple[list[Part], int]:
        """What the first of them bring, and how many these are: those that fill a portion, or all."""
        parts: list[Part] = []
        now_ms, left = self._now_us() // 1000, PORTION_BYTES_MAX
        for taken, delivery in enumerate(deliveries):
            if left <= 0:
                return parts, taken
            self._promises.within(_task(), STEP_S_MAX)
            verdict = admit(delivery.topic, delivery.payload)
            if isinstance(verdict, Admitted) and not await self._gateways.admits(
                verdict.header.gateway, verdict.header.board
            ):
                self._park(verdict.header.gateway, verdict.header.board, now_ms)
                verdict = SECOND_BOARD
            if isinstance(verdict, Refused):
                self._refuse(delivery, verdict)
                continue
            self.counts["messages"] += 1
            found, plain_bytes = unpack_sized(verdict.header, verdict.body)
            left -= plain_bytes
            over = await self._over(verdict.header.gateway, named_in(one for one in found if isinstance(one, Batch)))
            parts += [part_of(verdict.header, one, now_ms, over) for one in found]
            await asyncio.sleep(0)
        return parts, len(deliveries)

    def _park(self, gateway: str, board: str, now_ms: int) -> None:
        if len(self._parked) < PARKED_MAX:
            # One row of the store holds one event.
            beside = sum(of == gateway for of, _ in self._parked)
            self._parked.setdefault((gateway, board), now_ms + beside)

    def _refuse(self, delivery: Delivery, verdict: Refused) -> None:
        self.counts[verdict.reason] += 1
        if self.counts[verdict.reason] <= SAMPLES_MAX:
            start = delivery.payload[:120]
            log.warning(
                "refused a message on %r: %s (%d bytes, %r…)",
                delivery.topic,
                verdict.reason,
                len(delivery.payload),
                start,
            )

    async def _over(self, gateway: str, named: Named) -> Over:
        """What a gateway names beyond its bounds."""
        return await self._bounds.over(gateway, named) if self._bounds is not None and named else NOTHING

    @property
    def refused_names(self) -> dict[str, int]:
        """Names beyond the bounds, counted with each message: of devices, kinds, fields."""
        return dict(self._bounds.counts) if self._bounds is not None else {}

    async def replay(self, letters: Sequence[Kept], stop: asyncio.Event) -> dict[str, list[DeadLetter]] | None:
        """Take dead letters through the steps again: data, then receipts; what is left of each, by its id.

        None: told to stop, or the store refused a receipt. Nothing is acknowledged, and the letters stay as they are
        until the caller puts what is left in their place: killed anywhere, all of it can be done again.
        """
        try:
            return await self._replay(letters, stop)
        finally:
            self._promises.done(_task())

    async def _replay(self, letters: Sequence[Kept], stop: asyncio.Event) -> dict[str, list[DeadLetter]] | None:
        now_ms = self._now_us() // 1000
        self._promises.within(_task(), STEP_S_MAX)
        over = {of: await self._over(of, named) for of, named in named_by(letters).items()}
        done = again(letters, now_ms, over)
        parts = [part for each in done for part in each.parts]
        if merged := merge(table for part in parts for table in part.tables.tables):
            outcome = await self._write(lambda: merged, stop)
            if outcome is None:
                return None
            self._put_down(parts, merged, outcome)
        told = [part for part in parts if part.batch is not None or part.tables.tables]
        gateways = list(dict.fromkeys(part.header.gateway for part in told))
        if told:
            outcome = await self._write(lambda: [self._receipts(told, gateway) for gateway in gateways], stop)
            if outcome is None or not _whole(outcome):
                return None
        self.counts["replayed"] += sum(not each.left() for each in done)
        return what_is_left(done)

    async def put(self, table: Table, stop: asyncio.Event) -> bool:
        """Write something that the cloud itself has to say. False: told to stop while the store was away."""
        try:
            outcome = await self._write(lambda: [table], stop)
        finally:
            self._promises.done(_task())
        return outcome is not None and _whole(outcome)

    def parked(self) -> list[tuple[str, str, int]]:
        """(gateway, board, ms UTC) of boards that were heard and parked, each once; asking forgets nothing."""
        return [(gateway, board, at_ms) for (gateway, board), at_ms in self._parked.items()]

    async def _write(self, tables: Callable[[], Sequence[Table]], stop: asyncio.Event) -> Outcome | None:
        """Write until it is durable; made anew for each attempt. None: told to stop while the store was away."""
        loop = asyncio.get_running_loop()
        pause_s = RETRY_MIN_S
        while True:
            began_s = loop.time()
            self._promises.within(_task(), STORE_S_MAX)
            outcome = await self._writer.write(tables())
            self.tally.wrote(loop.time() - began_s, stored=outcome.stored)
            if outcome.stored and loop.time() - began_s <= ATTEMPT_MAX_S:
                self._back("store")
                return outcome
            if not outcome.stored:
                self._gone("store", f"away ({outcome.reason}); nothing is acknowledged until it is back")
                if stop.is_set():
                    return None
                pause_s = min(max(pause_s * 2, outcome.retry_after_s or 0.0), RETRY_MAX_S)
                self._promises.within(_task(), pause_s + STEP_S_MAX)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await stop.wait()

    @property
    def away(self) -> frozenset[str]:
        """What cannot take anything now, of `store` and `dead letters`."""
        return frozenset(self._away)

    def _gone(self, what: str, how: str) -> None:
        if what not in self._away:
            log.warning("%s: %s", what, how)
        self._away.add(what)

    def _back(self, what: str) -> None:
        if what in self._away:
            log.info("%s: back", what)
            self._away.discard(what)
            self._consumer.publish(READY, control.write(control.Ready(worker=self._worker)))

    async def _keep(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Make the dead letters durable. Where there is no room, only batches that need none go on."""
        letters = [letter for part in parts for letter in part.letters]
        if not letters:
            return parts
        self._promises.within(_task(), STEP_S_MAX)
        try:
            await self._dead.keep(letters)
        except NoRoom as error:
            self._gone("dead letters", f"{error}; what needs one is not acknowledged until there is room")
            return [part for part in parts if not part.letters]
        self._back("dead letters")
        return parts

    def _put_down(self, parts: Sequence[Part], merged: Sequence[Table], outcome: Outcome) -> None:
        """A letter for each row that the store refused, put down to the batch that brought it."""
        for refusal in outcome.refused:
            table = merged[refusal.table]
            brought(parts, table, refusal.row).put_down(table, refusal.row, refusal.reason)

    def _receipts(self, parts: Sequence[Part], gateway: str) -> Table:
        """One row per batch, stamped now, strictly later than any before."""
        mine = [part for part in parts if part.header.gateway == gateway]
        at = max(self._now_us(), self._last_us + 1)
        self._last_us = at + len(mine)
        rows = [part.receipt() for part in mine]
        tags = ((names.GATEWAY, gateway), (names.WORKER, self._worker))
        columns = list(zip(*rows, strict=True))
        return Table(names.RECEIPT, tags, RECEIPT_FIELDS, [at + i for i in range(len(mine))], columns, micros=True)

    def _acknowledge(self, parts: Sequence[Part]) -> None:
        by_run: dict[tuple[str, str], list[Part]] = {}
        for part in parts:
            by_run.setdefault((part.header.gateway, part.header.run), []).append(part)
            to_ms = part.batch.to_ms if part.batch is not None else None
            self.tally.confirmed(part.header.gateway, part.header.run, part.seq, to_ms, self._now_us() // 1000)
            self.counts["batches"] += 1
            self.counts["readings"] += sum(count for count, _, _ in part.tables.stored.values())
        for (gateway, run), mine in by_run.items():
            stored = _ranges(sorted({part.seq for part in mine if part.batch is not None}))
            rejected = tuple(control.Rejected(seq=part.seq, reason=part.reason) for part in mine if part.batch is None)
            ack = control.Ack(run=run, stored=stored, rejected=rejected, worker=self._worker)
            self._consumer.publish(topic(gateway, Channel.ACK), control.write(ack))


def _task() -> str:
    """The group that is at work, by a name of its own among all that are under way."""
    return f"group {id(asyncio.current_task())}"


def _whole(outcome: Outcome) -> bool:
    """Whether all receipts are durable. A refused one would leave readings that nothing accounts for."""
    if outcome.refused:
        log.error("store: refused a receipt (%s); its batches are not acknowledged", outcome.refused[0].reason)
    return not outcome.refused


def _ranges(seqs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Sorted seqs as ranges, both ends included."""
    found: list[list[int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return tuple((first, last) for first, last in found)
