"""Chance that is the same in every process: numbers drawn from a seed and a name, never from a generator's state.

The mixing function is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
OOPSLA 2014), in integers for one number and in numpy for a column, with equal results.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_UNIT = 2.0**-53


def key(seed: int, *labels: str) -> int:
    """64 bits that stand for this seed and these names in every process, on every machine."""
    text = "\x1f".join((str(seed), *labels))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def unit(of: int, n: int = 0) -> float:
    """The n-th number of key `of`, uniform in [0, 1)."""
    z = (of + n * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
    return ((z ^ (z >> 31)) >> 11) * _UNIT


def units(of: int | NDArray[np.uint64], n: NDArray[np.int64]) -> NDArray[np.float64]:
    """`unit` for a column of n, or for a column of keys that numpy can set beside it."""
    z = np.asarray(of, dtype=np.uint64) + n.astype(np.uint64) * np.uint64(_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    drawn: NDArray[np.float64] = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * _UNIT
    return drawn


def jitter(of: int, t_ms: int) -> float:
    """White noise in [-1, 1): another number for every millisecond."""
    return 2.0 * unit(of, t_ms) - 1.0


def drift(of: int, t_ms: int, every_ms: int) -> float:
    """A wandering value in [-1, 1): a number for every multiple of `every_ms`, joined by half cosine waves."""
    step, rest = divmod(t_ms, every_ms)
    before, after = unit(of, step), unit(of, step + 1)
    blend = 0.5 - 0.5 * math.cos(math.pi * rest / every_ms)
    return 2.0 * (before + (after - before) * blend) - 1.0


def drifts(of: int, t_ms: NDArray[np.int64], every_ms: int) -> NDArray[np.float64]:
    """`drift` for a column of times in ms."""
    step, rest = np.divmod(t_ms, every_ms)
    before, after = units(of, step), units(of, step + 1)
    blend = 0.5 - 0.5 * np.cos(np.pi * rest / every_ms)
    return 2.0 * (before + (after - before) * blend) - 1.0
