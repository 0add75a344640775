"""An operator sees how fast a gateway wears out its card before the card is worn out."""

from __future__ import annotations

import pytest

from edge_agent.keep.wear import DAY_S, LEAST_S, WINDOW_S, Wear


def test_the_rate_is_that_of_the_last_hour_and_says_nothing_of_a_start() -> None:
    wear = Wear()
    assert wear.bytes_day(0, 5e6) is None
    assert wear.bytes_day(LEAST_S / 2, 9e6) is None, "the start alone"
    said = None
    for t in range(60, 3600, 10):
        said = wear.bytes_day(t, 5e6 + 4_000 * t)
    assert said == pytest.approx(4_000 * DAY_S)
    assert len(wear._looks) <= 61
    for t in range(3600, 3600 + 2 * int(WINDOW_S), 10):
        said = wear.bytes_day(t, 5e6 + 4_000 * 3600 + 100 * (t - 3600))
    assert said == pytest.approx(100 * DAY_S), "what was long ago counts no more"
    assert len(wear._looks) <= 61


def test_where_the_kernel_does_not_tell_nothing_is_said() -> None:
    wear = Wear()
    assert [wear.bytes_day(t, None) for t in (0, 100, 1000)] == [None, None, None]
