"""A batch of the wire, written as ingest writes it: by its own tables, the data before the receipt."""

from __future__ import annotations

from data_contract import receipt
from data_contract.batch import Batch
from ingest.tables import tables_of
from series_store import names
from series_store.port import Writer
from series_store.table import Table
from tests.unit.rollups.plant import DAY_MS, GATEWAY, NOON

RECEIVED_MS = NOON + 99 * DAY_MS
"""Later than anything in these tests is stamped."""


async def deliver(store: Writer, batch: Batch, at_us: int) -> None:
    """Write a batch of GATEWAY and of "run-1", all of which can be stored."""
    found = tables_of(GATEWAY, batch, RECEIVED_MS)
    assert found.bad == []
    assert (await store.write(found.tables)).stored
    cells: dict[str, float | str | None] = {
        names.RUN: "run-1",
        names.SEQ: float(batch.seq),
        names.FROM: float(batch.from_ms),
        names.TO: float(batch.to_ms),
        names.READINGS: float(sum(number for number, _, _ in found.stored.values())),
        names.BAD: 0.0,
        names.COUNTS: receipt.write(receipt.of_batch(batch.body, batch.base_ms, found.stored, {})),
    }
    tags = ((names.GATEWAY, GATEWAY), (names.WORKER, "w1"))
    table = Table(names.RECEIPT, tags, tuple(cells), [at_us], [[cell] for cell in cells.values()], micros=True)
    assert (await store.write([table])).stored
