"""What a person writes into assets.yaml, and the checks that need more than one key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from data_contract.counter_law import Law
from data_contract.reading import is_field
from rollups.assets import TIME_MAX_MS, Area, AreaKind, Asset, Assets, Place, Title
from rollups.periods import is_zone
from yaml_models.parse import Parsed, parse_with_lines

ZONE = "Asia/Shanghai"
"""Where days close unless a file says otherwise."""

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["permeate"])]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TitleEntry(_Model):
    """A name in English and, where there is one, in Chinese."""

    en: Annotated[str, Field(min_length=1, max_length=200, examples=["Feed water"])]
    zh: Annotated[str, Field(max_length=200)] = ""


class AreaEntry(_Model):
    """A city, a district, a street: areas lie in areas, as deep as a place needs."""

    title: TitleEntry
    areas: dict[Id, AreaEntry] = {}


class SiteEntry(_Model):
    """A place where assets stand."""

    title: TitleEntry
    area: Id = Field(description="the area that it lies in")
    zone: str | None = Field(default=None, description="IANA time zone of its days; the file's if left out")


class GroupEntry(_Model):
    """Sites that are reported on together wherever they lie."""

    title: TitleEntry
    sites: tuple[Id, ...]


class PlaceEntry(_Model):
    """The device that the asset was for a time."""

    gateway: Id
    device: Id
    from_: str = Field(
        alias="from", description="ISO date or time; without an offset in the site's zone", examples=["2026-01-01"]
    )
    to: str | None = Field(default=None, description="the first instant at which it was no longer there")


class AssetEntry(_Model):
    """One meter."""

    title: TitleEntry
    site: Id
    role: Role = Field(description="what indicators know it by, such as seawater_feed")
    places: Annotated[tuple[PlaceEntry, ...], Field(min_length=1)]
    rollover: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="total at which it begins again at 0"
    )
    rate_max_per_h: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="largest possible rise of its total per hour; without it a glitch is volume"
    )
    accuracy_percent: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None, description="class, % of reading"
    )
    simulated: bool = False
    use: Word | None = Field(default=None, description="what its water is used for", examples=["industry"])
    material: Word | None = Field(default=None, description="what is collected in the bin", examples=["paper"])
    capacity_kg: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="what the bin holds when full; at once its total can rise by no more"
    )
    fields: dict[str, str] = Field(default={}, description="an indicator's field: what the device calls it")


class AssetsFile(_Model):
    """assets.yaml."""

    zone: str = Field(default=ZONE, description="IANA time zone in which days close")
    areas: dict[Id, AreaEntry]
    sites: dict[Id, SiteEntry]
    groups: dict[Id, GroupEntry] = {}
    assets: dict[Id, AssetEntry]


def parse_assets(text: str, *, file: str) -> Assets:
    """Read assets.yaml. Raises BadFile, one line with file, line, key and mend."""
    parsed = parse_with_lines(text, AssetsFile, file=file)
    shape = parsed.model
    _check_zones(parsed)
    areas = _areas(parsed)
    for name, site in shape.sites.items():
        if site.area not in areas or areas[site.area].kind is not AreaKind.AREA:
            raise parsed.bad(f"sites.{name}.area", f"no area {site.area}", _known(areas, AreaKind.AREA))
    for name, group in shape.groups.items():
        for index, member in enumerate(group.sites):
            if member not in shape.sites:
                raise parsed.bad(f"groups.{name}.sites[{index}]", f"no site {member}", _known(areas, AreaKind.SITE))
    assets = {name: _asset(parsed, name, entry, areas) for name, entry in shape.assets.items()}
    _check_places(parsed, assets)
    return Assets(areas, assets, _members(shape, areas), shape.zone)


def _check_zones(parsed: Parsed[AssetsFile]) -> None:
    named = {"zone": parsed.model.zone}
    named |= {f"sites.{name}.zone": site.zone for name, site in parsed.model.sites.items() if site.zone is not None}
    for key, zone in named.items():
        if not is_zone(zone):
            raise parsed.bad(key, f"no time zone {zone}", "write an IANA name such as Asia/Shanghai")


def _areas(parsed: Parsed[AssetsFile]) -> dict[str, Area]:
    """All areas, sites and groups by id."""
    shape = parsed.model
    found: dict[str, Area] = {}
    entries = [
        *(
            (key, Area(name, _title(entry.title), AreaKind.AREA, parent, shape.zone))
            for key, name, parent, entry in _tree(shape.areas)
        ),
        *(
            (f"sites.{name}", Area(name, _title(site.title), AreaKind.SITE, site.area, site.zone or shape.zone))
            for name, site in shape.sites.items()
        ),
        *(
            (f"groups.{name}", Area(name, _title(group.title), AreaKind.GROUP, None, shape.zone))
            for name, group in shape.groups.items()
        ),
    ]
    for key, area in entries:
        if area.id in found:
            raise parsed.bad(key, f"{area.id} names a {found[area.id].kind} already", "give each its own id")
        found[area.id] = area
    return found


def _tree(
    areas: Mapping[str, AreaEntry], above: str = "", parent: str | None = None
) -> Iterator[tuple[str, str, str | None, AreaEntry]]:
    """(key in the file, id, id of the area around it, entry) of every area of the tree."""
    for name, entry in areas.items():
        key = f"{above}areas.{name}"
        yield key, name, parent, entry
        yield from _tree(entry.areas, f"{key}.", name)


def _title(entry: TitleEntry) -> Title:
    return Title(entry.en, entry.zh)


def _known(areas: Mapping[str, Area], kind: AreaKind) -> str:
    names = sorted(area.id for area in areas.values() if area.kind is kind)
    return f"one of: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else f"add a {kind} first"


def _asset(parsed: Parsed[AssetsFile], name: str, entry: AssetEntry, areas: Mapping[str, Area]) -> Asset:
    key = f"assets.{name}"
    if entry.site not in areas or areas[entry.site].kind is not AreaKind.SITE:
        raise parsed.bad(f"{key}.site", f"no site {entry.site}", _known(areas, AreaKind.SITE))
    for asked, own in entry.fields.items():
        if not (is_field(asked) and is_field(own)):
            raise parsed.bad(f"{key}.fields.{asked}", "no field name", "write two, as volume_m3: volume_net_m3")
    zone = ZoneInfo(areas[entry.site].zone)
    return Asset(
        id=name,
        title=_title(entry.title),
        site=entry.site,
        role=entry.role,
        places=tuple(_place(parsed, f"{key}.places[{i}]", place, zone) for i, place in enumerate(entry.places)),
        law=Law(entry.rollover, entry.rate_max_per_h, entry.capacity_kg or 0.0),
        accuracy_percent=entry.accuracy_percent,
        simulated=entry.simulated,
        use=entry.use or "",
        material=entry.material or "",
        capacity_kg=entry.capacity_kg,
        fields=entry.fields,
    )


def _place(parsed: Parsed[AssetsFile], key: str, entry: PlaceEntry, zone: ZoneInfo) -> Place:
    begin = _instant(parsed, f"{key}.from", entry.from_, zone)
    end = TIME_MAX_MS if entry.to is None else _instant(parsed, f"{key}.to", entry.to, zone)
    if end <= begin:
        mend = "leave it out while the device is there"
        raise parsed.bad(f"{key}.to", f"{entry.to} does not lie after {entry.from_}", mend)
    return Place(entry.gateway, entry.device, begin, end)


def _instant(parsed: Parsed[AssetsFile], key: str, text: str, zone: ZoneInfo) -> int:
    try:
        return instant_ms(text, zone)
    except ValueError:
        mend = "write 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00:00Z"
        raise parsed.bad(key, f"{text} is no time", mend) from None


def instant_ms(text: str, zone: ZoneInfo) -> int:
    """ms UTC of an ISO date (its midnight) or time; without an offset it is meant in `zone`. ValueError otherwise."""
    is_date = len(text) <= len("2026-01-31")
    moment = datetime.combine(date.fromisoformat(text), time()) if is_date else datetime.fromisoformat(text)
    local = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return round(local.timestamp() * 1000)


def _check_places(parsed: Parsed[AssetsFile], assets: Mapping[str, Asset]) -> None:
    """Neither is an asset in two places at a time, nor a device two assets."""
    by_device: dict[tuple[str, str], list[tuple[Place, str]]] = {}
    for asset in assets.values():
        own = [(place, f"assets.{asset.id}.places[{i}]") for i, place in enumerate(asset.places)]
        _check_overlap(parsed, own, f"{asset.id} stands in two places at a time")
        for place, key in own:
            by_device.setdefault((place.gateway, place.device), []).append((place, key))
    for (gateway, device), places in by_device.items():
        _check_overlap(parsed, places, f"device {device} of {gateway} is two assets at a time")


def _check_overlap(parsed: Parsed[AssetsFile], places: list[tuple[Place, str]], problem: str) -> None:
    for (one, one_key), (other, other_key) in pairwise(sorted(places, key=lambda entry: entry[0].from_ms)):
        if one.to_ms > other.from_ms:
            raise parsed.bad(f"{other_key}.from", problem, f"end {one_key} before it ('to: ...'), or mend the dates")


def _members(shape: AssetsFile, areas: Mapping[str, Area]) -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {name: set() for name in areas}
    for name, asset in shape.assets.items():
        at: str | None = asset.site
        while at is not None:
            members[at].add(name)
            at = areas[at].parent
        for group_name, group in shape.groups.items():
            if asset.site in group.sites:
                members[group_name].add(name)
    return {name: frozenset(found) for name, found in members.items()}
