"""The register of assets as values: which meter stood where, when, in which role, and what its total can do.

A reading names a gateway and a device. Everything that can change about that device is looked up here by time, so
that a meter that moves stays one meter, and a change restates nothing before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from data_contract.counter_law import Law

TIME_MAX_MS = 2**53
"""Stands for: still there."""

UNKNOWN_LAW = Law()


class Title(NamedTuple):
    """A name for people."""

    en: str
    zh: str = ""


class AreaKind(StrEnum):
    """What an area id stands for; all three kinds share one name space and can be reported on."""

    AREA = "area"
    GROUP = "group"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Area:
    """A node of the tree, a site (a leaf of it), or a group that cuts across it."""

    id: str
    title: Title
    kind: AreaKind
    parent: str | None
    """The area that it lies in; None at the top and for groups."""
    zone: str
    """IANA name of the time zone in which its days close."""


@dataclass(frozen=True, slots=True)
class Place:
    """A device that an asset was in [from_ms, to_ms)."""

    gateway: str
    device: str
    from_ms: int
    to_ms: int = TIME_MAX_MS


@dataclass(frozen=True, slots=True)
class Asset:
    """One meter through all its places."""

    id: str
    title: Title
    site: str
    role: str
    places: tuple[Place, ...]
    law: Law = UNKNOWN_LAW
    accuracy_percent: float | None = None
    simulated: bool = False
    use: str = ""
    """What is drawn here is used for this, such as industry; "" where it does not matter."""
    material: str = ""
    """What is collected in it, such as paper."""
    capacity_kg: float | None = None
    """What it holds when full, of a bin."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Field that an indicator asks for -> what this device calls it, where the two differ."""

    @property
    def in_service(self) -> tuple[int, int]:
        """From its first place to its last, [from, to) in ms UTC. A time between two places is a hole in its data."""
        return min(place.from_ms for place in self.places), max(place.to_ms for place in self.places)


class Stay(NamedTuple):
    """A stretch of time in which a device was the same asset, or none."""

    from_ms: int
    to_ms: int
    asset: Asset | None


@dataclass(frozen=True, slots=True)
class Assets:
    """Areas by id, assets by id; `zone` holds where no site says otherwise."""

    areas: Mapping[str, Area]
    assets: Mapping[str, Asset]
    members: Mapping[str, frozenset[str]]
    """Area id -> ids of the assets in it, however deep."""
    zone: str

    def stays(self, gateway: str, device: str, from_ms: int, to_ms: int) -> list[Stay]:
        """Which asset the device was, piece by piece, in the whole of [from_ms, to_ms)."""
        places = sorted(
            (place.from_ms, place.to_ms, asset.id)
            for asset in self.assets.values()
            for place in asset.places
            if (place.gateway, place.device) == (gateway, device) and place.from_ms < to_ms and place.to_ms > from_ms
        )
        stays, at = [], from_ms
        for begin, end, asset_id in places:
            if begin > at:
                stays.append(Stay(at, begin, None))
            stays.append(Stay(max(begin, at), min(end, to_ms), self.assets[asset_id]))
            at = min(end, to_ms)
        if at < to_ms:
            stays.append(Stay(at, to_ms, None))
        return stays

    def zone_of(self, gateway: str, device: str, t_ms: int) -> str:
        """The time zone in which the days of a device close."""
        stay = self.stays(gateway, device, t_ms, t_ms + 1)[0]
        return self.areas[stay.asset.site].zone if stay.asset else self.zone

    def path(self, area: str) -> tuple[Area, ...]:
        """The area and all that it lies in, from the top down."""
        way: list[Area] = []
        at: str | None = area
        while at is not None:
            way.append(self.areas[at])
            at = self.areas[at].parent
        return tuple(reversed(way))

    def with_role(self, area: str, role: str, from_ms: int, to_ms: int) -> list[Asset]:
        """Assets of a role in an area that were in service at some time in [from_ms, to_ms), by id."""
        found = [self.assets[name] for name in sorted(self.members[area])]
        return [a for a in found if a.role == role and a.in_service[0] < to_ms and a.in_service[1] > from_ms]

    def areas_of(self, asset: str) -> Iterator[str]:
        """Ids of all areas that the asset is in."""
        return (area for area, members in self.members.items() if asset in members)

    def devices(self) -> set[tuple[str, str]]:
        """Every (gateway, device) that was ever an asset."""
        return {(place.gateway, place.device) for asset in self.assets.values() for place in asset.places}
