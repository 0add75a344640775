"""Values that were refused, and stored after all out of dead letters: they move from `rejected` to `stored`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from data_contract.receipt import BatchReceipt, DeviceReceipt
from series_store.table import Receipt


def after_all(said: BatchReceipt, restored: Iterable[tuple[Receipt, BatchReceipt]]) -> BatchReceipt:
    """The receipt of a batch together with those of its replayed dead letters, each letter once.

    A letter that was replayed twice, since the worker died meanwhile, has several receipts: the fullest one counts.
    """
    letters: dict[str, tuple[int, BatchReceipt]] = {}
    for receipt, more in restored:
        known = letters.get(more.restored or "")
        if known is None or receipt.readings > known[0]:
            letters[more.restored or ""] = receipt.readings, more
    if not letters:
        return said
    devices = dict(said.devices)
    for _, (_, more) in sorted(letters.items()):
        for name, part in more.devices.items():
            devices[name] = _with(devices.get(name, DeviceReceipt({})), part)
    return replace(said, devices=devices)


def _with(had: DeviceReceipt, more: DeviceReceipt) -> DeviceReceipt:
    """No more can be restored than was refused: a copy of the batch that came later may have told of them already."""
    moved = min(more.stored, had.bad)
    if not moved:
        return had
    return replace(
        had,
        stored=had.stored + moved,
        bad=had.bad - moved,
        first_ms=min(had.first_ms, more.first_ms) if had.stored else more.first_ms,
        last_ms=max(had.last_ms, more.last_ms) if had.stored else more.last_ms,
    )
