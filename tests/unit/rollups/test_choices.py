"""What rollups write beside figures and places for dashboards: names, the way to a device, and the target."""

from __future__ import annotations

from typing import Any

from rollups.assets import Assets
from rollups.choices import of_area
from rollups.library import load_catalog
from rollups.rows import asset_tables, figure_tables
from rollups.worker import Worker
from series_store import names
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import ASSETS, DAY_MS, HOUR_MS, NOON, assets, batches, deliver


def places(register: Assets) -> dict[str, dict[str, Any]]:
    """Device -> fields of its row of the register."""
    found = {}
    for table in asset_tables(register):
        found[dict(table.tags)[names.DEVICE]] = {f: c[0] for f, c in zip(table.fields, table.columns, strict=True)}
    return found


def test_a_device_is_found_by_city_district_and_site_in_both_languages() -> None:
    row = places(assets())["feed"]
    assert (row["city"], row["city_zh"]) == ("city City", "city 城市")
    assert (row["district"], row["district_zh"]) == ("city/harbour Harbour district", "city/harbour Harbour district")
    assert row["place"] == "city/harbour/plant Plant"
    assert (row["meter"], row["meter_zh"]) == (
        "city/harbour/plant/feed Feed water · feed",
        "city/harbour/plant/feed 进水 · feed",
    )


def test_a_site_that_lies_right_in_the_city_has_the_city_for_its_district() -> None:
    row = places(assets(ASSETS.replace("area: harbour", "area: city")))["feed"]
    assert (row["city"], row["district"], row["place"]) == ("city City", "city City", "city/plant Plant")


def test_choices_sorted_as_text_stand_in_the_order_of_the_tree() -> None:
    register = assets()
    found = sorted(of_area(register, area)[0] for area in ("plant", "harbour", "city", "coast"))
    assert found == ["city City", "city/harbour Harbour district", "city/harbour/plant Plant", "coast Coast"]


def test_a_figure_carries_its_areas_name_and_the_target_that_holds_there() -> None:
    shipped = load_catalog().model_dump()
    target = {"area": "harbour", "value": 45, "sense": "at_least", "source": "a plan"}
    shipped["indicators"]["desalination_recovery"]["targets"] = [target]
    catalog = type(load_catalog()).model_validate(shipped)

    async def main() -> list[tuple[dict[str, str], dict[str, Any]]]:
        store = StoreTwin()
        for batch in batches(NOON, NOON + HOUR_MS):
            await deliver(store, batch, batch.to_ms * 1000)
        one = Worker(reader=store, figures=store, assets=assets(), catalog=catalog, now_ms=lambda: NOON + DAY_MS)
        while await one.cycle():
            pass
        tags = {names.INDICATOR_TAG: "desalination_recovery", names.PERIOD_TAG: "1d"}
        return [(row[1], row[2]) for row in await store.figures(names.INDICATOR, tags, 0, NOON + DAY_MS)]

    rows = {tags[names.AREA_TAG]: cells for tags, cells in run_virtual(main())}
    assert rows["harbour"]["target"] == 45 and rows["harbour"][names.VOID] == ""
    assert rows["plant"]["target"] == 0 and rows["plant"][names.VOID] == "target"
    assert rows["harbour"]["area_choice"] == "city/harbour Harbour district"
    assert rows["city"]["area_choice_zh"] == "city 城市"


def test_no_figures_make_no_rows() -> None:
    assert figure_tables([], assets(), load_catalog()) == []
