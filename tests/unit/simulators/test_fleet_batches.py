"""What the gateways of a fleet say: the contract to the byte, the same in every process, and nothing twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from data_contract.batch import SCHEDULE, START, STOP, Batch, Block, Start, write_body
from data_contract.control import Birth
from data_contract.message import BadMessage, read_header, unpack
from data_contract.schedule import Schedule, expected
from simulators.fleet.batches import BatchMaker, Made, Sealed, message
from simulators.fleet.gateways import Gateways
from simulators.fleet.plan import BadPlan, FleetPlan

BEGIN_MS = 1_700_000_000_000
PLAN = FleetPlan(gateways=3, meters=4, fields=6, every_ms=1_000, begin_ms=BEGIN_MS, missing=0.05, seed=5)
ROOT = Path(__file__).parents[3]

PLANS = {
    "a value a second": PLAN,
    "no slot in some batches": dataclasses.replace(PLAN, every_ms=15_000, missing=0.3),
    "one reading": FleetPlan(gateways=2, meters=1, fields=1, begin_ms=BEGIN_MS, missing=0.0),
    "nobody answers": dataclasses.replace(PLAN, missing=1.0),
    "the widest": dataclasses.replace(PLAN, meters=100, fields=16, every_ms=2_000, seal_ms=10_000),
    "ten a second": dataclasses.replace(PLAN, every_ms=100, seal_ms=1_000),
}


def sealed_by(plan: FleetPlan, batches: int) -> list[tuple[int, Sealed]]:
    """The first batches of every gateway, the last one closing its run."""
    gateways = Gateways(plan=plan)
    found = []
    for number in range(plan.gateways):
        for _ in range(batches - 1):
            sealed = gateways.seal(number)
            assert sealed is not None
            found.append((number, sealed))
        gateways.stop(number, int(gateways.sealed_to_ms[number]) + plan.seal_ms // 2)
        found.append((number, gateways.newest(number)))
    return found


def decoded(plan: FleetPlan, made: Made) -> Batch:
    """What ingest would read."""
    header, body = read_header(message(plan, [made]))
    assert (header.gateway, header.run) == (plan.gateway(made.gateway), plan.run(made.gateway))
    (batch,) = unpack(header, body)
    assert isinstance(batch, Batch), batch
    return batch


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_body_is_what_a_gateway_would_have_written_to_the_byte(plan: FleetPlan) -> None:
    for made in BatchMaker(plan=plan).make(sealed_by(plan, 4)):
        assert write_body(decoded(plan, made).body) == made.row.body


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_counts_are_what_the_schedule_calls_for_and_the_values_what_the_counts_say(plan: FleetPlan) -> None:
    for made in BatchMaker(plan=plan).make(sealed_by(plan, 4)):
        batch = decoded(plan, made)
        held = 0
        for poll in plan.schedule().polls:
            device = batch.body.devices.get(poll.device)
            called, sampled, _ = device.counts[poll.group] if device else (0, 0, {})
            assert called == expected(poll, batch.from_ms, batch.to_ms)
            blocks = device.blocks if device else []
            assert sampled == sum(len(column) for block in blocks for column in block.values.values())
            held += sampled
        assert held == made.readings


def test_the_record_of_a_batch_holds_the_very_values_and_stamps_that_travel() -> None:
    for made in BatchMaker(plan=PLAN).make(sealed_by(PLAN, 3)):
        batch = decoded(PLAN, made)
        for meter in range(PLAN.meters):
            there = ~np.isnan(made.values[meter, 0])
            (block,) = batch.body.devices[PLAN.meter(meter)].blocks or [Block(t=[], values={})]
            assert (batch.from_ms + np.cumsum(block.t)).tolist() == made.stamps[meter, there].tolist()
            for index, field in enumerate(PLAN.field_names):
                assert block.values.get(field, []) == made.values[meter, index, there].tolist()


def test_a_run_opens_with_its_start_and_schedule_and_closes_with_its_stop() -> None:
    batches = [decoded(PLAN, made).body for made in BatchMaker(plan=PLAN).make(sealed_by(PLAN, 3)[:3])]
    assert [[record.kind for record in body.records] for body in batches] == [[START, SCHEDULE], [], [STOP]]
    start, schedule = batches[0].records
    assert Start.model_validate(start.data).run == PLAN.run(0)
    assert Schedule.model_validate_json(json.dumps(schedule.data)) == PLAN.schedule()
    assert [body.prev for body in batches] == [None, PLAN.seal_ms, 2 * PLAN.seal_ms]
    assert [body.pending for body in batches] == [[], [(PLAN.run(0), 1, 1)], [(PLAN.run(0), 1, 2)]]
    birth = Birth.model_validate_json(PLAN.birth(0))
    assert birth.run == PLAN.run(0) and len(birth.devices) == PLAN.meters
    assert all(list(device.fields) == list(PLAN.field_names) for device in birth.devices.values())


def test_a_batch_that_is_sent_again_alone_is_the_same_as_when_it_left_among_others() -> None:
    maker, wanted = BatchMaker(plan=PLAN), sealed_by(PLAN, 5)
    together = maker.make(wanted)
    for one, made in zip(wanted, together, strict=True):
        (again,) = BatchMaker(plan=PLAN).make([one])
        assert again.row == made.row
        assert np.array_equal(again.values, made.values, equal_nan=True)


def test_no_two_payloads_and_no_two_columns_of_a_fleet_are_alike() -> None:
    plan = FleetPlan(gateways=40, meters=3, fields=16, every_ms=1_000, begin_ms=BEGIN_MS)
    made = BatchMaker(plan=plan).make([(number, Sealed(1, BEGIN_MS, BEGIN_MS + 10_000)) for number in range(40)])
    assert len({message(plan, [each])[-200:] for each in made}) == 40
    columns = [column.tobytes() for each in made for meter in each.values for column in meter]
    assert len(set(columns)) == len(columns)


def test_what_a_full_spool_has_cost_is_counted_and_the_rest_of_the_batch_is_whole() -> None:
    sealed = Sealed(9, BEGIN_MS, BEGIN_MS + 30_000, lost_ms=20_000)
    (made,) = BatchMaker(plan=PLAN).make([(1, sealed)])
    batch = decoded(PLAN, made)
    assert write_body(batch.body) == made.row.body
    for device in batch.body.devices.values():
        called, sampled, missing = device.counts["main"]
        assert called == 30 * PLAN.fields and missing["disk_full"] == 20 * PLAN.fields
        assert sampled == called - sum(missing.values()) > 0


def test_merged_batches_are_read_back_one_by_one_and_a_damaged_message_not_at_all() -> None:
    made = BatchMaker(plan=PLAN).make(sealed_by(PLAN, 5)[:5])
    payload = message(PLAN, made)
    header, body = read_header(payload)
    assert [batch.seq for batch in unpack(header, body)] == [1, 2, 3, 4, 5]
    assert zlib.crc32(body) == header.crc
    with pytest.raises(BadMessage, match="bad_crc"):
        read_header(payload + b"x")
    for end in range(0, len(payload), 97):
        with pytest.raises(BadMessage):
            read_header(payload[:end])


_DIGEST = """
import hashlib
from simulators.fleet.batches import BatchMaker, Sealed, message
from simulators.fleet.plan import FleetPlan
plan = FleetPlan(gateways=9, meters=4, fields=16, every_ms=1_000, begin_ms=1_700_000_000_000, missing=0.1, seed=11)
begin = plan.begin_ms
wanted = [(g, Sealed(s + 1, begin + s * 10_000, begin + (s + 1) * 10_000)) for g in range(9) for s in range(3)]
said = hashlib.sha256()
for made in BatchMaker(plan=plan).make(wanted):
    said.update(message(plan, [made]))
for number in range(9):
    said.update(plan.birth(number))
print(said.hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_processes_that_hash_differently() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "4711")
    }
    assert len(said) == 1
    other = dataclasses.replace(PLAN, seed=PLAN.seed + 1)
    one, two = (BatchMaker(plan=plan).make([(0, Sealed(1, BEGIN_MS, BEGIN_MS + 10_000))])[0] for plan in (PLAN, other))
    assert hashlib.sha256(one.row.body.encode()).digest() != hashlib.sha256(two.row.body.encode()).digest()
    assert PLAN.run(0) != other.run(0) != dataclasses.replace(other, begin_ms=BEGIN_MS + 10_000).run(0)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"gateways": 0}, "--gateways"),
        ({"gateways": 100_000}, "--gateways"),
        ({"fields": 17}, "--fields"),
        ({"every_ms": 10}, "--every"),
        ({"seal_ms": 10}, "--seal"),
        ({"missing": 1.5}, "--missing"),
        ({"begin_ms": 1}, "multiple"),
        ({"prefix": "-x"}, "--prefix"),
        ({"meters": 240, "fields": 16, "every_ms": 1_000}, "fewer --meters"),
    ],
)
def test_a_plan_that_no_gateway_could_keep_is_refused_with_the_option_to_change(
    wrong: dict[str, int | float | str], told: str
) -> None:
    with pytest.raises(BadPlan, match=told):
        FleetPlan(**({"gateways": 1} | wrong))  # type: ignore[arg-type]
