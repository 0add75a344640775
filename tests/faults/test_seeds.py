"""Whole lives under faults drawn from a seed. A failure prints the command that replays it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.conftest import TABLE
from tests.faults.judge import Verdict, judge, ledgers
from tests.faults.storm import FAULTS, GATEWAY_STEPS, WORKER_STEPS, Storm
from tests.twins.loop import run_virtual

SEEDS = range(14)
SOAK = range(14, 120)


def chosen() -> list[object]:
    """The seeds of this run: the one that was asked for, or all; the many are for `make test-all`."""
    asked = os.environ.get("LOOPGAUGE_FAULT_SEED")
    if asked:
        return [int(asked)]
    return [*SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SOAK)]


def live(seed: int, folder: Path) -> tuple[Storm, Verdict, list[str]]:
    """A run and what came of it."""

    async def main() -> tuple[Storm, Verdict, list[str]]:
        storm = Storm(seed=seed, folder=folder)
        await storm.run()
        verdict = await judge(storm.world, no_room=storm.no_room)
        return storm, verdict, await ledgers(storm.world)

    return run_virtual(main())


@pytest.mark.parametrize("seed", chosen())
def test_nothing_that_was_sealed_is_lost_or_changed_whatever_happens(seed: int, tmp_path: Path) -> None:
    storm, verdict, unexplained = live(seed, tmp_path)
    TABLE.update(storm.table)
    wrong = [*verdict.wrong, *unexplained]
    assert not wrong, f"replay with: make faults SEED={seed}\n" + "\n".join(wrong)
    assert verdict.sealed > 1000 * storm.hours
    assert storm.table.total() >= 8


def test_the_seeds_kill_both_programs_at_every_step_and_try_every_fault(request: pytest.FixtureRequest) -> None:
    ran = [item for item in request.session.items if "whatever_happens" in item.name]
    if len(ran) < len(SEEDS):
        pytest.skip("only when all seeds ran before")
    kills = {("kill gateway", step) for step in GATEWAY_STEPS} | {("kill worker", step) for step in WORKER_STEPS}
    assert not kills - TABLE.keys()
    assert set(FAULTS) == {fault for fault, _ in TABLE}
