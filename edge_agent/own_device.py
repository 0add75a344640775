"""The gateway as a device of its own: what it says of its board, its spool and its uplink, polled like any meter.

So it is scheduled, counted by cause, sealed, delivered and audited by the code that does so for all devices. A sensor
that is not there is a register without a value: `invalid`, and never an error.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_contract.control import DeviceBirth, FieldBirth
from data_contract.reading import GATEWAY_DEVICE, FieldKind, Quality
from data_contract.schedule import Poll
from edge_agent.ports import Answer, Ask, Board, BoardState, Talk, unheeded
from edge_agent.read.conversation import answer_each
from edge_agent.read.planner import Request
from edge_agent.read.poller import FieldReader, PollPlan
from edge_agent.send.suspicion import Cause

KIND = "gateway"
"""The measurement of its readings."""
GROUP = "health"
PROFILE, PROFILE_VERSION = "loopgauge-gateway", 2

FIELDS: dict[str, FieldBirth] = {
    "disk_free_bytes": FieldBirth(unit="By", kind=FieldKind.GAUGE),
    "spool_bytes": FieldBirth(unit="By", kind=FieldKind.GAUGE),
    "spool_batches": FieldBirth(unit="1", kind=FieldKind.GAUGE),
    "spool_oldest_s": FieldBirth(unit="s", kind=FieldKind.GAUGE),
    "spool_full_s": FieldBirth(unit="s", kind=FieldKind.GAUGE),
    "drain_s": FieldBirth(unit="s", kind=FieldKind.GAUGE),
    "unconfirmed_s": FieldBirth(unit="s", kind=FieldKind.GAUGE),
    "unconfirmed_cause": FieldBirth(unit="1", kind=FieldKind.STATE),
    "connected": FieldBirth(unit="1", kind=FieldKind.STATE),
    "clock_trusted": FieldBirth(unit="1", kind=FieldKind.STATE),
    "clock_waiting": FieldBirth(unit="1", kind=FieldKind.GAUGE),
    "clock_backsteps": FieldBirth(unit="1", kind=FieldKind.COUNTER),
    "temperature_c": FieldBirth(unit="Cel", kind=FieldKind.GAUGE),
    "memory_available_bytes": FieldBirth(unit="By", kind=FieldKind.GAUGE),
    "load_1min": FieldBirth(unit="1", kind=FieldKind.GAUGE),
    "uptime_s": FieldBirth(unit="s", kind=FieldKind.GAUGE),
    "written_bytes_day": FieldBirth(unit="By/d", kind=FieldKind.GAUGE),
}
"""What is said of each; units by UCUM."""

_WORDS = 4
"""Registers of a field: its 64 bit, NaN where there is no value."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the agent itself is."""

    spool_batches: int
    """Sealed and not confirmed."""
    spool_bytes: int
    spool_oldest_s: float
    """Since the oldest of them was sealed, civil s; 0 where none waits."""
    spool_full_s: float
    """Until the spool has no room if nothing were confirmed any more, real s; a year at most."""
    drain_s: float
    """Until the backlog is in the store, real s; 0 where there is none, a year where it does not shrink."""
    unconfirmed_s: float
    """For how long it has been connected and publishing without any ack, real s; 0 where all is well."""
    unconfirmed_cause: Cause
    connected: bool
    clock_trusted: bool
    clock_waiting: int
    """Batches that wait for a clock that can be trusted."""
    clock_backsteps: int
    """Times that civil time was put back, over all runs."""
    written_bytes_day: float | None = None
    """What the agent writes to storage in a day, at the rate of the last hour."""


def values_of(vitals: Vitals, board: BoardState) -> list[float | None]:
    """The values of `FIELDS`, in their order; no finer than of use, since each digit is paid for on metered links."""
    said: dict[str, float | None] = {
        "disk_free_bytes": _rounded(board.disk_free_bytes, -6),
        "spool_bytes": vitals.spool_bytes,
        "spool_batches": vitals.spool_batches,
        "spool_oldest_s": round(vitals.spool_oldest_s),
        "spool_full_s": _rounded(vitals.spool_full_s, -3),
        "drain_s": round(vitals.drain_s),
        "unconfirmed_s": round(vitals.unconfirmed_s),
        "unconfirmed_cause": int(vitals.unconfirmed_cause),
        "connected": vitals.connected,
        "clock_trusted": vitals.clock_trusted,
        "clock_waiting": vitals.clock_waiting,
        "clock_backsteps": vitals.clock_backsteps,
        "temperature_c": _rounded(board.temperature_c, 1),
        "memory_available_bytes": _rounded(board.memory_available_bytes, -6),
        "load_1min": board.load_1min,
        "uptime_s": _rounded(board.uptime_s, 0),
        "written_bytes_day": _rounded(vitals.written_bytes_day, -6),
    }
    return [said[name] for name in FIELDS]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _decode(words: Sequence[int]) -> tuple[float | None, Quality]:
    (value,) = struct.unpack(">d", struct.pack(f">{_WORDS}H", *words))
    return (None, Quality.INVALID) if math.isnan(value) else (value, Quality.GOOD)


class OwnBus:
    """What the device is read from. Nothing on it waits or fails."""

    def __init__(self, *, board: Board, vitals: Callable[[], Vitals]) -> None:
        self._board = board
        self._vitals = vitals

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        """See `Bus`."""
        await answer_each(talk, self._answer, asked)

    def longest_s(self, timeout_s: float) -> float:
        """See `Bus`."""
        return timeout_s

    async def _answer(self, ask: Ask) -> Answer:
        values = values_of(self._vitals(), self._board.look())
        numbers = (math.nan if value is None else value for value in values)
        words = struct.unpack(f">{_WORDS * len(values)}H", struct.pack(f">{len(values)}d", *numbers))
        return words[ask.address : ask.address + ask.count]

    async def close(self) -> None:
        """Nothing was open."""


def plan(every_s: int) -> PollPlan:
    """How the device is read: all at once, `every_s` apart."""
    poll = Poll(device=GATEWAY_DEVICE, kind=KIND, group=GROUP, every_ms=every_s * 1000, fields=tuple(FIELDS))
    readers = {name: FieldReader(_WORDS * index, _WORDS, _decode) for index, name in enumerate(FIELDS)}
    request = Request("own", 0, _WORDS * len(FIELDS), tuple(FIELDS))
    return PollPlan(poll, 0, 0.0, (request,), readers)


def birth() -> DeviceBirth:
    """What is said of the device at birth."""
    return DeviceBirth(kind=KIND, profile=PROFILE, profile_version=PROFILE_VERSION, simulated=False, fields=FIELDS)
