"""Zero and one known mass: what comes out is what the scale is, or a line that says why it cannot be."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
import yaml

from data_contract.calibration import Calibration
from data_contract.cause import Missing
from data_contract.reading import Quality
from edge_agent.commission.calibrate import (
    FAILURES_MAX,
    READINGS,
    WAIT_S,
    Rest,
    Scale,
    at_rest,
    entry,
    line_through,
    name_of,
)
from edge_agent.errors import Fatal, NotSampled
from edge_agent.ports import Answer, Ask, Talk, unheeded
from tests.twins.loop import run_virtual

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=timezone(timedelta(hours=8)))
Counts = Callable[[], int | NotSampled]


class OneScale:
    """A bus with one scale."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self.asked = 0

    def longest_s(self, timeout_s: float) -> float:
        return timeout_s

    async def carry(self, talk: Talk, asked: Callable[[], None] = unheeded) -> None:
        answer: Answer
        for ask in talk:
            while True:
                self.asked += 1
                counts = self._counts()
                answer = counts if isinstance(counts, NotSampled) else [counts >> 16 & 0xFFFF, counts & 0xFFFF]
                try:
                    ask = talk.send(answer)
                except StopIteration:
                    return
                assert ask.count == 2

    async def close(self) -> None:
        return None


def decode(words: Sequence[int]) -> tuple[float | None, Quality]:
    return float(
        int.from_bytes(bytes([*divmod(words[0], 256), *divmod(words[1], 256)]), "big", signed=True)
    ), Quality.GOOD


def rest(counts: Counts, *, away_from: float | None = None) -> Rest:
    scale = Scale(OneScale(counts), Ask(1, "holding", 0, 2, 1.0), decode)
    return run_virtual(at_rest(scale, away_from=away_from))


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(Fatal) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rest_is_the_middle_of_readings_and_how_far_they_lie_apart() -> None:
    numbers = itertools.chain([10, 40, 20, 30, 60, 50, 0], itertools.repeat(999))
    assert rest(lambda: next(numbers)) == Rest(30, 60)


@pytest.mark.parametrize("counts", [-8_000_000, -1, 0, 84_210, 8_000_000])
def test_zero_may_lie_anywhere_on_the_scale(counts: int) -> None:
    assert rest(lambda: counts).counts == counts


def test_what_swings_is_waited_for() -> None:
    swing = itertools.chain([(-1) ** n * (5000 - 100 * n) for n in range(50)], itertools.repeat(7))
    assert abs(rest(lambda: next(swing)).counts) < 2000


def test_what_never_rests_is_refused_within_a_finite_time() -> None:
    chance = random.Random(3)
    assert "at rest" in refused(lambda: rest(lambda: chance.randrange(0, 100_000)))


def test_the_mass_is_waited_for_and_a_load_that_does_not_change_is_refused() -> None:
    steps = itertools.chain([100] * 40, range(100, 400_000, 9000), itertools.repeat(400_100))
    assert rest(lambda: next(steps), away_from=100.0).counts == pytest.approx(400_100, abs=2000)
    assert f"{WAIT_S:g} s" in refused(lambda: rest(lambda: 150, away_from=100.0))


def test_a_reading_may_fail_but_not_for_ever() -> None:
    miss = NotSampled(Missing.TIMEOUT, "nothing there")
    some: Iterator[int | NotSampled] = itertools.chain(
        [miss] * (FAILURES_MAX - 1), [5], [miss] * (FAILURES_MAX - 1), itertools.repeat(5)
    )
    assert rest(lambda: next(some)) == Rest(5, 0)
    assert "nothing there" in refused(lambda: rest(lambda: miss))


@pytest.mark.parametrize("counts", [0x7FFFFF, -0x800000])
def test_a_converter_at_its_end_is_no_zero_and_no_mass(counts: int) -> None:
    assert "beyond" in refused(lambda: rest(lambda: counts))


@pytest.mark.parametrize("per_kg", [20_000.5, -20_000.5, 312.25])
def test_the_line_gives_the_known_mass_back(per_kg: float) -> None:
    zero, loaded = Rest(84_210, 40), Rest(84_210 + per_kg * 20, 60)
    made = line_through(zero, loaded, mass_kg=20, name="a", since=NOON)
    assert made.counts_per_kg == per_kg
    assert made.kilograms(loaded.counts) == pytest.approx(20)
    assert made.kilograms(zero.counts) == 0


@pytest.mark.parametrize(
    "zero, loaded, mass_kg, says",
    [
        (Rest(100, 10), Rest(1050, 10), 20, "is the mass on the platform"),
        (Rest(100, 10), Rest(100, 0), 20, "is the mass on the platform"),
        (Rest(100, 300), Rest(20_100, 10), 20, "larger mass"),
        (Rest(100, 10), Rest(20_100, 300), 20, "larger mass"),
        (Rest(100, 10), Rest(400_100, 10), 0, "in kg"),
        (Rest(100, 10), Rest(400_100, 10), -5, "in kg"),
        (Rest(100, 10), Rest(400_100, 10), float("nan"), "in kg"),
        (Rest(100, 10), Rest(400_100, 10), 1e9, "in kg"),
    ],
)
def test_a_pair_that_cannot_be_right_is_refused(zero: Rest, loaded: Rest, mass_kg: float, says: str) -> None:
    assert says in refused(lambda: line_through(zero, loaded, mass_kg=mass_kg, name="a", since=NOON))


@pytest.mark.parametrize("counts", [84_210.0, -84_210.5, 8_388_606.0, -1.0])
def test_the_printed_entry_is_what_the_site_file_takes(counts: float) -> None:
    zero, loaded = Rest(counts, 42), Rest(counts + 427_001, 51)
    made = line_through(zero, loaded, mass_kg=20.01, name="2026-11-21-a", since=NOON)
    text = entry(made, zero, loaded)
    [said] = yaml.safe_load(text)
    assert Calibration.model_validate(said) == made
    assert "42 counts empty, 51 loaded, at most 0.0024 kg" in text


def test_each_calibration_of_a_day_gets_a_name_of_its_own() -> None:
    assert name_of(NOON, []) == "2026-11-21-a"
    assert name_of(NOON, ["2026-11-21-a", "2026-11-21-c"]) == "2026-11-21-b"
    every = [f"2026-11-21-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert "remove" in refused(lambda: name_of(NOON, every))
    assert name_of(NOON.astimezone(UTC), every[1:]) == "2026-11-21-a"


def test_so_many_readings_are_made_and_no_more() -> None:
    bus = OneScale(lambda: 77)
    run_virtual(at_rest(Scale(bus, Ask(1, "holding", 0, 2, 1.0), decode)))
    assert bus.asked == READINGS
