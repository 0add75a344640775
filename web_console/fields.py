"""What a field is called on the page, in both languages, its unit as people write it, and which fields come first."""

from __future__ import annotations

import re
from typing import NamedTuple


class FieldName(NamedTuple):
    """A field in words; `unit` is "" where there is none."""

    en: str
    zh: str
    unit: str


_UNITS = {
    "m3_h": "m³/h",
    "m3": "m³",
    "l_s": "L/s",
    "kwh": "kWh",
    "kw": "kW",
    "w": "W",
    "v": "V",
    "mv": "mV",
    "a": "A",
    "hz": "Hz",
    "m_s": "m/s",
    "us_cm": "µS/cm",
    "ms_cm": "mS/cm",
    "mg_l": "mg/L",
    "ntu": "NTU",
    "fnu": "FNU",
    "bar": "bar",
    "kg": "kg",
    "c": "°C",
    "s": "s",
    "m": "m",
    "ms": "ms",
    "bytes": "B",
    "percent": "%",
}
"""Last words of a field's name -> the unit as people write it."""

_NAMES = {
    "weight": ("Content", "内容物重量"),
    "flow": ("Flow", "瞬时流量"),
    "power": ("Power", "功率"),
    "conductivity": ("Conductivity", "电导率"),
    "turbidity": ("Turbidity", "浊度"),
    "ph": ("pH", "pH 值"),
    "temperature": ("Temperature", "温度"),
    "pressure": ("Pressure", "压力"),
    "salinity": ("Salinity", "盐度"),
    "volume": ("Volume, total", "累计流量"),
    "energy_import": ("Energy drawn, total", "累计用电量"),
    "mass_in": ("Put in, total", "累计投入量"),
    "mass_out": ("Taken out, total", "累计清运量"),
    "emptyings": ("Times emptied", "清运次数"),
    "gross_weight": ("Gross weight", "毛重"),
    "net_weight": ("Net weight", "净重"),
    "door_open": ("Door open", "箱门开启"),
    "velocity": ("Velocity", "流速"),
    "voltage": ("Voltage", "电压"),
    "current": ("Current", "电流"),
    "power_factor": ("Power factor", "功率因数"),
    "frequency": ("Frequency", "频率"),
    "volume_reverse": ("Volume backwards, total", "反向累计流量"),
    "energy_export": ("Energy fed back, total", "反向累计电量"),
    "energy_total": ("Energy both ways, total", "总累计电量"),
    "signal_quality": ("Signal quality", "信号质量"),
    "working_time": ("Working time", "运行时间"),
    "raw_count": ("Raw count", "原始计数"),
    "status": ("Status", "状态"),
    "error_bits": ("Error code", "故障码"),
}
"""Name without unit -> (English, Chinese), the most telling first."""

_RANK = {stem: rank for rank, stem in enumerate(_NAMES)}
_PHASE = re.compile(r"_(l[123])$")


def field_name(field: str) -> FieldName:
    """A field by its words and its unit: `flow_m3_h` is ("Flow", "瞬时流量", "m³/h"). What is unknown stays."""
    stem, unit = _split(field)
    bare = _PHASE.sub("", stem)
    phase = stem[len(bare) + 1 :].upper()
    en, zh = _NAMES.get(bare, (bare.replace("_", " "), bare.replace("_", " ")))
    return FieldName(f"{en} {phase}".strip(), f"{zh} {phase}".strip(), unit)


def rank(field: str) -> tuple[int, str]:
    """Sorts fields: the most telling first, unknown ones last."""
    stem = _PHASE.sub("", _split(field)[0])
    return _RANK.get(stem, len(_RANK)), field


def _split(field: str) -> tuple[str, str]:
    """(name without unit, unit)."""
    words = field.split("_")
    for length in (2, 1):
        unit = _UNITS.get("_".join(words[-length:]))
        if unit is not None and len(words) > length:
            return "_".join(words[:-length]), unit
    return field, ""
