"""Dead letters in a folder of the worker's own, fsynced before anything is acknowledged: a thread does the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ingest.letters_folder import FILE_NAME, LettersFolder
from ingest.ports import DeadLetter, Kept

__all__ = ["FILE_NAME", "FolderDeadLetters"]

T = TypeVar("T")


class FolderDeadLetters:
    """The port for a folder. Opens nothing until the first letter."""

    def __init__(self, *, folder: Path, bytes_max: int, now_ms: Callable[[], int]) -> None:
        self._files = LettersFolder(folder=folder, bytes_max=bytes_max)
        self._now_ms = now_ms
        self.kept = 0
        """Letters since the start."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dead-letters")

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await self._in_thread(lambda: self._files.keep(letters, self._now_ms()))
            self.kept += len(letters)

    async def segments(self) -> list[str]:
        return await self._in_thread(self._files.closed)

    async def find(self, segment: str, ids: Set[str]) -> list[Kept]:
        return await self._in_thread(lambda: self._files.find(segment, lambda kept: kept.id in ids))

    async def settle(self, segment: str, left: Mapping[str, Sequence[DeadLetter]]) -> None:
        await self._in_thread(lambda: self._files.settle(segment, left, self._now_ms()))

    @property
    def size_bytes(self) -> int:
        """Of all letters that lie there, those of earlier starts included."""
        return self._files.size_bytes

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
