"""Short ways to write down what a store is given and what it should give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from series_store import names
from series_store.table import Cell, Receipt, SeriesKey, Table, Window
from series_store.vet import RECEIPT_FIELDS

T0 = 1_700_000_000_000
"""2023-11-14 22:13:20 UTC, in ms."""

POWER = SeriesKey("energy_meter", "g1", "m1", "power_w")
ENERGY = SeriesKey("energy_meter", "g1", "m1", "energy_kwh")


def readings(
    times: Sequence[int],
    columns: Mapping[str, Sequence[Cell]],
    *,
    gateway: str = "g1",
    device: str = "m1",
    kind: str = "energy_meter",
) -> Table:
    """A table of readings; times count from T0."""
    tags = ((names.GATEWAY, gateway), (names.DEVICE, device))
    return Table(kind, tags, tuple(columns), [T0 + t for t in times], list(columns.values()))


def receipt(
    at_us: int,
    *,
    gateway: str = "g1",
    worker: str = "w1",
    run: str = "a" * 32,
    seq: int = 1,
    from_ms: int = T0,
    to_ms: int = T0 + 10_000,
    counts: str = "{}",
) -> Receipt:
    """A receipt with a few numbers that matter and others that are as good as any."""
    return Receipt(at_us, gateway, worker, run, seq, from_ms, to_ms, 120, 2, counts)


def receipt_table(receipt: Receipt) -> Table:
    """A receipt as ingest writes it."""
    cells: dict[str, Cell] = {
        names.RUN: receipt.run,
        names.SEQ: float(receipt.seq),
        names.FROM: float(receipt.from_ms),
        names.TO: float(receipt.to_ms),
        names.READINGS: float(receipt.readings),
        names.BAD: float(receipt.bad),
        names.COUNTS: receipt.counts,
    }
    tags = ((names.GATEWAY, receipt.gateway), (names.WORKER, receipt.worker))
    columns = [[cells[field]] for field in RECEIPT_FIELDS]
    return Table(names.RECEIPT, tags, RECEIPT_FIELDS, [receipt.at_us], columns, micros=True)


def event(
    t: int, text: str, *, kind: str = "start", gateway: str = "g1", device: str = "gateway", **values: float
) -> Table:
    """An event; its time counts from T0."""
    tags = ((names.GATEWAY, gateway), (names.DEVICE, device), (names.KIND, kind))
    columns: list[Sequence[Cell]] = [[text], *([value] for value in values.values())]
    return Table(names.EVENT, tags, (names.EVENT_TEXT, *values), [T0 + t], columns)


def pairs(window: Window) -> list[tuple[int, float]]:
    """(time since T0, value) of each reading."""
    return [(int(t) - T0, float(value)) for t, value in zip(window.t, window.value, strict=True)]
