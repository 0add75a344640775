"""A fleet with a backlog: what its gateways have sealed while the cloud was away, as messages and as line protocol.

Twenty meters of ten fields behind each gateway, each field each second, batches of 10 s, merged into messages by the
agent's own rule. Values come from the simulated world, no two columns alike. All is made beforehand, in two processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.plant import FIELDS
from data_contract.batch import SCHEDULE, START, Block, Body, Device, Record, Start, write_body
from data_contract.message import Row, pack
from data_contract.schedule import Poll, Schedule
from edge_agent.app import FLIGHT_BATCHES_MAX, FLIGHT_BYTES_MAX
from edge_agent.keep.spool import Held
from edge_agent.send.lanes import merge
from series_store.influx.lines import encode
from series_store.table import Table
from simulators.world.load import series_values

KIND = "energy_meter"
METERS = tuple(f"meter-{n:02d}" for n in range(1, 21))
EVERY_MS = 1_000
SEAL_MS = 10_000
SEED = 1
ROWS = SEAL_MS // EVERY_MS
BATCH_VALUES = len(METERS) * len(FIELDS) * ROWS
PIECE_LINES = 1_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """The batches of one gateway, from `from_ms` on (ms UTC, a multiple of SEAL_MS)."""

    gateway: str
    from_ms: int
    batches: int

    @property
    def run(self) -> str:
        """The run that sealed them."""
        return hashlib.blake2b(self.gateway.encode(), digest_size=16).hexdigest()

    def columns(self, meter: int) -> tuple[list[int], list[list[float]]]:
        """Stamps (ms UTC) and values by field of one meter: asked one after the other, answering a little unevenly."""
        slots = np.arange(self.batches * ROWS, dtype=np.int64) * EVERY_MS + self.from_ms
        stamps = slots + 4 * meter + (slots // EVERY_MS * 7 + meter) % 3
        device = f"{self.gateway}/{METERS[meter]}"
        return stamps.tolist(), [series_values(SEED, device, field, stamps).tolist() for field in FIELDS]


def messages(backlog: Backlog) -> Iterator[tuple[int, int, bytes]]:
    """(first seq, last seq, payload) of each message, as the agent would merge and pack them."""
    rows = {row.seq: row for row in _rows(backlog)}
    held = [Held(backlog.run, seq, len(row.body), dated=True) for seq, row in rows.items()]
    while (chosen := merge(held, bytes_max=FLIGHT_BYTES_MAX, batches_max=FLIGHT_BATCHES_MAX)) is not None:
        (_, first, last), _ = chosen
        yield first, last, pack(backlog.gateway, "bench", backlog.run, [rows[seq] for seq in range(first, last + 1)])
        held = held[last - first + 1 :]


def lines(backlog: Backlog) -> Iterator[bytes]:
    """The same readings as line protocol, all fields of a stamp in one line, in pieces of PIECE_LINES lines."""
    tags = [(("gateway", backlog.gateway), ("device", meter)) for meter in METERS]
    columns = [backlog.columns(meter) for meter in range(len(METERS))]
    rows = PIECE_LINES // len(METERS)
    for at in range(0, backlog.batches * ROWS // rows * rows, rows):
        cut = slice(at, at + rows)
        yield encode(
            [
                Table(KIND, tags[meter], FIELDS, stamps[cut], [column[cut] for column in values])
                for meter, (stamps, values) in enumerate(columns)
            ]
        )


def _rows(backlog: Backlog) -> Iterator[Row]:
    columns = [backlog.columns(meter) for meter in range(len(METERS))]
    for index in range(backlog.batches):
        cut, from_ms = slice(index * ROWS, (index + 1) * ROWS), index * SEAL_MS
        body = Body(
            from_=from_ms,
            to=from_ms + SEAL_MS,
            prev=from_ms if index else None,
            devices={
                name: _device(stamps[cut], [column[cut] for column in values], backlog.from_ms + from_ms)
                for name, (stamps, values) in zip(METERS, columns, strict=True)
            },
            records=[] if index else _opening(),
            pending=[(backlog.run, 1, index)] if index else [],
        )
        yield Row(index + 1, backlog.from_ms, write_body(body))


def _device(stamps: Sequence[int], values: Sequence[list[float]], from_ms: int) -> Device:
    called = len(stamps) * len(FIELDS)
    steps = np.diff(stamps, prepend=from_ms).tolist()
    columns: dict[str, list[float | None]] = {name: list(column) for name, column in zip(FIELDS, values, strict=True)}
    return Device(kind=KIND, counts={"main": (called, called, {})}, blocks=[Block(t=steps, values=columns)])


def _opening() -> list[Record]:
    polls = tuple(Poll(device=name, kind=KIND, group="main", every_ms=EVERY_MS, fields=FIELDS) for name in METERS)
    schedule = Schedule(seal_every_ms=SEAL_MS, polls=polls)
    start = Start(version="bench", boot="bench").model_dump(exclude_none=True)
    return [Record(kind=START, data=start), Record(kind=SCHEDULE, data=schedule.model_dump(mode="json"))]


def write_messages(folder: Path, backlog: Backlog) -> list[tuple[str, int, int, str]]:
    """Put the messages of one gateway into a file each; (gateway, first, last, path) of each."""
    found = []
    for first, last, payload in messages(backlog):
        path = folder / f"{backlog.gateway}-{first:06d}"
        path.write_bytes(payload)
        found.append((backlog.gateway, first, last, str(path)))
    return found


def write_lines(folder: Path, backlog: Backlog) -> tuple[str, list[int]]:
    """Put the lines of one gateway into a file; its path, and the size of each piece."""
    path = folder / f"{backlog.gateway}.lines"
    with path.open("wb") as file:
        return str(path), [file.write(piece) for piece in lines(backlog)]
