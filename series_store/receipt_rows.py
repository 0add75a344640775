"""How receipts are chosen from many, for homes whose own query language does not say it."""

from __future__ import annotations

from collections.abc import Iterable

from series_store.table import Receipt


def touches(receipt: Receipt, from_ms: int, to_ms: int) -> bool:
    """Whether its batch accounts for some of [from_ms, to_ms), an empty batch lies in it, or it was rejected whole."""
    if receipt.from_ms == receipt.to_ms == 0:
        return True
    return receipt.from_ms < to_ms and (receipt.to_ms > from_ms or receipt.from_ms >= from_ms)


def in_batch_order(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Sorted by (from_ms, run, seq, at_us)."""
    return sorted(
        receipts, key=lambda receipt: (receipt.from_ms, receipt.run, receipt.seq, receipt.at_us, receipt.worker)
    )


def in_store_order(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Sorted by (at_us, gateway, worker)."""
    return sorted(receipts, key=lambda receipt: (receipt.at_us, receipt.gateway, receipt.worker))


def furthest(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Of each gateway the receipt with the largest to_ms (ties: the newest), sorted by gateway."""
    best: dict[str, Receipt] = {}
    for receipt in receipts:
        known = best.get(receipt.gateway)
        if known is None or (receipt.to_ms, receipt.at_us, receipt.worker) > (known.to_ms, known.at_us, known.worker):
            best[receipt.gateway] = receipt
    return [best[gateway] for gateway in sorted(best)]
