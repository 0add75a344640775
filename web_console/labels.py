"""What things are called on the page: areas and devices by name, as the register of assets has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AreaLabel:
    """An area, a group or a site. `parent` is the area around it; days close in `zone`."""

    id: str
    en: str
    zh: str
    kind: str
    parent: str | None
    zone: str


@dataclass(frozen=True, slots=True)
class DeviceLabel:
    """What a device is in [from_ms, to_ms)."""

    gateway: str
    device: str
    en: str
    zh: str
    role: str
    site: str
    simulated: bool
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Labels:
    """All names, in the order of the register; `zone` is the time zone of the page."""

    areas: Mapping[str, AreaLabel]
    devices: tuple[DeviceLabel, ...]
    zone: str

    def device(self, gateway: str, device: str, now_ms: int) -> DeviceLabel | None:
        """What the device is now, None if the register does not know it."""
        for label in self.devices:
            if (label.gateway, label.device) == (gateway, device) and label.from_ms <= now_ms < label.to_ms:
                return label
        return None

    def current(self, now_ms: int) -> list[DeviceLabel]:
        """Every device that is an asset now."""
        return [label for label in self.devices if label.from_ms <= now_ms < label.to_ms]

    def depth(self, area: str) -> int:
        """How many areas lie around this one."""
        depth, at = 0, self.areas[area].parent
        while at is not None:
            depth, at = depth + 1, self.areas[at].parent
        return depth

    def in_order(self, ids: Iterable[str]) -> list[str]:
        """These areas, each right after the area around it; unknown ones last."""
        wanted = set(ids)
        order: list[str] = []

        def visit(parent: str | None) -> None:
            for area in self.areas.values():
                if area.parent == parent:
                    order.append(area.id)
                    visit(area.id)

        visit(None)
        return [name for name in order if name in wanted] + sorted(wanted - set(order))


_UNITS = {
    "m3_h": "m³/h",
    "m3": "m³",
    "kwh": "kWh",
    "kw": "kW",
    "w": "W",
    "v": "V",
    "a": "A",
    "hz": "Hz",
    "m_s": "m/s",
    "us_cm": "µS/cm",
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


def name_and_unit(field: str) -> tuple[str, str]:
    """A field's name in words, and its unit: `flow_m3_h` is ("flow", "m³/h"). Unknown units stay in the name."""
    words = field.split("_")
    for length in (2, 1):
        unit = _UNITS.get("_".join(words[-length:]))
        if unit is not None and len(words) > length:
            return " ".join(words[:-length]), unit
    return " ".join(words), ""
