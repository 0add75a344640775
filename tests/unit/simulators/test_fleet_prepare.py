"""Payloads made ahead: a whole file or none, within its bound, and what is in it is what was to be sent."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from data_contract.batch import STOP, Batch
from data_contract.message import read_header, unpack
from simulators.fleet.plan import FleetPlan
from simulators.fleet.prepare import MAGIC, PreparedFile, PrepareError, prepare

BEGIN_MS = 1_700_000_000_000
PLAN = FleetPlan(gateways=5, meters=2, fields=3, every_ms=1_000, begin_ms=BEGIN_MS, missing=0.02)
TO_MS = BEGIN_MS + 25 * PLAN.seal_ms


@pytest.mark.parametrize("merge", [1, 4, 25, 64])
def test_every_batch_of_every_gateway_is_in_the_file_once_and_in_order(tmp_path: Path, merge: int) -> None:
    done = prepare(tmp_path / "f", plan=PLAN, to_ms=TO_MS, merge=merge)
    assert done.batches == 5 * 25 and done.size == (tmp_path / "f").stat().st_size
    file = PreparedFile.open(tmp_path / "f")
    assert file.plan == PLAN
    seqs: defaultdict[int, list[int]] = defaultdict(list)
    last: dict[int, Batch] = {}
    readings = 0
    for entry in file.entries():
        header, body = read_header(file.payload(entry))
        assert (header.gateway, header.run) == (PLAN.gateway(entry.gateway), PLAN.run(entry.gateway))
        assert (header.first, header.last) == (entry.first, entry.last) and entry.last - entry.first < merge
        for batch in unpack(header, body):
            assert isinstance(batch, Batch)
            seqs[entry.gateway].append(batch.seq)
            last[entry.gateway] = batch
        readings += entry.readings
    file.close()
    assert dict(seqs) == {number: list(range(1, 26)) for number in range(5)}
    assert all(batch.body.records[-1].kind == STOP and batch.to_ms == TO_MS for batch in last.values())
    assert readings == done.readings


def test_a_file_that_would_grow_too_large_is_not_there_at_all(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="--bytes-max"):
        prepare(tmp_path / "f", plan=PLAN, to_ms=TO_MS, merge=1, bytes_max=10_000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_short_anywhere_or_of_another_kind_is_refused_on_one_line(tmp_path: Path) -> None:
    path, cut = tmp_path / "f", tmp_path / "cut"
    plan = FleetPlan(gateways=1, meters=1, fields=1, begin_ms=BEGIN_MS)
    prepare(path, plan=plan, to_ms=BEGIN_MS + 20_000, merge=1)
    whole = path.read_bytes()
    begin = whole.index(b"\n", len(MAGIC)) + 1
    for end in range(len(whole)):
        cut.write_bytes(whole[:end])
        if end in (begin, _second(path)):
            continue  # whole messages: fewer of them
        with pytest.raises(PrepareError, match="make") as raised:
            list(PreparedFile.open(cut).entries())
        assert "\n" not in str(raised.value)
    with pytest.raises(PrepareError, match="--prepare makes it"):
        PreparedFile.open(tmp_path / "nothing")
    cut.write_bytes(whole.replace(b'"meters": 1', b'"meters": 0'))
    with pytest.raises(PrepareError, match="--meters"):
        PreparedFile.open(cut)


def _second(path: Path) -> int:
    """Where the second message of a file begins."""
    entry = next(PreparedFile.open(path).entries())
    return entry.at + entry.size


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="nowhere"):
        prepare(tmp_path / "nowhere" / "f", plan=PLAN, to_ms=TO_MS, merge=1)
