"""The arithmetic between two measurements and a verdict."""

from __future__ import annotations

import json

import pytest

from benchmarks.figures import Figure, Goal, as_json, median_pair, near, pairs_of, spread, table

TWICE = Goal.parse("<= 2")
HALF = Goal.parse(">= 0.5")
NINE = Goal.parse("<= 9 B")


@pytest.mark.parametrize(
    "goal, ours, limit, met",
    [
        (TWICE, 20.0, 10.0, True),
        (TWICE, 20.1, 10.0, False),
        (HALF, 5.0, 10.0, True),
        (HALF, 4.9, 10.0, False),
        (NINE, 9.0, None, True),
        (NINE, 9.01, None, False),
        (None, 1.0, None, None),
    ],
)
def test_a_figure_on_the_wrong_side_of_its_goal_is_not_called_met(
    goal: Goal | None, ours: float, limit: float | None, met: bool | None
) -> None:
    assert Figure("x", ours, "B", goal, limit).met is met


@pytest.mark.parametrize("goal", [TWICE, HALF, NINE])
def test_what_could_not_be_measured_is_never_met(goal: Goal) -> None:
    figure = Figure("x", None, "", goal, note="the broker did not come up")
    assert figure.met is False
    assert "not measured" in table([figure])
    assert "the broker did not come up" in table([figure])


def test_a_ratio_without_its_limit_is_not_met() -> None:
    assert Figure("x", 1.0, "ms", TWICE).met is False


@pytest.mark.parametrize("text", ["", "< 2", "<= two", "<=2", "<= 9 ", "about 9 B"])
def test_a_goal_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no goal"):
        Goal.parse(text)


def test_scripts_find_exactly_the_keys_that_they_rely_on() -> None:
    said = json.loads(json.dumps(as_json(Figure("agent_cpu", 30.0, "ms", TWICE, 20.0, note="for people"))))
    assert said == {
        "name": "agent_cpu",
        "ours": 30.0,
        "limit": 20.0,
        "unit": "ms",
        "ratio": 1.5,
        "goal": "<= 2",
        "met": True,
    }
    said = as_json(Figure("wire_bytes", 4.0, "B", Goal.parse("<= 5 B")))
    assert (said["limit"], said["ratio"], said["goal"]) == (None, None, "<= 5 B")


def test_the_median_pair_is_one_that_was_measured_so_that_ratio_ours_and_limit_agree() -> None:
    pairs = [(3.0, 1.0), (1.0, 1.0), (20.0, 10.0), (9.0, 2.0), (1.0, 4.0)]
    assert median_pair(pairs) == (20.0, 10.0)
    assert median_pair([(5.0, 2.0)]) == (5.0, 2.0)


def test_one_lucky_pair_near_the_goal_does_not_decide() -> None:
    measured = iter([(1.5, 1.0), (2.2, 1.0), (2.3, 1.0), (2.4, 1.0), (1.9, 1.0)])
    pairs = pairs_of(lambda: next(measured), TWICE)
    assert len(pairs) == 5
    assert median_pair(pairs) == (2.2, 1.0)
    assert "5 pairs" in spread(pairs)


@pytest.mark.parametrize("ratio, again", [(1.39, False), (1.41, True), (2.59, True), (2.61, False)])
def test_a_ratio_within_thirty_percent_of_its_goal_is_measured_again(ratio: float, again: bool) -> None:
    assert near(ratio, TWICE) is again
    assert len(pairs_of(lambda: (ratio, 1.0), TWICE)) == (5 if again else 1)


def test_the_spread_tells_how_far_the_pairs_lie_apart() -> None:
    assert spread([(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]).endswith("spread 100 %")


def test_the_table_shows_a_missed_goal_at_a_glance() -> None:
    text = table([Figure("ingest", 4e5, "values/s", HALF, 1e6), Figure("ingest_cpu", 0.7, "s", None)])
    head, missed, informative, *_ = text.splitlines()
    assert head.split() == ["name", "ours", "limit", "unit", "ratio", "goal", "met"]
    assert missed.endswith("NO")
    assert informative.split() == ["ingest_cpu", "0.7", "s"]
