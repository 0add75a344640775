"""The register of assets: what is wrong in it is said in one line, and a meter stays one meter wherever it moves."""

from __future__ import annotations

import pytest

from rollups.assets import Assets
from tests.unit.rollups.plant import ASSETS, HOUR_MS, MIDNIGHT, assets
from yaml_models.bad_file import BadFile

MOVED = ASSETS.replace(
    'places: [{gateway: gw-1, device: feed, from: "2025-01-01"}]',
    """places:
      - {gateway: gw-1, device: feed, from: "2025-01-01", to: "2026-01-01"}
      - {gateway: gw-2, device: m7, from: "2026-01-01T02:00"}""",
)


PLACE = 'device: feed, from: "2025-01-01"'


@pytest.mark.parametrize(
    "old, new, place, problem, mend",
    [
        ("area: harbour", "area: harbor", "12: sites.plant.area", "no area harbor", "one of: city, harbour"),
        ("sites: [plant]", "sites: [plan]", "16: groups.coast.sites[0]", "no site plan", "one of: plant"),
        (
            "site: plant\n    role: permeate",
            "site: city\n    role: permeate",
            "28: assets.permeate-1.site",
            "no site city",
            "one of: plant",
        ),
        ("  coast:", "  city:", "14: groups.city", "city names a area already", "give each its own id"),
        (
            "device: permeate",
            "device: feed",
            "30: assets.permeate-1.places[0].from",
            "device feed of gw-1 is two assets at a time",
            "or mend the dates",
        ),
        (
            PLACE,
            PLACE.replace("01-01", "13-01"),
            "22: assets.feed-1.places[0].from",
            "2025-13-01 is no time",
            "2026-01-31T08:00:00Z",
        ),
        (
            PLACE,
            PLACE + ", to: 2024-01-01",
            "22: assets.feed-1.places[0].to",
            "2024-01-01 does not lie after 2025-01-01",
            "leave it out",
        ),
        ("zone: ZONE", "zone: Asia/Atlantis", "2: zone", "no time zone Asia/Atlantis", "such as Asia/Shanghai"),
        ("role: permeate", "rôle: permeate", "29: assets.permeate-1.rôle", "unknown key", "did you mean role?"),
    ],
)
def test_a_mistake_is_named_with_its_line_its_key_and_its_mend(
    old: str, new: str, place: str, problem: str, mend: str
) -> None:
    assert old in ASSETS
    with pytest.raises(BadFile) as caught:
        assets(ASSETS.replace(old, new))
    said = str(caught.value)
    assert said.startswith(f"assets.yaml:{place}: {problem}; ")
    assert mend in said


def test_an_asset_that_stands_in_two_places_at_a_time_is_refused() -> None:
    text = MOVED.replace(', to: "2026-01-01"', "")
    with pytest.raises(BadFile, match="feed-1 stands in two places at a time"):
        assets(text)


def test_areas_hold_what_lies_in_them_however_deep_and_groups_cut_across() -> None:
    register = assets()
    assert [area.id for area in register.path("plant")] == ["city", "harbour", "plant"]
    for area in ("city", "harbour", "plant", "coast"):
        assert register.members[area] == {"feed-1", "permeate-1", "energy-1"}
    assert set(register.areas_of("feed-1")) == {"city", "harbour", "plant", "coast"}


def test_a_date_without_an_offset_is_meant_in_the_zone_of_its_site() -> None:
    assert assets(MOVED).assets["feed-1"].places[0].to_ms == MIDNIGHT
    berlin = assets(MOVED, zone="Europe/Berlin")
    assert berlin.assets["feed-1"].places[0].to_ms == MIDNIGHT + 7 * HOUR_MS


def stays(register: Assets, gateway: str, device: str) -> list[tuple[int, int, str | None]]:
    found = register.stays(gateway, device, MIDNIGHT - HOUR_MS, MIDNIGHT + 4 * HOUR_MS)
    return [
        (
            (stay.from_ms - MIDNIGHT) // HOUR_MS,
            (stay.to_ms - MIDNIGHT) // HOUR_MS,
            stay.asset.id if stay.asset else None,
        )
        for stay in found
    ]


def test_a_device_is_looked_up_by_time() -> None:
    register = assets(MOVED)
    assert stays(register, "gw-1", "feed") == [(-1, 0, "feed-1"), (0, 4, None)]
    assert stays(register, "gw-2", "m7") == [(-1, 2, None), (2, 4, "feed-1")]
    assert stays(register, "gw-9", "nothing") == [(-1, 4, None)]


def test_the_time_between_two_places_counts_as_service() -> None:
    since, until = assets(MOVED).assets["feed-1"].in_service
    assert since < MIDNIGHT < until
    assert [a.id for a in assets(MOVED).with_role("city", "seawater_feed", MIDNIGHT, MIDNIGHT + HOUR_MS)] == ["feed-1"]
