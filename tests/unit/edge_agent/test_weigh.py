"""A bin's totals: every kilogram is counted once, noise and leaning hands add nothing, a power cut forgets nothing."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from data_contract.calibration import Calibration
from edge_agent.ports import Civil
from edge_agent.weigh.bin import BinMeter, BinRule
from edge_agent.weigh.steady import Steady

NOW = Civil(1_790_000_000_000, True)


def rule(*calibrations: Calibration, samples: int = 2) -> BinRule:
    return BinRule(
        tare_kg=12.0,
        least_kg=0.1,
        emptying_kg=2.0,
        steady_samples=samples,
        steady_span_kg=0.15,
        calibrations=calibrations,
    )


def line(id_: str, begin: str, zero: float, per_kg: float) -> Calibration:
    from_ = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    said = {"id": id_, "from": from_, "zero_counts": zero, "counts_per_kg": per_kg}
    return Calibration.model_validate(said)


def shown(meter: BinMeter, *gross_kg: float | None, door: bool = False) -> tuple[float | None, float, float, float]:
    for each in gross_kg:
        last = meter.weigh(each, door_open=door, civil=NOW)
    return last


def test_deposits_and_an_emptying_are_counted_from_rest_to_rest() -> None:
    meter = BinMeter(rule())
    assert shown(meter, 32.0, 32.0) == (20.0, 0.0, 0.0, 0.0)
    assert shown(meter, 33.5, 33.5) == (21.5, 1.5, 0.0, 0.0)
    assert shown(meter, 12.0, 12.0) == (0.0, 1.5, 21.5, 1.0)
    assert shown(meter, 14.0, 14.0) == (2.0, 3.5, 21.5, 1.0)


def test_what_is_taken_out_by_hand_is_out_and_no_emptying() -> None:
    meter = BinMeter(rule())
    assert shown(meter, 32.0, 32.0, 31.0, 31.0) == (19.0, 0.0, 1.0, 0.0)


def test_noise_never_adds_up() -> None:
    meter, chance = BinMeter(rule()), random.Random(1)
    shown(meter, 32.0, 32.0)
    last = shown(meter, *[32.0 + chance.choice([-0.05, 0.0, 0.05]) for _ in range(5_000)])
    assert last[1:] == (0.0, 0.0, 0.0)


def test_small_changes_count_once_they_have_grown() -> None:
    meter = BinMeter(rule())
    last = shown(meter, *[32.0 + 0.01 * n for n in range(1001)])
    assert last[1] == pytest.approx(10.0, abs=0.11)


def test_a_load_that_never_rests_and_one_while_the_door_is_open_count_nothing() -> None:
    meter = BinMeter(rule())
    shown(meter, 32.0, 32.0)
    assert shown(meter, 40.0, 35.0, 44.0, 33.0)[1:] == (0.0, 0.0, 0.0)
    assert shown(meter, 50.0, 50.0, 50.0, door=True)[1:] == (0.0, 0.0, 0.0)
    assert shown(meter, 34.0)[1:] == (0.0, 0.0, 0.0)
    assert shown(meter, 34.0)[1:] == (2.0, 0.0, 0.0)


def test_no_value_leaves_the_totals_as_they_are() -> None:
    meter = BinMeter(rule())
    shown(meter, 32.0, 32.0, 33.0, 33.0)
    assert shown(meter, None) == (None, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_in_less_out_is_the_content_whatever_happens(seed: int) -> None:
    chance, meter = random.Random(seed), BinMeter(rule())
    content = first = chance.uniform(0, 50)
    shown(meter, *[12 + content] * 2)
    for _ in range(300):
        content = max(0.0, content + chance.choice([-content, -0.5, 0.02, 0.7, 3.0]))
        last = shown(meter, *[12 + content] * chance.choice([1, 2, 3]))
        if chance.random() < 0.1:
            other = BinMeter(rule())
            other.restore(meter.remember())
            meter = other
    last = shown(meter, *[12 + content] * 3)
    assert last[1] - last[2] == pytest.approx(content - first, abs=0.11)
    assert last[3] > 0


def test_what_happened_while_the_power_was_off_is_counted_when_it_is_back() -> None:
    meter, later = BinMeter(rule()), BinMeter(rule())
    shown(meter, 32.0, 32.0)
    later.restore(meter.remember())
    assert shown(later, 37.0, 37.0) == (25.0, 5.0, 0.0, 0.0)


def test_a_memory_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="Memory"):
        BinMeter(rule()).restore("{")


def test_the_calibration_of_the_day_is_used_and_a_new_one_is_no_deposit() -> None:
    old, new = line("a", "2020-01-01", 1000, 100), line("b", "2026-09-21T14:13:20", 1000, 110)
    meter = BinMeter(rule(old, new))
    before = Civil(NOW.utc_ms - 1, True)
    assert meter.weigh(4200, door_open=False, civil=before)[0] == 20.0
    meter.weigh(4200, door_open=False, civil=before)
    assert meter.weigh(5300, door_open=False, civil=before)[1] == 0.0
    assert meter.weigh(5300, door_open=False, civil=before)[1] == 11.0
    for _ in range(3):
        last = meter.weigh(5300, door_open=False, civil=NOW)
    assert last == (round(4300 / 110 - 12, 4), 11.0, 0.0, 0.0)
    meter.weigh(5410, door_open=False, civil=NOW)
    assert meter.weigh(5410, door_open=False, civil=NOW)[1] == pytest.approx(12.0)


def test_a_clock_that_is_not_trusted_does_not_choose_an_old_calibration() -> None:
    old, new = line("a", "2020-01-01", 1000, 100), line("b", "2026-09-01", 1000, 110)
    assert BinMeter(rule(old, new)).weigh(5400, door_open=False, civil=Civil(0, False))[0] == 28.0


def test_rest_needs_as_many_samples_as_were_asked_for() -> None:
    steady = Steady(samples=3, span_kg=0.1)
    assert [steady.feed(kg) for kg in (5.0, 5.0, 5.05, 5.5, 5.5, 5.5)] == [None, None, 5.0, None, None, 5.5]
