"""What the page knows of areas and devices from the register of assets: names, places, and what a bin holds."""

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
    areas: tuple[str, ...] = ()
    """Every area, group and site that it is in."""
    material: str = ""
    capacity_kg: float | None = None
    """Of a bin: what is collected in it, and what it holds when full."""


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
