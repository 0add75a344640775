"""Fields of devices on a dashboard: the unit that Grafana shows for a field's name, and the field in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deploy.grafana.model import Override
from deploy.grafana.words import Words, same
from web_console.fields import field_name

UNITS = {
    "m3_h": "suffix:m³/h",
    "m3": "suffix:m³",
    "l_s": "suffix:L/s",
    "kwh": "suffix:kWh",
    "kw": "suffix:kW",
    "w": "suffix:W",
    "va": "suffix:VA",
    "var": "suffix:var",
    "v": "suffix:V",
    "mv": "suffix:mV",
    "a": "suffix:A",
    "hz": "suffix:Hz",
    "m_s": "suffix:m/s",
    "us_cm": "suffix:µS/cm",
    "ms_cm": "suffix:mS/cm",
    "mg_l": "suffix:mg/L",
    "ntu": "suffix:NTU",
    "fnu": "suffix:FNU",
    "bar": "suffix:bar",
    "kg": "suffix:kg",
    "c": "celsius",
    "s": "s",
    "ms": "ms",
    "bytes": "decbytes",
    "percent": "percent",
    "ratio": "percentunit",
}
"""Last words of a field's name, the longer ones first where one ends another -> unit of Grafana. No m: it is also the
end of words."""


def unit_overrides() -> tuple[Override, ...]:
    """A unit for every series whose name begins with a field; of those that fit, the last and longest counts."""
    longest_last = sorted(UNITS, key=lambda suffix: (suffix.count("_"), len(suffix)))
    return tuple(
        Override(same(f"/^[a-z0-9_]+_{suffix}( |$)/"), {"unit": UNITS[suffix]}, by="byRegexp")
        for suffix in longest_last
    )


def in_words(fields: Iterable[str], prefix: str = "") -> list[dict[str, Any]]:
    """Value mappings that show a field, with `prefix` before its name, in words with its unit."""
    found: dict[str, Any] = {}
    for index, field in enumerate(sorted(set(fields))):
        name = field_name(field)
        unit = f" ({name.unit})" if name.unit else ""
        found[prefix + field] = {"text": Words(name.en + unit, name.zh + unit), "index": index}
    bare = {"pattern": f"^{prefix}(.*)$", "result": {"text": "$1", "index": len(found)}}
    return [{"type": "value", "options": found}, {"type": "regex", "options": bare}]
