"""A task that is late is named; one that waits as it said it would is not."""

from __future__ import annotations

from service_health.promises import Promises


class _Now:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_task_counts_as_hung_only_after_the_time_that_it_named_and_by_how_much() -> None:
    now = _Now()
    promises = Promises(now)
    promises.within("bus line", 5)
    promises.within("seal", 60)
    now.s = 105.0
    assert promises.broken() == {}
    now.s = 107.5
    assert promises.broken() == {"bus line": 2.5}


def test_a_task_that_calls_again_is_well_again_and_one_that_has_ended_never_hangs() -> None:
    now = _Now()
    promises = Promises(now)
    promises.within("send", 1)
    promises.within("seal", 1)
    now.s = 200.0
    promises.within("send", 1)
    promises.done("seal")
    promises.done("never heard of")
    assert promises.broken() == {}
    now.s = 300.0
    assert promises.broken() == {"send": 99.0}


def test_a_later_and_shorter_promise_counts_and_not_the_longer_one_before() -> None:
    now = _Now()
    promises = Promises(now)
    promises.within("bus", 1000)
    promises.within("bus", 1)
    now.s = 102.0
    assert promises.broken() == {"bus": 1.0}
