"""Writes the golden spool of the current version, once: a gateway that died with batches dated, undated and set aside.

Run `python -m tests.golden.spool.make`; a file that is there already is never touched.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

from data_contract.batch import Block, Body, Device, Record, write_body
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.spool import Sealed, Spool

V = Path(__file__).parent / "v3"
FIRST, SECOND = "1" * 32, "2" * 32
BASE_MS = 1_790_000_000_000


def body(number: int) -> Body:
    from_ = 10_000 * number
    block = Block(t=[0, 5000], values={"volume_m3": [number + 0.25, number + 0.5], "flow_m3_h": [3.6, None]})
    device = Device(kind="water_meter", counts={"main": (4, 3, {"invalid": 1})}, blocks=[block])
    records = [Record(kind="start", data={"version": "0.1.0", "boot": "boot-1"})] if number == 1 else []
    return Body(
        from_=from_, to=from_ + 10_000, prev=None if number == 1 else from_, devices={"m1": device}, records=records
    )


def row(number: int, *, dated: bool = True) -> Sealed:
    to_ms = BASE_MS + 10_000 * (number + 1)
    return Sealed(number, BASE_MS if dated else None, BASE_MS - 500, to_ms, write_body(body(number)))


async def main() -> None:
    path = V / "spool.db"
    if path.exists():
        print(f"{path}: left as it is")
        return
    V.mkdir(parents=True, exist_ok=True)
    first = Spool(disk=FileDisk(path=path, bytes_max=10_000_000), run=FIRST, boot="boot-1")
    await first.open()
    for number in range(1, 7):
        await first.seal(row(number), [(FIRST, 1, 1)] if number == 4 else [])
    await first.set_aside((FIRST, 3, 3), "unanswered")
    await first.close()
    second = Spool(disk=FileDisk(path=path, bytes_max=10_000_000), run=SECOND, boot="boot-2")
    await second.open()
    for number in (1, 2):
        await second.seal(row(number, dated=False), [])
    await second.close()
    (V / "spool.db.ballast").unlink()
    expected = {
        "held": [[FIRST, 2], [FIRST, 4], [FIRST, 5], [FIRST, 6], [SECOND, 1], [SECOND, 2]],
        "aside": [[FIRST, 3, 3, "unanswered"]],
        "previous": {"run": SECOND, "last": 2, "clean": False},
        "bodies": {f"{run} {seq}": json.loads(text) for run, seq, text in _rows(path)},
    }
    (V / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="ascii")


def _rows(path: Path) -> list[tuple[str, int, str]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT run, seq, body FROM batch JOIN run ON id = run_id").fetchall()
    finally:
        db.close()


if __name__ == "__main__":
    asyncio.run(main())
