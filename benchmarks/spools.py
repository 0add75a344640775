"""Spools as a gateway has them after an outage: full ones, and one that is to drain."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path

from benchmarks.backlog import BATCH_VALUES
from edge_agent.keep import schema
from edge_agent.keep.batch_row import crc_of
from edge_agent.keep.disk import PAGE_BYTES, FileDisk, configure
from edge_agent.keep.spool import Sealed, Spool
from simulators.fleet.batches import BatchMaker
from simulators.fleet.batches import Sealed as Interval
from simulators.fleet.plan import FleetPlan

RUN = "5" * 32
SPARE_BYTES = 4_000_000
"""Left free in a full one, as by an agent that still seals."""
STEP = 5_000
BASE_MS = 1_790_000_000_000
INSERT = "INSERT INTO batch (run_id, seq, base_ms, guess_ms, body, size, crc) VALUES (1, ?, ?, ?, ?, ?, ?)"


def fill(path: Path, *, bytes_max: int, body_bytes: int) -> int:
    """A spool that is full with batches of one size; how many there are."""
    body = json.dumps({"from": 0, "to": 10_000, "pad": "x" * (body_bytes - 30)}, separators=(",", ":"))
    db = sqlite3.connect(path, isolation_level=None)
    configure(db, bytes_max)
    db.execute("PRAGMA synchronous=OFF")
    schema.prepare(db)
    db.execute("INSERT INTO run VALUES (1, ?, 'boot', 0, NULL, 0, 0)", (RUN,))
    last = 0
    while (left := bytes_max - SPARE_BYTES - db.execute("PRAGMA page_count").fetchone()[0] * PAGE_BYTES) > 0:
        many = range(last + 1, last + 1 + min(STEP, 1 + left // (2 * PAGE_BYTES)))
        db.execute("BEGIN")
        crcs = ((n, crc_of(n, BASE_MS, BASE_MS, None, None, body)) for n in many)
        db.executemany(INSERT, ((n, BASE_MS, BASE_MS, body, len(body), crc) for n, crc in crcs))
        db.execute("COMMIT")
        last = many[-1]
    db.execute("UPDATE run SET last=?", (last,))
    db.close()
    return last


def write_backlog(path: Path, plan: FleetPlan, readings: int) -> int:
    """The spool of the first gateway of a plan after an outage, sealed by the agent's own classes; batches in it."""
    batches = readings // BATCH_VALUES
    maker = BatchMaker(plan=plan)

    async def main() -> None:
        spool = Spool(disk=FileDisk(path=path, bytes_max=512_000_000), run=RUN, boot="before")
        await spool.open()
        for seq in range(1, batches + 1):
            from_ms = plan.begin_ms + (seq - 1) * plan.seal_ms
            (made,) = maker.make([(0, Interval(seq, from_ms, from_ms + plan.seal_ms))])
            base_ms = made.row.base_ms
            await spool.seal(Sealed(seq, base_ms, base_ms, from_ms + plan.seal_ms, made.row.body), [])
        await spool.close()

    asyncio.run(main())
    return batches


def copy(path: Path, folder: Path) -> Path:
    """The same in a folder of its own, which is made."""
    folder.mkdir()
    return Path(shutil.copy(path, folder / path.name))
