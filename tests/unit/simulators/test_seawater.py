"""Osmotic pressure decides what a desalination plant consumes; a wrong one would make every simulated figure wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.world.seawater import (
    density_kg_m3,
    osmotic,
    osmotic_coefficient,
    osmotic_pressure_bar,
    permeate_conductivity_us_cm,
    sea_conductivity_us_cm,
)

WARMTHS_C = (1, 5, 10, 15, 20, 25, 28, 30)
OSMOTIC_BAR = {
    28: (18.76, 19.06, 19.44, 19.80, 20.16, 20.50, 20.70, 20.83),
    30: (20.15, 20.48, 20.88, 21.27, 21.65, 22.02, 22.24, 22.38),
    35: (23.68, 24.07, 24.54, 25.00, 25.45, 25.88, 26.14, 26.30),
}
AT_25_C = {25: 18.23, 32: 23.56, 40: 29.81, 50: 37.9, 55: 42.08, 60: 46.35, 65: 50.72, 70: 55.2}


@pytest.mark.parametrize("salinity", OSMOTIC_BAR)
def test_osmotic_pressure_is_that_of_the_published_fit_over_the_year(salinity: int) -> None:
    found = osmotic_pressure_bar(float(salinity), np.array(WARMTHS_C, dtype=float))
    assert found == pytest.approx(OSMOTIC_BAR[salinity], rel=0.002)


def test_osmotic_pressure_is_that_of_the_published_fit_up_to_brine() -> None:
    found = osmotic_pressure_bar(np.array(list(AT_25_C), dtype=float), 25.0)
    assert found == pytest.approx(list(AT_25_C.values()), rel=0.002)


def test_the_coefficient_and_the_pressure_belong_together() -> None:
    molality = 35.0 / (1000.0 - 35.0) / 0.0314038218
    ideal_bar = molality * float(density_kg_m3(0.0, 25.0)) * 8.314462618 * 298.15 / 1e5
    assert osmotic_coefficient(35.0, 25.0) * ideal_bar == pytest.approx(25.88, rel=0.002)
    assert 0.89 < osmotic_coefficient(35.0, 25.0) < 0.92


def test_the_density_of_seawater_and_brine_is_that_of_tables() -> None:
    assert density_kg_m3(35.0, 25.0) == pytest.approx(1023.6, rel=1e-4)
    assert density_kg_m3(60.0, 25.0) == pytest.approx(1042.6, rel=1e-4)
    assert density_kg_m3(0.0, 4.0) == pytest.approx(999.97, rel=1e-4)


def test_the_slope_with_salinity_is_the_derivative() -> None:
    at, salinity, step = osmotic(12.0), np.array([0.1, 5.0, 30.0, 80.0]), 1e-4
    bar, slope = at.with_slope(salinity)
    assert bar == pytest.approx(osmotic_pressure_bar(salinity, 12.0), rel=1e-12)
    by_difference = (at.bar(salinity + step) - at.bar(salinity - step)) / (2.0 * step)
    assert slope == pytest.approx(by_difference, rel=1e-6)


def practical_salinity(ratio: float) -> float:
    """PSS-78 at 25 degrees C and sea level from the conductivity ratio to standard seawater of 15 degrees C."""
    t = 25.0
    warmth = 0.6766097 + 2.00564e-2 * t + 1.104259e-4 * t**2 - 6.9698e-7 * t**3 + 1.0031e-9 * t**4
    root = (ratio / warmth) ** 0.5
    a = (0.0080, -0.1692, 25.3851, 14.0941, -7.0261, 2.7081)
    b = (0.0005, -0.0056, -0.0066, -0.0375, 0.0636, -0.0144)
    shift = (t - 15.0) / (1.0 + 0.0162 * (t - 15.0))
    return math.fsum((x + shift * y) * root**n for n, (x, y) in enumerate(zip(a, b, strict=True)))


@pytest.mark.parametrize("salinity", [20.0, 25.0, 30.0, 35.0, 42.0])
def test_the_conductivity_of_the_sea_reads_back_as_its_salinity(salinity: float) -> None:
    ratio = float(sea_conductivity_us_cm(salinity)) / 42_914.0
    assert practical_salinity(ratio) == pytest.approx(salinity, rel=0.004)


def test_conductivity_rises_with_salt_up_to_brine() -> None:
    assert (np.diff(sea_conductivity_us_cm(np.linspace(5.0, 90.0, 50))) > 0.0).all()
    assert permeate_conductivity_us_cm(140.0) == pytest.approx(280.0)
