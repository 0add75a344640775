"""Interval over, every slot resolved: seal. Acts only through ports and the spool."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from data_contract.batch import STOP, Body, Record, Span, write_body
from data_contract.reading import EARLIEST_MS, GATEWAY_DEVICE
from edge_agent.errors import DiskFull
from edge_agent.keep.alarms import ALARM, HELD, write_held
from edge_agent.keep.aside import told
from edge_agent.keep.dating import Segment, Timeline
from edge_agent.keep.interval import Interval
from edge_agent.keep.spool import Sealed, Spool
from edge_agent.keep.tally import Tally
from edge_agent.ports import Clock

log = logging.getLogger("loopgauge.edge.sealer")

SEAL_BYTES = 65_536
"""An interval that has grown to about this much is sealed before its time."""
LOOK_S = 1.0
"""A sealer looks at least this often whether to seal before the time, in real s."""
HASTY_LOOK_S = 0.1
"""And this often at first, and as long as intervals fill before their time: ingest refuses a batch of four times
SEAL_BYTES."""
LATE_LOOK_MS = 50
"""And this often, in civil ms, once the interval is over and a bus still has a slot open."""
EVICTIONS_PER_SEAL = 3
"""So many pieces of at most PIECE_BYTES_MAX give way for one batch. The work is done on the disk's thread."""
SEAL_S_MAX = 60.0
"""Longest time for a seal or a dating, in real s: three transactions at worst, where the disk was full. A card that
tidies up holds one up for seconds, and SQLite waits 5 s for whoever else has the file open. What takes longer than all
that will not come back."""


class Sealer:
    """Turns the interval into batches of this run, numbered from 1."""

    def __init__(
        self,
        *,
        clock: Clock,
        timeline: Timeline,
        interval: Interval,
        spool: Spool,
        every_ms: int,
        watermark: Callable[[], int],
        give_up: Callable[[int], None],
        confirmed: Callable[[], Sequence[Span]],
        busy: Callable[[], Container[tuple[str, int]]],
        alarms: Callable[[], Iterable[Span]],
        alarmed: Callable[[int], None],
        sealed: Callable[[], None],
        remember: Callable[[], Mapping[str, str]],
        tally: Tally,
        promise: Callable[[float], None],
        wait_s: float,
    ) -> None:
        """The callables tell and ask the rest of the agent.

        `watermark`: mono before which each slot has its outcome; `give_up`: give every slot before an instant one;
        `confirmed`: what may be deleted; `busy`: what may not be given up; `alarms`: which held batches have an alarm;
        `alarmed`: told the seq of another; `sealed`: called after each seal; `remember`: what devices must still know
        after a power cut, by device; `promise`: told before each wait how long it may take at most, in real s.
        """
        self._clock = clock
        self._timeline = timeline
        self._interval = interval
        self._spool = spool
        self._every_ms = every_ms
        self._watermark = watermark
        self._give_up = give_up
        self._confirmed = confirmed
        self._busy = busy
        self._alarms = alarms
        self._alarmed = alarmed
        self._sealed = sealed
        self._remember = remember
        self._tally = tally
        self._promise = promise
        self._wait_s = wait_s
        self._seq = 0
        self._prev: int | None = None
        self._full = False
        self._evicting = False
        self._remembered: dict[str, str] = {}
        self._tried = interval.from_
        """End of the last attempt to seal: a refused one is not repeated before the next boundary."""
        self._hasty = True
        """The last interval filled before its time, or is the first."""
        self._began_s = 0.0
        self._waiting = False
        """Batches wait for a clock that can be trusted, and that has been said."""
        self._now: asyncio.Future[bool] | None = None
        """Somebody waits for a seal before its time."""
        self._stop = asyncio.Event()

    def now(self) -> asyncio.Future[bool]:
        """Seal what has its outcome without waiting for the end of the interval; whether the disk took it."""
        if self._now is None or self._now.done():
            self._now = asyncio.get_running_loop().create_future()
        return self._now

    def stop(self) -> None:
        """End `run` when the seal at hand is done."""
        self._stop.set()

    async def run(self) -> None:
        """Seal until `stop`."""
        self._began_s = asyncio.get_running_loop().time()
        self._promise(SEAL_S_MAX)
        await self._date()
        while True:
            boundary = self._timeline.boundary(self._every_ms, self._tried + 1)
            to = await self._over(boundary)
            if to is None:
                return
            await self.seal(to)
            if self._now is not None and not self._now.done():
                self._now.set_result(not self._full)
            self._promise(SEAL_S_MAX)
            if not self._full:  # a batch that waits for room keeps one base from its begin to its end
                self._observe()
            await self._date()

    def _observe(self) -> None:
        """Look at civil time. The process may be held up between two clocks; the instant that fits best is taken."""
        before, civil, after = self._clock.mono_ms(), self._clock.civil(), self._clock.mono_ms()
        mono = min(max(civil.utc_ms - self._timeline.at(before).base, before), after)
        ahead = self._timeline.next_due(self._every_ms, mono + 1)
        if self._timeline.observe(mono_ms=mono, civil=civil, boundary=ahead, sealed_to=self._interval.from_):
            log.warning("clock: civil time changed; it holds from the next seal on")
            if self._timeline.forced:
                log.error("clock: put back over the same hours too often; stamps go on from there, within bounds")

    async def _over(self, boundary: int) -> int | None:
        """Wait for the end of the interval, and say where it is (mono ms), or None when told to stop.

        A bus may hold the boundary up by one more interval at most; then its open slots count as overrun.
        """
        while not self._stop.is_set():
            self._promise(LOOK_S)
            mono = self._clock.mono_ms()
            watermark = self._watermark()
            if mono >= boundary + self._every_ms:
                self._give_up(boundary)
                return boundary
            if mono >= boundary and watermark >= boundary:
                self._hasty = False
                return boundary
            grown = self._interval.bytes_about >= SEAL_BYTES
            asked = self._now is not None and not self._now.done()
            early = grown or asked or (self._interval.urgent and not self._full)
            if early and min(watermark, mono) > self._tried:
                self._hasty = grown
                return min(watermark, mono)
            wait_s = self._clock.real_s(boundary - mono)
            look_s = HASTY_LOOK_S if self._hasty else LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(look_s, wait_s if wait_s > 0 else self._clock.real_s(LATE_LOOK_MS))):
                    await self._stop.wait()
        return None

    async def finish(self, to: int) -> None:
        """Seal everything before `to`, and say that this was all. `run` must have ended."""
        while (boundary := self._timeline.boundary(self._every_ms, self._tried + 1)) < to:
            await self.seal(boundary)
        await self.seal(to, final=True)
        self._promise(SEAL_S_MAX)
        await self._date()

    async def seal(self, to: int, *, final: bool = False) -> None:
        """Seal [from, to). If the disk is full, its values are counted as such; the next batch begins where it did."""
        self._tried = to
        self._promise(SEAL_S_MAX)
        if final:
            self._interval.happened(Record(kind=STOP, t=to - self._interval.from_))
        segment = self._timeline.at(self._interval.from_)
        left = EVICTIONS_PER_SEAL
        while (full := await self._try(to, segment, final)) is not None:
            left -= 1
            if left < 0 or not await self._evict(segment):
                self._refused(to, full)
                return
        if self._full:
            log.info("spool: there is room again")
            self._full = False

    async def _try(self, to: int, segment: Segment, final: bool) -> DiskFull | None:
        """Seal once; what was in the way, or None if it is durable."""
        confirmed = self._confirmed()
        pending = self._spool.pending(confirmed)
        # What waited for room may reach beyond a change of the clock, and its slots then lie on two grids.
        off_grid = not segment.trusted or self._timeline.at(to - 1).base != segment.base
        body = self._interval.body(
            to, prev=self._prev, pending=pending, aside=told(self._spool.aside), off_grid=off_grid
        )
        alarm = any(record.kind == ALARM for record in body.records)
        row = self._as_row(body, segment, final, alarm)
        try:
            await self._spool.seal(row, confirmed)
        except DiskFull as error:
            return error
        self._seq += 1
        self._prev = to
        self._remembered |= row.memory
        self._interval.sealed(to)
        self._tally.sealed(body)
        if alarm:
            self._alarmed(self._seq)
        self._sealed()
        return None

    def _refused(self, to: int, error: DiskFull) -> None:
        self._interval.refused(to)
        if not self._full:
            log.error("spool: no room for new readings (%s); they are counted as disk_full until there is", error)
        self._full = True

    async def _evict(self, segment: Segment) -> bool:
        """Make room: the oldest detail gives way to a digest, which takes the next number. False: nothing did."""
        self._promise(SEAL_S_MAX)
        before_ms = segment.base + self._tried
        try:
            evicted = await self._spool.evict(self._seq + 1, before_ms=before_ms, busy=self._busy)
        except DiskFull:
            return False
        if not evicted:
            return False
        if not self._evicting:
            log.warning("spool: full; the oldest hours keep totals, changes and summaries, and lose the rest")
        self._evicting = True
        self._seq += 1
        self._sealed()
        return True

    def _as_row(self, body: Body, segment: Segment, final: bool, alarm: bool) -> Sealed:
        memory = {**self._remember(), GATEWAY_DEVICE: self._timeline.remember(body.from_)}
        if alarm:
            this = self._spool.run, self._seq + 1, self._seq + 1
            memory[HELD] = write_held([*self._alarms(), this])
        low_ms, high_ms = segment.bounds or (None if segment.trusted else segment.low, None)
        return Sealed(
            seq=self._seq + 1,
            base_ms=segment.base if segment.trusted else None,
            guess_ms=segment.base,
            to_ms=segment.base + body.to,
            body=write_body(body),
            clean=final,
            backsteps=segment.backsteps,
            low_ms=low_ms,
            high_ms=high_ms,
            # What has not changed is not written again: a card wears by the page.
            memory={device: text for device, text in memory.items() if self._remembered.get(device) != text},
        )

    def _waited_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began_s

    async def _date(self) -> None:
        """Give undated batches their base, for good: as soon as the clock is trusted, or when the wait is over.

        Those with an alarm do not wait.
        """
        if not self._spool.held.undated:
            return
        segment = self._timeline.at(self._clock.mono_ms())
        if self._waiting_alarms():  # the time may be known, and hold from the next boundary on
            segment = self._timeline.newest
        with contextlib.suppress(DiskFull):  # they wait on; the seal has said that there is no room
            if segment.trusted:
                await self._spool.date(segment.base, segment.bounds)
            elif self._waited_s() >= self._wait_s and segment.base + self._clock.mono_ms() >= EARLIEST_MS:
                await self._spool.guess()
            else:
                if not self._waiting:
                    log.warning("clock: not synchronised; batches wait up to %g s for it", self._wait_s)
                self._waiting = True
                await self._date_alarms()
                return
            self._waiting = False
            self._sealed()

    async def _date_alarms(self) -> None:
        """An estimate for each alarm that waits, so that it may leave. Raises DiskFull."""
        if waiting := self._waiting_alarms():
            await self._spool.guess_only(waiting)
            self._sealed()

    def _waiting_alarms(self) -> list[Span]:
        return list(self._spool.held.undated_in(self._alarms()))
