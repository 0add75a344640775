"""Names that each gateway has brought into the store, bounded: the store indexes each for good. All workers share them.

A file for each gateway in a folder beside the gateways file, a name a line, appended to under a lock. An operator may
delete lines.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

log = logging.getLogger("loopgauge.ingest.names")

READ_AGAIN_S = 5.0
"""A name for which there was no room is looked up again at most this often, in real s."""
LINE_BYTES_MAX = 192
"""Group and name, each part of which has at most 63 characters."""
SHAPES_MAX = 10_000
"""Sets of names that are held once for all who have them: devices of one profile have the same fields."""

Known = dict[str, frozenset[str]]
"""Group → its names."""
_EMPTY: frozenset[str] = frozenset()


class NamesFolder:
    """`<gateways_file>.<what>/<gateway>`. Where it cannot be read or written, what this worker remembers holds."""

    def __init__(self, *, gateways_file: Path, what: str, per_gateway_max: int) -> None:
        """`what`: "devices", as the folder and the key of the worker's file call them."""
        self._folder = gateways_file.with_name(f"{gateways_file.name}.{what}")
        self._what = what
        self._max = per_gateway_max
        self._known: dict[str, Known] = {}
        self._looked_s: dict[str, float] = {}
        self._shapes: dict[frozenset[str], frozenset[str]] = {}
        self._failed = False

    async def refused(self, gateway: str, wanted: Mapping[str, Set[str]]) -> dict[str, Set[str]]:
        """By group those of `wanted` for which there is no room; the others are known from now on."""
        known = self._known.setdefault(gateway, {})
        if all(known.get(group, _EMPTY).issuperset(names) for group, names in wanted.items()):
            return {}
        loop = asyncio.get_running_loop()
        full = sum(map(len, known.values())) >= self._max
        if not full or loop.time() - self._looked_s.get(gateway, float("-inf")) >= READ_AGAIN_S:
            known = self._shared(await loop.run_in_executor(None, self._meet, gateway, wanted, known))
            self._known[gateway] = known
            if _beyond(wanted, known):
                if gateway not in self._looked_s:
                    log.warning(
                        "%s: all beyond %s_per_gateway_max (%d) is refused: raise it, or delete lines of %s",
                        *(gateway, self._what, self._max, self._folder / gateway),
                    )
                self._looked_s[gateway] = loop.time()
        return _beyond(wanted, known)

    def _shared(self, known: Known) -> Known:
        if len(self._shapes) > SHAPES_MAX:
            self._shapes.clear()
        return {group: self._shapes.setdefault(names, names) for group, names in known.items()}

    def _meet(self, gateway: str, wanted: Mapping[str, Set[str]], known: Known) -> Known:
        """All names that there is room for, those of the file first."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._folder / gateway, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                found = _read(os.pread(file, LINE_BYTES_MAX * self._max, 0))
                new = self._new(wanted, found)
                if new:
                    os.write(file, "".join(f"{_line(*each)}\n" for each in new).encode())
            finally:
                os.close(file)
            return _joined(found, new)
        except OSError as error:
            if not self._failed:
                log.warning("%s: %s; names of %s are bounded in memory", self._folder, error.strerror, self._what)
            self._failed = True
            return _joined(known, self._new(wanted, known))

    def _new(self, wanted: Mapping[str, Set[str]], known: Known) -> list[tuple[str, str]]:
        new = sorted((group, name) for group, names in _beyond(wanted, known).items() for name in names)
        return new[: max(0, self._max - sum(map(len, known.values())))]


def _beyond(wanted: Mapping[str, Set[str]], known: Known) -> dict[str, Set[str]]:
    return {
        group: names - known.get(group, _EMPTY)
        for group, names in wanted.items()
        if not known.get(group, _EMPTY).issuperset(names)
    }


def _line(group: str, name: str) -> str:
    return f"{group}/{name}" if group else name


def _read(text: bytes) -> Known:
    parts = (line.rpartition("/") for line in text.decode("utf-8", "replace").split())
    return _joined({}, ((group, name) for group, _, name in parts))


def _joined(known: Known, new: Iterable[tuple[str, str]]) -> Known:
    more: dict[str, set[str]] = {}
    for group, name in new:
        more.setdefault(group, set()).add(name)
    return {**known, **{group: known.get(group, _EMPTY) | names for group, names in more.items()}}
