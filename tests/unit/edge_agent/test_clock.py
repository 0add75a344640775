"""The gateway's clock knows neither zones nor summer time: what a site sets there moves no stamp."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from data_contract.civil import ScaledClock
from edge_agent.clock import SystemClock


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    time.tzset()


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "right/UTC", "XXX+11YYY,0,365"])
def test_the_zone_of_the_machine_does_not_move_civil_time(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock(trust_always=True, scaled=ScaledClock())
    before = clock.civil().utc_ms
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        assert 0 <= clock.civil().utc_ms - before < 20_000, "the smallest shift, that of right/UTC, is 27 s"
        assert abs(clock.civil().utc_ms / 1000 - time.time()) < 20
