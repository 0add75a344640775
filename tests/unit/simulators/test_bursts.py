"""What a chip on a gateway's pins showed, for the truth of a bin."""

from __future__ import annotations

from simulators.truth.collected import collected, one_of_each_burst

MINUTE = 60_000


def test_conversions_of_one_burst_are_no_level_of_rest() -> None:
    """A hand on the lid for a second, seen by three conversions in a row, is not a deposit."""
    weights = [(minute * MINUTE + n * 20, 10.0) for minute in range(6) for n in range(3)]
    leaning = [(t, 13.0 if t // MINUTE == 3 else kg) for t, kg in weights]
    assert collected(leaning, emptying_kg=2)[-1][1] == 3.0
    assert collected(one_of_each_burst(leaning), emptying_kg=2)[-1][1] == 0.0
