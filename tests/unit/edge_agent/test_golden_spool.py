"""A spool that an earlier version left on a card drains after the update: nothing in it is lost or changed."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from data_contract.batch import Batch, write_body
from data_contract.message import Row, pack, read_header, unpack
from edge_agent.keep import recovery
from edge_agent.keep.dating import OFF_MS
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.spool import Spool

FOLDERS = sorted((Path(__file__).parents[2] / "golden" / "spool").glob("v*"))
RUN = "f" * 32


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder: Path = request.param
    shutil.copy(folder / "spool.db", tmp_path / "spool.db")
    return tmp_path / "spool.db", json.loads((folder / "expected.json").read_text(encoding="ascii"))


def says(rows: list[Row], run: str) -> dict[str, Any]:
    """What ingest reads out of rows, by run and seq."""
    found = {}
    for batch in unpack(*read_header(pack("gw-1", "b1", run, rows))):
        assert isinstance(batch, Batch)
        body = batch.body.model_copy(update={"unsure": None})
        found[f"{run} {batch.seq}"] = json.loads(write_body(body))
    return found


def test_a_golden_spool_drains_whole(golden: tuple[Path, dict[str, Any]]) -> None:
    path, expected = golden
    assert recovery.check(path) is None

    async def main() -> None:
        spool = Spool(disk=FileDisk(path=path, bytes_max=10_000_000), run=RUN, boot="boot-3")
        await spool.open()
        assert [list(key) for key in spool.held] == expected["held"]
        assert [list(span) for span in spool.aside] == expected["aside"]
        assert spool.previous is not None
        previous = spool.previous.model_dump()
        assert {key: previous[key] for key in expected["previous"]} == expected["previous"]
        await spool.date(1_790_000_500_000)
        sent: dict[str, Any] = {}
        for run, seq in list(spool.held):
            sent |= says(await spool.take((run, seq, seq)), run)
        aside = {f"{run} {seq}" for run, first, last, _ in spool.aside for seq in range(first, last + 1)}
        assert sent == {key: body for key, body in expected["bodies"].items() if key not in aside}
        for run, seq in list(spool.held):
            await spool.forget([(run, seq, seq)])
        assert spool.held == {}
        await spool.close()

    asyncio.run(main())


def test_batches_that_no_clock_had_dated_get_an_estimate_within_bounds(golden: tuple[Path, dict[str, Any]]) -> None:
    path, _ = golden

    async def main() -> None:
        spool = Spool(disk=FileDisk(path=path, bytes_max=10_000_000), run=RUN, boot="boot-3")
        await spool.open()
        undated = [key for key, held in spool.held.items() if not held.dated]
        assert len(undated) == 2
        await spool.date(1_790_000_500_000)
        for run, seq in undated:
            (row,) = await spool.take((run, seq, seq))
            assert row.unsure == (1_789_999_999_500, 1_790_000_470_000 + OFF_MS), "over before the next boot began"
            assert row.base_ms == row.unsure[0]
        await spool.close()

    asyncio.run(main())
