"""Watches a folder through inotify(7) and says at once when a file in it is being written."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_MODIFY = 0x00000002
_IN_NONBLOCK = os.O_NONBLOCK
_EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, bytes of the name that follows."""
LOOK_S = 0.2


class FolderWatch:
    """Calls `written(name)` for each modification of a file in `folder`, in a thread of its own."""

    def __init__(self, *, folder: Path, written: Callable[[str], None]) -> None:
        self._folder = folder
        self._written = written
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"watch {folder.name}", daemon=True)
        self._fd = -1

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(_IN_NONBLOCK)
        assert self._fd >= 0, os.strerror(ctypes.get_errno())
        watch = libc.inotify_add_watch(self._fd, os.fsencode(self._folder), _IN_MODIFY)
        assert watch >= 0, os.strerror(ctypes.get_errno())
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closed = True
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        while not self._closed:
            if not select.select([self._fd], [], [], LOOK_S)[0]:
                continue
            data = os.read(self._fd, 65_536)
            while data:
                _, _, _, size = _EVENT.unpack_from(data)
                self._written(data[_EVENT.size : _EVENT.size + size].rstrip(b"\0").decode())
                data = data[_EVENT.size + size :]
