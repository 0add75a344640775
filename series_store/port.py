"""The store's port: a writer for ingest, a reader for everyone, a figure store for rollups; one suite tests each home.

All methods are coroutines. A reader raises `Unavailable` when the store does not answer; a writer never raises: its
outcome says what to do. `put` is a write; `figures`, `cursor` and `set_cursor` raise like a reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from series_store.table import Event, Outcome, Receipt, SeriesKey, Table, Window


class Unavailable(Exception):
    """The store does not answer, or answers that it cannot now. Nothing is known to be wrong with the question."""


class NothingYet(Unavailable):
    """Nothing has ever been stored at this address."""


class Writer(Protocol):
    """Where ingest makes readings durable."""

    async def write(self, tables: Sequence[Table]) -> Outcome:
        """Make all rows durable before returning, or say when to try again, or name rows that can never be stored."""

    async def close(self) -> None:
        """Release what the first use, or `start`, took; harmless when repeated."""


class Reader(Protocol):
    """What has been stored, by columns and in time order. Times are ms UTC; intervals are [from, to)."""

    async def series(self, own: str | None = None) -> list[SeriesKey]:
        """Every field of every device that was ever stored, sorted; quality fields and own measurements left out.

        `own`: those of that measurement of ours alone, such as SUMMARY.
        """

    async def window(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> dict[SeriesKey, Window]:
        """Readings of each series in [from_ms, to_ms); a series without any has an empty window."""

    async def count(self, series: Sequence[SeriesKey], from_ms: int, to_ms: int) -> int:
        """How many readings (with a value) these series hold in [from_ms, to_ms) together."""

    async def neighbours(self, series: SeriesKey, from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
        """Times (ms) of the last reading before from_ms and of the first at or after to_ms, or None."""

    async def latest(self, series: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[int, float]]:
        """(t_ms, value) of the newest reading of each series that has one."""

    async def receipts(self, after_us: int, limit: int) -> list[Receipt]:
        """Receipts with at_us > after_us by (at_us, gateway, worker): `limit` of them, and all of the last microsecond.

        So the last at_us is a cursor that skips none, however many workers wrote in that microsecond.
        """

    async def receipts_between(self, gateway: str, from_ms: int, to_ms: int) -> list[Receipt]:
        """Receipts of a gateway whose batches touch [from_ms, to_ms), and of all rejected whole (from = to = 0).

        By (from_ms, run, seq, at_us). An empty batch (from = to) touches the interval that it lies in.
        """

    async def gateways(self) -> list[str]:
        """Gateways that have a receipt, sorted."""

    async def last_receipts(self) -> list[Receipt]:
        """For each gateway the receipt with the largest to_ms (ties: the newest), sorted by gateway."""

    async def events(self, kind: str, from_ms: int, to_ms: int, gateway: str | None = None) -> list[Event]:
        """Events of a kind in [from_ms, to_ms), by (t_ms, gateway, device); their values sorted by name."""


Figure = tuple[int, dict[str, str], dict[str, float | str]]
"""(t_ms, tags, fields) of a row."""


class FigureStore(Protocol):
    """Where rollups keep what they computed. Written by rollups only; tables as for `Writer`."""

    async def put(self, tables: Sequence[Table]) -> Outcome:
        """Write rows; the last value under a key wins."""

    async def figures(self, measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> list[Figure]:
        """Rows of a measurement in [from_ms, to_ms) whose tags include these, by time, then by tags (sorted pairs)."""

    async def cursor(self, name: str) -> int:
        """The stored value of a cursor, 0 at first."""

    async def set_cursor(self, name: str, value: int) -> None:
        """Remember a cursor durably."""


class Owned(Protocol):
    """What `series_store.open` hands out opens itself at first use; its owner may open it earlier, and closes it."""

    async def start(self) -> None:
        """Open now, so that a mistake in the address shows at once. Raises Unavailable with the reason and its mend."""

    async def close(self) -> None:
        """Release everything; harmless when repeated."""


class OwnedWriter(Writer, Owned, Protocol):
    """A writer in the hands of its owner."""


class OwnedReader(Reader, Owned, Protocol):
    """A reader in the hands of its owner."""


class OwnedFigures(FigureStore, Owned, Protocol):
    """A figure store in the hands of its owner."""
