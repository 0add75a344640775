"""What the agent may expect of a clock, on the machine's own and on its twin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from data_contract.civil import ScaledClock
from edge_agent.clock import SystemClock
from edge_agent.ports import Clock
from tests.twins.clock import ClockTwin
from tests.twins.loop import run_virtual

Run = Callable[[Coroutine[Any, Any, Any]], Any]
FAST = ScaledClock(origin_ms=1_790_000_000_000, real_origin_ms=1_780_000_000_000, speed=60)


@pytest.fixture(params=["real", "scaled", "twin"])
def home(request: pytest.FixtureRequest) -> tuple[Run, Callable[[], Clock]]:
    """How to run, and how to make the clock in there."""
    if request.param == "twin":
        return run_virtual, ClockTwin
    scaled = FAST if request.param == "scaled" else ScaledClock()
    return asyncio.run, lambda: SystemClock(trust_always=True, scaled=scaled)


def test_time_since_boot_never_steps_and_runs_at_the_speed_of_civil_time(home: tuple[Run, Callable[[], Clock]]) -> None:
    run, make = home

    async def main() -> None:
        clock = make()
        monos, bases = [], []
        for _ in range(20):
            before, civil, after = clock.mono_ms(), clock.civil().utc_ms, clock.mono_ms()
            monos += [before, after]
            bases.append((civil - after, civil - before))
            await asyncio.sleep(0.005)
        assert monos == sorted(monos)
        assert monos[-1] > monos[0]
        # One base fits all looks, but for rounding: two clocks of one speed.
        assert max(low for low, _ in bases) <= min(high for _, high in bases) + 2 + 2 * 60

    run(main())


def test_a_span_lasts_as_long_as_the_clock_says(home: tuple[Run, Callable[[], Clock]]) -> None:
    run, make = home

    async def main() -> None:
        clock = make()
        before = clock.mono_ms()
        await asyncio.sleep(clock.real_s(3_000) if clock.real_s(3_000) < 1 else clock.real_s(50))
        passed = clock.mono_ms() - before
        assert passed >= (2_900 if clock.real_s(3_000) < 1 else 49)

    run(main())


def test_a_boot_has_one_name(home: tuple[Run, Callable[[], Clock]]) -> None:
    run, make = home

    async def main() -> None:
        clock = make()
        assert clock.boot
        assert clock.boot == clock.boot

    run(main())


def test_who_does_not_trust_always_asks_the_kernel() -> None:
    assert SystemClock(trust_always=True, scaled=ScaledClock()).civil().trusted
    assert isinstance(SystemClock(trust_always=False, scaled=ScaledClock()).civil().trusted, bool)


def test_the_environment_sets_the_clock_and_says_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPGAUGE_CLOCK", "1790000000000:0:1")
    assert SystemClock.from_environment(trust_always=True).civil().utc_ms > 1_790_000_000_000
    monkeypatch.setenv("LOOPGAUGE_CLOCK", "soon")
    with pytest.raises(ValueError, match="LOOPGAUGE_CLOCK"):
        SystemClock.from_environment(trust_always=True)
