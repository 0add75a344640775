"""A memory card that keeps a book: one file served through FUSE, every write and every flush noted with its time.

Run as a process of its own (`python -m tests.power.card …`): who serves a file system and writes to it would wait for
itself. It speaks the kernel's protocol without a library (linux/fuse.h, ABI 7.31): the mount's root is the file itself,
so that there are no names to look up.

The book is a file of records: a head (`HEAD`: kind, time in ns of CLOCK_MONOTONIC, offset, length), then the bytes of a
write. A flush is noted when all writes before it have been noted, before it is answered.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct("<cQQI")
WRITE, FLUSH = b"w", b"f"

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_INIT = struct.Struct("<IIIIHHIIHHI28x")
_ATTR = struct.Struct("<QIIQQQQQQIIIIIIIIII")
_IO = struct.Struct("<QQII16x")
_GETATTR, _SETATTR, _OPEN, _READ, _RITE, _STATFS, _RELEASE = 3, 4, 14, 15, 16, 17, 18
_FSYNC, _FLUSH, _INIT_OP, _ACCESS, _INTERRUPT, _DESTROY = 20, 25, 26, 34, 36, 38
_SILENT = (2, 42, _INTERRUPT)
"""FORGET, BATCH_FORGET, INTERRUPT: not to be answered."""
_BIG_WRITES = 1 << 5
_MAX_WRITE = 128 * 1024
_ROOT = 1


class Entry(NamedTuple):
    """What happened to the card: `data` at `offset`, or None for a flush that was completed."""

    t_ns: int
    offset: int
    data: bytes | None


def read_book(path: Path) -> Iterator[Entry]:
    """All entries in their order."""
    with path.open("rb") as book:
        while head := book.read(HEAD.size):
            kind, t_ns, offset, length = HEAD.unpack(head)
            yield Entry(t_ns, offset, book.read(length) if kind == WRITE else None)


class _Card:
    """`image` is the card's content."""

    def __init__(self, image: bytearray, book: int) -> None:
        self._image = image
        self._book = book

    def answer(self, opcode: int, body: memoryview) -> bytes:
        """The answer's body. Raises OSError."""
        match opcode:
            case _ if opcode == _INIT_OP:
                return _INIT.pack(7, 31, _MAX_WRITE, _BIG_WRITES, 12, 9, _MAX_WRITE, 1, 0, 0, 0)
            case _ if opcode in (_GETATTR, _SETATTR):
                return self._attributes()
            case _ if opcode == _OPEN:
                return struct.pack("<QII", 1, 0, 0)
            case _ if opcode == _READ:
                _, offset, size, _ = _IO.unpack_from(body)
                return bytes(self._image[offset : offset + size])
            case _ if opcode == _RITE:
                _, offset, size, _ = _IO.unpack_from(body)
                data = body[_IO.size : _IO.size + size]
                self._image[offset : offset + size] = data
                os.write(self._book, HEAD.pack(WRITE, time.monotonic_ns(), offset, size) + data)
                return struct.pack("<II", size, 0)
            case _ if opcode == _FSYNC:
                os.write(self._book, HEAD.pack(FLUSH, time.monotonic_ns(), 0, 0))
                return b""
            case _ if opcode == _STATFS:
                return struct.pack("<5Q4I24x", 1, 1, 1, 1, 1, 4096, 255, 4096, 0)
            case _ if opcode in (_FLUSH, _RELEASE, _ACCESS, _DESTROY):
                return b""
            case _:
                raise OSError(errno.ENOSYS, "not needed")

    def _attributes(self) -> bytes:
        size = len(self._image)
        mode = stat.S_IFREG | 0o600
        return _ATTR.pack(3600, 0, 0, _ROOT, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(place: Path, image: bytearray, book: int) -> None:
    """Mount the card over the file `place`, and serve it until it is unmounted. Needs root."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode={stat.S_IFREG | 0o600:o},user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"card", os.fsencode(place), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {place}")
    card = _Card(image, book)
    while True:
        try:
            request = memoryview(os.read(device, _MAX_WRITE + 65_536))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return  # unmounted
            if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            raise
        _, opcode, unique, *_ = _IN.unpack_from(request)
        if opcode in _SILENT:
            continue
        try:
            error_code, body = 0, card.answer(opcode, request[_IN.size :])
        except OSError as error:
            error_code, body = -(error.errno or errno.EIO), b""
        try:
            os.write(device, _OUT.pack(_OUT.size + len(body), error_code, unique) + body)
        except FileNotFoundError:
            continue  # whoever asked has gone


if __name__ == "__main__":
    of, at, noted = (Path(word) for word in sys.argv[1:])
    serve(at, bytearray(of.read_bytes()), os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
