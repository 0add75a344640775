"""Who somebody is does not leave the gateway: the number of a card or a user becomes one that only the key can repeat.

The same card gives the same pseudonym wherever the same key is, so that deposits of one person can be added up. Without
the key all cards in the world could be tried, so the key is a secret of the gateways and is never sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from data_contract.reading import Quality
from edge_agent.keep.interval import Decode

PSEUDONYM_BITS = 48
"""Whole numbers up to 2**53 are exact in a float64; that two of a million people share one of these is 1 in 560."""

KEY_BYTES_MIN = 16


def pseudonym(key: bytes, number: int) -> int:
    """HMAC-SHA256 of a number, cut to PSEUDONYM_BITS; 0, which means that nobody is there, stays 0."""
    if number == 0:
        return 0
    digest = hmac.new(key, str(number).encode("ascii"), hashlib.sha256).digest()
    return int.from_bytes(digest[: PSEUDONYM_BITS // 8], "big")


def hidden(decode: Decode, whole: Callable[[Sequence[int]], int], key: bytes) -> Decode:
    """`decode` with pseudonyms for values. `whole` gives all bits of the registers as a number."""

    def decode_hidden(words: Sequence[int]) -> tuple[float | None, Quality]:
        value, quality = decode(words)
        return (None if value is None else float(pseudonym(key, whole(words)))), quality

    return decode_hidden
