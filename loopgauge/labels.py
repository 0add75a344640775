"""The register of assets as names for the page, which does not read the register itself."""

from __future__ import annotations

from rollups.assets import Assets
from web_console.labels import AreaLabel, DeviceLabel, Labels


def labels_of(assets: Assets) -> Labels:
    """The names of all areas and devices."""
    return Labels(
        areas={
            area.id: AreaLabel(area.id, area.title.en, area.title.zh, area.kind.value, area.parent, area.zone)
            for area in assets.areas.values()
        },
        devices=tuple(
            DeviceLabel(
                gateway=place.gateway,
                device=place.device,
                en=asset.title.en,
                zh=asset.title.zh,
                role=asset.role,
                site=asset.site,
                simulated=asset.simulated,
                from_ms=place.from_ms,
                to_ms=place.to_ms,
                areas=tuple(assets.areas_of(asset.id)),
                material=asset.material,
                capacity_kg=asset.capacity_kg,
            )
            for asset in assets.assets.values()
            for place in asset.places
        ),
        zone=assets.zone,
    )
