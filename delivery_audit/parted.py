"""Digests of which some batches arrived otherwise, held against the store: what each of them alone brought."""

from __future__ import annotations

from collections import defaultdict

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
    keys: defaultdict[str, list[SeriesKey]] = defaultdict(list)
    for key in await reader.series():
        if key.gateway == book.gateway:
            keys[key.device].append(key)
    news: defaultdict[str, News] = defaultdict(News)
    for told in book.heard.sole():
        for device, part in told.said.devices.items():
            news[device].whole(part)
    for told in shared:
        await _part(reader, book, told, keys, news)
    book.note_twice()


async def _part(
    reader: Reader,
    book: Book,
    told: Told,
    keys: defaultdict[str, list[SeriesKey]],
    news: defaultdict[str, News],
) -> None:
    """Ask the store how many values it holds at the stamps of a digest, and of those that lie across it, beside those
    that ordinary batches brought: these came by digests.
    """
    reach = {device: news[device].around(part) for device, part in told.said.devices.items()}
    first_ms, end_ms = book.around(told)
    first_ms = min([first_ms, *(first for ranges in reach.values() for first, _ in ranges)])
    end_ms = max([end_ms, *(last + 1 for ranges in reach.values() for _, last in ranges)])
    receipts = await reader.receipts_between(book.gateway, first_ms, end_ms)
    found, brought = book.part(told, receipts), ordinary(book.batches(receipts))
    for device, part in told.said.devices.items():
        there = 0
        for (first, last), stored in beside(reach[device], brought.get(device, [])):
            there += max(0, await reader.count(keys[device], first, last + 1) - stored)
        found.fresh[device] = news[device].add(part, there)
