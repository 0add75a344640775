"""Sums of cosines, which stay sums of cosines when added, multiplied or integrated.

A flow written so has a volume that is exact at every moment: there are no steps, so no step error, and two processes
that ask for the same moment get the same total. Products use 2 cos a cos b = cos(a - b) + cos(a + b).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import chance

Column = NDArray[np.float64]


class Wave(NamedTuple):
    """amplitude x cos(omega x tau + phase), with omega in rad/s."""

    amplitude: float
    omega: float
    phase: float


@dataclass(frozen=True, slots=True)
class CosineSum:
    """mean + a sum of waves, as a function of tau, the seconds since an origin."""

    mean: float
    waves: tuple[Wave, ...] = ()

    def at(self, tau_s: float) -> float:
        """The value at tau."""
        return self.mean + math.fsum(a * math.cos(w * tau_s + p) for a, w, p in self.waves)

    def integral(self, tau_s: float) -> float:
        """The integral from 0 to tau, in value x seconds; negative before the origin of a positive value."""
        half = 0.5 * tau_s
        # sin(w tau + p) - sin(p) as a product, so that a very slow wave loses no digits
        return self.mean * tau_s + math.fsum(
            2.0 * a / w * math.sin(w * half) * math.cos(w * half + p) for a, w, p in self.waves
        )

    def column(self, tau_s: Column) -> Column:
        """`at` for a column of times, to within the last digits."""
        found = np.full(tau_s.shape, self.mean)
        for a, w, p in self.waves:
            found += a * np.cos(w * tau_s + p)
        return found

    def integral_column(self, tau_s: Column) -> Column:
        """`integral` for a column of times, to within the last digits."""
        half = 0.5 * tau_s
        found = self.mean * tau_s
        for a, w, p in self.waves:
            found += 2.0 * a / w * np.sin(w * half) * np.cos(w * half + p)
        return found

    def least(self) -> float:
        """A bound below which the value never falls."""
        return self.mean - math.fsum(abs(wave.amplitude) for wave in self.waves)

    def most(self) -> float:
        """A bound above which the value never rises."""
        return self.mean + math.fsum(abs(wave.amplitude) for wave in self.waves)

    def __add__(self, other: CosineSum) -> CosineSum:
        return CosineSum(self.mean + other.mean, self.waves + other.waves)

    def __mul__(self, other: CosineSum) -> CosineSum:
        mean = self.mean * other.mean
        waves = [Wave(a * other.mean, w, p) for a, w, p in self.waves]
        waves += [Wave(a * self.mean, w, p) for a, w, p in other.waves]
        for a, w, p in self.waves:
            for b, v, q in other.waves:
                waves.append(Wave(0.5 * a * b, w + v, p + q))
                if w == v:
                    mean += 0.5 * a * b * math.cos(p - q)
                else:
                    waves.append(Wave(0.5 * a * b, w - v, p - q))
        return CosineSum(mean, tuple(waves))

    def __sub__(self, other: CosineSum) -> CosineSum:
        negative = tuple(Wave(-a, w, p) for a, w, p in other.waves)
        return CosineSum(self.mean - other.mean, self.waves + negative)


DAY_S = 86_400.0


def day_curve(*, swing: float, peak_hour: float, origin_local_s: float) -> tuple[Wave, ...]:
    """A daily wave of relative size `swing` that peaks at `peak_hour`, sharpened by a third of it twice a day."""
    since_peak_s = origin_local_s - peak_hour * 3600.0
    once, twice = math.tau / DAY_S, 2.0 * math.tau / DAY_S
    return (
        Wave(swing, once, (once * since_peak_s) % math.tau),
        Wave(swing / 3.0, twice, (twice * since_peak_s) % math.tau),
    )


def wandering(*, size: float, of: int, origin_s: float) -> tuple[Wave, ...]:
    """Two slow waves of seeded period (20 min to 8 h) and phase, together never larger than `size`."""
    waves = []
    for n, share in enumerate((0.6, 0.4)):
        omega = math.tau / (1200.0 * 24.0 ** chance.unit(of, 2 * n))
        phase = math.tau * chance.unit(of, 2 * n + 1) + omega * origin_s
        waves.append(Wave(size * share, omega, phase % math.tau))
    return tuple(waves)
