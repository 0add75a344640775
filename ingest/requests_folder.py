"""The folder in which operators leave what they ask of a worker, one file each; it waits there for a worker to run."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ingest import request as text
from ingest.errors import NoRoom
from ingest.request import Request, Wish
from ingest.worker_folder import own_as, sync_names

log = logging.getLogger("loopgauge.ingest.requests")

FOLDER_NAME = "asked"
"""Within the folder of the dead letters."""
WAITING_MAX = 100
"""Requests that may wait."""
REQUEST_BYTES_MAX = 1_000_000
_REFUSED = ".refused"


class RequestsFolder:
    """Reads and, for the command, writes requests: `<ms UTC>.json`."""

    def __init__(self, *, folder: Path) -> None:
        """`folder`: that of the dead letters."""
        self._letters = folder
        self._folder = folder / FOLDER_NAME

    async def next(self) -> Request | None:
        return await asyncio.get_running_loop().run_in_executor(None, self._next)

    async def done(self, request: Request) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._done, request)

    def waiting(self) -> list[int]:
        """When each request that waits was made, oldest first."""
        with suppress(OSError):
            return sorted(int(path.stem) for path in self._folder.glob("[0-9]*.json") if path.stem.isdigit())
        return []

    def _next(self) -> Request | None:
        for at_ms in self.waiting():
            path = self._path(at_ms)
            try:
                if path.stat().st_size > REQUEST_BYTES_MAX:
                    raise ValueError(f"larger than {REQUEST_BYTES_MAX} bytes")
                return Request(at_ms, text.read(path.read_text("utf-8")))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.error("request %s: %s; put aside as %s%s", path, error, path.name, _REFUSED)
                with suppress(OSError):
                    path.rename(path.with_name(path.name + _REFUSED))
        return None

    def _done(self, request: Request) -> None:
        self._path(request.at_ms).unlink(missing_ok=True)

    def leave(self, wish: Wish, now_ms: Callable[[], int]) -> Request:
        """Put a request there, durably. Raises NoRoom."""
        if len(self.waiting()) >= WAITING_MAX:
            raise NoRoom(f"{self._folder}: {WAITING_MAX} requests wait already; does the worker run?")
        at_ms = now_ms()
        fresh = self._folder / f"fresh-{os.getpid()}"
        try:
            for folder in (self._letters, self._folder):
                if not folder.exists():
                    folder.mkdir(mode=0o700, parents=True)
                    own_as(folder.parent, folder)
            with fresh.open("w", encoding="utf-8") as file:
                file.write(text.write(wish))
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(0o600)
            own_as(self._folder, fresh)
            while True:
                try:
                    os.link(fresh, self._path(at_ms))
                    break
                except FileExistsError:
                    at_ms += 1
            fresh.unlink()
            sync_names(self._folder)
        except OSError as error:
            raise NoRoom(f"{self._folder}: {error.strerror}; run it as the worker's user") from None
        return Request(at_ms, wish)

    def _path(self, at_ms: int) -> Path:
        return self._folder / f"{at_ms:013d}.json"
