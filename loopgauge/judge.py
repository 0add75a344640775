"""The store against the record of what was served, value by value, and both against the ledger.

Nothing that agent or ingest wrote is read but the store. The record says what devices showed, the schedule what they
were asked for; only the ledger knows why a reading is missing, and a disagreement between the three is `unexplained`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, NamedTuple

from data_contract.batch import SCHEDULE
from data_contract.cause import Fate, Missing
from data_contract.reading import GATEWAY_DEVICE
from data_contract.schedule import Poll, Schedule
from delivery_audit.days import Days
from delivery_audit.evidence import ALWAYS_MS, audit
from delivery_audit.ledger import Account, Ledger
from edge_agent.say import BIN_KIND
from edge_agent.weigh.bin import FIELDS as MADE_OF_WEIGHTS
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


def made_fields(polls: Iterable[Poll]) -> dict[str, frozenset[str]]:
    """Fields that the gateway makes itself, by device. No device serves them, so no record can judge them."""
    return {
        poll.device: frozenset(MADE_OF_WEIGHTS)
        for poll in polls
        if poll.kind == BIN_KIND and set(MADE_OF_WEIGHTS) <= set(poll.fields)
    }


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
    polls = polls.polls if isinstance(polls, Schedule) else tuple(polls)
    polled, made = {poll.device for poll in polls}, made_fields(polls)
    devices = tuple(device for device in record.devices() if device in polled)
    keys: defaultdict[tuple[str, str], list[SeriesKey]] = defaultdict(list)
    for key in await reader.series():
        if key.gateway == gateway and key.device != GATEWAY_DEVICE and key.field not in made.get(key.device, ()):
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


def totals(verdict: Verdict, ledger: Ledger, polls: Iterable[Poll] = ()) -> dict[str, Any]:
    """What a report says of readings: expected, sampled, delivered, duplicates, redelivered, and missing by cause.

    Counted are the devices that answered at all, and of `polls` the fields that devices serve. `expected` is what the
    schedule called for, `delivered` what the store holds as it was served, and `expected` = `delivered` + Σ `missing`:
    where ledger and record disagree, the difference stands in `missing` as `unexplained`, below zero if more was
    delivered than the ledger knows of.
    """
    account = _of_served(verdict.devices, ledger, tuple(polls))
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


def _of_served(devices: Sequence[str], ledger: Ledger, polls: Sequence[Poll]) -> Account:
    """The sum over devices without what the gateway made itself.

    That is sampled and missed together with the weight, so it has the same share of everything, if all poll groups of
    the device are read equally often. Only what is invalid are pairs: a count, and the weight that is made of it.
    """
    made, whole = made_fields(polls), Account()
    for device in devices:
        account = ledger.total([device])
        if device in made:
            of = len({field for poll in polls if poll.device == device for field in poll.fields})
            account = _share(account, of - len(made[device]), of)
        whole.add(account)
    return whole


def _share(account: Account, part: int, of: int) -> Account:
    fates = Counter({fate: number * part // of for fate, number in account.fates.items()})
    fates[Missing.INVALID.value] = account.fates[Missing.INVALID.value] // 2
    return Account(
        expected=account.expected * part // of,
        sampled=account.sampled * part // of,
        fates=fates,
        redelivered_readings=account.redelivered_readings * part // of,
    )


class Stretch(NamedTuple):
    """What a gateway accounts for without a break of the demo's making: from its first batch to the end of its last."""

    from_ms: int
    to_ms: int


async def stretch(reader: Reader, gateway: str, from_ms: int, to_ms: int) -> Stretch | None:
    """The batches that begin in [from_ms, to_ms), or None where there are none. Raises Unavailable."""
    found = [r for r in await reader.receipts_between(gateway, from_ms, to_ms) if from_ms <= r.from_ms < to_ms]
    return Stretch(found[0].from_ms, max(receipt.to_ms for receipt in found)) if found else None


async def judge_gateway(
    record: Record,
    reader: Reader,
    gateway: str,
    *,
    now_ms: int,
    tolerance_ms: int,
    from_ms: int = 0,
    to_ms: int = ALWAYS_MS,
) -> dict[str, Any]:
    """`totals` over all that a gateway accounts for with batches that begin in [from_ms, to_ms), ms UTC.

    What was served a little before and after, but not beyond `tolerance_ms`, belongs to it, so the gateway must have
    paused for longer there. Raises Unavailable,
    RecordError; LookupError where the store has no receipt of the gateway.
    """
    period = await stretch(reader, gateway, from_ms, to_ms)
    if period is None:
        raise LookupError(f"gateway {gateway}: the store has no receipt of it")
    records = await reader.events(SCHEDULE, 0, ALWAYS_MS, gateway)
    polls = [poll for record_ in records for poll in Schedule.model_validate_json(record_.text).polls]
    ledger = await audit(
        reader,
        gateway,
        now_ms=max(now_ms, period.to_ms),
        days=Days(zone=UTC),
        from_ms=period.from_ms if from_ms else None,
        to_ms=period.to_ms,
    )
    verdict = await judge(record, reader, gateway, polls, ledger.from_ms, period.to_ms + tolerance_ms, tolerance_ms)
    return totals(verdict, ledger, polls)
