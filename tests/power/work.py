"""What is at work when the power goes: the gateway's spool, and the worker's store with its dead letters.

Each step notes when it was asked for and when its caller was told that it is durable; `lost` says what of all that was
told by the time of a cut is not there any more, or not as it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data_contract.batch import Span
from edge_agent.errors import AgentError
from edge_agent.keep import recovery
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.spool import Sealed, Spool
from ingest.dead_letters import FolderDeadLetters
from ingest.ports import DeadLetter
from series_store.open import open_reader, open_writer
from series_store.port import Unavailable
from series_store.table import STORED
from tests.ports.store_rows import POWER, T0, readings, receipt, receipt_table

SPOOL_BYTES_MAX = 4_000_000
BODY_BYTES_MAX = 6000
RUNS = 3
"""Lives of the agent on one card: each begins on what the last one left."""
PAUSE_S_MAX = 0.01


@dataclass(frozen=True, slots=True)
class Told:
    """A step, by times of CLOCK_MONOTONIC in ns."""

    asked_ns: int
    told_ns: int
    key: tuple[str, int]
    digest: str
    deletes: frozenset[tuple[str, int]] = frozenset()


class Work(Protocol):
    """Something that promises durability."""

    told: list[Told]

    async def run(self, folder: Path, steps: int) -> None:
        """Do so many steps."""

    async def lost(self, folder: Path, t_ns: int) -> list[str]:
        """What is wrong in `folder`, as a cut at `t_ns` has left it."""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class SpoolWork:
    """Seals batches of several runs; most are confirmed after a while, and deleted with a later seal."""

    rng: random.Random
    told: list[Told] = field(default_factory=list)

    async def run(self, folder: Path, steps: int) -> None:
        for life in range(RUNS):
            run = f"{self.rng.getrandbits(128):032x}"
            disk = FileDisk(path=folder / "spool.db", bytes_max=SPOOL_BYTES_MAX)
            spool = Spool(disk=disk, run=run, boot=f"boot-{life}")
            await spool.open()
            for seq in range(1, steps // RUNS + 1):
                await self._seal(spool, seq)
                await asyncio.sleep(self.rng.random() * PAUSE_S_MAX)
            await spool.close()

    async def _seal(self, spool: Spool, seq: int) -> None:
        noise = f"{self.rng.getrandbits(4 * self.rng.randrange(1, BODY_BYTES_MAX)):x}"
        body = json.dumps({"from": seq, "to": seq + 1, "noise": noise})
        old = [key for key in spool.held if self.rng.random() < 0.1]
        deleted: list[Span] = [(run, of, of) for run, of in old[:5]]
        sealed = Sealed(seq=seq, base_ms=T0, guess_ms=T0, to_ms=T0 + seq, body=body, memory={"bin-1": str(seq)})
        asked_ns = time.monotonic_ns()
        await spool.seal(sealed, deleted)
        gone = frozenset((run, first) for run, first, _ in deleted)
        self.told.append(Told(asked_ns, time.monotonic_ns(), (spool.run, seq), _digest(body), gone))

    async def lost(self, folder: Path, t_ns: int) -> list[str]:
        path = folder / "spool.db"
        told = [each for each in self.told if each.told_ns <= t_ns]
        if not told:
            return []
        if not path.exists():
            return ["there is no spool"]
        if (damage := recovery.check(path)) is not None:
            return [f"damaged: {damage}"]
        spool = Spool(disk=FileDisk(path=path, bytes_max=SPOOL_BYTES_MAX), run="f" * 32, boot="after")
        try:
            await spool.open()
            bodies = {
                key: _digest(row.body) for key in spool.held for row in await spool.take((key[0], key[1], key[1]))
            }
            previous, memory = spool.previous, spool.memory
        except AgentError as error:
            return [f"cannot be opened: {error}"]
        finally:
            await spool.close()
        gone = {key for each in self.told if each.asked_ns <= t_ns for key in each.deletes}
        wrong = [f"{each.key} is not there" for each in told if each.key not in gone and each.key not in bodies]
        known = {each.key: each.digest for each in self.told}
        wrong += [f"{key} is another one" for key, digest in bodies.items() if known.get(key) != digest]
        last_run, last_seq = told[-1].key
        if previous is None or (previous.run == last_run and previous.last < last_seq):
            wrong.append(f"the next run would name {previous}")
        if int(memory.get("bin-1", 0)) < last_seq and previous is not None and previous.run == last_run:
            wrong.append("a bin has forgotten what it knew")
        return wrong


@dataclass
class IngestWork:
    """Stores readings, keeps a dead letter now and then, writes a receipt: what an ack stands on, in its order."""

    rng: random.Random
    told: list[Told] = field(default_factory=list)

    async def run(self, folder: Path, steps: int) -> None:
        writer = open_writer(f"sqlite:{folder}/store")
        dead = FolderDeadLetters(folder=folder / "dead", bytes_max=1_000_000, now_ms=lambda: T0)
        for step in range(1, steps + 1):
            asked_ns = time.monotonic_ns()
            rows = readings(range(10 * step, 10 * step + 10), {POWER.field: [float(step)] * 10})
            done = await writer.write([rows])
            letters = [_letter(step)] if step % 3 == 0 else []
            await dead.keep(letters)
            noted = await writer.write([receipt_table(receipt(step, seq=step))])
            assert (done, noted) == (STORED, STORED)
            self.told.append(Told(asked_ns, time.monotonic_ns(), ("", step), ""))
            await asyncio.sleep(self.rng.random() * PAUSE_S_MAX)
        await writer.close()

    async def lost(self, folder: Path, t_ns: int) -> list[str]:
        steps = [each.key[1] for each in self.told if each.told_ns <= t_ns]
        if not steps:
            return []
        wrong = await _missing_rows(folder / "store", steps)
        files = [path for path in (folder / "dead").rglob("*") if path.is_file()]
        kept = "\n".join(path.read_text(errors="replace") for path in files)
        wrong += [
            f"the dead letter of step {step} is not there"
            for step in steps
            if step % 3 == 0 and _letter(step).line not in kept
        ]
        return wrong


def _letter(step: int) -> DeadLetter:
    return DeadLetter(
        gateway="g1", run="a" * 32, seq=step, reason="not JSON", line=f"begin-{step}-" + "x" * 900 + "-end"
    )


async def _missing_rows(folder: Path, steps: list[int]) -> list[str]:
    path = folder / "readings.db"
    try:
        db = sqlite3.connect(path)
        said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        db.close()
    except sqlite3.Error as error:
        return [f"{path.name}: {error}"]
    if said != "ok":
        return [f"{path.name}: {said}"]
    reader = open_reader(f"sqlite:{folder}")
    try:
        window = (await reader.window([POWER], 0, 2**42))[POWER]
        receipts = {each.seq for each in await reader.receipts(0, 1_000_000)}
    except Unavailable as error:
        return [str(error)]
    finally:
        await reader.close()
    rows = {(int(t) - T0): float(value) for t, value in zip(window.t, window.value, strict=True)}
    wrong = [f"step {s}: no receipt" for s in steps if s not in receipts]
    return wrong + [f"step {s}: no row" for s in steps for t in range(10 * s, 10 * s + 10) if rows.get(t) != float(s)]
