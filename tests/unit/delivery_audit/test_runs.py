"""Which start record belongs to which run."""

from __future__ import annotations

from data_contract.batch import Previous, Start
from delivery_audit.history import Began, History, Stretch
from delivery_audit.runs import in_order

SECOND = 1000


def _stretch(run: str, from_s: int, to_s: int) -> Stretch:
    from_ms = from_s * SECOND
    return Stretch(run, 1, 1, from_ms, to_s * SECOND, None, from_ms)


def test_a_start_after_a_clock_step_back_is_not_taken_for_that_of_an_earlier_run() -> None:
    before = Previous(run="old", last=1, to_ms=20 * SECOND, clean=False)
    history = History(
        stretches=(_stretch("old", 0, 20), _stretch("new", 5, 15)),
        starts=(
            Began(6 * SECOND, Start(run="old", version="1", boot="b", damaged="cut short")),
            Began(5 * SECOND, Start(run="new", version="1", boot="b", previous=before)),
        ),
    )
    damaged = {run.run: run.damaged for run in in_order(history)}
    assert damaged == {"old": True, "new": False}
