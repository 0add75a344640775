"""The folder of a worker's dead letters: lines in files that are appended to, or replaced as a whole, under one lock.

`dead.jsonl` is the file that grows; when it is long enough it becomes `dead-000001.jsonl` and so on. The worker and an
operator's command may work in the folder at the same time: whoever changes it holds the lock, for one file at a time,
and whoever waits for it is the next one, however soon the other wants it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ingest import letters as text
from ingest.errors import NoRoom
from ingest.ports import DeadLetter, Kept
from ingest.worker_folder import own_as, sync_names

FILE_NAME = "dead.jsonl"
LOCK_NAME = "dead.lock"
TURN_NAME = "dead.turn"
"""A lock that is held while waiting for the other one: a worker that keeps letter after letter lets the waiting in."""
SEGMENT_BYTES_MIN = 4_000_000
SEGMENTS = 100
"""A file grows to the hundredth part of what may lie there, at least to SEGMENT_BYTES_MIN."""
LOCK_WAIT_S = 5.0
"""Whoever waits longer for the lock gives up: the other may have been stopped."""
_LOCK_LOOK_S = 0.01
_NEW = ".new"


class LettersFolder:
    """All that is done to the files. Opens nothing until it is used; every method may raise NoRoom."""

    def __init__(self, *, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._segment_bytes = max(SEGMENT_BYTES_MIN, bytes_max // SEGMENTS)

    @property
    def size_bytes(self) -> int:
        """Of all letters that lie there."""
        size = 0
        for path in self._paths():
            with contextlib.suppress(OSError):
                size += path.stat().st_size
        return size

    def segments(self) -> list[str]:
        """The names of the files, oldest first."""
        return [path.name for path in self._paths()]

    def closed(self) -> list[str]:
        """The same, after nothing more is appended to any of them: a name goes on meaning the same letters."""
        if not self._is_there(self._folder):
            return []
        path = self._folder / FILE_NAME
        with self._locked(path):
            if path.exists():
                self._close_growing(path)
            return self.segments()

    def _paths(self) -> list[Path]:
        closed = sorted(self._folder.glob("dead-[0-9]*.jsonl"))
        growing = self._folder / FILE_NAME
        return [*closed, growing] if growing.exists() else closed

    def keep(self, letters: Sequence[DeadLetter], at_ms: int) -> None:
        """Make letters durable, all of them or none."""
        data = b"".join(text.write(letter, at_ms) for letter in letters)
        path = self._folder / FILE_NAME
        self._make()
        with self._locked(path):
            if path.exists() and path.stat().st_size >= self._segment_bytes:
                self._close_growing(path)
            fresh = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if fresh:
                    own_as(self._folder, descriptor)
                    sync_names(self._folder)
                self._append(descriptor, data)
            finally:
                os.close(descriptor)

    def _close_growing(self, path: Path) -> None:
        numbers = [int(other.stem.removeprefix("dead-")) for other in self._folder.glob("dead-[0-9]*.jsonl")]
        path.rename(self._folder / f"dead-{max(numbers, default=0) + 1:06d}.jsonl")
        sync_names(self._folder)

    def _append(self, descriptor: int, data: bytes) -> None:
        """All of it, durable, or none."""
        before = os.fstat(descriptor).st_size
        if before and os.pread(descriptor, 1, before - 1) != b"\n":
            data = b"\n" + data  # an earlier life died within a line, which must not swallow this one
        held = self.size_bytes
        if held + len(data) > self._bytes_max:
            raise NoRoom(
                f"dead_letters: {self._folder} holds {held} bytes of at most {self._bytes_max};"
                " `loopgauge ingest dead` replays or drops them"
            )
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise

    def letters(self) -> Iterator[Kept]:
        """Every letter that lies there now, oldest first; what comes meanwhile is left out."""
        if not self._is_there(self._folder):
            return
        with ExitStack() as files:
            opened = []
            with self._locked(self._folder):
                for path in self._paths():
                    file = files.enter_context(path.open("rb"))
                    opened.append((file, os.fstat(file.fileno()).st_size))
            for file, end in opened:
                while file.tell() < end:
                    line = file.readline()
                    if line.strip():
                        yield text.read(line)

    def find(self, segment: str, wanted: Callable[[Kept], bool]) -> list[Kept]:
        """Letters of one file; none where it is gone."""
        try:
            with (self._folder / segment).open("rb") as file:
                return [kept for line in file if line.strip() and wanted(kept := text.read(line))]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise NoRoom(f"dead_letters: {self._folder / segment}: {error.strerror}") from None

    def settle(self, segment: str, left: Mapping[str, Sequence[DeadLetter]], at_ms: int) -> int:
        """Put what is left of letters in their place, durably, and say how many lines there were of them."""
        path = self._folder / segment
        if not self._is_there(path):
            return 0
        with self._locked(path):
            if not path.exists():
                return 0
            fresh = path.with_name(path.name + _NEW)
            try:
                taken, remain = self._rewrite(path, fresh, left, at_ms)
            except OSError:
                fresh.unlink(missing_ok=True)
                raise
            if not taken:
                fresh.unlink()
                return 0
            if remain:
                fresh.replace(path)
            else:
                fresh.unlink()
                path.unlink()
            sync_names(self._folder)
            return taken

    def _rewrite(
        self, path: Path, fresh: Path, left: Mapping[str, Sequence[DeadLetter]], at_ms: int
    ) -> tuple[int, bool]:
        taken, remain, put = 0, False, set()
        with path.open("rb") as old, fresh.open("wb") as new:
            os.fchmod(new.fileno(), 0o600)
            own_as(self._folder, new.fileno())
            for line in old:
                kept = text.read(line)
                if kept.id not in left:
                    remain = remain or bool(line.strip())
                    new.write(line if line.endswith(b"\n") else line + b"\n")
                    continue
                taken += bool(line.strip())
                if kept.id not in put:
                    put.add(kept.id)
                    for letter in left[kept.id]:
                        # What was refused for the same reason again has lain there since it came.
                        since_ms = kept.at_ms if letter == kept.letter else at_ms
                        new.write(text.write(letter, since_ms))
                        remain = True
            new.flush()
            os.fsync(new.fileno())
        return taken, remain

    def _make(self) -> None:
        with _no_room(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _is_there(self, path: Path) -> bool:
        with _no_room(path):
            return path.exists()

    @contextmanager
    def _locked(self, about: Path) -> Iterator[None]:
        """Hold the lock of a folder that is there; errors of the disk within are NoRoom about `about`."""
        with _no_room(about), ExitStack() as held:
            turn, lock = self._open(TURN_NAME, held), self._open(LOCK_NAME, held)
            end_s = time.monotonic() + LOCK_WAIT_S
            self._wait_for(turn, end_s)
            self._wait_for(lock, end_s)
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield

    def _open(self, name: str, held: ExitStack) -> int:
        descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        held.callback(os.close, descriptor)
        own_as(self._folder, descriptor)
        return descriptor

    def _wait_for(self, descriptor: int, end_s: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end_s:
                    raise NoRoom(
                        f"dead_letters: {self._folder}: another program has held {LOCK_NAME} for too long"
                    ) from None
                time.sleep(_LOCK_LOOK_S)


@contextmanager
def _no_room(about: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoRoom(f"dead_letters: {about}: {error.strerror}") from None
