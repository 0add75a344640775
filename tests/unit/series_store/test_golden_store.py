"""A store that an earlier version wrote is read and added to after the update: nothing in it is lost or changed."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from series_store.port import Owned, Unavailable
from series_store.sqlite.store import SqliteFigures, SqliteReader, SqliteWriter
from series_store.table import SeriesKey, Table
from tests.golden.store.make import CURSOR, METER, T0

FOLDERS = sorted((Path(__file__).parents[2] / "golden" / "store").glob("v*"))
FLOW, VOLUME = (SeriesKey("water_meter", "gw-1", "m1", field) for field in ("flow_m3_h", "volume_m3"))


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "store"))


def test_a_golden_store_is_read_value_for_value_and_takes_more(golden: Path) -> None:
    async def main() -> None:
        writer, reader, figures = SqliteWriter(folder=golden), SqliteReader(folder=golden), SqliteFigures(folder=golden)
        found = await reader.window([VOLUME, FLOW], 0, 2**52)
        assert (found[VOLUME].t.tolist(), found[VOLUME].value.tolist()) == ([T0, T0 + 5000], [1.25, 1.5])
        assert (found[FLOW].t.tolist(), found[FLOW].value.tolist()) == ([T0], [3.6])
        (event,) = await reader.events("start", 0, 2**52)
        assert (event.t_ms, event.gateway, event.text) == (T0, "gw-1", '{"run":"a"}')
        assert await figures.figures("indicator", {"area": "north"}, 0, 2**52) == [
            (T0, {"area": "north", "id": "reuse"}, {"value": 0.5})
        ]
        assert await figures.cursor(CURSOR[0]) == CURSOR[1]
        assert (await writer.write([Table("water_meter", METER, ("volume_m3",), [T0 + 9000], [[2.0]])])).stored
        again = await reader.window([VOLUME], 0, 2**52)
        assert again[VOLUME].value.tolist() == [1.25, 1.5, 2.0]
        await writer.close()
        await reader.close()
        await figures.close()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["readings.db", "rollups.db"])
def test_a_newer_store_is_refused_and_nothing_of_it_or_beside_it_changes(golden: Path, name: str) -> None:
    db = sqlite3.connect(golden / name)
    db.execute("PRAGMA user_version=99")
    db.commit()
    db.close()
    before = {each.name: each.read_bytes() for each in golden.glob("*.db*")}

    async def main() -> None:
        readings: list[Owned] = [SqliteWriter(folder=golden), SqliteReader(folder=golden)]
        for store in readings if name == "readings.db" else [SqliteFigures(folder=golden)]:
            with pytest.raises(Unavailable, match=r"newer loopgauge .schema 99, .*upgrade"):
                await store.start()
            await store.close()

    asyncio.run(main())
    assert {each.name: each.read_bytes() for each in golden.glob("*.db*")} == before
