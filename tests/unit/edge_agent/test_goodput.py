"""How much is under way: little enough for live data on a slow link, enough for a fast one, and always bounded."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from data_contract.control import Ack
from edge_agent.send.flight import BACKLOG_SHARE, FAST_BATCHES_MAX, FLIGHT_BYTES_MAX, Flight, Message
from edge_agent.send.goodput import BEGIN_BYTES, LEAST_BYTES, QUEUE_S

RUN = "a" * 32


@dataclass
class Way:
    """A sender that waits for each PUBACK, a link of some rate and a cloud that answers later; all in s and bytes."""

    rate: float
    answer_s: float
    puback_s: float = 0.002
    plain: int = 4000
    packed: float = 0.2
    burst: float = 0.0
    """Bytes that pass at once where the link has rested."""
    flight: Flight = field(default_factory=lambda: Flight(rng=random.Random(1)))
    now_s: float = 0.0
    seq: int = 0
    most: int = 0
    most_batches: int = 0
    sizes: list[float] = field(default_factory=list)
    confirmed: int = 0
    _tokens: float = 0.0
    _acks: list[tuple[float, int, int]] = field(default_factory=list)

    def run(self, until_s: float) -> None:
        """Send backlog whenever there is room for it."""
        while self.now_s < until_s:
            self._hear()
            room = self.flight.room(backlog=True)
            batches = min(64, room.batches, max(room.bytes // self.plain, int(room.one)))
            if batches < 1 or (room.bytes < self.plain and not room.one):
                self._rest(self._acks[0][0] if self._acks else self.now_s + 1)
                continue
            first, self.seq = self.seq + 1, self.seq + batches
            message = self.flight.launch((RUN, first, self.seq), batches * self.plain, backlog=True)
            self.most = max(self.most, self.flight.bytes)
            self._carry(message)
            self.most_batches = max(self.most_batches, self.flight.batches)

    def live(self) -> float:
        """Send one live batch now; s until it is through."""
        began_s = self.now_s
        self.seq += 1
        self._carry(self.flight.launch((RUN, self.seq, self.seq), self.plain))
        return self.now_s - began_s

    def _carry(self, message: Message) -> None:
        size = int(message.plain * self.packed)
        self.sizes.append(size)
        self.flight.sent(message, self.now_s, size)
        through = max(0.0, size - self._tokens)
        self._tokens = max(0.0, self._tokens - size)
        self.now_s += through / self.rate + self.puback_s
        heapq.heappush(self._acks, (self.now_s + self.answer_s, message.first, message.last))
        self.flight.taken(message, self.now_s)

    def _rest(self, until_s: float) -> None:
        self._tokens = min(self.burst, self._tokens + (until_s - self.now_s) * self.rate)
        self.now_s = until_s
        self._hear()

    def _hear(self) -> None:
        while self._acks and self._acks[0][0] <= self.now_s:
            at_s, first, last = heapq.heappop(self._acks)
            self.flight.confirmed(Ack(run=RUN, stored=((first, last),)), at_s)
            self.confirmed += (last - first + 1) * self.plain


@pytest.mark.parametrize("rate", [1_000, 8_000, 30_000])
@pytest.mark.parametrize("burst", [0, 4_000])
def test_on_a_slow_link_live_data_waits_for_two_seconds_of_backlog_at_most_and_the_link_is_still_used(
    rate: int, burst: int
) -> None:
    way = Way(rate=rate, answer_s=0.05, burst=burst)
    way._tokens = burst
    way.run(600)
    longest = max(way.sizes[3:]) / rate
    assert longest <= max(QUEUE_S * 1.3, LEAST_BYTES / rate * 1.3)
    assert way.confirmed * way.packed > 0.85 * rate * 600


def test_before_anything_is_known_no_more_goes_than_two_seconds_of_64_kbit_per_s() -> None:
    way = Way(rate=8_000, answer_s=0.05)
    way.run(2)
    assert way.sizes[0] <= BEGIN_BYTES


@pytest.mark.parametrize("answer_s", [0.02, 0.2, 1.0])
def test_a_fast_cloud_gets_a_hundred_thousand_readings_a_second_through_one_gateway(answer_s: float) -> None:
    """A batch of the bench holds 200 readings in 4 kB."""
    way = Way(rate=20e6, answer_s=answer_s, puback_s=0.005)
    way.run(20)
    before = way.confirmed
    way.run(40)
    per_s = (way.confirmed - before) / 20 / 4000 * 200
    bound = BACKLOG_SHARE * FLIGHT_BYTES_MAX / way.packed / 4000 * 200 / answer_s
    assert per_s > min(100_000 * 1.5, 0.7 * bound)
    assert way.most <= BACKLOG_SHARE * FLIGHT_BYTES_MAX
    assert 32 < way.most_batches <= FAST_BATCHES_MAX


def test_a_store_that_takes_seconds_for_each_write_does_not_choke_a_fast_link() -> None:
    way = Way(rate=1e6, answer_s=6.0)
    way.run(300)
    before = way.confirmed
    way.run(600)
    assert (way.confirmed - before) / 300 * way.packed > 0.7 * BACKLOG_SHARE * FLIGHT_BYTES_MAX / 6.0


def test_a_link_that_becomes_a_hundred_times_slower_is_found_out_within_a_few_messages() -> None:
    way = Way(rate=1e6, answer_s=0.05)
    way.run(10)
    assert max(way.sizes) > 40_000
    way.rate = 8_000
    before = len(way.sizes)
    way.run(300)
    assert max(way.sizes[before + 8 :]) / 8_000 < QUEUE_S * 1.3
    assert sum(way.sizes[before : before + 8]) / 8_000 < 60


def test_a_link_that_becomes_fast_again_is_found_out_within_a_few_round_trips() -> None:
    way = Way(rate=8_000, answer_s=0.05)
    way.run(60)
    way.rate = 1e6
    way.run(63)
    before = way.confirmed
    way.run(73)
    assert (way.confirmed - before) * way.packed / 10 > 400_000


def test_small_live_messages_over_a_shaper_that_lets_them_through_at_once_are_not_taken_for_a_fast_link() -> None:
    way = Way(rate=8_000, answer_s=0.02, burst=4_000)
    for _ in range(100):
        way._rest(way.now_s + 10)
        way.live()
    before = len(way.sizes)
    way.run(way.now_s + 60)
    assert max(way.sizes[before:]) / 8_000 < QUEUE_S * 1.6


def test_a_new_session_may_take_another_way_and_begins_anew() -> None:
    way = Way(rate=1e6, answer_s=0.05)
    way.run(10)
    assert way.flight.goodput is not None
    way.flight.connected()
    assert way.flight.goodput is None
    assert way.flight.room(backlog=True).bytes * way.packed <= BEGIN_BYTES


def test_a_cloud_that_falls_silent_gets_no_more_batches_than_any_other() -> None:
    way = Way(rate=20e6, answer_s=0.2)
    way.run(20)
    assert way.flight.room(backlog=True).batches + way.flight.batches > 100
    way._acks.clear()
    while (message := way.flight.due(way.now_s)) is None:
        way.now_s += 1
    way.flight.sent(message, way.now_s)
    assert way.flight.room().batches + way.flight.batches == 32


def test_live_data_finds_room_where_the_backlog_has_filled_its_share() -> None:
    one = Flight(rng=random.Random(1), bytes_max=100_000, batches_max=32)
    for seq in range(1, 33):
        room = one.room(backlog=True)
        if room.batches > 0 and room.bytes >= 100:
            one.sent(one.launch((RUN, seq, seq), 100, backlog=True), 0.0, 100)
    assert one.room(backlog=True).batches == 0
    assert one.room().batches == 8


def test_a_batch_larger_than_the_window_goes_alone_in_either_lane_and_never_starves() -> None:
    one = Flight(rng=random.Random(1))
    big = 10 * BEGIN_BYTES
    assert one.room(backlog=True).one
    one.launch((RUN, 1, 1), big, backlog=True)
    assert not one.room(backlog=True).one
    assert one.room().one
    one.launch((RUN, 2, 2), big)
    assert not one.room().one


def test_bytes_are_counted_as_sent_so_what_compresses_well_may_be_more() -> None:
    one = Flight(rng=random.Random(1))
    assert one.room().bytes == BEGIN_BYTES
    one.sent(one.launch((RUN, 1, 4), 16_000), 0.0, 2_000)
    assert one.bytes == 2_000
    assert one.room().bytes == pytest.approx(8 * BEGIN_BYTES, rel=0.01)


def test_an_overdue_answer_is_awaited_from_when_the_broker_has_the_message_not_from_when_it_began_to_leave() -> None:
    """On a slow link a large message takes longer than any answer: it would be sent twice each time."""
    one = Flight(rng=random.Random(1))
    small = one.launch((RUN, 1, 1), 100)
    one.sent(small, 0.0, 100)
    one.confirmed(Ack(run=RUN, stored=((1, 1),)), 0.05)
    large = one.launch((RUN, 2, 2), 16_000)
    one.sent(large, 1.0, 16_000)
    one.taken(large, 11.0)
    assert one.due(11.1) is None
    assert one.due(11.0 + 60) is large
