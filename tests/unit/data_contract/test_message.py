"""Bytes to batches and back: what is whole is read exactly, what is not has a reason, a bad line spoils no other."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

import pytest

from data_contract import message
from data_contract.batch import BATCH_BYTES_MAX, Batch, Record, write_body
from data_contract.control import CONTROL_BYTES_MAX, Ack, Rejected, write
from data_contract.message import BadMessage, Row, Undecodable, pack, read_header, unpack
from tests.unit.data_contract import random_batches as some

RUN = "0123456789abcdef" * 2
GOOD = '{"from":0,"to":10}'


def framed(body: bytes, *, first: int = 1, last: int = 1, packing: str = "plain", version: str = "lg1") -> bytes:
    """Any body under a header that fits it."""
    return f"{version} gw-1 board1 {RUN} {first}-{last} {zlib.crc32(body):08x} {packing}\n".encode() + body


def opened(payload: bytes) -> list[Batch | Undecodable]:
    return unpack(*read_header(payload))


def only(payload: bytes) -> Undecodable:
    (one,) = opened(payload)
    assert isinstance(one, Undecodable)
    return one


def reason(payload: bytes) -> str:
    with pytest.raises(BadMessage) as refusal:
        read_header(payload)
    return refusal.value.reason


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_gateway_seals_arrives_as_it_was(seed: int) -> None:
    chance = random.Random(seed)
    bodies = [some.body(chance) for _ in range(chance.randint(1, 20))]
    first, base_ms = chance.randint(1, 10**9), chance.randint(-(2**40), 2**42)
    rows = [
        Row(first + i, base_ms, write_body(body), (1, 2) if chance.random() < 0.2 else None)
        for i, body in enumerate(bodies)
    ]
    payload = pack("gw-1", "board1", RUN, rows)
    header, _ = read_header(payload)
    assert (header.gateway, header.board, header.run) == ("gw-1", "board1", RUN)
    assert (header.first, header.last) == (first, first + len(rows) - 1)
    for row, body, batch in zip(rows, bodies, opened(payload), strict=True):
        assert isinstance(batch, Batch)
        assert (batch.seq, batch.base_ms) == (row.seq, base_ms)
        assert batch.body == body.model_copy(update={"unsure": row.unsure})


def test_one_batch_of_a_few_bytes_is_not_made_longer_by_packing_it() -> None:
    assert read_header(pack("gw-1", "b", RUN, [Row(1, 0, GOOD)]))[0].packing == "plain"
    many = [Row(seq, 0, GOOD) for seq in range(1, 20)]
    assert read_header(pack("gw-1", "b", RUN, many))[0].packing == "zlib"


def test_a_value_that_is_no_number_is_never_sealed() -> None:
    body = some.body(random.Random(1))
    for value in (float("nan"), float("inf")):
        bad = body.model_copy(update={"records": [Record(kind="x", values={"v": value})]})
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_body(bad)


@pytest.mark.parametrize(
    "payload, expected",
    [
        (b"", "no_header"),
        (b"\0" * 300, "no_header"),
        (b"lg1 no line end", "no_header"),
        (b"x" * 255 + b"\n", "bad_header"),
        (framed(b"", version="lg2"), "unknown_version"),
        (framed(b"", version="lg10"), "unknown_version"),
        (framed(b"", packing="brotli"), "bad_header"),
        (framed(b"", first=2, last=1), "bad_range"),
        (framed(b"", first=1, last=65), "bad_range"),
        (framed(b"").replace(b"gw-1", b"GW-1"), "bad_header"),
        (framed(b"").replace(b"gw-1", b"gw 1"), "bad_header"),
        (framed(b"").replace(b" 1-1 ", b" 01-1 "), "bad_header"),
        (framed(b"").replace(b" 1-1 ", b" 0-1 "), "bad_header"),
        (framed(b"").replace(b"\n", b"\r\n"), "bad_header"),
        (framed(b"") + b"tail", "bad_crc"),
        (b"x" * (message.MESSAGE_BYTES_MAX + 1), "too_large"),
    ],
)
def test_a_header_that_cannot_be_believed_says_why(payload: bytes, expected: str) -> None:
    assert reason(payload) == expected


def test_a_payload_of_a_hundred_megabytes_is_judged_by_its_length_alone() -> None:
    assert reason(bytes(100_000_000)) == "too_large"


def test_a_bomb_is_not_inflated_beyond_the_bound() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    assert len(bomb) < message.MESSAGE_BYTES_MAX
    assert only(framed(bomb, packing="zlib")).reason == f"inflates to more than {message.BODY_BYTES_MAX} bytes"


def test_a_deflated_body_is_read_whole_or_not_at_all() -> None:
    packed = zlib.compress(f"[1,5,{GOOD}]\n".encode())
    assert isinstance(opened(framed(packed, packing="zlib"))[0], Batch)
    for end in range(len(packed)):
        assert only(framed(packed[:end], packing="zlib")).reason
    assert "after the end" in only(framed(packed + b"x", packing="zlib")).reason
    assert "not a zlib stream" in only(framed(b"x" + packed, packing="zlib")).reason


def test_what_cannot_be_inflated_is_kept_once_for_a_person() -> None:
    first, second = opened(framed(b"\1\2", first=7, last=8, packing="zlib"))
    assert isinstance(first, Undecodable)
    assert isinstance(second, Undecodable)
    assert (first.seq, first.copy, second.seq, second.copy) == (7, "base64:AQI=", 8, "")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "null",
        "[]",
        f"[1,5,{GOOD}",
        f"[1,5,{GOOD}]]",
        f'["1",5,{GOOD}]',
        f"[1,5.5,{GOOD}]",
        f"[1,1e400,{GOOD}]",
        f"[2,5,{GOOD}]",
        f"[1,5,{GOOD},0]",
        '[1,5,{"from":10,"to":0}]',
        '[1,5,{"from":0}]',
        '[1,5,{"from":0,"to":1,"devices":{"M 1":{"kind":"bin"}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"Bin"}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"q_x":[1]}}]}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"x":[1,2]}}]}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"x":["1"]}}]}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"x":[true]}}]}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","counts":{"g":[5,3,{"timeout":1}]}}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","counts":{"g":[-1,-1,{}]}}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"x":[1]},"quality":{"x":[[1,2]]}}]}}}]',
        '[1,5,{"from":0,"to":1,"devices":{"m":{"kind":"bin","blocks":[{"t":[0],"values":{"x":[1]},"quality":{"x":[[0,256]]}}]}}}]',
        '[1,5,{"from":0,"to":1,"records":[{"kind":"x","device":"No Id"}]}]',
        '[1,5,{"from":0,"to":1,"records":[{"kind":"x","data":' + "[" * 5000 + "]" * 5000 + "}]}]",
        '[1,5,{"from":0,"to":1,"records":[{"kind":"x","data":{"n":' + "9" * 5000 + "}}]}]",
        '[1,5,{"from":0,"to":' + "9" * 400 + "}]",
        "\u0000",
    ],
)
def test_a_line_that_breaks_the_schema_is_rejected_with_a_short_reason_and_spares_its_neighbour(line: str) -> None:
    bad, good = opened(framed(f"{line}\n[2,5,{GOOD}]\n".encode(), first=1, last=2))
    assert isinstance(bad, Undecodable), bad
    assert isinstance(good, Batch)
    assert bad.seq == 1
    assert bad.copy == line
    assert 0 < len(bad.reason) <= message.REASON_CHARS_MAX
    assert "\n" not in bad.reason


def test_unknown_keys_are_ignored_so_that_either_end_may_be_newer() -> None:
    (batch,) = opened(framed(b'[1,5,{"from":0,"to":1,"later":[1],"devices":{"m":{"kind":"bin","new":2}}}]\n'))
    assert isinstance(batch, Batch)
    assert list(batch.body.devices) == ["m"]


def test_bytes_that_are_no_text_are_rejected_and_can_be_read_by_a_person() -> None:
    bad = only(framed(b"\xff\xfe\n"))
    assert bad.copy == "\\xff\\xfe"


def test_another_number_of_lines_than_announced_rejects_all_of_them() -> None:
    for body in (b"", f"[1,5,{GOOD}]\n".encode(), f"[1,5,{GOOD}]\n[2,5,{GOOD}]".encode(), b"\n\n\n"):
        batches = opened(framed(body, first=1, last=2))
        assert [type(one) for one in batches] == [Undecodable, Undecodable]


def test_a_batch_beyond_its_bound_is_rejected_and_its_neighbour_is_not() -> None:
    big = f'[1,5,{{"from":0,"to":1,"pad":"{"x" * BATCH_BYTES_MAX}"}}]\n[2,5,{GOOD}]\n'.encode()
    bad, good = opened(framed(big, first=1, last=2))
    assert isinstance(bad, Undecodable)
    assert isinstance(good, Batch)


def test_a_name_of_a_hundred_kilobytes_does_not_make_the_ack_unreadable() -> None:
    line = json.dumps([1, 5, {"from": 0, "to": 1, "devices": {"X" * 100_000: {"kind": "bin"}}}])
    bad = only(framed(f"{line}\n".encode()))
    ack = write(Ack(run=RUN, rejected=tuple(Rejected(seq=seq, reason=bad.reason) for seq in range(1, 65))))
    assert len(ack) < CONTROL_BYTES_MAX


@pytest.mark.parametrize("seed", range(40))
def test_damaged_json_is_decoded_or_rejected_but_never_raises(seed: int) -> None:
    chance = random.Random(seed)
    text = f"[1,5,{write_body(some.body(chance))}]"
    for _ in range(60):
        damaged = list(text)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(damaged))
            damaged[place] = chance.choice('0123456789-+eE.,:"[]{}ntf\\ \x00é')
        opened(framed("".join(damaged).replace("\n", " ").encode() + b"\n"))


def _cells(value: str) -> Any:
    (batch,) = opened(
        framed(
            f'[1,5,{{"from":0,"to":1,"devices":{{"m":{{"kind":"bin","blocks":[{{"t":[0],"values":{{"x":[{value}]}}}}]}}}}}}]\n'.encode()
        )
    )
    assert isinstance(batch, Batch), batch
    return batch.body.devices["m"].blocks[0].values["x"][0]


def test_a_whole_number_and_a_float_are_the_same_value() -> None:
    assert _cells("5") == _cells("5.0") == 5.0
    assert isinstance(_cells("5"), float)
    assert _cells("null") is None
