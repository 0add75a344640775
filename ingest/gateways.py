"""Which boards may speak for which gateway: one JSON file that all workers share, changed under a lock, by rename."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.errors import Fatal, NoRoom

log = logging.getLogger("loopgauge.ingest.gateways")

FILE_BYTES_MAX = 64_000_000
PARKED_MAX = 16
"""Boards per gateway that are listed as parked, and named in the log; further ones are refused all the same."""
READ_AGAIN_S = 5.0
"""A board that is not allowed is looked up in the file again at most this often, in real s, and of one gateway no more
than PARKED_MAX boards: who makes up a new one for each message must not keep everybody's worker at the file."""


class GatewaysFile:
    """The file `{"gateways": {gateway: [board, …]}, "parked": {gateway: [board, …]}}`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, set[str]] = {}
        self._looked_s: dict[str, dict[str, float]] = {}
        """Gateway → board → when the file was last asked, while that matters."""
        self._named: dict[str, set[str]] = {}
        """Gateway → boards of which the log has told."""
        self._failed = False
        self._one_asks = asyncio.Lock()
        self.parked = 0
        """Boards that waited to be allowed when the file was last read."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    def knows(self, gateway: str) -> bool:
        """Whether any board has been allowed for this gateway, as far as has been read. Safe in any thread."""
        return gateway in self._known

    async def admits(self, gateway: str, board: str) -> bool:
        if board in self._known.get(gateway, ()):
            return True
        # Messages of several groups ask at once: the first one's answer is that of the others, too.
        async with self._one_asks:
            return board in self._known.get(gateway, ()) or await self._asked(gateway, board)

    async def _asked(self, gateway: str, board: str) -> bool:
        """What the file says, if it is time to look."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        looked = {b: at_s for b, at_s in self._looked_s.get(gateway, {}).items() if now_s - at_s < READ_AGAIN_S}
        if board in looked or len(looked) >= PARKED_MAX:
            return False
        self._looked_s[gateway] = looked | {board: now_s}
        try:
            self._known = await loop.run_in_executor(None, self.changed, meet(gateway, board))
        except NoRoom as error:
            self._cannot(error)
            return False
        self._failed = False
        if board in self._known[gateway]:
            del self._looked_s[gateway][board]
            return True
        named = self._named.setdefault(gateway, set())
        if board not in named and len(named) < PARKED_MAX:
            named.add(board)
            log.warning(
                "%s: board %s is not the one that spoke before; parked until `loopgauge ingest gateway allow`",
                gateway,
                board,
            )
        return False

    def _cannot(self, error: NoRoom) -> None:
        """Who is known already goes on; a new one repeats what is not acknowledged."""
        if not self._failed:
            log.error("%s; until then no new gateway and no new board is taken on", error)
        self._failed = True

    def read(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """(allowed, parked) boards by gateway. Raises Fatal where the file cannot be read."""
        try:
            if self._path.stat().st_size > FILE_BYTES_MAX:
                raise Fatal(f"gateways_file: {self._path} is larger than {FILE_BYTES_MAX} bytes; is it the right file?")
            said = json.loads(self._path.read_text("utf-8"))
            allowed, parked = ({g: set(boards) for g, boards in said[key].items()} for key in ("gateways", "parked"))
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Fatal(
                f"gateways_file: {self._path} cannot be read ({error}); restore it, or remove it to begin anew"
            ) from None
        self.parked = sum(len(boards) for boards in parked.values())
        return allowed, parked

    def open(self) -> None:
        """Learn who is known already. Raises Fatal where the file cannot be read."""
        self._known, _ = self.read()

    def changed(self, change: Callable[[dict[str, set[str]], dict[str, set[str]]], None]) -> dict[str, set[str]]:
        """Apply `change(allowed, parked)` to what the file says now, durably; the allowed boards afterwards.

        Raises NoRoom where the disk does not take it, Fatal where what is there cannot be read.
        """
        with self._locked():
            allowed, parked = self.read()
            before = ({g: set(b) for g, b in allowed.items()}, {g: set(b) for g, b in parked.items()})
            change(allowed, parked)
            if (allowed, parked) != before:
                self._write(allowed, parked)
            return allowed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise NoRoom(f"gateways_file: {self._path}: {error.strerror}; let the worker write its folder") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, allowed: dict[str, set[str]], parked: dict[str, set[str]]) -> None:
        said = {
            name: {g: sorted(b) for g, b in sorted(of.items()) if b}
            for name, of in (("gateways", allowed), ("parked", parked))
        }
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(said, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise NoRoom(f"gateways_file: {self._path}: {error.strerror}; make room") from None


def meet(gateway: str, board: str) -> Callable[[dict[str, set[str]], dict[str, set[str]]], None]:
    """The change when a board is heard: the first of a gateway is allowed, any other parked."""

    def change(allowed: dict[str, set[str]], parked: dict[str, set[str]]) -> None:
        if gateway not in allowed:
            allowed[gateway] = {board}
        elif board not in allowed[gateway] and len(parked.get(gateway, ())) < PARKED_MAX:
            parked.setdefault(gateway, set()).add(board)

    return change


def allow(gateway: str, board: str) -> Callable[[dict[str, set[str]], dict[str, set[str]]], None]:
    """The change by which a board may speak for a gateway from now on."""

    def change(allowed: dict[str, set[str]], parked: dict[str, set[str]]) -> None:
        allowed.setdefault(gateway, set()).add(board)
        parked.get(gateway, set()).discard(board)

    return change
