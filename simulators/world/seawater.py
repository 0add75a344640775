"""What salt does to water: osmotic pressure, density and conductivity of seawater, as numpy functions.

Osmotic coefficient and density are the fits of Sharqawy, Lienhard and Zubair (Thermophysical properties of seawater,
Desalination and Water Treatment 16, 2010, 354-380, eq. 49 and 8), which Nayar, Sharqawy, Banchik and Lienhard
(Desalination 390, 2016, 1-24) keep: 0-200 degrees C and 10-120 g/kg, 0-180 degrees C and 0-160 g/kg.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Numbers = Column | float

SEA_SALT_KG_MOL = 0.0314038218
"""Mean molar mass of sea salt (Millero, Feistel, Wright and McDougall, Deep-Sea Research I 55, 2008, 50-72)."""
GAS_J_MOL_K = 8.314462618
ZERO_C_K = 273.15
SALINITY_G_KG_MAX = 120.0
"""Where the fit of the osmotic coefficient ends."""

_PA_BAR = 1e5


class Osmotic(NamedTuple):
    """Osmotic pressure as a function of salinity alone, at a temperature that is fixed: factor x b x (a polynomial)."""

    factor_bar: Column
    """Osmotic pressure of one mole of an ideal solute per kilogram of water, in bar, over the molar mass."""
    constant: Column
    linear: Column
    square: Column

    def bar(self, salinity_g_kg: Numbers) -> Column:
        """Osmotic pressure in bar. Below 10 g/kg the fit is extrapolated; it falls to 0 with the salinity."""
        s = np.asarray(salinity_g_kg, dtype=np.float64) * 1e-3
        return self.factor_bar * s / (1.0 - s) * (self.constant + s * (self.linear + s * self.square))

    def with_slope(self, salinity_g_kg: Column) -> tuple[Column, Column]:
        """Osmotic pressure in bar, and how it rises with salinity, in bar per g/kg."""
        s = salinity_g_kg * 1e-3
        rest = 1.0 / (1.0 - s)
        phi = self.constant + s * (self.linear + s * self.square)
        share = self.factor_bar * rest
        bar = share * s * phi
        return bar, 1e-3 * share * (rest * phi + s * (self.linear + 2.0 * s * self.square))


def osmotic(temperature_c: Numbers) -> Osmotic:
    """The osmotic pressure at `temperature_c`: the coefficient is a polynomial of second degree in the salinity."""
    t = np.asarray(temperature_c, dtype=np.float64)
    per_molality_bar = pure_water_density_kg_m3(t) * GAS_J_MOL_K * (t + ZERO_C_K) / _PA_BAR
    return Osmotic(
        factor_bar=per_molality_bar / SEA_SALT_KG_MOL,
        constant=0.89453 + t * (4.1561e-4 + t * (-4.6262e-6 + t * t * 2.2211e-11)),
        linear=-0.11445 + t * (-1.4783e-3 - t * t * 1.3526e-8),
        square=7.0132 + t * (5.696e-2 - t * 2.8624e-4),
    )


def osmotic_coefficient(salinity_g_kg: Numbers, temperature_c: Numbers) -> Column:
    """By how much the salt's osmotic pressure falls short of an ideal solute's: 1 is ideal."""
    s = np.asarray(salinity_g_kg, dtype=np.float64) * 1e-3
    at = osmotic(temperature_c)
    return at.constant + s * (at.linear + s * at.square)


def osmotic_pressure_bar(salinity_g_kg: Numbers, temperature_c: Numbers) -> Column:
    """Osmotic pressure in bar: coefficient x molality x density of pure water x R x T."""
    return osmotic(temperature_c).bar(salinity_g_kg)


def pure_water_density_kg_m3(temperature_c: Numbers) -> Column:
    """Density of water without salt, at 1 atm."""
    t = np.asarray(temperature_c, dtype=np.float64)
    return 999.9 + t * (2.034e-2 + t * (-6.162e-3 + t * (2.261e-5 - t * 4.657e-8)))


def density_kg_m3(salinity_g_kg: Numbers, temperature_c: Numbers) -> Column:
    """Density of seawater at 1 atm."""
    s, t = np.asarray(salinity_g_kg, dtype=np.float64) * 1e-3, np.asarray(temperature_c, dtype=np.float64)
    salt = 802.0 + t * (-2.001 + t * (1.677e-2 - t * 3.060e-5))
    return pure_water_density_kg_m3(t) + s * (salt - 1.613e-5 * s * t * t)


PERMEATE_MG_L_PER_US_CM = 0.5
"""Salt in permeate per conductivity at 25 degrees C: a convention of plant operation for dilute sodium chloride waters,
not a law (seawater has about 0.67)."""

_SEA_US_CM = 53_065.0
_SEA_G_KG = 35.0
_SEA_EXPONENT = 0.9


def permeate_conductivity_us_cm(salt_mg_l: Numbers) -> Column:
    """Conductivity of permeate at 25 degrees C."""
    return np.asarray(salt_mg_l, dtype=np.float64) / PERMEATE_MG_L_PER_US_CM


def sea_conductivity_us_cm(salinity_g_kg: Numbers) -> Column:
    """Conductivity of seawater or brine at 25 degrees C: a power law through the practical salinity scale.

    Within 0.3 % of the scale (UNESCO Technical Papers in Marine Science 44, 1983) from 20 to 42 g/kg, where the scale
    ends; brine beyond it is extrapolated.
    """
    return _SEA_US_CM * (np.asarray(salinity_g_kg, dtype=np.float64) / _SEA_G_KG) ** _SEA_EXPONENT
