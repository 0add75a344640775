"""A gateway's life written by hand into a store twin: batches with counts, receipts, records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from data_contract import receipt as wire
from data_contract.batch import Counts, Previous, Span, Start
from data_contract.receipt import BatchReceipt, DeviceReceipt
from data_contract.schedule import Poll, Schedule
from delivery_audit.book import LATE_MS
from delivery_audit.days import Days
from delivery_audit.evidence import PAGE_MS, audit
from delivery_audit.ledger import Ledger
from series_store import names
from series_store.table import Cell, Receipt, SeriesKey, Table
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin

GATEWAY = "pi1"
SHANGHAI: tzinfo = ZoneInfo("Asia/Shanghai")
NOON = 1_767_240_000_000
"""2026-01-01 04:00 UTC, noon in Shanghai."""

METER = Poll(device="m1", kind="energy_meter", group="main", every_ms=5_000, fields=("power_w", "energy_kwh"))
SLOW = Poll(device="m2", kind="water_meter", group="slow", every_ms=30_000, fields=("volume_m3",))
SCHEDULE = Schedule(seal_every_ms=10_000, polls=(METER, SLOW))


def slots(poll: Poll, from_ms: int, to_ms: int) -> list[int]:
    """The slots in [from, to), found by looking at each ms on the grid: no formula that the audit shares."""
    first = from_ms
    while first % poll.every_ms:
        first += 1
    return list(range(first, to_ms, poll.every_ms))


@dataclass
class Scene:
    """The store of one gateway. Times are ms after `zero`; all else as the programs write it."""

    zero: int = NOON
    zone: tzinfo = UTC
    store: StoreTwin = field(default_factory=StoreTwin)
    at_us: int = 0
    written: list[Table] = field(default_factory=list)

    def _write(self, *tables: Table) -> None:
        self.written += tables
        assert run_virtual(self.store.write(tables)).stored

    def record(self, kind: str, t: int, data: Mapping[str, object]) -> None:
        """A record as ingest stores it."""
        tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, "gateway"), (names.KIND, kind))
        self._write(Table(names.EVENT, tags, (names.EVENT_TEXT,), [self.zero + t], [[json.dumps(data)]]))

    def start(
        self,
        t: int,
        previous: Previous | None = None,
        damaged: str | None = None,
        run: str = "",
        carried: Sequence[Span] = (),
    ) -> None:
        start = Start(run=run, version="1", boot="b", previous=previous, damaged=damaged, carried=list(carried))
        self.record("start", t, start.model_dump())

    def previous(self, run: str, last: int, to: int | None, *, clean: bool) -> Previous:
        return Previous(run=run, last=last, to_ms=None if to is None else self.zero + to, clean=clean)

    def schedule(self, t: int, schedule: Schedule = SCHEDULE) -> None:
        self.record("schedule", t, schedule.model_dump())

    def stop(self, t: int) -> None:
        self.record("stop", t, {})

    def rows(self, poll: Poll, stamps: Sequence[int]) -> None:
        """Values of all fields of a poll group, as stored."""
        tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, poll.device))
        columns = [[float(stamp % 1000) for stamp in stamps] for _ in poll.fields]
        if stamps:
            self._write(Table(poll.kind, tags, poll.fields, [self.zero + stamp for stamp in stamps], columns))

    def receipt(
        self,
        run: str,
        seq: int,
        from_: int,
        to: int,
        devices: Mapping[str, DeviceReceipt] | None = None,
        *,
        prev: int | None = None,
        pending: Sequence[Span] = (),
        aside: Sequence[tuple[str, int, int, str]] = (),
        replaces: Sequence[Span] = (),
        unsure: tuple[int, int] | None = None,
        off_grid: bool = False,
    ) -> None:
        """The receipt of a batch; `prev` is None where it began at `from_` itself, except in the first of a run."""
        if prev is None and seq > 1 and not replaces:
            prev = from_
        said = BatchReceipt(
            devices=dict(devices or {}),
            prev_ms=None if prev is None else self.zero + prev,
            unsure=unsure,
            off_grid=off_grid,
            pending=tuple(pending),
            aside=tuple(aside),
            replaces=tuple(replaces),
        )
        self._receipt(run, seq, self.zero + from_, self.zero + to, wire.write(said), said)

    def rejected(self, run: str, seq: int, reason: str = "schema", at: int = 0) -> None:
        """A batch that was refused whole, at a time at or after `at`."""
        said = BatchReceipt(rejected=reason)
        self.at_us = max(self.at_us, (self.zero + at) * 1000)
        self._receipt(run, seq, 0, 0, wire.write(said), said)

    def broken_receipt(self, like: Receipt) -> None:
        """A receipt as `like`, of which the counts were cut short."""
        self._receipt(like.run, like.seq, like.from_ms, like.to_ms, like.counts[:-5], BatchReceipt())

    def _receipt(self, run: str, seq: int, from_ms: int, to_ms: int, counts: str, said: BatchReceipt) -> None:
        self.at_us = max(self.at_us + 1, to_ms * 1000)
        readings = sum(part.stored for part in said.devices.values())
        bad = sum(part.bad for part in said.devices.values())
        cells: dict[str, Cell] = {
            names.RUN: run,
            names.SEQ: float(seq),
            names.FROM: float(from_ms),
            names.TO: float(to_ms),
            names.READINGS: float(readings),
            names.BAD: float(bad),
            names.COUNTS: counts,
        }
        tags = ((names.GATEWAY, GATEWAY), (names.WORKER, "w1"))
        columns = [[cell] for cell in cells.values()]
        self._write(Table(names.RECEIPT, tags, tuple(cells), [self.at_us], columns, micros=True))

    def batch(
        self,
        run: str,
        seq: int,
        from_: int,
        to: int,
        *,
        polls: Sequence[Poll] = (METER, SLOW),
        missing: Mapping[str, int] | None = None,
        bad: int = 0,
        prev: int | None = None,
        pending: Sequence[Span] = (),
        aside: Sequence[tuple[str, int, int, str]] = (),
        stored: bool = True,
        late: int = 1,
    ) -> None:
        """An ordinary batch, sampled `late` ms after each slot; `missing` and `bad` end the first poll group."""
        devices = {}
        for poll in polls:
            stamps = [slot - self.zero + late for slot in slots(poll, self.zero + from_, self.zero + to)]
            called, width = len(stamps) * len(poll.fields), len(poll.fields)
            own = dict(missing or {}) if poll is polls[0] else {}
            gone = sum(own.values()) + (bad if poll is polls[0] else 0)
            assert gone % width == 0
            stamps = stamps[: len(stamps) - gone // width]
            counts: Counts = (called, called - sum(own.values()), own)
            if stored:
                self.rows(poll, stamps)
            first, last = (self.zero + stamps[0], self.zero + stamps[-1]) if stamps else (0, 0)
            part = DeviceReceipt({poll.group: counts}, len(stamps) * width, first, last, bad if poll is polls[0] else 0)
            devices[poll.device] = part
        self.receipt(run, seq, from_, to, devices, prev=prev, pending=pending, aside=aside)

    def batches(self, run: str, first: int, last: int, from_: int, to: int, every: int = 10_000) -> None:
        """Consecutive ordinary batches that fill [from, to) up to each multiple of the seal interval."""
        for seq in range(first, last + 1):
            end = min(to, (from_ // every + 1) * every)
            self.batch(run, seq, from_, end)
            from_ = end
        assert from_ == to, "the batches do not fill the time"

    def series(self, poll: Poll, name: str) -> SeriesKey:
        return SeriesKey(poll.kind, GATEWAY, poll.device, name)

    def receipts(self) -> list[Receipt]:
        return run_virtual(self.store.receipts(0, 10**9))

    def audit(self, from_: int, to: int, now: int | None = None, page_ms: int = PAGE_MS) -> Ledger:
        """The ledger of [from, to), at `to` if not told otherwise."""
        return run_virtual(
            audit(
                self.store,
                GATEWAY,
                now_ms=self.zero + (to if now is None else now),
                days=Days(zone=self.zone),
                from_ms=self.zero + from_,
                to_ms=self.zero + to,
                page_ms=page_ms,
                late_ms=min(page_ms, LATE_MS),
            )
        )


def fates(ledger: Ledger, device: str | None = None) -> dict[str, int]:
    """Fate or cause → readings, those that are 0 left out."""
    total = ledger.total(None if device is None else [device])
    return {fate: number for fate, number in total.fates.items() if number}
