"""Dead letters in a folder: one JSON object a line, fsynced before anything is acknowledged, bounded in bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from ingest.errors import NoRoom
from ingest.ports import DeadLetter

FILE_NAME = "dead.jsonl"


class FolderDeadLetters:
    """Appends to one file in a folder of this worker's own. Opens nothing until the first letter."""

    def __init__(self, *, folder: Path, bytes_max: int, now_ms: Callable[[], int]) -> None:
        self._path = folder / FILE_NAME
        self._bytes_max = bytes_max
        self._now_ms = now_ms
        self.kept = 0
        """Letters since the start."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dead-letters")

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._keep, letters)
            self.kept += len(letters)

    @property
    def size_bytes(self) -> int:
        """Of all letters that lie there, those of earlier starts included."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _keep(self, letters: Sequence[DeadLetter]) -> None:
        at = self._now_ms()
        text = "".join(json.dumps({"at_ms": at, **asdict(letter)}, ensure_ascii=False) + "\n" for letter in letters)
        data = text.encode("utf-8", errors="backslashreplace")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = not self._path.exists()
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            if fresh:
                _sync_folder(self._path.parent)
        except OSError as error:
            raise NoRoom(f"dead_letters: {self._path}: {error.strerror}") from None
        try:
            self._append(descriptor, data)
        finally:
            os.close(descriptor)

    def _append(self, descriptor: int, data: bytes) -> None:
        """All of it, durable, or none."""
        before = os.fstat(descriptor).st_size
        if before and os.pread(descriptor, 1, before - 1) != b"\n":
            data = b"\n" + data  # an earlier life died within a line, which must not swallow this one
        if before + len(data) > self._bytes_max:
            raise NoRoom(
                f"dead_letters: {self._path} holds {before} bytes of at most {self._bytes_max}; replay or remove them"
            )
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise NoRoom(f"dead_letters: {self._path}: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
