"""One batch on its way into the store, the dead letters that it needs, and its receipt. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from data_contract import receipt
from data_contract.batch import Batch
from data_contract.message import Header
from data_contract.reading import QUALITY_PREFIX
from ingest.letters import WHOLE
from ingest.merge import series_of
from ingest.ports import DeadLetter
from ingest.tables import Tables, row_text
from series_store import names
from series_store.table import Table

Row = tuple[str, float, float, float, float, float, str]
"""The fields of a receipt."""
RECEIPT_FIELDS = (names.RUN, names.SEQ, names.FROM, names.TO, names.READINGS, names.BAD, names.COUNTS)


@dataclass(slots=True)
class Part:
    """One batch on its way: what it brings, or why it cannot be decoded; or what a dead letter holds of one."""

    header: Header
    seq: int
    batch: Batch | None
    reason: str
    copy: str = ""
    tables: Tables = field(default_factory=Tables)
    kinds: dict[str, str] = field(default_factory=dict)
    """Measurement of each device."""
    span: tuple[int, int] = (0, 0)
    """[from, to) of the batch, ms UTC."""
    refused: Counter[str] = field(default_factory=Counter)
    """Values per device that are not stored."""
    letters: list[DeadLetter] = field(default_factory=list)
    restores: str | None = None
    """The id of the letter that it comes from."""

    def count_refused(self) -> None:
        """Note what validation has taken out, and the letters for it."""
        named = (device for device, name, *_ in self.tables.bad if name and not name.startswith(QUALITY_PREFIX))
        self.refused.update(named)
        self.letters = list(self._letters())

    def _letters(self) -> list[DeadLetter]:
        header = self.header
        if self.batch is None and self.restores is None:
            return [self._unread()]
        by_reason: dict[str, list[tuple[str, str, int, str]]] = {}
        for device, name, stamp, value, reason in self.tables.bad:
            by_reason.setdefault(reason, []).append((device, name, stamp, value))
        return [
            DeadLetter(header.gateway, header.run, self.seq, reason, "", tuple(values), self._kinds(values), self.span)
            for reason, values in by_reason.items()
        ]

    def _unread(self) -> DeadLetter:
        """The letter of a batch that cannot be decoded, alone or with its whole message."""
        header = self.header
        message = None
        if self.copy.startswith(WHOLE) or not self.copy:
            message = (header.first, header.last, header.packing)
        return DeadLetter(header.gateway, header.run, self.seq, self.reason, self.copy, message=message)

    def _kinds(self, values: Sequence[tuple[str, str, int, str]]) -> tuple[tuple[str, str], ...]:
        devices = sorted({device for device, name, *_ in values if name})
        return tuple((device, self.kinds[device]) for device in devices if device in self.kinds)

    def put_down(self, table: Table, row: int, reason: str) -> None:
        """The store refused a row that this part brought."""
        stamp, tags = table.times[row], dict(table.tags)
        device = tags[names.DEVICE]
        cells = [(f, column[row]) for f, column in zip(table.fields, table.columns, strict=True)]
        there = {f: cell for f, cell in cells if cell is not None}
        if table.measurement in names.RESERVED:
            text = row_text(table.measurement, tags.get(names.KIND, ""), there)
            values: tuple[tuple[str, str, int, str], ...] = ((device, "", stamp, text),)
        else:
            values = tuple((device, f, stamp, repr(cell)) for f, cell in there.items())
            readings = sum(not f.startswith(QUALITY_PREFIX) for f in there)
            if readings:
                self.refused[device] += readings
                count, low, high = self.tables.stored[device]
                self.tables.stored[device] = (count - readings, low, high)
        header = self.header
        kinds = ((device, table.measurement),) if table.measurement not in names.RESERVED else ()
        self.letters.append(DeadLetter(header.gateway, header.run, self.seq, reason, "", values, kinds, self.span))

    def receipt(self) -> Row:
        """What the store is told of this batch."""
        run, seq = self.header.run, float(self.seq)
        if self.restores is not None:
            text = receipt.write(_restored(self.tables, self.restores))
            readings = float(sum(count for count, _, _ in self.tables.stored.values()))
            # It ends a little before its batch, so that it is never taken for the gateway's last word.
            return run, seq, float(self.span[0]), float(self.span[1] - 1), readings, 0.0, text
        if self.batch is None:
            return run, seq, 0.0, 0.0, 0.0, 0.0, receipt.write(receipt.BatchReceipt(rejected=self.reason))
        batch, stored = self.batch, self.tables.stored
        text = receipt.write(receipt.of_batch(batch.body, batch.base_ms, stored, dict(self.refused)))
        readings = float(sum(count for count, _, _ in stored.values()))
        return (
            run,
            seq,
            float(batch.from_ms),
            float(batch.to_ms),
            readings,
            float(self.refused.total()),
            text,
        )


def _restored(tables: Tables, letter: str) -> receipt.BatchReceipt:
    devices = {
        name: receipt.DeviceReceipt({}, count, first, last)
        for name, (count, first, last) in tables.stored.items()
        if count
    }
    return receipt.BatchReceipt(devices=devices, restored=letter)


def brought(parts: Sequence[Part], table: Table, row: int) -> Part:
    """The batch that brought a row of a merged table, which holds the batches' rows one after the other."""
    series = series_of(table)
    for part in parts:
        for own in part.tables.tables:
            if series_of(own) != series:
                continue
            if row < len(own.times):
                return part
            row -= len(own.times)
    raise AssertionError("the store refused a row that no batch brought")
