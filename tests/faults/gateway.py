"""A gateway of the simulation, with the meters that it reads and all that is noted of its lives."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from data_contract.batch import Body
from data_contract.reading import FieldKind
from data_contract.schedule import Schedule
from device_profiles.profile import DecodeType, PollGroup, Profile, ProfileField, RegisterTable, Verified
from edge_agent.app import Agent
from edge_agent.config import DeviceConfig, EdgeConfig
from tests.twins.board import BoardTwin
from tests.twins.bus import BusTwin
from tests.twins.clock import ClockTwin
from tests.twins.death import Life
from tests.twins.disk import DiskTwin, Sealed
from tests.twins.service import NotifierTwin


def _field(address: int, kind: FieldKind, of: DecodeType = DecodeType.U32) -> ProfileField:
    return ProfileField(table=RegisterTable.INPUT, address=address, type=of, unit="1", kind=kind)


PROFILE = Profile(
    profile="test-meter",
    version=1,
    title="A meter of three values",
    maker="none",
    model="none",
    kind="water_meter",
    groups={"main": PollGroup(every_s=5), "slow": PollGroup(every_s=20)},
    fields={
        "total": _field(0, FieldKind.COUNTER),
        "level": _field(2, FieldKind.GAUGE, DecodeType.U16),
        "state": _field(100, FieldKind.STATE, DecodeType.U16).model_copy(update={"group": "slow"}),
    },
    verified=Verified(confidence="L", document="made up for tests"),
)


def registers(unit: int) -> Any:
    """A unit whose registers follow civil time: a counter of deciseconds, a level, a state."""

    def at(address: int, now_ms: int) -> int:
        if address in (0, 1):
            total = (now_ms // 10 + unit * 1000) % 2**32
            return total >> 16 if address == 0 else total & 0xFFFF
        return (now_ms // 700 * 31 + unit * 7 + address) % 5000

    return at


BODIES_MAX = 8_000
WIDTH = 1_000_000
"""Where the counter of a slow unit begins again at 0: some times a day."""


def slow_registers(unit: int) -> Any:
    """A unit that is read now and then: its counter runs in turns, begins again and dips; its state lasts minutes."""

    def at(address: int, now_ms: int) -> int:
        minute = now_ms // 60_000
        if address in (0, 1):
            runs = now_ms // 7_200_000 * 5_400_000 + min(now_ms % 7_200_000, 5_400_000)
            total = (runs // 17 + unit * 1000) % WIDTH - (3 if minute % 97 == 0 else 0)
            return max(total, 0) >> 16 if address == 0 else max(total, 0) & 0xFFFF
        if address == 100:
            return minute // 7 * 31 % (3 + unit)
        return (now_ms // 700 * 31 + unit * 7 + address) % 5000

    return at


@dataclass
class Gateway:
    """One gateway through all its lives."""

    name: str
    config: EdgeConfig
    bus: BusTwin
    clock: ClockTwin
    path: Path
    board: BoardTwin = field(default_factory=BoardTwin)
    notifier: NotifierTwin = field(default_factory=NotifierTwin)
    life: Life = field(default_factory=Life)
    disk: DiskTwin | None = None
    agent: Agent | None = None
    task: asyncio.Task[None] | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    sealed: dict[tuple[str, int], Sealed] = field(default_factory=dict)
    booted: dict[str, int] = field(default_factory=dict)
    """run: loop ms at which its boot counted 0."""
    schedules: dict[str, Schedule] = field(default_factory=dict)
    """run: what it samples."""
    devices: dict[str, DeviceConfig] = field(default_factory=dict)
    """Every device that was ever on its bus."""
    lost: set[tuple[str, int]] = field(default_factory=set)
    """(run, seq): what lay on a card that is gone or damaged."""
    gone: set[tuple[str, int]] = field(default_factory=set)
    """(run, seq): what a card took along: only a person can say that it will not come."""
    forgot: bool = False
    """Its card is gone or damaged, and with it, it may be, which stamps were used."""
    lied: bool = False
    """A clock that was trusted has been wrong, so that bounds may be wrong, too."""
    deaths: Counter[str] = field(default_factory=Counter)
    redelivered: int = 0
    disk_full: bool = False
    spool_bytes_max: int = 64_000_000
    evict_s: float = 0.0
    """How long either half of an eviction takes its disk."""
    evicted: int = 0
    """Batches that have given way to a digest."""

    @property
    def undated(self) -> bool:
        """Whether a batch in its spool has no base yet."""
        return self.agent is None or bool(self.agent.spool.held.undated)

    def fill(self, *, full: bool) -> None:
        """Let others fill the gateway's disk, or make room again; it outlives the agent."""
        self.disk_full = full
        if self.disk is not None:
            self.disk.full = full


@functools.lru_cache(maxsize=BODIES_MAX)
def body_of(text: str) -> Body:
    """A sealed batch as the spool holds it. The same text gives the same object: it is read, never changed."""
    return Body.model_validate(json.loads(text), strict=False)


def values_of(body: Body) -> Iterator[tuple[str, str, int, float]]:
    """(device, field, stamp in ms since boot, value) of every value in a batch."""
    for device, about in body.devices.items():
        for block in about.blocks:
            for name, column in block.values.items():
                for stamp, value in zip(list(accumulate(block.t, initial=body.from_))[1:], column, strict=True):
                    if value is not None:
                        yield device, name, stamp, value


def replaced(body: Body) -> set[tuple[str, int]]:
    """(run, seq) of everything that a digest stands in for."""
    return {(run, seq) for run, first, last in body.replaces for seq in range(first, last + 1)}
