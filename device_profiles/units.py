"""Which unit the end of a field's name promises. Names carry the unit so that no reader has to look it up.

Codes are UCUM (ucum.org), case-sensitive; `1` is a pure number.
"""

from __future__ import annotations

_UNITS = {
    "a": "A",
    "bar": "bar",
    "c": "Cel",
    "g": "g",
    "g_l": "g/L",
    "hz": "Hz",
    "k": "K",
    "kg": "kg",
    "kpa": "kPa",
    "kva": "kV.A",
    "kvar": "kvar",
    "kw": "kW",
    "kwh": "kW.h",
    "kwh_m3": "kW.h/m3",
    "l": "L",
    "l_min": "L/min",
    "l_s": "L/s",
    "m": "m",
    "m3": "m3",
    "m3_d": "m3/d",
    "m3_h": "m3/h",
    "m3_s": "m3/s",
    "m_s": "m/s",
    "mg_l": "mg/L",
    "mm": "mm",
    "ms": "ms",
    "ms_cm": "mS/cm",
    "mv": "mV",
    "ntu": "[NTU]",
    "percent": "%",
    "ph": "[pH]",
    "ratio": "1",
    "s": "s",
    "us_cm": "uS/cm",
    "v": "V",
    "va": "V.A",
    "var": "var",
    "w": "W",
    "wh": "W.h",
}

_PARTS_MAX = max(suffix.count("_") for suffix in _UNITS) + 1


def promised_unit(field: str) -> str | None:
    """The UCUM code that the end of the name promises (`flow_m3_h`: m3/h), or None where it promises none."""
    parts = field.split("_")
    for count in range(min(_PARTS_MAX, len(parts) - 1), 0, -1):
        unit = _UNITS.get("_".join(parts[-count:]))
        if unit is not None:
            return unit
    return None
