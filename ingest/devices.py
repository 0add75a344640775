"""Names of devices by gateway, bounded: each becomes part of the store's index, and stays there. All workers share it.

A file for each gateway beside the gateways file, a name a line, appended to under a lock. An operator may delete lines.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Set
from pathlib import Path

log = logging.getLogger("loopgauge.ingest.devices")

READ_AGAIN_S = 5.0
"""A name for which there was no room is looked up again at most this often, in real s."""
FILE_BYTES_MAX = 1_000_000


class DevicesFolder:
    """`<gateways_file>.devices/<gateway>`. Where it cannot be read or written, what this worker remembers holds."""

    def __init__(self, *, gateways_file: Path, per_gateway_max: int) -> None:
        self._folder = gateways_file.with_name(gateways_file.name + ".devices")
        self._max = per_gateway_max
        self._known: dict[str, set[str]] = {}
        self._looked_s: dict[str, float] = {}
        self._failed = False

    async def refused(self, gateway: str, names: Set[str]) -> frozenset[str]:
        known = self._known.setdefault(gateway, set())
        if known.issuperset(names):
            return frozenset()
        loop = asyncio.get_running_loop()
        if loop.time() - self._looked_s.get(gateway, float("-inf")) >= READ_AGAIN_S or len(known) < self._max:
            known = await loop.run_in_executor(None, self._meet, gateway, names, frozenset(known))
            self._known[gateway] = known
            if not known.issuperset(names):
                if gateway not in self._looked_s:
                    log.warning("%s: more than %d names of devices; further ones are refused", gateway, self._max)
                self._looked_s[gateway] = loop.time()
        return frozenset(names) - known

    def _meet(self, gateway: str, names: Set[str], known: Set[str]) -> set[str]:
        """All names that there is room for, those of the file first."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._folder / gateway, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                found = set(os.pread(file, FILE_BYTES_MAX, 0).decode("utf-8", "replace").split())
                new = sorted(set(names) - found)[: max(0, self._max - len(found))]
                if new:
                    os.write(file, ("\n".join(new) + "\n").encode())
            finally:
                os.close(file)
            return found | set(new)
        except OSError as error:
            if not self._failed:
                log.warning("%s: %s; names of devices are bounded in memory", self._folder, error.strerror)
            self._failed = True
            new = sorted(set(names) - known)[: max(0, self._max - len(known))]
            return set(known) | set(new)
