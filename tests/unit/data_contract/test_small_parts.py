"""Receipts, schedules, acks, topics and scaled time: what two programs read must be what the other one wrote."""

from __future__ import annotations

import json
import random

import pytest

from data_contract import control, receipt, topics
from data_contract.batch import Block, Body, Device, write_body
from data_contract.civil import ScaledClock
from data_contract.reading import is_field, is_id
from data_contract.schedule import Poll, expected, next_slot, slots
from data_contract.topics import Channel, gateway_of, topic
from tests.unit.data_contract import random_batches as some
from tools.contract_schemas import ReceiptText


@pytest.mark.parametrize("seed", range(60))
def test_a_receipt_says_the_same_when_it_is_read(seed: int) -> None:
    said = some.receipt(random.Random(seed))
    text = receipt.write(said)
    assert receipt.read(text) == said
    assert "\n" not in text


@pytest.mark.parametrize("seed", range(20))
def test_a_receipt_cut_anywhere_is_an_error_and_never_half_a_receipt(seed: int) -> None:
    text = receipt.write(some.receipt(random.Random(seed)))
    for end in range(len(text)):
        with pytest.raises(ValueError, match=r"."):
            receipt.read(text[:end])


@pytest.mark.parametrize(
    "text", ["[]", "1", "null", '{"devices":[]}', '{"devices":{"m":1}}', '{"pending":[["r",1]]}', '{"unsure":3}', "{}x"]
)
def test_text_that_is_no_receipt_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        receipt.read(text)


@pytest.mark.parametrize("seed", range(20))
def test_the_receipt_of_a_batch_repeats_what_the_gateway_counted(seed: int) -> None:
    body = some.body(random.Random(seed))
    made = receipt.of_batch(body, 1_000, dict.fromkeys(body.devices, (3, 5, 9)), {})
    assert {name: device.counts for name, device in made.devices.items()} == {
        name: device.counts for name, device in body.devices.items()
    }
    assert made.prev_ms == (None if body.prev is None else 1_000 + body.prev)
    assert (list(made.pending), list(made.aside), list(made.replaces)) == (body.pending, body.aside, body.replaces)


@pytest.mark.parametrize("seed", range(30))
def test_slots_are_counted_as_one_would_by_looking_at_every_millisecond(seed: int) -> None:
    chance = random.Random(seed)
    every = chance.choice([1, 7, 10, 50, 333])
    low = chance.choice([0, -1000, 10_000]) + chance.randint(-400, 400)
    high = low + chance.randint(-50, 1500)
    naive = [t for t in range(low, high) if t % every == 0]
    assert slots(every, low, high) == len(naive)
    assert expected(Poll(device="m", kind="bin", group="g", every_ms=every, fields=("a", "b")), low, high) == 2 * len(
        naive
    )
    assert next_slot(every, low) == next(t for t in range(low, low + every) if t % every == 0)
    middle = chance.randint(min(low, high), max(low, high))
    assert slots(every, low, high) == (slots(every, low, middle) + slots(every, middle, high) if low <= high else 0)


def test_an_ack_comes_back_as_it_was_said() -> None:
    ack = control.Ack(
        run="r", stored=((1, 3), (7, 7)), rejected=(control.Rejected(seq=5, reason="schema"),), worker="w"
    )
    assert control.read_ack(control.write(ack)) == ack
    assert control.read_ack(b'{"run":"r","stored":[[1,2]],"later":{}}') == control.Ack(run="r", stored=((1, 2),))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"{}",
        b'{"run":1}',
        b'{"run":"r","stored":[[0,1]]}',
        b'{"run":"r","stored":[[3,2]]}',
        b'{"run":"r","stored":[[1]]}',
        b'{"run":"r","stored":[[1,2]]}x',
        b"\xff\xff",
        b'{"run":"' + b"r" * control.CONTROL_BYTES_MAX + b'"}',
    ],
)
def test_what_is_no_ack_confirms_nothing(payload: bytes) -> None:
    assert control.read_ack(payload) is None


def test_an_ack_cut_anywhere_confirms_nothing() -> None:
    whole = control.write(control.Ack(run="r" * 32, stored=((1, 30),)))
    assert all(control.read_ack(whole[:end]) is None for end in range(len(whole)))


def test_a_topic_names_a_gateway_only_on_its_own_channel() -> None:
    assert gateway_of(topic("gw-1", Channel.DATA), Channel.DATA) == "gw-1"
    for text in (
        "lg/v1//data",
        "lg/v1/gw-1/ack",
        "lg/v1/gw-1/data/x",
        "lg/v1/a/b/data",
        "lg/v2/gw-1/data",
        "lg/v1/GW/data",
        "lg/v1/+/data",
        "lg/v1/data",
        "xlg/v1/gw/data",
        topics.READY,
    ):
        assert gateway_of(text, Channel.DATA) is None, text


def test_names_that_a_store_or_topic_could_not_bear_are_refused() -> None:
    assert is_id("a") and is_id("a-b_9") and is_id("9") and is_id("x" * 63)
    assert not any(map(is_id, ("", "-a", "_a", "A", "a b", "a/b", "a+", "x" * 64, "a\n", "ä")))
    assert is_field("volume_m3") and not any(map(is_field, ("", "q_volume", "9a", "_a", "a-b", "A", "a\n", "x" * 64)))


@pytest.mark.parametrize("speed", [1.0, 60.0, 33.333333333, 0.001, 99_999.9, 1 / 3])
def test_two_processes_that_exchange_the_clock_as_text_agree_for_ever(speed: float) -> None:
    clock = ScaledClock(origin_ms=1_790_000_000_123, real_origin_ms=1_780_000_000_456, speed=speed)
    assert ScaledClock.parse(clock.text()) == clock


def test_scaled_time_runs_at_its_speed_from_its_origin() -> None:
    clock = ScaledClock(origin_ms=5_000, real_origin_ms=1_000, speed=60)
    assert clock.now_ms(1_000) == 5_000
    assert clock.now_ms(2_000) == 65_000
    assert clock.real_s(60_000) == 1.0
    assert ScaledClock.parse(None).now_ms(123_456) == 123_456


@pytest.mark.parametrize(
    "text", ["1", "1:2", "1:2:3:4", "a:b:c", "1:2:0", "1:2:-5", "1:2:nan", "1:2:inf", "1:2:1e9", "::"]
)
def test_a_clock_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="LOOPGAUGE_CLOCK"):
        ScaledClock.parse(text)


def test_a_sealed_batch_takes_no_byte_more_than_it_must() -> None:
    body = Body(from_=0, to=10, devices={"m": Device(kind="bin", blocks=[Block(t=[0], values={"x": [5.0]})])})
    assert write_body(body) == (
        '{"from":0,"to":10,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"x":[5]}}]}}}'
    )
    assert json.loads(write_body(Body(from_=0, to=0))) == {"from": 0, "to": 0}


@pytest.mark.parametrize("seed", range(30))
def test_the_published_schema_of_a_receipt_describes_what_is_written(seed: int) -> None:
    text = receipt.write(some.receipt(random.Random(seed)))
    said = ReceiptText.model_validate_json(text, strict=False)
    assert json.loads(text).keys() <= ReceiptText.model_fields.keys()
    for name, device in json.loads(text).get("devices", {}).items():
        assert device.keys() <= said.devices[name].model_fields_set
