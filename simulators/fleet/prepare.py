"""A file of payloads made ahead: what a fleet has sealed while the cloud was away, ready to be sent at next to no cost.

    loopgauge fleet 1\\n
    {the plan as JSON}\\n
    (length, gateway, first seq, last seq, readings: five uint32, little-endian; then the payload) for each message

Messages of one gateway stand in the order of their seq; gateways take turns.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from simulators.fleet.batches import CHUNK_READINGS, BatchMaker, Sealed, message
from simulators.fleet.plan import FleetPlan

MAGIC = b"loopgauge fleet 1\n"
BYTES_MAX = 4 * 1024**3
"""Largest file, unless another bound is given."""
_HEAD = struct.Struct("<5I")
_PLAN_BYTES_MAX = 4096


class PrepareError(Exception):
    """The file cannot be made or used; one line says which and why."""


class Entry(NamedTuple):
    """One message of the file: whose it is, which batches it holds, and where its payload lies."""

    gateway: int
    first: int
    last: int
    readings: int
    at: int
    size: int


class Prepared(NamedTuple):
    """What was written."""

    messages: int
    batches: int
    readings: int
    size: int


def prepare(
    path: Path,
    *,
    plan: FleetPlan,
    to_ms: int,
    merge: int,
    bytes_max: int = BYTES_MAX,
    say: Callable[[Prepared], None] = lambda _so_far: None,
) -> Prepared:
    """Write what every gateway seals from the plan's begin to `to_ms`, `merge` batches in a message, as a clean run.

    The file appears under its name when it is whole. Raises PrepareError where it would grow beyond `bytes_max`.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            done = _write(file, path, plan, to_ms, merge, bytes_max, say)
        partial.replace(path)
    except OSError as error:
        raise PrepareError(f"{path}: cannot be written: {error.strerror or error}; choose another place") from None
    finally:
        partial.unlink(missing_ok=True)
    return done


def _write(
    file: BinaryIO,
    path: Path,
    plan: FleetPlan,
    to_ms: int,
    merge: int,
    bytes_max: int,
    say: Callable[[Prepared], None],
) -> Prepared:
    maker = BatchMaker(plan=plan)
    size = file.write(MAGIC + json.dumps(plan.as_json()).encode() + b"\n")
    messages = readings = 0
    many = max(1, (to_ms - plan.begin_ms) // plan.seal_ms)
    together = max(1, CHUNK_READINGS // (plan.batch_readings * merge))
    for first in range(1, many + 1, merge):
        seqs = range(first, min(first + merge, many + 1))
        sealed = [_sealed(plan, seq, last=seq == many) for seq in seqs]
        for begin in range(0, plan.gateways, together):
            numbers = range(begin, min(begin + together, plan.gateways))
            made = maker.make([(number, each) for number in numbers for each in sealed])
            for place, number in enumerate(numbers):
                mine = made[place * len(sealed) : (place + 1) * len(sealed)]
                payload, count = message(plan, mine), sum(each.readings for each in mine)
                size += file.write(_HEAD.pack(len(payload), number, seqs[0], seqs[-1], count) + payload)
                messages, readings = messages + 1, readings + count
            if size > bytes_max:
                raise PrepareError(
                    f"{path}: would grow beyond {bytes_max} bytes; prepare less time (--for), fewer --gateways,"
                    " or allow more (--bytes-max)"
                )
            say(Prepared(messages, seqs[-1] * plan.gateways, readings, size))
    return Prepared(messages, many * plan.gateways, readings, size)


def _sealed(plan: FleetPlan, seq: int, *, last: bool) -> Sealed:
    from_ms = plan.begin_ms + (seq - 1) * plan.seal_ms
    pending = ((1, seq - 1),) if seq > 1 else ()
    return Sealed(seq, from_ms, from_ms + plan.seal_ms, pending=pending, stop=last)


class PreparedFile:
    """A prepared file, open for sending."""

    def __init__(self, *, path: Path, data: mmap.mmap, plan: FleetPlan, begin: int) -> None:
        self._path, self._data, self._begin = path, data, begin
        self.plan = plan

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file that `prepare` wrote. Raises PrepareError."""
        try:
            with path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise PrepareError(f"{path}: not made by `simulate fleet --prepare` of this version; make it anew")
                line = file.readline(_PLAN_BYTES_MAX)
                if not line.endswith(b"\n"):
                    raise PrepareError(f"{path}: cut short or damaged; make it anew")
                plan = FleetPlan.from_json(json.loads(line))
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise PrepareError(f"{path}: cannot be read: {error.strerror or error}; --prepare makes it") from None
        except (TypeError, ValueError) as error:
            raise PrepareError(f"{path}: its plan cannot be read: {error}; make it anew") from None
        return cls(path=path, data=data, plan=plan, begin=len(MAGIC) + len(line))

    def entries(self) -> Iterator[Entry]:
        """All messages, in order. Raises PrepareError where the file is cut short."""
        at, end = self._begin, len(self._data)
        while at < end:
            if at + _HEAD.size > end:
                raise self._cut_short()
            size, gateway, first, last, readings = _HEAD.unpack_from(self._data, at)
            at += _HEAD.size
            if at + size > end or gateway >= self.plan.gateways:
                raise self._cut_short()
            yield Entry(gateway, first, last, readings, at, size)
            at += size

    def payload(self, entry: Entry) -> bytes:
        """The payload of a message."""
        return self._data[entry.at : entry.at + entry.size]

    def close(self) -> None:
        """Close the file."""
        self._data.close()

    def _cut_short(self) -> PrepareError:
        return PrepareError(f"{self._path}: cut short or damaged; make it anew")
