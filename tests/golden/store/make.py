"""Writes the golden store of the current version, once: readings, an event and a receipt; and a figure with a cursor.

Run `python -m tests.golden.store.make`; files that are there already are never touched.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from series_store.sqlite.store import SqliteFigures, SqliteWriter
from series_store.table import Table

FOLDER = Path(__file__).parent / "v1"
T0 = 1_790_000_000_000
METER = (("gateway", "gw-1"), ("device", "m1"))
READINGS = [
    Table("water_meter", METER, ("volume_m3", "flow_m3_h"), [T0, T0 + 5000], [[1.25, 1.5], [3.6, None]]),
    Table("water_meter", METER, ("q_flow_m3_h",), [T0 + 5000], [[4.0]]),
    Table("event", (("gateway", "gw-1"), ("device", "gateway"), ("kind", "start")), ("text",), [T0], [['{"run":"a"}']]),
]
FIGURE = Table("indicator", (("area", "north"), ("id", "reuse")), ("value",), [T0], [[0.5]])
CURSOR = ("hours", 17)


async def main() -> None:
    if FOLDER.exists():
        print(f"{FOLDER}: left as it is")
        return
    FOLDER.mkdir(parents=True)
    writer, figures = SqliteWriter(folder=FOLDER), SqliteFigures(folder=FOLDER)
    for outcome in (await writer.write(READINGS), await figures.put([FIGURE])):
        assert outcome.stored, outcome
    await figures.set_cursor(*CURSOR)
    await writer.close()
    await figures.close()
    for each in FOLDER.iterdir():
        if each.suffix != ".db":
            each.unlink()


if __name__ == "__main__":
    asyncio.run(main())
