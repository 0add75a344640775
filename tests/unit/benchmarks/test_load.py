"""What the two sides of the ingest bench are given, and what the fleet believes of an ack."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest
from paho.mqtt.client import Client

from benchmarks.backlog import BATCH_VALUES, METERS, PIECE_LINES, SEAL_MS, Backlog, lines, messages
from benchmarks.fleet import Fleet, Message
from benchmarks.plant import FIELDS
from data_contract.batch import Batch
from data_contract.control import Ack, Rejected, write
from data_contract.message import read_header, unpack
from ingest.guard import Admitted, admit
from ingest.tables import tables_of

BACKLOG = Backlog("gw-000", 1_700_000_000_000 // SEAL_MS * SEAL_MS, batches=30)

Cell = tuple[str, str, int, float]
"""(device, field, t_ms, value)."""


def sent(backlog: Backlog) -> list[Cell]:
    """What the worker would store of the messages."""
    cells: list[Cell] = []
    for first, last, payload in messages(backlog):
        header, body = read_header(payload)
        assert (header.first, header.last) == (first, last)
        assert isinstance(admit(f"lg/v1/{backlog.gateway}/data", payload), Admitted)
        for batch in unpack(header, body):
            assert isinstance(batch, Batch), batch
            tables = tables_of(backlog.gateway, batch, backlog.from_ms + 86_400_000)
            assert not tables.bad
            for table in tables.tables:
                if table.measurement != "event":
                    device = dict(table.tags)["device"]
                    columns = zip(table.fields, table.columns, strict=True)
                    cells += [
                        (device, f, t, cast(float, v)) for f, c in columns for t, v in zip(table.times, c, strict=True)
                    ]
    return cells


def posted(backlog: Backlog) -> list[Cell]:
    """What the bulk loader would write."""
    cells: list[Cell] = []
    for line in b"".join(lines(backlog)).decode().splitlines():
        head, values, stamp = line.split(" ")
        device = re.search(r"device=([^,]+)", head)
        assert device is not None
        cells += [
            (device[1], name, int(stamp), float(value)) for name, value in re.findall(r"([^,=]+)=([^,]+)", values)
        ]
    return cells


def test_neither_side_of_the_ingest_bench_is_given_easier_readings() -> None:
    ours, theirs = sent(BACKLOG), posted(BACKLOG)
    assert len(ours) == BACKLOG.batches * BATCH_VALUES
    assert sorted(ours) == sorted(theirs)


def test_no_reading_is_sent_twice_and_no_two_columns_are_alike() -> None:
    cells = sent(BACKLOG)
    assert len({cell[:3] for cell in cells}) == len(cells)
    columns: dict[tuple[str, str], list[float]] = {}
    for device, name, _, value in cells:
        columns.setdefault((device, name), []).append(value)
    assert len(columns) == len(METERS) * len(FIELDS)
    assert len({tuple(column) for column in columns.values()}) == len(columns)


def test_the_bulk_loader_may_cut_its_bytes_only_between_lines() -> None:
    for piece in lines(BACKLOG):
        assert piece.endswith(b"\n")
        assert piece.count(b"\n") == PIECE_LINES


@dataclass
class Broker:
    """Keeps what is published."""

    published: list[bytes] = field(default_factory=list)

    def publish(self, _topic: str, payload: bytes, qos: int) -> None:
        assert qos == 1
        self.published.append(payload)


def fleet(broker: Broker, *, seconds: float = 60.0, now_s: Callable[[], float] = lambda: 0.0) -> Fleet:
    """Two messages of two batches, of one gateway."""
    messages = [Message("a", 1, 2, b"one"), Message("a", 3, 4, b"two")]
    return Fleet(messages, cast(Client, broker), seconds=seconds, now_s=now_s)


def ack(*stored: tuple[int, int]) -> bytes:
    return write(Ack(run="r", stored=stored))


def test_a_gateway_sends_on_only_when_its_whole_message_is_acknowledged() -> None:
    broker = Broker()
    gateways = fleet(broker)
    gateways.ready()
    assert broker.published == [b"one"]
    assert gateways.acknowledged("a", ack((1, 1))) is None
    assert broker.published == [b"one"]
    assert gateways.acknowledged("a", ack((2, 2))) is None
    assert broker.published == [b"one", b"two"]
    assert gateways.acknowledged("a", ack((3, 4))) is not None
    assert (gateways.messages, gateways.batches) == (2, 4)


def test_an_ack_that_comes_twice_does_not_count_twice() -> None:
    gateways = fleet(Broker())
    gateways.ready()
    gateways.acknowledged("a", ack((1, 1)))
    gateways.acknowledged("a", ack((1, 1), (2, 2)))
    assert gateways.batches == 2


def test_a_second_ready_starts_nothing_anew() -> None:
    broker = Broker()
    gateways = fleet(broker)
    gateways.ready()
    gateways.ready()
    assert broker.published == [b"one"]


def test_after_its_time_the_fleet_only_waits_for_what_is_under_way() -> None:
    broker, now_s = Broker(), iter([0.0, 1.0, 31.0, 32.0])
    gateways = fleet(broker, seconds=30.0, now_s=lambda: next(now_s))
    gateways.ready()
    assert gateways.acknowledged("a", ack((1, 2))) == 32.0
    assert broker.published == [b"one"]


def test_a_rejected_batch_ends_the_bench_instead_of_counting_as_stored() -> None:
    gateways = fleet(Broker())
    gateways.ready()
    with pytest.raises(SystemExit):
        gateways.acknowledged("a", write(Ack(run="r", rejected=(Rejected(seq=1, reason="bad"),))))
