"""What the ledger asks of a store: records, receipts a day at a time, and counts of what the receipts claim.

Before a reading is called unexplained, every receipt of the gateway has been looked at; otherwise only the audited time
and as much beside it as tells where its first and last gaps begin and end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from pydantic import ValidationError

from data_contract.batch import SCHEDULE, START, STOP, Start
from data_contract.cause import Fate
from data_contract.schedule import Schedule
from data_contract.verdict import CLOSED, PARKED, RUN_CHARS, Closed, Parked
from delivery_audit.arrivals import WAIT_MS_MAX, Seen
from delivery_audit.book import LATE_MS, Book
from delivery_audit.claims import Claim, total
from delivery_audit.cover import Cover, Span, cover
from delivery_audit.days import Days
from delivery_audit.history import Began, Closing, History, utc
from delivery_audit.ledger import Ledger, clipped
from delivery_audit.parted import part_digests
from delivery_audit.plan import Plan
from delivery_audit.seen import begun, compare
from series_store.port import FigureStore, Reader
from series_store.table import Event, Receipt, SeriesKey

HOUR_MS = 3_600_000
PAGE_MS = 24 * HOUR_MS
"""Receipts are read for at most this much time at once."""
_BY_ABSENCE = (Fate.UNEXPLAINED, Fate.LOST)
"""What a batch is because it was found nowhere: to be said only when everything has been looked at."""
ALWAYS_MS = 9_223_372_036_853
"""Later than any time that a store can hold (the year 2262)."""


async def audit(
    reader: Reader,
    gateway: str,
    *,
    now_ms: int,
    days: Days,
    from_ms: int | None = None,
    to_ms: int | None = None,
    page_ms: int = PAGE_MS,
    late_ms: int = LATE_MS,
    figures: FigureStore | None = None,
    wait_ms_max: int = WAIT_MS_MAX,
) -> Ledger:
    """The ledger of one gateway over [from_ms, to_ms): since its first day and until now, where not told otherwise.

    Nothing after `now_ms` is expected. Raises Unavailable when the store does not answer. Receipts of `page_ms` of time
    are held at once; a stamp may lie `late_ms` behind the end of its batch. `figures`: what rollups wrote, to tell what
    they have not seen for longer than `wait_ms_max`.
    """
    # Asked before the receipts are: what comes meanwhile may look unseen for a moment, but never the other way round.
    arrivals = await begun(figures) if figures else None
    records = await _records(reader, gateway)
    newest = await _newest(reader, gateway)
    to_ms = now_ms if to_ms is None else min(to_ms, now_ms)
    if from_ms is None:
        known_ms = records.since_ms if records.since_ms is not None else newest.from_ms if newest else to_ms
        from_ms = days.begin(max(0, known_ms - HOUR_MS))
    plan = Plan(changes=records.schedules, starts=[began.t_ms for began in records.starts])
    book = Book(
        gateway=gateway,
        from_ms=from_ms,
        to_ms=max(from_ms, to_ms),
        plan=plan,
        days=days,
        late_ms=late_ms,
        schedules=records.by_run(),
        arrivals=arrivals,
    )
    for text in records.unreadable:
        book.note(text)
    for board, times in records.parked.items():
        mend = "`loopgauge ingest gateway allow` lets it speak"
        book.note(f"board {board} has been parked since {utc(times[0])} UTC; {mend}")
    spans = await _explain(_Pages(reader, book, page_ms), records, newest, plan, now_ms)
    await part_digests(reader, book)
    await _Stock(reader, book, newest).check()
    ledger = book.ledger(spans)
    if figures is None:
        return ledger
    if arrivals is None:
        return replace(ledger, seen=Seen(ran=False))
    span = {"from_ms": book.from_ms, "to_ms": book.to_ms, "now_ms": now_ms, "wait_ms_max": wait_ms_max}
    return replace(ledger, seen=await compare(reader, figures, gateway, arrivals, **span))


async def strangers(reader: Reader) -> dict[str, int]:
    """Gateways that have readings in the store but no receipt at all, with the number of their fields."""
    known = set(await reader.gateways())
    found: defaultdict[str, int] = defaultdict(int)
    for key in await reader.series():
        if key.gateway not in known:
            found[key.gateway] += 1
    return dict(found)


class _Records(NamedTuple):
    """What the gateway sealed about itself, from all times: one each per start of the agent."""

    starts: list[Began]
    stops: list[int]
    schedules: list[tuple[int, Schedule]]
    unreadable: list[str]
    closed: dict[str, Closing]
    """Beginning of a run's id → an operator's last word about it, where it stands."""
    parked: dict[str, tuple[int, ...]]
    """Board → when it was said to be parked, where no person has allowed it since."""

    def added_to(self, history: History) -> History:
        """The history with what the cloud says of the gateway."""
        return replace(history, closed=self.closed, parked=self.parked)

    def by_run(self) -> dict[str, Schedule]:
        """Run → the schedule that it sealed together with its start record."""
        at = dict(self.schedules)
        return {began.start.run: at[began.t_ms] for began in self.starts if began.t_ms in at}

    @property
    def since_ms(self) -> int | None:
        """The oldest of them."""
        times = [began.t_ms for began in self.starts] + self.stops + [t_ms for t_ms, _ in self.schedules]
        return min(times, default=None)


async def _records(reader: Reader, gateway: str) -> _Records:
    found = _Records([], [], [], [], {}, {})
    for kind in (START, STOP, SCHEDULE, CLOSED, PARKED):
        for event in await reader.events(kind, 0, ALWAYS_MS, gateway):
            try:
                _sort(event, found)
            except ValidationError:
                found.unreadable.append(f"{kind} record at {event.t_ms} cannot be read: {event.text[:80]}")
    return found


def _sort(event: Event, found: _Records) -> None:
    if event.kind == START:
        found.starts.append(Began(event.t_ms, Start.model_validate_json(event.text)))
    elif event.kind == STOP:
        found.stops.append(event.t_ms)
    elif event.kind == CLOSED:
        closed = Closed.model_validate_json(event.text)
        found.closed[closed.run[:RUN_CHARS]] = Closing(event.t_ms, closed.by, closed.reason)
        if closed.reopened:
            del found.closed[closed.run[:RUN_CHARS]]
    elif event.kind == PARKED:
        parked = Parked.model_validate_json(event.text)
        found.parked[parked.board] = (*found.parked.get(parked.board, ()), event.t_ms)
        if parked.allowed:
            del found.parked[parked.board]
    else:
        found.schedules.append((event.t_ms, Schedule.model_validate_json(event.text)))


async def _newest(reader: Reader, gateway: str) -> Receipt | None:
    return next((receipt for receipt in await reader.last_receipts() if receipt.gateway == gateway), None)


class _Pages:
    """Reads receipts outwards from the audited time, each batch once."""

    def __init__(self, reader: Reader, book: Book, page_ms: int) -> None:
        self._reader = reader
        self.book = book
        self.page_ms = page_ms
        self.low_ms = self.high_ms = max(0, book.from_ms - book.late_ms)

    async def forward(self, to_ms: int) -> None:
        """Read on until `to_ms`."""
        while self.high_ms < to_ms:
            end_ms = min(to_ms, self.high_ms + self.page_ms)
            await self._page(self.high_ms, end_ms)
            self.high_ms = end_ms

    async def back(self, from_ms: int, runs: Set[str] | None = None) -> None:
        """Read back until `from_ms`: all batches, or those of some runs, as earlier ones tell of no later."""
        while self.low_ms > from_ms:
            begin_ms = max(from_ms, self.low_ms - self.page_ms)
            await self._page(begin_ms, self.low_ms, runs)
            self.low_ms = begin_ms

    async def rest(self, runs: Set[str]) -> None:
        """Read what lies before and behind, in one page each: times that only a wrong clock can have given."""
        await self._page(0, self.low_ms, runs)
        await self._page(self.high_ms, ALWAYS_MS)
        self.low_ms, self.high_ms = 0, ALWAYS_MS

    async def _page(self, from_ms: int, to_ms: int, runs: Set[str] | None = None) -> None:
        receipts = await self._reader.receipts_between(self.book.gateway, from_ms, to_ms)
        self.book.read(r for r in receipts if (runs is None or r.run in runs) and not self._was_read(r))

    def _was_read(self, receipt: Receipt) -> bool:
        begins, ends_ = receipt.from_ms, receipt.to_ms
        return self.low_ms < self.high_ms and begins < self.high_ms and (ends_ > self.low_ms or begins >= self.low_ms)


async def _explain(pages: _Pages, records: _Records, newest: Receipt | None, plan: Plan, now_ms: int) -> list[Span]:
    """Read until the audited time is explained, or everything has been read."""
    book = pages.book
    first_ms = max(0, records.since_ms - HOUR_MS) if records.since_ms is not None else pages.low_ms
    last_ms = max(now_ms, newest.to_ms + 1 if newest else 0)
    await pages.forward(book.to_ms + book.late_ms)
    step_ms = pages.page_ms // 24
    while pages.low_ms > first_ms and book.begins_ms > book.from_ms:
        await pages.back(max(first_ms, pages.low_ms - step_ms))
        step_ms = pages.page_ms
    step_ms = pages.page_ms // 24
    while pages.high_ms < last_ms and book.ends_ms < book.to_ms:
        await pages.forward(min(last_ms, pages.high_ms + step_ms))
        step_ms = pages.page_ms
    if newest:
        book.newest(newest)
    while True:
        spans = cover(records.added_to(book.heard.history(records.starts, records.stops, pages.low_ms)), plan, now_ms)
        runs = _in_doubt(spans, book)
        if not runs or pages.high_ms >= ALWAYS_MS:
            return spans
        if pages.low_ms > first_ms or pages.high_ms < last_ms:
            await pages.back(max(min(first_ms, pages.low_ms), pages.low_ms - pages.page_ms), runs)
            await pages.forward(min(max(last_ms, pages.high_ms), pages.high_ms + pages.page_ms))
        else:
            await pages.rest(runs)


def _in_doubt(spans: list[Span], book: Book) -> set[str]:
    """Runs of which batches were found nowhere, in the audited time or in a break that reaches into it."""
    found: set[str] = set()
    for _, gap in groupby(spans, key=lambda span: (span.run, span.what is Cover.BATCHES)):
        parts = list(gap)
        if clipped(parts, book.from_ms, book.to_ms):
            found |= {span.run for span in parts if span.what in _BY_ABSENCE and not span.certain}
    return found


class _Stock:
    """Holds what the store counts against what the receipts claim."""

    def __init__(self, reader: Reader, book: Book, newest: Receipt | None) -> None:
        self._reader = reader
        self._book = book
        self._newest = newest
        self._heard_ms = min(book.to_ms, max(book.from_ms, newest.to_ms if newest else 0))
        self._fresh: list[tuple[str, int, int, int]] = []

    async def check(self) -> None:
        """Every device that a receipt or the store knows."""
        series: defaultdict[str, list[SeriesKey]] = defaultdict(list)
        for key in await self._reader.series():
            if key.gateway == self._book.gateway:
                series[key.device].append(key)
        claims = self._book.claims()
        for device in sorted({*series, *claims}):
            await self._device(device, series[device], claims.get(device, []))
        if self._fresh and await _newest(self._reader, self._book.gateway) == self._newest:
            for device, from_ms, to_ms, found in self._fresh:
                self._book.unclaimed(device, from_ms, to_ms, found)

    async def _device(self, device: str, keys: Sequence[SeriesKey], claims: list[Claim]) -> None:
        """The claims one by one, then all of the audited time at once: what is more than they hold, nobody claims."""
        inside = [claim for claim in claims if claim.inside]
        found = {claim: await self._claim(device, keys, claim) for claim in inside}
        begin_ms = max([self._book.from_ms, *(c.last_ms + 1 for c in claims if c.first_ms < self._book.from_ms)])
        end_ms = max([self._heard_ms, *(claim.last_ms + 1 for claim in inside)])
        end_ms = min([end_ms, *(c.first_ms for c in claims if not c.inside and c.first_ms >= begin_ms)])
        within = [claim for claim in inside if begin_ms <= claim.first_ms < end_ms]
        if await self._count(keys, begin_ms, end_ms) != sum(found[claim] for claim in within):
            edges = [begin_ms, *(edge for claim in within for edge in (claim.first_ms, claim.last_ms + 1)), end_ms]
            for low_ms, high_ms in zip(edges[::2], edges[1::2], strict=True):
                if extra := await self._count(keys, low_ms, high_ms):
                    self._book.unclaimed(device, low_ms, high_ms, extra)
        if extra := await self._count(keys, end_ms, self._book.to_ms) if end_ms >= self._heard_ms else 0:
            self._fresh.append((device, end_ms, self._book.to_ms, extra))

    async def _claim(self, device: str, keys: Sequence[SeriesKey], whole: Claim) -> int:
        """How many values the store holds of a claim; where it does not fit, which of the batches in it differ."""
        found = await self._count(keys, whole.first_ms, whole.last_ms + 1)
        if not whole.fits(found):
            end_ms = max(whole.end_ms, whole.begin_ms + 1)
            receipts = await self._reader.receipts_between(self._book.gateway, whole.begin_ms, end_ms)
            parts = self._book.claims_within(device, whole, receipts) or [whole]
            await self._halve(device, keys, parts, found)
        return found

    async def _halve(self, device: str, keys: Sequence[SeriesKey], parts: list[Claim], found: int) -> None:
        """`parts` do not fit what was found in their range: look at each half, and between them."""
        whole, middle = total(parts), len(parts) // 2
        if len(parts) == 1 or found == 0:
            if found < whole.must:
                self._book.not_found(device, whole, found)
            else:
                self._book.unclaimed(device, whole.first_ms, whole.last_ms + 1, found - whole.may)
            return
        for half in (parts[:middle], parts[middle:]):
            there = await self._count(keys, half[0].first_ms, half[-1].last_ms + 1)
            found -= there
            if not total(half).fits(there):
                await self._halve(device, keys, half, there)
        if found:
            self._book.unclaimed(device, parts[middle - 1].last_ms + 1, parts[middle].first_ms, found)

    async def _count(self, keys: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
        return await self._reader.count(keys, from_ms, to_ms) if keys and from_ms < to_ms else 0
