"""Who is silent, since when, and why: from what receipts say was not sampled, or from their absence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data_contract.cause import Missing
from data_contract.receipt import read
from data_contract.schedule import Schedule
from series_store.table import Receipt

GAP_INTERVALS = 2.5
"""A device is silent when two readings in a row are missing."""
SEALS = 3
"""A gateway is silent when so many batches in a row did not come."""
INTERVAL_UNKNOWN_MS = 60_000

GATEWAY_SILENT, NEVER_HEARD = "gateway_silent", "never_heard"
NOT_POLLED, NO_REASON = "not_polled", "no_reason"
"""Causes beside those of `Missing`."""

CAUSES = (*(cause.value for cause in Missing), GATEWAY_SILENT, NEVER_HEARD, NOT_POLLED, NO_REASON)
"""Every cause that the page has words for."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The last that came from a gateway: when it was stored, up to when its data goes, how much it still holds."""

    gateway: str
    at_ms: int
    to_ms: int
    seal_ms: int
    pending: int
    unsure_ms: int | None
    """By how much its clock may be wrong; None where it knows the time."""

    def is_silent(self, now_ms: int, grace_ms: int) -> bool:
        """Whether its batches fail to come; `grace_ms` is what their way may take."""
        return now_ms - max(self.at_ms, self.to_ms) > SEALS * self.seal_ms + grace_ms


@dataclass(frozen=True, slots=True)
class Silence:
    """A device, or with `device` None a whole gateway, from which nothing comes. `since_ms` None: it never spoke."""

    gateway: str
    device: str | None
    since_ms: int | None
    cause: str
    missing: Mapping[str, int]


def heard(receipt: Receipt, schedule: Schedule | None) -> Heard:
    """What a gateway's last receipt says."""
    try:
        said = read(receipt.counts)
        pending = sum(last - first + 1 for _, first, last in said.pending)
        unsure_ms = None if said.unsure is None else max(said.unsure[1] - said.unsure[0], 0)
    except ValueError:
        pending, unsure_ms = 0, None
    length = receipt.to_ms - receipt.from_ms
    seal_ms = schedule.seal_every_ms if schedule is not None else max(length, 0)
    return Heard(receipt.gateway, receipt.at_us // 1000, receipt.to_ms, seal_ms, pending, unsure_ms)


def missing_since(receipts: Iterable[Receipt], device: str, since_ms: int) -> Counter[str]:
    """Readings of a device that were called for and not sampled, by cause, in batches that end after `since_ms`."""
    found: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()
    for receipt in receipts:
        if receipt.to_ms <= since_ms or (receipt.run, receipt.seq) in seen:
            continue
        seen.add((receipt.run, receipt.seq))
        try:
            said = read(receipt.counts).devices.get(device)
        except ValueError:
            continue
        for _, _, missing in said.counts.values() if said else ():
            found.update(missing)
    return found


def cause_of(missing: Mapping[str, int], polled: bool) -> str:
    """The cause to name: the most frequent one, but `asleep` only where there is no other, since it follows another."""
    first_hand = {cause: count for cause, count in missing.items() if count and cause != Missing.ASLEEP}
    if first_hand:
        return max(sorted(first_hand), key=lambda cause: first_hand[cause])
    if missing.get(Missing.ASLEEP):
        return Missing.ASLEEP
    return NO_REASON if polled else NOT_POLLED


def interval_ms(schedule: Schedule | None, device: str) -> int | None:
    """How often the device is read at least; None where it is not polled. Unknown schedules count as a minute."""
    if schedule is None:
        return INTERVAL_UNKNOWN_MS
    return min((poll.every_ms for poll in schedule.polls if poll.device == device), default=None)


def silence_of_gateway(said: Heard, now_ms: int, grace_ms: int) -> Silence | None:
    """The gateway's silence, None if it is heard."""
    if not said.is_silent(now_ms, grace_ms):
        return None
    return Silence(said.gateway, None, said.to_ms, GATEWAY_SILENT, {})


def silence_of_device(
    said: Heard, device: str, newest_ms: int | None, schedule: Schedule | None, recent: Iterable[Receipt]
) -> Silence | None:
    """The silence of a device whose gateway is heard, None if it speaks. `recent`: the gateway's latest receipts."""
    every_ms = interval_ms(schedule, device)
    limit_ms = GAP_INTERVALS * (INTERVAL_UNKNOWN_MS if every_ms is None else every_ms)
    if newest_ms is not None and said.to_ms - newest_ms <= limit_ms:
        return None
    missing = missing_since(recent, device, newest_ms or 0)
    cause = cause_of(missing, polled=every_ms is not None)
    return Silence(said.gateway, device, newest_ms, cause, dict(missing))
