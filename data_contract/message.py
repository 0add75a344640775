"""The wire format: one header line, then one line of JSON per batch; judged by its header before anything is decoded.

    lg1 {gateway} {board} {run} {first}-{last} {crc32 of the body as sent, 8 hex} {plain|zlib}\\n
    [seq, base_ms, {...}]\\n        (once per batch, seq rising by one from first to last)

The body may be deflated as a whole. Everything here is pure: bytes in, values or reasons out.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError

from data_contract.batch import BATCH_BYTES_MAX, Batch, Body, Millis

VERSION = "lg1"
HEADER_BYTES_MAX = 256
MESSAGE_BYTES_MAX = 524_288
"""A payload as sent. Larger ones are refused by their length alone."""
BODY_BYTES_MAX = 2_097_152
"""A body after inflation. Inflation stops there."""
BATCHES_MAX = 64
"""Batches in one message."""
REASON_CHARS_MAX = 200
"""A reason travels in the ack; a name of a hundred kilobytes inside it would make the ack too large to be read."""

_HEADER = re.compile(
    rb"lg1 ([a-z0-9][a-z0-9_-]{0,62}) ([0-9a-z]{1,32}) ([0-9a-f]{32}) "
    rb"([1-9][0-9]{0,15})-([1-9][0-9]{0,15}) ([0-9a-f]{8}) (plain|zlib)"
)
_LINE: TypeAdapter[tuple[int, int, Body]] = TypeAdapter(tuple[int, Millis, Body], config=ConfigDict(strict=True))


class BadMessage(ValueError):
    """The payload cannot be attributed to a gateway's batches: it is not acknowledged, and counted under `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """Who sent which batches: `first` to `last` of `run`, both included."""

    gateway: str
    board: str
    run: str
    first: int
    last: int
    crc: int
    packing: str


@dataclass(frozen=True, slots=True)
class Row:
    """A sealed and dated batch as the spool holds it: `body` is the plain JSON of a Body."""

    seq: int
    base_ms: int
    body: str
    unsure: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A batch whose message arrived whole but which says nothing that can be stored."""

    seq: int
    reason: str
    copy: str = ""
    """What arrived, for a person: the line itself, or `base64:` and the body as sent (with the first seq only)."""


def line(row: Row) -> str:
    """One batch as a line of the body. The bounds of an unsure base are joined on here: the seal cannot know them."""
    body = row.body
    if row.unsure is not None:
        body = f'{{"unsure":[{row.unsure[0]},{row.unsure[1]}],{body[1:]}'
    return f"[{row.seq},{row.base_ms},{body}]\n"


def pack(gateway: str, board: str, run: str, rows: Sequence[Row]) -> bytes:
    """The payload for consecutive batches of one run, deflated where that makes it smaller."""
    assert rows and all(row.seq == rows[0].seq + index for index, row in enumerate(rows))
    plain = "".join(map(line, rows)).encode("ascii")
    packed = zlib.compress(plain, 9)  # 3 to 11 % smaller than 6, for 2 ms a minute of 20 meters
    packing, body = ("zlib", packed) if len(packed) < len(plain) else ("plain", plain)
    head = f"{VERSION} {gateway} {board} {run} {rows[0].seq}-{rows[-1].seq} {zlib.crc32(body):08x} {packing}\n"
    return head.encode("ascii") + body


def read_header(payload: bytes) -> tuple[Header, bytes]:
    """Header and body as sent, the body's CRC checked. Raises BadMessage."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise BadMessage("too_large")
    end = payload.find(b"\n", 0, HEADER_BYTES_MAX)
    if end < 0:
        raise BadMessage("no_header")
    match = _HEADER.fullmatch(payload, 0, end)
    if match is None:
        known = payload.startswith(VERSION.encode() + b" ")
        raise BadMessage("bad_header" if known or not payload.startswith(b"lg") else "unknown_version")
    gateway, board, run, first, last, crc, packing = (part.decode("ascii") for part in match.groups())
    header = Header(gateway, board, run, int(first), int(last), int(crc, 16), packing)
    if not 0 <= header.last - header.first < BATCHES_MAX:
        raise BadMessage("bad_range")
    body = payload[end + 1 :]
    if zlib.crc32(body) != header.crc:
        raise BadMessage("bad_crc")
    return header, body


def _inflate(body: bytes) -> bytes:
    """The inflated body; ValueError says why not."""
    machine = zlib.decompressobj()
    try:
        plain = machine.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise ValueError(f"not a zlib stream: {error}") from None
    if len(plain) > BODY_BYTES_MAX:
        raise ValueError(f"inflates to more than {BODY_BYTES_MAX} bytes")
    if not machine.eof:
        raise ValueError("the zlib stream is cut short")
    if machine.unused_data:
        raise ValueError("bytes after the end of the zlib stream")
    return plain


def reason_of(error: ValidationError) -> str:
    """The first complaint of a validation, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    text = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
    return text if len(text) <= REASON_CHARS_MAX else f"{text[: REASON_CHARS_MAX - 1]}…"


def _readable(text: bytes) -> str:
    return text.decode("utf-8", errors="backslashreplace")


def _all_undecodable(header: Header, body: bytes, reason: str) -> list[Batch | Undecodable]:
    copy = "base64:" + base64.b64encode(body).decode("ascii")
    return [
        Undecodable(seq, reason, copy if seq == header.first else "") for seq in range(header.first, header.last + 1)
    ]


def _read_line(text: bytes, seq: int) -> Batch | Undecodable:
    if len(text) > BATCH_BYTES_MAX:
        return Undecodable(seq, f"larger than {BATCH_BYTES_MAX} bytes", _readable(text))
    try:
        said, base_ms, body = _LINE.validate_json(text)
    except ValidationError as error:
        return Undecodable(seq, reason_of(error), _readable(text))
    if said != seq:
        return Undecodable(seq, f"line says seq {said}", _readable(text))
    return Batch.model_construct(seq=seq, base_ms=base_ms, body=body)


def unpack(header: Header, body: bytes) -> list[Batch | Undecodable]:
    """One entry for each seq from first to last: the batch, or why it cannot be decoded. A bad line spoils no other."""
    return unpack_sized(header, body)[0]


def unpack_sized(header: Header, body: bytes) -> tuple[list[Batch | Undecodable], int]:
    """The same, and how many bytes of JSON it was: 2 kB as sent may be 2 MB, and take 50 MB when decoded."""
    seqs = range(header.first, header.last + 1)
    try:
        plain = _inflate(body) if header.packing == "zlib" else body
    except ValueError as error:
        return _all_undecodable(header, body, str(error)), len(body)
    lines = plain.split(b"\n")
    if lines[-1] or len(lines) - 1 != len(seqs):
        why = f"{len(seqs)} batches announced, {len(lines) - 1} whole lines found"
        return _all_undecodable(header, body, why), len(body)
    return [_read_line(text, seq) for text, seq in zip(lines, seqs, strict=False)], len(plain)
