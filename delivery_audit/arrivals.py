"""Which batches rollups have worked in, by the times of their receipts against the cursor of rollups. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from data_contract.receipt import BatchReceipt
from series_store.table import Receipt

HOUR_MS = 3_600_000
WAIT_MS_MAX = 900_000
"""So long after its receipt a batch may wait for rollups. They look every second and write an open hour once a minute;
a restart, an upgrade or a store that is away for a moment takes no longer than this."""


class DeviceHour(NamedTuple):
    """An hour of UTC of one device, by its begin."""

    device: str
    from_ms: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Batches of one day that are stored and that rollups have not worked in, and the readings in them."""

    day: str
    batches: int
    readings: int
    since_ms: int
    """The time of the oldest receipt of these."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What rollups have seen of a gateway.

    `ran`: rollups have run over this store, None where that could not be told, and `why` not. Receipts up to `to_ms`
    have been worked in. `waiting` by day. `hidden`: hours that receipts before that tell of, and that have no row.
    `summarised`: hours of which digests tell, so that not every reading is there. `unchecked`: more hours without a
    row, at which nobody has looked.
    """

    ran: bool | None
    why: str = ""
    to_ms: int = 0
    now_ms: int = 0
    wait_ms_max: int = WAIT_MS_MAX
    waiting: tuple[Waiting, ...] = ()
    hidden: tuple[DeviceHour, ...] = ()
    unchecked: int = 0
    summarised: tuple[DeviceHour, ...] = ()

    def late(self, waiting: Waiting) -> bool:
        """Whether this has waited for longer than rollups ordinarily take."""
        return self.now_ms - waiting.since_ms > self.wait_ms_max

    @property
    def at_fault(self) -> bool:
        """Whether rollups have stopped, cannot keep up, or have passed over something."""
        return bool(self.hidden) or any(self.late(waiting) for waiting in self.waiting)


@dataclass(slots=True)
class Arrivals:
    """The batches of the audited time, parted by what rollups have worked in up to `seen_us`."""

    seen_us: int
    hours: set[DeviceHour] = field(default_factory=set)
    """Hours in which batches that were worked in have readings."""
    _waiting: dict[str, Waiting] = field(default_factory=dict)

    def add(self, day: str, receipts: Iterable[tuple[Receipt, BatchReceipt]]) -> None:
        """All receipts of one batch: each delivery of it has one, and each of its dead letters that was replayed."""
        parts: dict[str | None, list[tuple[Receipt, BatchReceipt]]] = {}
        for receipt, said in receipts:
            parts.setdefault(said.restored, []).append((receipt, said))
        waits = [new for same in parts.values() if (new := self._part(same)) is not None]
        if waits:
            before = self._waiting.get(day, Waiting(day, 0, 0, waits[0].at_us // 1000))
            self._waiting[day] = Waiting(
                day,
                before.batches + 1,
                before.readings + sum(receipt.readings for receipt in waits),
                min(before.since_ms, *(receipt.at_us // 1000 for receipt in waits)),
            )

    def waiting(self) -> tuple[Waiting, ...]:
        """What rollups have still to do, by day."""
        return tuple(self._waiting[day] for day in sorted(self._waiting))

    def _part(self, same: list[tuple[Receipt, BatchReceipt]]) -> Receipt | None:
        """The oldest receipt that tells most, if rollups have not worked in as much by an earlier one."""
        fullest, said = max(same, key=lambda each: (each[0].readings, -each[0].at_us))
        if not fullest.readings and not said.replaces:
            return None
        if fullest.at_us > self.seen_us:
            return fullest
        for device, part in said.devices.items():
            if part.stored:
                self.hours |= {DeviceHour(device, t_ms // HOUR_MS * HOUR_MS) for t_ms in (part.first_ms, part.last_ms)}
        return None
