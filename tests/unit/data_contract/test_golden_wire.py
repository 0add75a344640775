"""Messages of every version ever shipped are read for ever, and nothing that was damaged on the way is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_contract.batch import Batch, write_body
from data_contract.message import BadMessage, Header, Row, pack, read_header, unpack

FOLDERS = sorted((Path(__file__).parents[2] / "golden" / "wire").glob("v*/*/payload.bin"))


@pytest.fixture(params=FOLDERS, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
def golden(request: pytest.FixtureRequest) -> tuple[bytes, dict[str, Any]]:
    path: Path = request.param
    return path.read_bytes(), json.loads(path.with_name("expected.json").read_text(encoding="ascii"))


def said(payload: bytes) -> dict[str, Any]:
    """What a message says, in the form of expected.json."""
    header, body = read_header(payload)
    batches = []
    for batch in unpack(header, body):
        assert isinstance(batch, Batch), batch
        batches.append({"seq": batch.seq, "base_ms": batch.base_ms, "body": json.loads(write_body(batch.body))})
    return {"header": _words(header), "batches": batches}


def _words(header: Header) -> dict[str, Any]:
    names = ("gateway", "board", "run", "first", "last", "packing")
    return {name: getattr(header, name) for name in names}


def test_the_five_kinds_of_message_are_there() -> None:
    kinds = {path.parent.name for path in FOLDERS}
    assert {"plain", "merged", "digest", "first-of-a-run", "unsure-time"} <= kinds


def test_a_golden_message_still_says_what_it_said(golden: tuple[bytes, dict[str, Any]]) -> None:
    payload, expected = golden
    assert said(payload) == expected


def test_our_packer_says_the_same(golden: tuple[bytes, dict[str, Any]]) -> None:
    _, expected = golden
    header = expected["header"]
    rows = []
    for batch in expected["batches"]:
        body = dict(batch["body"])
        bounds = body.pop("unsure", None)
        text = json.dumps(body, separators=(",", ":"))
        rows.append(Row(batch["seq"], batch["base_ms"], text, None if bounds is None else (bounds[0], bounds[1])))
    again = said(pack(header["gateway"], header["board"], header["run"], rows))
    again["header"]["packing"] = header["packing"]
    assert again == expected


def test_a_message_that_is_cut_short_is_never_read(golden: tuple[bytes, dict[str, Any]]) -> None:
    payload, _ = golden
    for end in range(len(payload)):
        with pytest.raises(BadMessage):
            read_header(payload[:end])


@pytest.mark.parametrize("tail", [b"\0", b"\n", b"x", b"[9,0,{}]\n", b"lg1 "])
def test_a_message_with_something_behind_it_is_never_read(golden: tuple[bytes, dict[str, Any]], tail: bytes) -> None:
    payload, _ = golden
    with pytest.raises(BadMessage):
        read_header(payload + tail)


def test_a_message_with_one_byte_changed_is_refused_or_says_the_same_of_others(
    golden: tuple[bytes, dict[str, Any]],
) -> None:
    """The CRC covers the body; a changed header may name another sender, but never other values under the old name."""
    payload, expected = golden
    end = payload.index(b"\n")
    for place in range(len(payload)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            damaged = bytearray(payload)
            damaged[place] ^= flip
            try:
                header, body = read_header(bytes(damaged))
            except BadMessage:
                continue
            assert place < end, "a changed body was believed"
            assert _words(header) != expected["header"], "a changed header was read as the old one"
            read = unpack(header, body)
            assert len(read) == header.last - header.first + 1
            for one in read:
                if isinstance(one, Batch):
                    assert one.base_ms == expected["batches"][one.seq - expected["header"]["first"]]["base_ms"]
