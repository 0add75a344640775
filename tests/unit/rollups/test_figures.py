"""Indicators: a ratio of sums, how complete it is, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rollups.ask import ask
from rollups.assets import Assets
from rollups.catalog import Indicator, Term, Titles
from rollups.figures import Figure, MeterSum, evaluate
from rollups.hours import Stretch
from rollups.library import load_catalog
from rollups.worker import Worker
from series_store import names
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import (
    ASSETS,
    DAY_MS,
    HOUR_MS,
    KINDS,
    MIDNIGHT,
    TOTALS,
    Batch,
    assets,
    batches,
    deliver,
    schedule,
    total_at,
)

CATALOG = load_catalog()
RECOVERY, ENERGY = "desalination_recovery", "desalination_specific_energy"


def figures(
    sealed: Sequence[Batch],
    from_ms: int,
    to_ms: int,
    register: Assets | None = None,
    area: str | None = "plant",
) -> dict[str, Figure]:
    async def main() -> list[Figure]:
        store = StoreTwin()
        for batch in sealed:
            await deliver(store, batch, batch.to_ms * 1000)
        return await ask(
            reader=store,
            figures=store,
            assets=register or assets(),
            catalog=CATALOG,
            from_ms=from_ms,
            to_ms=to_ms,
            area=area,
        )

    return {figure.indicator: figure for figure in run_virtual(main())}


def day_rows(
    sealed: Sequence[Batch], register: Assets, now_ms: int
) -> list[tuple[int, dict[str, str], dict[str, Any]]]:
    """Rows of `indicator` by the worker, days of the plant."""

    async def main() -> Any:
        store = StoreTwin()
        for batch in sealed:
            await deliver(store, batch, batch.to_ms * 1000)
        one = Worker(reader=store, figures=store, assets=register, catalog=CATALOG, now_ms=lambda: now_ms)
        while await one.cycle():
            pass
        return await store.figures(names.INDICATOR, {"area": "plant", "period": "1d", "indicator": RECOVERY}, 0, 2**43)

    rows: list[tuple[int, dict[str, str], dict[str, Any]]] = run_virtual(main())
    return rows


def test_a_day_with_one_meter_off_for_six_hours_is_75_percent_complete_and_partial_though_its_volume_is_known() -> None:
    def running(device: str, t_ms: int) -> bool:
        return not (device == "permeate" and MIDNIGHT + 6 * HOUR_MS <= t_ms < MIDNIGHT + 12 * HOUR_MS)

    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + DAY_MS + HOUR_MS, runs=running)
    found = figures(sealed, MIDNIGHT, MIDNIGHT + DAY_MS)
    for figure in (found[RECOVERY], found[ENERGY]):
        assert 0.74 <= figure.completeness <= 0.76
        assert figure.partial
    assert found[RECOVERY].value == pytest.approx(42.0)
    assert found[RECOVERY].numerator == pytest.approx(24 * 42)
    assert {c.asset: round(c.completeness, 2) for c in found[RECOVERY].contributions} == {
        "permeate-1": 0.75,
        "feed-1": 1.0,
    }
    ((_, _, cells),) = [row for row in day_rows(sealed, assets(), MIDNIGHT + 3 * DAY_MS) if row[0] == MIDNIGHT]
    assert cells["completeness"] == pytest.approx(found[RECOVERY].completeness)
    assert cells["partial"] == 1.0
    assert cells["value"] == pytest.approx(42.0)


def test_a_figure_is_the_ratio_of_the_sums_and_not_the_mean_of_ratios() -> None:
    """A day with an hour of hardly any flow at a poor recovery."""

    def total(device: str, t_ms: int) -> float:
        hours = (t_ms - MIDNIGHT) / HOUR_MS
        slow = min(max(hours - 10, 0), 1)
        if device == "feed":
            return 100 * (hours - slow) + 1 * slow
        return 42 * (hours - slow) + 0.1 * slow

    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + DAY_MS + HOUR_MS, total=total)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + DAY_MS)[RECOVERY]
    assert figure.value == pytest.approx(100 * (23 * 42 + 0.1) / (23 * 100 + 1))
    assert figure.value != pytest.approx((23 * 42 + 10) / 24, rel=1e-3)


def test_the_interval_joins_the_classes_of_the_meters_as_independent_errors() -> None:
    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 3 * HOUR_MS)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY]
    share = math.sqrt(0.01**2 + 0.005**2)
    assert figure.low == pytest.approx(42 * (1 - share))
    assert figure.high == pytest.approx(42 * (1 + share))


def test_a_gap_across_the_end_of_the_period_widens_the_interval_by_what_may_lie_on_the_other_side() -> None:
    def running(device: str, t_ms: int) -> bool:
        return not (device == "permeate" and MIDNIGHT + HOUR_MS // 2 < t_ms < MIDNIGHT + HOUR_MS * 3 // 2)

    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 3 * HOUR_MS, runs=running)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY]
    assert figure.value == pytest.approx(42.0)
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low == pytest.approx(21 * (1 - math.sqrt(0.01**2 + 0.005**2)), rel=1e-3)
    assert figure.high == pytest.approx(63 * (1 + math.sqrt(0.01**2 + 0.005**2)), rel=1e-3)


def test_a_meter_that_fell_silent_for_good_is_bounded_by_its_largest_rate_or_not_at_all() -> None:
    def running(device: str, t_ms: int) -> bool:
        return device != "permeate" or t_ms <= MIDNIGHT + HOUR_MS // 2

    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 3 * HOUR_MS, runs=running)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY]
    assert figure.value == pytest.approx(21.0)
    assert figure.low == pytest.approx(21.0, rel=0.02)
    assert figure.high == pytest.approx(21.0 + 50.0, rel=0.02)
    unbounded = assets(ASSETS.replace("    rate_max_per_h: 100\n", ""))
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS, unbounded)[RECOVERY]
    assert figure.low is not None
    assert figure.high is None


def test_without_a_known_class_there_is_no_interval() -> None:
    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS)
    register = assets(ASSETS.replace("    accuracy_percent: 0.5\n", ""))
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS, register)[RECOVERY]
    assert (figure.low, figure.high) == (None, None)
    assert figure.value == pytest.approx(42.0)


def standing(device: str, t_ms: int) -> float:
    return 100.0 if device in ("feed", "permeate") else total_at(device, t_ms)


def test_an_empty_denominator_gives_no_value_and_says_why() -> None:
    found = figures(batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS, total=standing), MIDNIGHT, MIDNIGHT + HOUR_MS)
    assert found[RECOVERY].value is None
    assert found[RECOVERY].reason == "the denominator is 0: feed-1 did not count"
    assert found[ENERGY].value is None
    assert found[ENERGY].reason == "the denominator is 0: permeate-1 did not count"
    assert found[ENERGY].numerator == pytest.approx(120.0)
    assert found[ENERGY].completeness == pytest.approx(1.0)


BRINE = ASSETS.replace("role: permeate", "role: brine")


@pytest.mark.parametrize(
    "text, devices, reason",
    [
        (ASSETS, ["feed", "energy"], "no readings of permeate-1 to tell volume_m3 by"),
        (BRINE, list(KINDS), "no asset in plant has the role permeate in this period"),
    ],
)
def test_a_figure_that_cannot_be_computed_says_what_is_missing(text: str, devices: list[str], reason: str) -> None:
    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS, devices=devices)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS, assets(text))[RECOVERY]
    assert (figure.value, figure.reason, figure.completeness) == (None, reason, 0.0)
    assert figure.partial


def test_one_dead_meter_of_several_leaves_a_value_that_names_it() -> None:
    text = (
        ASSETS
        + """
  permeate-2:
    title: {en: Second train}
    site: plant
    role: permeate
    places: [{gateway: gw-1, device: second, from: "2025-01-01"}]
"""
    )
    figure = figures(batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS), MIDNIGHT, MIDNIGHT + HOUR_MS, assets(text))[
        RECOVERY
    ]
    assert figure.value == pytest.approx(42.0)
    assert figure.reason == "without permeate-2: no readings"
    assert (figure.completeness, figure.partial) == (0.0, True)


def test_any_interval_is_computed_to_the_millisecond() -> None:
    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 5 * HOUR_MS)
    from_ms, to_ms = MIDNIGHT + 17 * 60_000 + 123, MIDNIGHT + 3 * HOUR_MS + 41 * 60_000 + 7
    figure = figures(sealed, from_ms, to_ms)[RECOVERY]
    assert (figure.from_ms, figure.to_ms) == (from_ms, to_ms)
    assert figure.denominator == pytest.approx(100 * (to_ms - from_ms) / HOUR_MS)
    assert figure.completeness == pytest.approx(1.0)


def test_a_meter_that_moved_to_another_gateway_stays_one_meter() -> None:
    moved = ASSETS.replace(
        'places: [{gateway: gw-1, device: feed, from: "2025-01-01"}]',
        """places:
      - {gateway: gw-1, device: feed, from: "2025-01-01", to: "2026-01-01T02:00"}
      - {gateway: gw-2, device: feed, from: "2026-01-01T02:00"}""",
    )
    change = MIDNIGHT + 2 * HOUR_MS
    first = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 5 * HOUR_MS, runs=lambda d, t: d != "feed" or t < change)
    second = batches(change, MIDNIGHT + 5 * HOUR_MS, devices=["feed"])
    for batch in second:
        batch.gateway, batch.run = "gw-2", "run-2"
    figure = figures([*first, *second], MIDNIGHT, MIDNIGHT + 4 * HOUR_MS, assets(moved))[RECOVERY]
    assert figure.denominator == pytest.approx(400, abs=100 / 60 + 0.01)
    assert figure.completeness == pytest.approx(1 - 1 / 240)


def test_a_device_that_becomes_another_meter_does_not_count_from_one_total_to_the_other() -> None:
    change = MIDNIGHT + 2 * HOUR_MS
    swapped = (
        ASSETS.replace(
            'places: [{gateway: gw-1, device: feed, from: "2025-01-01"}]',
            'places: [{gateway: gw-1, device: feed, from: "2025-01-01", to: "2026-01-01T02:00"}]',
        )
        + """
  feed-2:
    title: {en: New feed meter}
    site: plant
    role: seawater_feed
    places: [{gateway: gw-1, device: feed, from: "2026-01-01T02:00"}]
"""
    )

    def total(device: str, t_ms: int) -> float:
        return total_at(device, t_ms) + (50 if device == "feed" and t_ms >= change else 0)

    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 5 * HOUR_MS, total=total)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + 4 * HOUR_MS, assets(swapped))[RECOVERY]
    assert figure.denominator == pytest.approx(400, abs=100 / 60 + 0.01)
    assert {c.asset for c in figure.contributions} == {"permeate-1", "feed-1", "feed-2"}


def test_a_simulated_meter_marks_the_figures_that_it_is_part_of_and_no_others() -> None:
    found = figures(batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS), MIDNIGHT, MIDNIGHT + HOUR_MS)
    assert found[RECOVERY].simulated
    assert not found[ENERGY].simulated


@pytest.mark.parametrize(
    "zone, day, hours",
    [
        ("Asia/Shanghai", "2026-03-29", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Asia/Kolkata", "2026-03-29", 24),
    ],
)
def test_a_day_holds_the_hours_that_its_zone_gave_it(zone: str, day: str, hours: int) -> None:
    from datetime import date

    from rollups.periods import midnight_ms

    begin = midnight_ms(date.fromisoformat(day), zone)
    sealed = batches(begin - 2 * HOUR_MS, begin + 27 * HOUR_MS)
    register = assets(zone=zone)
    ((t_ms, _, cells),) = [row for row in day_rows(sealed, register, begin + 9 * DAY_MS) if row[0] == begin]
    assert cells["denominator"] == pytest.approx(hours * 100)
    assert cells["to_ms"] - t_ms == hours * HOUR_MS
    assert cells["completeness"] == pytest.approx(1.0)


@pytest.mark.parametrize("hole_hours", [0, 7])
def test_hours_and_readings_give_the_same_figure(hole_hours: int) -> None:
    def running(device: str, t_ms: int) -> bool:
        hole = MIDNIGHT + 20 * HOUR_MS <= t_ms < MIDNIGHT + (20 + hole_hours) * HOUR_MS
        return not (device == "feed" and hole)

    sealed = batches(MIDNIGHT + 3 * HOUR_MS, MIDNIGHT + 30 * HOUR_MS, runs=running)
    asked = figures(sealed, MIDNIGHT, MIDNIGHT + DAY_MS)[RECOVERY]
    ((_, _, cells),) = [row for row in day_rows(sealed, assets(), MIDNIGHT + 9 * DAY_MS) if row[0] == MIDNIGHT]
    for name in ("value", "numerator", "denominator", "completeness", "low", "high"):
        assert cells[name] == pytest.approx(getattr(asked, name)), name


def total_with_rollover(device: str, t_ms: int) -> float:
    return total_at(device, t_ms) % 500 if device == "feed" else total_at(device, t_ms)


def total_with_reset(device: str, t_ms: int) -> float:
    reset = MIDNIGHT + 90 * 60_000
    lost = total_at(device, reset) if device == "feed" and t_ms >= reset else 0
    return total_at(device, t_ms) - lost


@pytest.mark.parametrize(
    "total, feed, high_unbounded",
    [(total_with_rollover, 400.0, False), (total_with_reset, 400.0 - 100 / 60, False)],
)
def test_a_rollover_costs_nothing_and_a_reset_only_what_passed_around_it(
    total: Callable[[str, int], float], feed: float, high_unbounded: bool
) -> None:
    text = ASSETS.replace("    rate_max_per_h: 200\n", "    rate_max_per_h: 200\n    rollover: 500\n")
    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 5 * HOUR_MS, total=total)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + 4 * HOUR_MS, assets(text))[RECOVERY]
    assert figure.denominator == pytest.approx(feed)
    assert figure.high is not None
    assert [c.odd for c in figure.contributions if c.asset == "feed-1"] == [1]


def test_a_late_schedule_or_none_at_all_leaves_the_value_as_it_is() -> None:
    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS)
    with_schedule = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY]
    sealed[0].schedule = None
    without = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY]
    assert without == with_schedule
    assert TOTALS["feed"] in schedule(60_000).polls[0].fields


def test_a_period_inside_a_gap_may_have_seen_none_of_its_volume_or_all() -> None:
    def running(device: str, t_ms: int) -> bool:
        return not (device == "permeate" and MIDNIGHT - 30 * 60_000 < t_ms < MIDNIGHT + 150 * 60_000)

    sealed = batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 4 * HOUR_MS, runs=running)
    figure = figures(sealed, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY]
    share = math.sqrt(0.01**2 + 0.005**2)
    assert figure.value == pytest.approx(42.0)
    assert figure.low == pytest.approx(0.0, abs=1e-9)
    assert figure.high == pytest.approx(3 * 42.0 * (1 + share))


def test_a_glitch_that_was_passed_over_leaves_nothing_open_and_a_jump_that_stayed_does() -> None:
    def spike(device: str, t_ms: int) -> float:
        return 9e6 if device == "feed" and t_ms == MIDNIGHT + 30 * 60_000 else total_at(device, t_ms)

    def jump(device: str, t_ms: int) -> float:
        return total_at(device, t_ms) + (9e6 if device == "feed" and t_ms >= MIDNIGHT + 30 * 60_000 else 0)

    sealed = [batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 2 * HOUR_MS, total=total) for total in (total_at, spike, jump)]
    clean, glitch, jumped = (figures(each, MIDNIGHT, MIDNIGHT + HOUR_MS)[RECOVERY] for each in sealed)
    assert (glitch.value, glitch.low, glitch.high) == pytest.approx((clean.value, clean.low, clean.high))
    assert jumped.low is not None
    assert clean.low is not None
    assert jumped.low < clean.low * 0.999
    assert [c.odd for c in glitch.contributions] == [0, 1]


def test_the_error_of_a_meter_that_stands_in_both_sums_is_one_error() -> None:
    """Reuse r / (r + f): an error of r moves both sums the same way."""
    reuse = Indicator(
        version=1,
        title=Titles(en="Reuse", zh=""),
        unit="%",
        sign="%",
        formula=Titles(en="", zh=""),
        source="",
        amount=("m3", "m3"),
        numerator=(Term(role="permeate", delta="volume_m3"),),
        denominator=(Term(role="permeate", delta="volume_m3"), Term(role="seawater_feed", delta="volume_m3")),
    )
    register = assets()

    def summed(asset: str, term: Term, delta: float) -> MeterSum:
        whole = Stretch(0, HOUR_MS, 60, 60, HOUR_MS, 0, HOUR_MS, delta=delta)
        return MeterSum(register.assets[asset], term, 0, HOUR_MS, whole)

    permeate, feed = reuse.denominator
    sums = {permeate: [summed("permeate-1", permeate, 42.0)], feed: [summed("feed-1", feed, 100.0)]}
    figure = evaluate("reuse", reuse, "plant", 0, HOUR_MS, sums)
    r = 42 / 142
    share = math.sqrt(((1 - r) * 0.005) ** 2 + ((1 - r) * 0.01) ** 2)
    assert figure.low == pytest.approx(r * (1 - share))
    assert figure.high == pytest.approx(r * (1 + share))
