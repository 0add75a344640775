"""Bins: a total that moves in steps adds up across every edge, and an unseen step's time stands in the interval."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from data_contract.counter_law import Law, StepKind
from data_contract.schedule import Poll, Schedule
from rollups.ask import ask
from rollups.assets import Assets
from rollups.assets_file import parse_assets
from rollups.hours import Stretch, counted
from rollups.library import load_catalog
from rollups.slack import slack_of
from rollups.worker import Worker
from series_store import names
from series_store.table import Window
from tests.twins.loop import run_virtual
from tests.twins.store import StoreTwin
from tests.unit.rollups.plant import DAY_MS, HOUR_MS, MIDNIGHT, Batch, deliver
from yaml_models.bad_file import BadFile

MINUTE = 60_000
CAPACITY_KG = 120.0
SCALE = Law(rate_max_per_h=200.0, step_max=CAPACITY_KG)

ASSETS = """
zone: Asia/Shanghai
areas: {quarter: {title: {en: Quarter}}}
sites: {corner: {title: {en: Corner}, area: quarter}}
assets:
  paper:
    title: {en: Paper, zh: 废纸}
    site: corner
    role: recycling_bin
    material: paper
    capacity_kg: 120
    rate_max_per_h: 200
    accuracy_percent: 1
    places: [{gateway: gw-1, device: paper, from: "2025-01-01"}]
  rest:
    title: {en: Rest}
    site: corner
    role: residual_bin
    capacity_kg: 150
    rate_max_per_h: 200
    accuracy_percent: 1
    places: [{gateway: gw-1, device: rest, from: "2025-01-01"}]
  tap:
    title: {en: Tap}
    site: corner
    role: reclaimed_use
    use: landscape
    places: [{gateway: gw-1, device: tap, from: "2025-01-01"}]
"""
FIELDS = ("weight_kg", "mass_in_kg", "mass_out_kg", "emptyings")


def window(readings: list[tuple[int, float]]) -> Window:
    """Readings at (ms after MIDNIGHT, kg)."""
    times = np.array([MIDNIGHT + t for t, _ in readings], dtype=np.int64)
    return Window(times, np.array([kg for _, kg in readings]), np.zeros(len(readings)))


def stretch(readings: Window, from_ms: int, to_ms: int, law: Law = SCALE) -> Stretch:
    found = counted(
        readings, law, from_ms=MIDNIGHT + from_ms, to_ms=MIDNIGHT + to_ms, expected=None, scheduled_gap_ms=150_000
    )
    assert found is not None
    return found


def deposits(seed: int, hours: int) -> list[tuple[int, float]]:
    """A total that rests for minutes and then rises by a bag, read once a minute a little after it."""
    chance = random.Random(seed)
    total, found = 0.0, []
    for minute in range(hours * 60):
        total += chance.lognormvariate(0, 0.7) if chance.random() < 0.1 else 0.0
        found.append((minute * MINUTE + chance.randrange(900), round(total, 4)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_hours_of_deposits_add_up_to_what_the_total_rose_by_wherever_their_edges_lie(seed: int) -> None:
    readings = deposits(seed, 24)
    first, last = readings[0][0], readings[-1][0]
    edges = sorted([first, last, *random.Random(seed).sample(range(first, last), 40)])
    told = [stretch(window(readings), begin, end).delta or 0.0 for begin, end in pairwise(edges)]
    assert sum(told) == pytest.approx(readings[-1][1] - readings[0][1], rel=1e-12)


def test_a_step_across_an_edge_may_lie_on_either_side_and_the_slack_of_both_says_so() -> None:
    still = [(minute * MINUTE, 5.0) for minute in range(60)]
    readings = window([*still, (60 * MINUTE + 20_000, 8.0), (61 * MINUTE, 8.0)])
    before, after = stretch(readings, 30 * MINUTE, 60 * MINUTE), stretch(readings, 60 * MINUTE, 61 * MINUTE)
    assert before.delta == pytest.approx(2.25)
    assert after.delta == pytest.approx(0.75)
    for half in (before, after):
        slack = slack_of(half, SCALE, half.from_ms, half.to_ms)
        assert half.delta is not None
        assert slack.more is not None
        assert half.delta - slack.less == pytest.approx(0.0)
        assert half.delta + slack.more == pytest.approx(3.0)
    # Nothing moved at the other edges, and water that flows evenly is not in doubt.
    assert (before.lead, after.tail) == (None, None)
    assert stretch(readings, 30 * MINUTE, 60 * MINUTE, Law(rate_max_per_h=200.0)).tail is None


def test_a_bin_that_is_emptied_between_two_readings_was_emptied_and_a_mass_that_it_cannot_hold_was_not() -> None:
    emptied = stretch(window([(0, 30.0), (10_000, 30.0), (20_000, 149.0), (30_000, 149.0)]), 0, 30_000)
    assert emptied.delta == pytest.approx(119.0)
    assert emptied.odd == ()
    torn = stretch(window([(0, 30.0), (10_000, 30.0), (20_000, 990.0), (30_000, 30.0)]), 0, 30_000)
    assert torn.delta == pytest.approx(0.0)
    assert [span.kind for span in torn.odd] == [StepKind.IMPOSSIBLE]
    both = stretch(window([(0, 30.0), (10_000, 990.0), (20_000, 149.0), (30_000, 149.0)]), 0, 30_000)
    assert both.delta == pytest.approx(119.0)
    assert [span.kind for span in both.odd] == [StepKind.IMPOSSIBLE]


def sealed() -> list[Batch]:
    """A day of two bins; paper is emptied at noon."""
    found = []
    kinds = {"paper": "bin", "rest": "bin"}
    polls = tuple(Poll(device=name, kind="bin", group="main", every_ms=MINUTE, fields=FIELDS) for name in kinds)
    put_in = {"paper": deposits(1, 25), "rest": deposits(2, 25)}
    for hour in range(25):
        readings: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for device in kinds:
            columns: dict[str, list[tuple[int, float]]] = {name: [] for name in FIELDS}
            for t, total in put_in[device][hour * 60 : hour * 60 + 60]:
                at_noon = next(kg for after, kg in put_in[device] if after >= 12 * HOUR_MS)
                out = at_noon if device == "paper" and t >= 12 * HOUR_MS else 0.0
                for name, value in zip(FIELDS, (total - out, total, out, float(out > 0)), strict=True):
                    columns[name].append((MIDNIGHT + t, value))
            readings[device] = columns
        begin = MIDNIGHT + hour * HOUR_MS
        plan = Schedule(seal_every_ms=MINUTE, polls=polls) if hour == 0 else None
        found.append(Batch(hour + 1, begin, begin + HOUR_MS, readings, plan, kinds=kinds))
    return found


def register(text: str = ASSETS) -> Assets:
    return parse_assets(text, file="assets.yaml")


def rows(measurement: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    async def main() -> list[dict[str, Any]]:
        store = StoreTwin()
        for batch in sealed():
            await deliver(store, batch, batch.to_ms * 1000)
        worker = Worker(
            reader=store,
            figures=store,
            assets=register(),
            catalog=load_catalog(),
            now_ms=lambda: MIDNIGHT + 3 * DAY_MS,
        )
        while await worker.cycle():
            pass
        return [cells for _, _, cells in await store.figures(measurement, tags, 0, 2**43)]

    return run_virtual(main())


def test_masses_in_and_out_are_rolled_up_by_what_they_rose_and_the_weight_by_how_it_went() -> None:
    at_noon = next(kg for t, kg in deposits(1, 25) if t >= 12 * HOUR_MS)
    own = {"device": "paper"}
    emptied = rows(names.ROLLUP_1D, {**own, "field": "mass_out_kg"})[0]
    assert (emptied["kind"], emptied["delta"]) == ("counter", pytest.approx(at_noon))
    assert [hour["delta"] for hour in rows(names.ROLLUP_1H, {**own, "field": "emptyings"})[11:13]] == pytest.approx(
        [1.0, 0.0], abs=0.02
    )
    content = rows(names.ROLLUP_1D, {**own, "field": "weight_kg"})[0]
    assert (content["kind"], content["min"]) == ("gauge", pytest.approx(0.0))


def test_a_console_finds_in_the_asset_rows_what_a_bin_holds_and_what_water_is_used_for() -> None:
    (paper,) = rows(names.ASSET, {"asset": "paper"})
    assert (paper["capacity_kg"], paper["material"], paper["use"]) == (120.0, "paper", "")
    assert (paper["title_zh"], paper["path"]) == ("废纸", "quarter/corner")
    (tap,) = rows(names.ASSET, {"asset": "tap"})
    assert (tap["use"], tap["material"], tap["void"]) == ("landscape", "", "capacity_kg")


def test_a_share_of_all_bins_is_bounded_by_none_and_all_of_it() -> None:
    async def main() -> Any:
        store = StoreTwin()
        for batch in sealed():
            await deliver(store, batch, batch.to_ms * 1000)
        found = await ask(
            reader=store,
            figures=store,
            assets=register(),
            catalog=load_catalog(),
            from_ms=MIDNIGHT + 9 * HOUR_MS,
            # Beyond the last reading: nobody knows what was put in after it.
            to_ms=MIDNIGHT + 30 * HOUR_MS,
            area="quarter",
        )
        return next(figure for figure in found if figure.indicator == "waste_diversion")

    figure = run_virtual(main())
    paper, rest = (dict(deposits(seed, 25)) for seed in (1, 2))
    rise = [max(kg.values()) - max(v for t, v in kg.items() if t <= 9 * HOUR_MS) for kg in (paper, rest)]
    assert figure.value == pytest.approx(100 * rise[0] / sum(rise), rel=0.02)
    assert 0 <= figure.low < figure.value < figure.high <= 100
    assert [part.asset for part in figure.contributions] == ["paper", "rest"]


@pytest.mark.parametrize("value", ["0", "-1", "full"])
def test_a_bin_that_holds_nothing_is_a_mistake_with_its_line(value: str) -> None:
    with pytest.raises(BadFile, match=r"assets.yaml:11: assets.paper.capacity_kg: "):
        register(ASSETS.replace("capacity_kg: 120", f"capacity_kg: {value}"))
