"""Digests of which some batches arrived otherwise, held against the store: what each of them alone brought."""

from __future__ import annotations

from collections import defaultdict

from delivery_audit.book import Book
from delivery_audit.heard import Told
from delivery_audit.overlap import Brought, News, ordinary, within
from series_store.port import Reader
from series_store.table import Receipt, SeriesKey


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
    first_ms, end_ms = book.around(told)
    brought: dict[str, list[Brought]] = {}
    receipts: list[Receipt] = []
    read: tuple[int, int] | None = None
    while True:
        reach = {
            device: news[device].around(part, brought.get(device, ())) for device, part in told.said.devices.items()
        }
        first_ms = min([first_ms, *(first for ranges in reach.values() for first, _ in ranges)])
        end_ms = max([end_ms, *(last + 1 for ranges in reach.values() for _, last in ranges)])
        if read == (first_ms, end_ms):
            break
        read = first_ms, end_ms
        receipts = await reader.receipts_between(book.gateway, first_ms, end_ms)
        brought = ordinary(book.batches(receipts))
    found = book.part(told, receipts)
    for device, part in told.said.devices.items():
        there = 0
        for first, last in reach[device]:
            stored = within((first, last), brought.get(device, ()))
            there += max(0, await reader.count(keys[device], first, last + 1) - stored)
        found.fresh[device] = news[device].add(part, reach[device], there)
