"""A replay paces itself by acks, and the living fleet by its clock: both over a way that only notes what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from data_contract.control import Ack, Rejected, write
from data_contract.message import Header, read_header
from simulators.fleet.gateways import Gateways
from simulators.fleet.live import Live, Progress
from simulators.fleet.pace import Outage, Pace
from simulators.fleet.plan import FleetPlan
from simulators.fleet.prepare import PreparedFile, prepare
from simulators.fleet.publish import Ears
from simulators.fleet.replay import REPEAT_S, Replay
from tests.twins.loop import run_virtual

BEGIN_MS = 1_700_000_000_000
PLAN = FleetPlan(gateways=2, meters=1, fields=2, every_ms=1_000, begin_ms=BEGIN_MS, missing=0.0)


class Wire:
    """A broker with a cloud behind it that answers by `answer`: an ack for a header, or nothing."""

    def __init__(self, answer: Callable[[Header, int], Ack | None]) -> None:
        self.sent: list[Header] = []
        self.sent_s: list[float] = []
        self.ears: Ears | None = None
        self.cuts: list[tuple[float, float]] = []
        self.said_goodbye = False
        self.lost_connections = 0
        self._answer = answer
        self.up = 0
        self.connections = PLAN.gateways

    def takes(self, gateway: int) -> bool:
        return True

    def publish(self, gateway: int, payload: bytes) -> None:
        header, _ = read_header(payload)
        self.sent.append(header)
        self.sent_s.append(asyncio.get_running_loop().time())
        ack = self._answer(header, len(self.sent))
        if ack is not None:
            assert self.ears is not None
            asyncio.get_running_loop().call_later(0.1, self.ears.acknowledged, gateway, write(ack))

    def cut(self, share: float, until_s: float) -> int:
        self.cuts.append((share, until_s))
        return 0

    async def run(self) -> None:
        assert self.ears is not None
        for gateway in range(self.connections):
            self.up += 1
            self.ears.up(gateway)
        await asyncio.sleep(1e9)

    async def goodbye(self, within_s: float) -> None:
        self.said_goodbye = True


def all_of(header: Header, _number: int) -> Ack:
    return Ack(run=header.run, stored=((header.first, header.last),))


def nothing(_header: Header, _number: int) -> None:
    return None


@pytest.fixture
def file(tmp_path: Path) -> PreparedFile:
    """Three messages of two batches of each of two gateways."""
    prepare(tmp_path / "f", plan=PLAN, to_ms=BEGIN_MS + 6 * PLAN.seal_ms, merge=2)
    return PreparedFile.open(tmp_path / "f")


def replayed(file: PreparedFile, wire: Wire, **how: float | None) -> Progress:
    replay = Replay(file=file, rate=how.pop("rate", None), say=lambda _progress: None)
    wire.ears = replay
    for_s, drain_s = how.pop("for_s", None), how.pop("drain_s", 30.0) or 0.0

    async def program() -> Progress:
        return await replay.run(wire, asyncio.Event(), for_s=for_s, drain_s=drain_s)

    return run_virtual(program())


def test_a_gateway_sends_on_only_when_its_whole_message_is_acknowledged(file: PreparedFile) -> None:
    half = Wire(lambda header, _: Ack(run=header.run, stored=((header.first, header.first),)))
    told = replayed(file, half, drain_s=5.0, for_s=5.0)
    assert [(header.first, header.last) for header in half.sent] == [(1, 2), (1, 2)]
    assert (told.confirmed, told.unconfirmed) == (2, 2)
    whole = Wire(all_of)
    told = replayed(file, whole)
    assert sorted((header.gateway, header.first) for header in whole.sent) == [
        (PLAN.gateway(number), first) for number in (0, 1) for first in (1, 3, 5)
    ]
    assert (told.messages, told.batches, told.confirmed, told.unconfirmed) == (6, 12, 12, 0)
    assert told.seconds == pytest.approx(0.3, abs=0.1) and whole.said_goodbye


def test_what_is_not_acknowledged_is_sent_again_and_counted_once(file: PreparedFile) -> None:
    wire = Wire(lambda header, number: None if number == 1 else all_of(header, number))
    told = replayed(file, wire)
    assert told.confirmed == told.batches == 12 and told.redelivered == 2
    first, again = (s for header, s in zip(wire.sent, wire.sent_s, strict=True) if header == wire.sent[0])
    assert again - first == pytest.approx(REPEAT_S, abs=0.1)


def test_after_its_time_a_replay_only_waits_for_what_is_under_way(file: PreparedFile) -> None:
    wire = Wire(all_of)
    told = replayed(file, wire, for_s=0.15)
    assert told.batches < 12 and told.confirmed == told.batches and told.unconfirmed == 0


def test_a_replay_keeps_the_rate_that_it_was_given(file: PreparedFile) -> None:
    told = replayed(file, Wire(all_of), rate=20.0)
    assert told.readings == 240 and told.seconds == pytest.approx(10.0, abs=2.1)


def test_a_rejected_batch_and_a_foreign_ack_are_told_apart_from_what_was_stored(file: PreparedFile) -> None:
    def answer(header: Header, number: int) -> Ack:
        if number == 1:
            return Ack(run=header.run, stored=((2, 2),), rejected=(Rejected(seq=1, reason="bad"),))
        return Ack(run="0" * 32, stored=((1, 99),))

    told = replayed(file, Wire(answer), drain_s=1.0, for_s=1.0)
    assert told.rejected == 1 and told.confirmed == 2 and told.foreign_acks >= 2 and told.unconfirmed > 0


def lived(
    wire: Wire, *, for_s: float, speed: float = 1.0, outages: tuple[Outage, ...] = ()
) -> tuple[Progress, Gateways]:
    gateways = Gateways(plan=PLAN)
    pace = Pace(BEGIN_MS + PLAN.seal_ms, speed)
    live = Live(plan=PLAN, pace=pace, gateways=gateways, notes=None, outages=outages, say=lambda _progress: None)
    wire.ears = live

    async def program() -> Progress:
        return await live.run(wire, asyncio.Event(), for_s=for_s, drain_s=400.0, wait_connected=True)

    return run_virtual(program()), gateways


@pytest.mark.parametrize("speed", [0.5, 1.0, 7.0])
def test_the_living_fleet_makes_what_its_pace_calls_for_and_closes_every_run(speed: float) -> None:
    wire = Wire(all_of)
    told, gateways = lived(wire, for_s=60.0, speed=speed)
    assert told.readings_at_end == pytest.approx(4 * 60 * speed, abs=45)
    assert told.confirmed == told.batches == len({(h.gateway, seq) for h in wire.sent for seq in _seqs(h)})
    assert told.unconfirmed == told.redelivered == told.given_up == 0 and wire.said_goodbye
    ends_ms = set(gateways.sealed_to_ms.tolist())
    assert len(ends_ms) == 1 and ends_ms.pop() == pytest.approx(BEGIN_MS + 10_000 + 60_000 * speed, abs=100 * speed)


def test_a_deaf_cloud_is_told_the_oldest_again_and_again_and_nothing_is_forgotten() -> None:
    wire = Wire(nothing)
    told, _ = lived(wire, for_s=60.0)
    assert told.confirmed == 0 and told.unconfirmed == told.batches > 12
    repeats = [header for header in wire.sent[2:] if header.first == 1]
    assert 4 < len(repeats) < 30 and all(header.last == 1 for header in repeats)


def test_outages_begin_when_the_scenario_says_and_last_as_long() -> None:
    wire = Wire(all_of)
    lived(wire, for_s=30.0, outages=(Outage(20.0, 5.0, 1.0), Outage(10.0, 2.0, 0.5)))
    (first, first_until_s), (second, second_until_s) = wire.cuts
    assert (first, second) == (0.5, 1.0)
    assert second_until_s - first_until_s == pytest.approx(13.0, abs=0.1)


def _seqs(header: Header) -> range:
    return range(header.first, header.last + 1)
