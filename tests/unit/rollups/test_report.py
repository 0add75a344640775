"""A report that a person can check, and a program can read."""

from __future__ import annotations

import csv
import io
import json
from zoneinfo import ZoneInfo

import pytest

from rollups.against import against
from rollups.ask import ask
from rollups.assets import Assets
from rollups.assets_file import instant_ms
from rollups.catalog import Baseline, Catalog, Indicator, Target, Titles, met
from rollups.library import load_catalog
from rollups.render import as_csv, as_json
from rollups.report import COLUMNS, Line, lines
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import ASSETS, DAY_MS, HOUR_MS, MIDNIGHT, assets, batches, deliver

CATALOG = load_catalog()


def report(register: Assets | None = None, catalog: Catalog = CATALOG, area: str | None = None) -> list[Line]:
    own = register or assets()

    async def main() -> list[Line]:
        store = StoreTwin()
        for batch in batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 3 * HOUR_MS):
            await deliver(store, batch, batch.to_ms * 1000)
        found = await ask(
            reader=store,
            figures=store,
            assets=own,
            catalog=catalog,
            from_ms=MIDNIGHT,
            to_ms=MIDNIGHT + 2 * HOUR_MS,
            area=area,
        )
        return lines(found, catalog, own)

    return run_virtual(main())


def test_a_line_says_all_that_is_needed_to_check_a_figure() -> None:
    line = next(one for one in report() if one["area"] == "plant" and one["indicator"] == "desalination_recovery")
    assert tuple(line) == COLUMNS
    assert line["value"] == pytest.approx(100 * line["numerator"] / line["denominator"])
    assert (line["numerator"], line["denominator"]) == (pytest.approx(84), pytest.approx(200))
    assert (line["unit"], line["numerator_unit"], line["denominator_unit"]) == ("%", "m3", "m3")
    assert (line["from_utc"], line["to_utc"]) == ("2025-12-31T16:00:00Z", "2025-12-31T18:00:00Z")
    assert (line["from_local"], line["to_local"]) == ("2026-01-01T00:00:00+08:00", "2026-01-01T02:00:00+08:00")
    assert (line["completeness"], line["partial"], line["simulated"]) == (1.0, False, True)
    assert line["low"] < line["value"] < line["high"]
    assert line["rule"] == "desalination_recovery@1"
    assert "set no target" in line["note"]
    assert (line["target"], line["target_met"], line["against"]) == (None, None, None)
    assert {meter["asset"]: meter["simulated"] for meter in line["meters"]} == {"permeate-1": False, "feed-1": True}


def test_every_area_that_has_a_meter_for_it_is_reported_on() -> None:
    assert {(one["indicator"], one["area"]) for one in report()} == {
        (indicator, area)
        for indicator in ("desalination_recovery", "desalination_specific_energy")
        for area in ("city", "harbour", "plant", "coast")
    }
    assert {one["area"] for one in report(area="coast")} == {"coast"}


def test_csv_and_json_say_the_same() -> None:
    said = report()
    rows = list(csv.DictReader(io.StringIO(as_csv.document(said), newline="")))
    figures = json.loads(as_json.document(said))["figures"]
    assert len(rows) == len(figures) == len(said)
    for row, figure in zip(rows, figures, strict=True):
        assert float(row["value"]) == figure["value"]
        assert row["partial"] == str(figure["partial"]).lower()
        assert json.loads(row["meters"]) == figure["meters"]
        assert row["target_year"] == ""
        assert figure["target_year"] is None
        assert row["title_zh"] == figure["title_zh"]


def test_a_title_cannot_be_a_formula_in_a_spreadsheet() -> None:
    register = assets(ASSETS.replace("{en: Plant}", "{en: '=HYPERLINK(1)'}"))
    row = next(csv.DictReader(io.StringIO(as_csv.document(report(register, area="plant")))))
    assert row["area_title"] == "'=HYPERLINK(1)"


def test_an_area_s_own_target_goes_before_a_reference_and_the_latest_year_before_an_earlier_one() -> None:
    recovery = CATALOG.indicators["desalination_recovery"]
    own = [
        Target(value=40.0, sense="at_least", nature="reference", source="practice"),
        Target(area="city", value=43.0, year=2025, sense="at_least", source="plan"),
        Target(area="city", value=45.0, year=2027, sense="at_least", source="plan"),
    ]
    dated: Indicator = recovery.model_copy(update={"targets": tuple(own)})
    catalog = Catalog(indicators={"desalination_recovery": dated})
    by_area = {line["area"]: line for line in report(catalog=catalog)}
    assert (by_area["city"]["target"], by_area["city"]["target_year"], by_area["city"]["target_met"]) == (
        45,
        2027,
        False,
    )
    assert (by_area["plant"]["target"], by_area["plant"]["target_met"]) == (40, True)
    assert (by_area["plant"]["target_nature"], by_area["plant"]["against"]) == ("reference", None)


@pytest.mark.parametrize(
    "begin, end, kind, share, said",
    [
        ("2025-01-01", "2026-01-01", "year", 1.0, "all of 2025"),
        ("2025-03-01", "2025-03-04", "part", 3 / 365, "3 days of 2025 set against the target for 2025"),
        ("2026-03-01", "2026-03-04", "other", 0.0, "3 days of 2026 set against the target for 2025"),
        ("2026-03-01T12:00", "2026-03-01T13:30", "other", 0.0, "1.5 hours of 2026 set against the target for 2025"),
        ("2025-12-31", "2026-01-02", "other", 1 / 365, "2 days of 2025 to 2026 set against the target for 2025"),
        ("2024-01-01", "2025-01-01", "other", 0.0, "366 days of 2024 set against the target for 2025"),
        ("2024-12-31", "2026-01-02", "other", 1.0, "367 days of 2024 to 2026 set against the target for 2025"),
        ("2025-12-31T23:59", "2026-01-01", "part", 1 / 525_600, "1 minute of 2025 set against the target for 2025"),
    ],
)
def test_a_part_of_a_year_is_never_set_against_the_target_of_a_year_without_saying_so(
    begin: str, end: str, kind: str, share: float, said: str
) -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    target = Target(value=50, year=2025, sense="at_least", source="plan")
    from_ms, to_ms = instant_ms(begin, shanghai), instant_ms(end, shanghai)
    found = against(target, from_ms, to_ms, "Asia/Shanghai")
    assert found is not None
    assert (found.kind, found.en) == (kind, said)
    assert found.share == pytest.approx(share, abs=1e-12)
    assert "2025年" in found.zh
    # The same instants are no whole year by other clocks.
    elsewhere = against(target, from_ms, to_ms, "Europe/Lisbon")
    assert elsewhere is not None
    assert elsewhere.kind != "year"


def test_each_figure_beside_a_target_says_in_csv_and_json_what_is_set_against_what() -> None:
    recovery = CATALOG.indicators["desalination_recovery"]
    target = Target(
        area="city",
        value=43.0,
        year=2025,
        sense="at_least",
        nature="expected",
        department="Water Bureau",
        baseline=Baseline(value=40.0, year=2020),
        source="plan",
        note=Titles(en="table", zh="表"),
    )
    catalog = Catalog(indicators={"desalination_recovery": recovery.model_copy(update={"targets": (target,)})})
    said = report(catalog=catalog)
    row = next(row for row in csv.DictReader(io.StringIO(as_csv.document(said), newline="")) if row["area"] == "city")
    line = next(line for line in json.loads(as_json.document(said))["figures"] if line["area"] == "city")
    assert row["against"] == line["against"] == "2 hours of 2026 set against the target for 2025"
    assert row["against_zh"] == line["against_zh"] == "以2026年内2小时的数据对照2025年目标"
    assert (row["against_kind"], float(row["against_share"])) == (line["against_kind"], line["against_share"])
    assert (line["baseline"], line["baseline_year"], line["target_department"]) == (40.0, 2020, "Water Bureau")
    assert (line["target_note"], line["target_note_zh"]) == ("table", "表")
    assert next(line for line in said if line["area"] == "plant")["against"] is None


def test_what_is_at_most_is_met_from_below() -> None:
    target = Target(value=4.0, sense="at_most", source="practice")
    assert met(target, 4.0)
    assert not met(target, 4.01)


def test_every_shipped_indicator_names_its_source_and_every_target_its_own() -> None:
    for name, indicator in CATALOG.indicators.items():
        assert len(indicator.source) > 20, name
        assert all((indicator.title.zh, indicator.formula.en, indicator.formula.zh)), name
        assert all("规划" in target.source for target in indicator.targets), name


def test_no_target_is_invented_where_the_plans_set_none() -> None:
    promised = {
        (name, target.area, target.value, target.year, target.sense, target.baseline and target.baseline.value)
        for name, indicator in CATALOG.indicators.items()
        for target in indicator.targets
    }
    assert promised == {
        ("reclaimed_water_utilisation", "tianjin", 50, 2025, "at_least", 42),
        ("reclaimed_water_utilisation", "jizhou", 50, 2025, "at_least", 44),
        ("reclaimed_water_utilisation", "nankai", 50, 2025, "at_least", None),
        ("industrial_water_reuse", "tianjin", 95, 2025, "at_least", 95),
        ("industrial_water_reuse", "jizhou", 95, 2025, "at_least", 94.9),
    }
    assert all(target.nature != "reference" for one in CATALOG.indicators.values() for target in one.targets)
    (contradicted,) = [t for t in CATALOG.indicators["industrial_water_reuse"].targets if t.area == "tianjin"]
    assert contradicted.note is not None
    assert "94.9" in contradicted.note.en
    assert "94.9" in contradicted.note.zh


def test_an_interval_longer_than_readings_are_read_for_comes_from_the_hours() -> None:
    from rollups.worker import Worker

    async def main() -> tuple[float | None, float | None]:
        store = StoreTwin()
        for batch in batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 3 * HOUR_MS):
            await deliver(store, batch, batch.to_ms * 1000)

        async def value() -> float | None:
            (figure,) = await ask(
                reader=store,
                figures=store,
                assets=assets(),
                catalog=Catalog(indicators={"desalination_recovery": CATALOG.indicators["desalination_recovery"]}),
                from_ms=MIDNIGHT,
                to_ms=MIDNIGHT + 60 * DAY_MS,
                area="plant",
            )
            return figure.value

        before = await value()
        one = Worker(
            reader=store, figures=store, assets=assets(), catalog=CATALOG, now_ms=lambda: MIDNIGHT + 70 * DAY_MS
        )
        while await one.cycle():
            pass
        return before, await value()

    before, after = run_virtual(main())
    assert before is None
    assert after == pytest.approx(42.0)
