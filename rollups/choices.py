"""The register of assets as entries of a dashboard's variables, so that a person goes from city to device by names."""

from __future__ import annotations

from rollups.assets import Asset, Assets, Place
from series_store.names import CHOICE_MARK


def of_area(assets: Assets, area: str) -> tuple[str, str]:
    """An area as a choice in English and in Chinese (English where it has no Chinese name)."""
    path, title = path_of(assets, area), assets.areas[area].title
    return _choice(path, title.en), _choice(path, title.zh or title.en)


def of_place(assets: Assets, asset: Asset, place: Place) -> dict[str, str]:
    """Where a device stands and what it is: field of `asset` -> choice.

    The city is the top of the tree, the district what lies right below it, or the top again where that is the site.
    """
    way = assets.path(asset.site)
    levels = {"city": way[0], "district": way[min(1, max(len(way) - 2, 0))], "place": way[-1]}
    found = {}
    for level, area in levels.items():
        found[level], found[f"{level}_zh"] = of_area(assets, area.id)
    path = f"{path_of(assets, asset.site)}/{place.device}"
    # Titles may repeat within a site; the device's id tells them apart.
    for field, title in (("meter", asset.title.en), ("meter_zh", asset.title.zh or asset.title.en)):
        found[field] = _choice(path, f"{title} · {place.device}")
    return found


def path_of(assets: Assets, area: str) -> str:
    """Ids from the top of the tree down to the area."""
    return "/".join(one.id for one in assets.path(area))


def _choice(path: str, title: str) -> str:
    return f"{path}{CHOICE_MARK}{title}"
