"""Digests of which some batches arrived otherwise, held against the store: what each of them alone brought."""

from __future__ import annotations

from collections import defaultdict

from data_contract.receipt import DeviceReceipt
from delivery_audit.book import Book
from delivery_audit.heard import Told
from delivery_audit.overlap import News, beside, ordinary
from series_store.port import Reader
from series_store.table import SeriesKey


async def part_digests(reader: Reader, book: Book) -> None:
    """Where batches arrived that a digest stands in for, find out what it tells of the others."""
    shared = book.shared()
    if not shared:
        return
    series = await reader.series()
    keys = [key for key in series if key.gateway == book.gateway]
    news: defaultdict[str, News] = defaultdict(News)
    for told in book.heard.sole():
        for device, part in told.said.devices.items():
            news[device].whole(part)
    for told in shared:
        digest = told.digest
        found = book.part(told, await reader.receipts_between(book.gateway, digest.from_ms, digest.to_ms))
        for device, part in told.said.devices.items():
            own = [key for key in keys if key.device == device]
            there = await _there(reader, book, told, device, part, own, news[device])
            found.fresh[device] = news[device].add(part, there)


async def _there(
    reader: Reader, book: Book, told: Told, device: str, part: DeviceReceipt, keys: list[SeriesKey], news: News
) -> int:
    """How many values the store holds at the stamps of a digest, and of those that lie across it, that came by no
    ordinary batch.
    """
    total = 0
    for first_ms, last_ms in news.around(part):
        begin_ms, end_ms = min(told.digest.from_ms, first_ms), max(told.digest.to_ms, last_ms + 1)
        taken = ordinary(book.batches(await reader.receipts_between(book.gateway, begin_ms, end_ms)))
        for first, last in beside([(first_ms, last_ms)], taken.get(device, [])):
            total += await reader.count(keys, first, last + 1)
    return total
