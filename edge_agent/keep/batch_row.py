"""What makes a row of the spool believable: a checksum over all of it that is sent. Pure."""

from __future__ import annotations

import json
import zlib


def crc_of(seq: int, base_ms: int | None, guess_ms: int, lo: int | None, hi: int | None, body: str) -> int:
    """CRC-32 of a batch and of its date, so that neither a value nor a time that the card has changed is sent."""
    return zlib.crc32(f"{seq} {base_ms} {guess_ms} {lo} {hi}".encode(), zlib.crc32(body.encode()))


def is_sound(
    seq: int, base_ms: int | None, guess_ms: int, lo: int | None, hi: int | None, body: str, crc: int | None
) -> bool:
    """Whether a row is as it was written. Rows of older versions have no checksum: they must at least be a body."""
    if crc is not None:
        return crc == crc_of(seq, base_ms, guess_ms, lo, hi, body)
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and isinstance(said.get("from"), int) and isinstance(said.get("to"), int)


def crc_when_dated(
    seq: int,
    guess_ms: int,
    body: str,
    crc: int | None,
    low_ms: int | None,
    base_ms: int,
    lo: int | None,
    hi: int | None,
) -> int:
    """The checksum of an undated row with its date, for SQL; -1, which no row has, where it was not sound before.

    `low_ms`: the bound that it was sealed with.
    """
    if not is_sound(seq, None, guess_ms, low_ms, None, body, crc):
        return -1
    return crc_of(seq, base_ms, guess_ms, lo, hi, body)
