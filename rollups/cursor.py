"""From receipts to the hours that must be computed again, and how far the cursor may go: never past one that is still
due.

A reading can change what its neighbours mean, so it touches more than its own hour: whatever lies within HOLD_MS before
it or LOOKBACK_MS after it, and, where readings are sparse, all from the second reading before it to the second after.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from data_contract.counter_law import HOLD_MS, LOOKBACK_MS
from data_contract.receipt import read
from rollups.doubts import REACH_MS
from rollups.periods import HOUR_MS
from series_store.table import Receipt

BATCH_MS_MAX = 400 * 24 * HOUR_MS
"""A batch that spans more is not believed: it would make every hour of its span due. Even merged digests are
shorter."""

HOURS_PER_RUN_MAX = 48
"""So many hours of one device are read at once."""


FAR_REFRESH_MS = 600_000
"""A gateway that does not know the time may say every ten seconds that days of hours may lack what it sends: an hour in
which no new reading is stamped is computed again no more often than this for such a reason."""


class Touch(NamedTuple):
    """Readings of one device that were stored: first and last stamp in ms UTC, and when the receipt says so.

    They may have been taken `reach_ms` before or after their stamps.
    """

    gateway: str
    device: str
    first_ms: int
    last_ms: int
    at_us: int
    reach_ms: int = 0


class DeviceHour(NamedTuple):
    """An hour of UTC of one device, by its begin."""

    gateway: str
    device: str
    from_ms: int


@dataclass(slots=True)
class _Why:
    """The receipt that made an hour due, the oldest one, and the span of the readings that it brought, if any."""

    at_us: int
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Successive hours of one device that are due, and the span of new readings in or near them."""

    gateway: str
    device: str
    hours: tuple[int, ...]
    first_ms: int | None
    last_ms: int | None
    at_us: int


def touches(receipt: Receipt) -> list[Touch]:
    """What a receipt brought, device by device. ValueError where its counts are unreadable or its stamps absurd.

    A digest may bring nothing but summaries of a device; so it touches all of its time.
    """
    said = read(receipt.counts)
    found = []
    for name, device in said.devices.items():
        first_ms, last_ms = device.first_ms, device.last_ms
        if said.replaces:
            first_ms, last_ms = receipt.from_ms, max(receipt.from_ms, receipt.to_ms - 1)
        if not 0 <= last_ms - first_ms <= BATCH_MS_MAX:
            raise ValueError(f"readings of {name} from {first_ms} to {last_ms} ms in one batch")
        # As far away as the bounds are apart: the receipt does not say where between them the estimate lies.
        reach_ms = 0 if said.unsure is None else min(max(said.unsure[1] - said.unsure[0], 0), REACH_MS)
        if device.stored or said.replaces:
            found.append(Touch(receipt.gateway, name, first_ms, last_ms, receipt.at_us, reach_ms))
    return found


def hours_between(first_ms: int, last_ms: int) -> range:
    """Begins of all hours from that of `first_ms` to that of `last_ms`."""
    return range(first_ms // HOUR_MS * HOUR_MS, last_ms // HOUR_MS * HOUR_MS + 1, HOUR_MS)


class Due:
    """The hours that must be computed, in memory: the cursor in the store stays behind the oldest of them."""

    def __init__(self, *, refresh_ms: int) -> None:
        self._refresh_ms = refresh_ms
        self._why: dict[DeviceHour, _Why] = {}
        self._computed_ms: dict[DeviceHour, int] = {}
        self._far: dict[DeviceHour, int] = {}
        """Hour in which no new reading is stamped, but may have been taken → the time of the oldest receipt, in µs."""
        self._far_computed_ms: dict[DeviceHour, int] = {}

    def __len__(self) -> int:
        return len(self._why)

    def touch(self, touch: Touch) -> None:
        """New readings came: their hours are due, and those that they can change."""
        for hour in hours_between(max(touch.first_ms - HOLD_MS, 0), touch.last_ms + LOOKBACK_MS):
            why = self._due(DeviceHour(touch.gateway, touch.device, hour), touch.at_us)
            why.first_ms = touch.first_ms if why.first_ms is None else min(why.first_ms, touch.first_ms)
            why.last_ms = touch.last_ms if why.last_ms is None else max(why.last_ms, touch.last_ms)
        if touch.reach_ms:
            first_ms, last_ms = max(touch.first_ms - HOLD_MS - touch.reach_ms, 0), touch.last_ms + LOOKBACK_MS
            self.add_far(touch.gateway, touch.device, hours_between(first_ms, last_ms + touch.reach_ms), touch.at_us)

    def add_far(self, gateway: str, device: str, hours: Iterable[int], at_us: int) -> None:
        """These hours are due since readings that are stamped elsewhere may have been taken in them."""
        for begin in hours:
            hour = DeviceHour(gateway, device, begin)
            self._far[hour] = min(self._far.get(hour, at_us), at_us)

    def add(self, gateway: str, device: str, hours: Iterable[int], at_us: int) -> None:
        """These hours are due for another reason than readings in them."""
        for hour in hours:
            self._due(DeviceHour(gateway, device, hour), at_us)

    def runs(self, now_ms: int, hours_max: int) -> list[Run]:
        """What to compute now, oldest cause first, at most about `hours_max` hours.

        An hour that can still grow is left alone for `refresh_ms` after it was computed.
        """
        ready = [hour for hour in self._why if self._is_ready(hour, now_ms)]
        ready.sort(key=lambda hour: (self._why[hour].at_us, hour))
        if self._far and len(ready) < hours_max:
            ready += self._far_ready(now_ms)
        return [self._run(hours) for hours in _successive(sorted(ready[:hours_max]))]

    def done(self, run: Run, now_ms: int) -> None:
        """The hours of this run have been written."""
        for begin in run.hours:
            hour = DeviceHour(run.gateway, run.device, begin)
            self._why.pop(hour, None)
            if self._far.pop(hour, None) is not None:
                self._far_computed_ms[hour] = now_ms
            if self._can_grow(hour, now_ms):
                self._computed_ms[hour] = now_ms
            else:
                self._computed_ms.pop(hour, None)

    def cursor(self, read_to_us: int) -> int:
        """How far the cursor may go when everything up to `read_to_us` has been read."""
        oldest = min((why.at_us for why in self._why.values()), default=read_to_us + 1)
        return min(oldest, min(self._far.values(), default=oldest)) - 1

    def _due(self, hour: DeviceHour, at_us: int) -> _Why:
        why = self._why.setdefault(hour, _Why(at_us))
        why.at_us = min(why.at_us, at_us)
        return why

    def _is_ready(self, hour: DeviceHour, now_ms: int) -> bool:
        computed_ms = self._computed_ms.get(hour)
        waits = computed_ms is not None and 0 <= now_ms - computed_ms < self._refresh_ms
        return not (waits and self._can_grow(hour, now_ms))

    def _far_ready(self, now_ms: int) -> list[DeviceHour]:
        recent = {hour: at for hour, at in self._far_computed_ms.items() if 0 <= now_ms - at < FAR_REFRESH_MS}
        self._far_computed_ms = recent
        ready = [hour for hour in self._far if hour not in self._why and hour not in recent]
        return sorted(ready, key=lambda hour: (self._far[hour], hour))

    @staticmethod
    def _can_grow(hour: DeviceHour, now_ms: int) -> bool:
        return hour.from_ms + HOUR_MS + HOLD_MS > now_ms

    def _run(self, hours: list[DeviceHour]) -> Run:
        whys = [self._why.get(hour) or _Why(self._far[hour]) for hour in hours]
        return Run(
            gateway=hours[0].gateway,
            device=hours[0].device,
            hours=tuple(hour.from_ms for hour in hours),
            first_ms=min((why.first_ms for why in whys if why.first_ms is not None), default=None),
            last_ms=max((why.last_ms for why in whys if why.last_ms is not None), default=None),
            at_us=min(why.at_us for why in whys),
        )


def _successive(hours: list[DeviceHour]) -> list[list[DeviceHour]]:
    """Sorted hours in pieces: one device each, without holes, of bounded length."""
    pieces: list[list[DeviceHour]] = []
    for hour in hours:
        last = pieces[-1] if pieces else []
        follows = last and last[-1] == hour._replace(from_ms=hour.from_ms - HOUR_MS)
        if follows and len(last) < HOURS_PER_RUN_MAX:
            last.append(hour)
        else:
            pieces.append([hour])
    return pieces
