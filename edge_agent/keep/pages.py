"""Rows out of the pages of a damaged SQLite file, whatever else of it is broken. Pure.

The tree above the rows is not needed: a page of a table's rows says so in its first byte and stands alone, but for the
pages that a long row runs over into. The format is that of https://www.sqlite.org/fileformat2.html, sections 1.5 to 4.
A page that is free may still hold rows that were deleted; those were confirmed, and sending them again changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

PAGE_BYTES = 4096
LEAF, INDEX_LEAF = 0x0D, 0x0A
"""First byte of a page that holds rows of a table, and of one that holds entries of an index."""
_ENTRY_BYTES_MAX = 1000
"""Longer entries of an index are not on one page."""
_WAL_HEAD, _FRAME_HEAD = 32, 24

Value = int | float | str | bytes | None
Read = Callable[[int], bytes]
"""A page by its number, from 1 on; shorter than a page where there is none."""


class _Torn(Exception):
    """This row cannot be read."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    value = 0
    for i in range(9):
        if at + i >= len(data):
            raise _Torn
        byte = data[at + i]
        if i == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    raise AssertionError("nine bytes at most")


def rows_of(number: int, read: Read) -> Iterator[tuple[int, list[Value]]]:
    """(rowid, columns) of the whole rows that begin on a page; the rowid of an index's entry is 0."""
    page = read(number)
    at = 100 if number == 1 else 0  # the file's own head
    if len(page) < PAGE_BYTES or page[at] not in (LEAF, INDEX_LEAF):
        return
    cells = int.from_bytes(page[at + 3 : at + 5], "big")
    for i in range(min(cells, PAGE_BYTES // 4)):
        begin = int.from_bytes(page[at + 8 + 2 * i : at + 10 + 2 * i], "big")
        try:
            yield _row(page, begin, read) if page[at] == LEAF else _entry(page, begin)
        except (_Torn, struct.error, UnicodeDecodeError):
            continue


def _row(page: bytes, begin: int, read: Read) -> tuple[int, list[Value]]:
    size, at = _varint(page, begin)
    rowid, at = _varint(page, at)
    if not 0 < size < 2**24:
        raise _Torn
    return rowid, _columns(_payload(page, at, size, read))


def _entry(page: bytes, begin: int) -> tuple[int, list[Value]]:
    size, at = _varint(page, begin)
    if not 0 < size <= _ENTRY_BYTES_MAX:
        raise _Torn
    return 0, _columns(page[at : at + size])


def _payload(page: bytes, at: int, size: int, read: Read) -> bytes:
    """The bytes of a row; what does not fit on the page lies on a chain of others."""
    most, least = PAGE_BYTES - 35, (PAGE_BYTES - 12) * 32 // 255 - 23
    here = size
    if size > most:
        here = least + (size - least) % (PAGE_BYTES - 4)
        here = least if here > most else here
    parts = [page[at : at + here]]
    left = size - here
    follow = int.from_bytes(page[at + here : at + here + 4], "big")
    while left > 0:
        over = read(follow) if follow else b""
        if len(over) < PAGE_BYTES:
            raise _Torn
        follow = int.from_bytes(over[:4], "big")
        parts.append(over[4 : 4 + left])
        left -= len(parts[-1])
    data = b"".join(parts)
    if len(data) != size:
        raise _Torn
    return data


def _columns(data: bytes) -> list[Value]:
    head, at = _varint(data, 0)
    if head > len(data):
        raise _Torn
    kinds = []
    while at < head:
        kind, at = _varint(data, at)
        kinds.append(kind)
    found: list[Value] = []
    for kind in kinds:
        size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if kind < 10 else (kind - 12) // 2
        part = data[at : at + size]
        if len(part) != size or kind in (10, 11):
            raise _Torn
        found.append(_value(kind, part))
        at += size
    return found


def _value(kind: int, part: bytes) -> Value:
    if kind == 0:
        return None
    if kind == 7:
        return float(struct.unpack(">d", part)[0])
    if kind in (8, 9):
        return kind - 8
    if kind < 7:
        return int.from_bytes(part, "big", signed=True)
    return part.decode() if kind % 2 else part


def journal_pages(journal: bytes) -> dict[int, int]:
    """Where in a write-ahead log the newest committed version of each page begins; by page number.

    A frame counts if it carries the salts of the log's header, and all frames before it do, up to a commit.
    """
    found: dict[int, int] = {}
    if len(journal) < _WAL_HEAD or int.from_bytes(journal[:4], "big") not in (0x377F0682, 0x377F0683):
        return found
    order = ">" if journal[3] & 1 else "<"
    salts, sums = journal[16:24], _checksum(journal[:24], (0, 0), order)
    open_: dict[int, int] = {}
    for at in range(_WAL_HEAD, len(journal) - _FRAME_HEAD - PAGE_BYTES + 1, _FRAME_HEAD + PAGE_BYTES):
        head = journal[at : at + _FRAME_HEAD]
        sums = _checksum(head[:8] + journal[at + _FRAME_HEAD : at + _FRAME_HEAD + PAGE_BYTES], sums, order)
        if head[8:16] != salts or head[16:24] != struct.pack(">2I", *sums):
            break
        open_[int.from_bytes(head[:4], "big")] = at + _FRAME_HEAD
        if head[4:8] != b"\0\0\0\0":
            found |= open_
            open_ = {}
    return found


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    a, b = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        a = (a + first + b) & 0xFFFFFFFF
        b = (b + second + a) & 0xFFFFFFFF
    return a, b
