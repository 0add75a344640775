"""The store against the record of what was served, value by value, and both against the ledger.

Nothing that agent or ingest wrote is read but the store. The record says what devices showed, the schedule what they
were asked for; only the ledger knows why a reading is missing, and a disagreement between the three is `unexplained`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, NamedTuple

from data_contract.batch import SCHEDULE
from data_contract.cause import Fate
from data_contract.reading import GATEWAY_DEVICE
from data_contract.schedule import Poll, Schedule
from delivery_audit.days import Days
from delivery_audit.evidence import ALWAYS_MS, audit
from delivery_audit.ledger import Ledger
from series_store.port import Reader
from series_store.table import SeriesKey
from simulators.truth.record import Record

ROWS_MAX = 1_000
"""Rows of each kind that a verdict lists; the rest is only counted."""

Point = tuple[int, float]
"""(ms UTC, value)."""


class Row(NamedTuple):
    """One value of the record, or of the store."""

    device: str
    field: str
    t_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the values that devices served in [from_ms, to_ms), and what the store holds beside them."""

    gateway: str
    from_ms: int
    to_ms: int
    devices: tuple[str, ...]
    """Those that answered at all."""
    delivered: int
    """Served values that the store holds, exactly and once."""
    missing: int
    """Served values that it does not hold; an answer that came too late for the agent is one of them."""
    foreign: int
    """Stored values that no device served then: duplicates, or values that were changed on the way."""
    invalid: int
    """Answers that were no number; they are not to be stored."""
    missing_rows: tuple[Row, ...] = ()
    foreign_rows: tuple[Row, ...] = ()


def match(served: Sequence[Point], stored: Sequence[Point], tolerance_ms: int) -> list[tuple[int, int]]:
    """Pairs (index in `served`, index in `stored`) of equal values at most `tolerance_ms` apart, both in order of time.

    Order is kept: of two stored values the later one never gets the earlier served one. Each gets the first that fits.
    """
    pairs: list[tuple[int, int]] = []
    begin = 0
    for index, (t_ms, value) in enumerate(stored):
        while begin < len(served) and served[begin][0] < t_ms - tolerance_ms:
            begin += 1
        at = begin
        while at < len(served) and served[at][0] <= t_ms + tolerance_ms and served[at][1] != value:
            at += 1
        if at < len(served) and served[at][0] <= t_ms + tolerance_ms:
            pairs.append((at, index))
            begin = at + 1
    return pairs


async def judge(
    record: Record,
    reader: Reader,
    gateway: str,
    polls: Schedule | Iterable[Poll],
    from_ms: int,
    to_ms: int,
    tolerance_ms: int,
) -> Verdict:
    """Hold the store against the record for the devices of a gateway. Raises Unavailable, RecordError.

    Rows beside the period are looked at, too, so that a value served just inside it may be stamped just outside.
    """
    polled = {poll.device for poll in (polls.polls if isinstance(polls, Schedule) else polls)}
    devices = tuple(device for device in record.devices() if device in polled)
    keys: defaultdict[tuple[str, str], list[SeriesKey]] = defaultdict(list)
    for key in await reader.series():
        if key.gateway == gateway and key.device != GATEWAY_DEVICE:
            keys[key.device, key.field].append(key)
    shown = {(device, field) for device in devices for field in record.fields(device)}
    low_ms, high_ms = max(0, from_ms - tolerance_ms), to_ms + tolerance_ms
    delivered = invalid = 0
    missing: list[Row] = []
    foreign: list[Row] = []
    for device, field in sorted(shown | keys.keys()):
        answers = record.served(device, field, low_ms, high_ms) if (device, field) in shown else []
        invalid += sum(value is None for t_ms, value in answers if from_ms <= t_ms < to_ms)
        served = [(t_ms, value) for t_ms, value in answers if value is not None]
        stored = await _stored(reader, keys[device, field], low_ms, high_ms)
        pairs = match(served, stored, tolerance_ms)
        delivered += sum(from_ms <= served[at][0] < to_ms for at, _ in pairs)
        missing += _rest(device, field, served, {at for at, _ in pairs}, from_ms, to_ms)
        foreign += _rest(device, field, stored, {index for _, index in pairs}, from_ms, to_ms)
    return Verdict(
        gateway=gateway,
        from_ms=from_ms,
        to_ms=to_ms,
        devices=devices,
        delivered=delivered,
        missing=len(missing),
        foreign=len(foreign),
        invalid=invalid,
        missing_rows=tuple(missing[:ROWS_MAX]),
        foreign_rows=tuple(foreign[:ROWS_MAX]),
    )


async def _stored(reader: Reader, keys: Sequence[SeriesKey], from_ms: int, to_ms: int) -> list[Point]:
    found: list[Point] = []
    for window in (await reader.window(keys, from_ms, to_ms)).values() if keys else ():
        found += zip(window.t.tolist(), window.value.tolist(), strict=True)
    return sorted(found)


def _rest(device: str, field: str, points: Sequence[Point], paired: set[int], from_ms: int, to_ms: int) -> list[Row]:
    """The points of the period that found no partner."""
    return [
        Row(device, field, t_ms, value)
        for index, (t_ms, value) in enumerate(points)
        if index not in paired and from_ms <= t_ms < to_ms
    ]


def totals(verdict: Verdict, ledger: Ledger) -> dict[str, Any]:
    """What a report says of readings: expected, sampled, delivered, duplicates, redelivered, and missing by cause.

    Counted are the devices that answered at all. `expected` is what the schedule called for, `delivered` what the store
    holds as it was served, and `expected` = `delivered` + Σ `missing`: where ledger and record disagree, the difference
    stands in `missing` as `unexplained`, below zero if more was delivered than the ledger knows of.
    """
    account = ledger.total(verdict.devices)
    missing = {fate: number for fate, number in sorted(account.fates.items()) if number and fate != Fate.STORED.value}
    rest = account.expected - verdict.delivered - sum(missing.values())
    if rest:
        known = missing.pop(Fate.UNEXPLAINED.value, 0)
        missing |= {Fate.UNEXPLAINED.value: known + rest} if known + rest else {}
    return {
        "expected": account.expected,
        "sampled": account.sampled,
        "delivered": verdict.delivered,
        "duplicates": verdict.foreign,
        "redelivered": account.redelivered_readings,
        "missing": missing,
    }


async def judge_gateway(
    record: Record, reader: Reader, gateway: str, *, now_ms: int, tolerance_ms: int
) -> dict[str, Any]:
    """`totals` over all that a gateway accounts for: from its first batch to the end of its last.

    What was served a little before and after, but not beyond `tolerance_ms`, belongs to it. Raises Unavailable,
    RecordError; LookupError where the store has no receipt of the gateway.
    """
    newest = next((receipt for receipt in await reader.last_receipts() if receipt.gateway == gateway), None)
    if newest is None:
        raise LookupError(f"gateway {gateway}: the store has no receipt of it")
    records = await reader.events(SCHEDULE, 0, ALWAYS_MS, gateway)
    polls = [poll for record_ in records for poll in Schedule.model_validate_json(record_.text).polls]
    ledger = await audit(reader, gateway, now_ms=max(now_ms, newest.to_ms), days=Days(zone=UTC), to_ms=newest.to_ms)
    verdict = await judge(record, reader, gateway, polls, ledger.from_ms, newest.to_ms + tolerance_ms, tolerance_ms)
    return totals(verdict, ledger)
