"""What the two sides of the ingest bench are given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from benchmarks.backlog import BATCH_VALUES, FIELDS, METERS, PIECE_LINES, SEAL_MS, lines, plan_of, write_messages
from data_contract.batch import Batch
from data_contract.message import read_header, unpack
from data_contract.topics import Channel, topic
from ingest.guard import Admitted, admit
from ingest.tables import tables_of
from simulators.fleet.prepare import PreparedFile

PLAN = plan_of(1_700_000_000_000 // SEAL_MS * SEAL_MS, gateways=2)
BATCHES = 30

Cell = tuple[str, str, int, float]
"""(device, field, t_ms, value)."""


def sent(folder: Path) -> list[Cell]:
    """What the worker would store of the messages of the second gateway."""
    path = folder / "messages"
    write_messages(path, PLAN, BATCHES)
    file = PreparedFile.open(path)
    cells: list[Cell] = []
    for entry in file.entries():
        payload = file.payload(entry)
        header, body = read_header(payload)
        assert (header.first, header.last) == (entry.first, entry.last)
        assert isinstance(admit(topic(header.gateway, Channel.DATA), payload), Admitted)
        for batch in unpack(header, body):
            assert isinstance(batch, Batch), batch
            tables = tables_of(header.gateway, batch, batch.to_ms)
            assert not tables.bad
            for table in tables.tables:
                if entry.gateway == 1 and table.measurement != "event":
                    device = dict(table.tags)["device"]
                    columns = zip(table.fields, table.columns, strict=True)
                    cells += [
                        (device, f, t, cast(float, v)) for f, c in columns for t, v in zip(table.times, c, strict=True)
                    ]
    file.close()
    return cells


def posted() -> list[Cell]:
    """What the bulk loader would write of it."""
    cells: list[Cell] = []
    for line in b"".join(lines(PLAN, 1, BATCHES)).decode().splitlines():
        head, values, stamp = line.split(" ")
        device = re.search(r"device=([^,]+)", head)
        assert device is not None
        cells += [
            (device[1], name, int(stamp), float(value)) for name, value in re.findall(r"([^,=]+)=([^,]+)", values)
        ]
    return cells


def test_neither_side_of_the_ingest_bench_is_given_easier_readings(tmp_path: Path) -> None:
    ours, theirs = sent(tmp_path), posted()
    assert len(ours) == BATCHES * BATCH_VALUES
    assert sorted(ours) == sorted(theirs)


def test_no_reading_is_sent_twice_and_no_two_columns_are_alike(tmp_path: Path) -> None:
    cells = sent(tmp_path)
    assert len({cell[:3] for cell in cells}) == len(cells)
    columns: dict[tuple[str, str], list[float]] = {}
    for device, name, _, value in cells:
        columns.setdefault((device, name), []).append(value)
    assert len(columns) == METERS * FIELDS
    assert len({tuple(column) for column in columns.values()}) == len(columns)


def test_the_bulk_loader_may_cut_its_bytes_only_between_lines() -> None:
    for piece in lines(PLAN, 0, BATCHES):
        assert piece.endswith(b"\n")
        assert piece.count(b"\n") == PIECE_LINES
