"""What a gateway obeys: fresh commands of its present run, in bounds. All else is refused, counted and said."""

from __future__ import annotations

import json

import pytest

from data_contract.control import COMMAND_BYTES_MAX, N_MAX, Refusal, Verb, read_command, read_reply
from edge_agent.send.commands import BURST_MAX, EVERY_S, WAITING_MAX, Allowance, Commands

RUN, OTHER = "a" * 32, "b" * 32


def payload(n: object = 1, *, run: object = RUN, **more: object) -> bytes:
    return json.dumps({"run": run, "n": n, **more}).encode()


def commands() -> Commands:
    return Commands(run=RUN, devices={"meter-1", "gateway"})


def why(of: Commands, verb: str, said: bytes, *, retained: bool = False, now_s: float = 0.0) -> str | None:
    """Why a command is refused; None if it is admitted."""
    reply = of.hear(verb, said, retained=retained, now_s=now_s)
    return None if reply is None else reply.refused


@pytest.mark.parametrize("verb", list(Verb))
def test_a_fresh_command_of_the_present_run_is_obeyed_once(verb: Verb) -> None:
    of = commands()
    assert why(of, verb, payload(5, by="anna")) is None
    order = of.next()
    assert order is not None and (order.verb, order.command.n, order.command.by) == (verb, 5, "anna")
    assert of.next() is None
    assert of.obeyed == {verb: 1} and not of.refused


def test_a_recorded_command_is_worth_nothing_when_it_is_sent_again() -> None:
    of = commands()
    assert why(of, "flush", payload(7)) is None
    for later in (payload(7), payload(6), payload(1)):
        reply = of.hear("restart", later, retained=False, now_s=0)
        assert reply is not None and (reply.refused, reply.last_n) == (Refusal.REPLAYED, 7)
    assert why(of, "restart", payload(8)) is None


def test_a_command_for_an_earlier_life_of_the_agent_is_not_obeyed_in_the_next() -> None:
    of = commands()
    reply = of.hear("restart", payload(1, run=OTHER), retained=False, now_s=0)
    assert reply is not None and reply.refused == Refusal.OTHER_RUN and RUN in reply.text
    assert of.next() is None
    assert why(of, "restart", payload(1)) is None, "a foreign number uses up none of ours"


def test_what_the_broker_kept_is_not_obeyed_however_fresh_it_looks() -> None:
    of = commands()
    assert why(of, "restart", payload(1), retained=True) == Refusal.RETAINED
    assert of.next() is None
    assert why(of, "restart", payload(1)) is None, "only the kept copy is refused"


def test_who_was_refused_does_not_see_the_same_command_obeyed_later() -> None:
    of = commands()
    assert why(of, "dance", payload(1)) == Refusal.UNKNOWN_VERB
    assert why(of, "birth", payload(1)) == Refusal.REPLAYED
    of = commands()
    for n in range(1, BURST_MAX + 2):
        why(of, "dance", payload(n))
    assert of.refused == {Refusal.UNKNOWN_VERB: BURST_MAX, Refusal.TOO_MANY: 1}
    later_s = 1000.0
    assert why(of, "birth", payload(BURST_MAX + 1), now_s=later_s) == Refusal.REPLAYED
    assert why(of, "birth", payload(BURST_MAX + 2), now_s=later_s) is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}",
        b"restart",
        b"\xff\xfe",
        payload("1"),
        payload(True),
        payload(1.5),
        payload(0),
        payload(-1),
        payload(N_MAX + 1),
        payload(1, run="A" * 32),
        payload(1, run=""),
        payload(1, by="x" * 65),
        payload(1, by="anna\nWARNING all is lost"),
        payload(1, device="d" * 64),
        b"[" * 1000,
    ],
)
def test_what_is_no_command_is_refused_and_uses_up_nothing(said: bytes) -> None:
    of = commands()
    assert why(of, "restart", said) == Refusal.UNREADABLE
    assert why(of, "restart", payload(1)) is None


def test_a_payload_above_the_bound_is_not_even_parsed() -> None:
    filled = payload(1, more="x" * (COMMAND_BYTES_MAX - len(payload(1, more=""))))
    assert len(filled) == COMMAND_BYTES_MAX
    assert why(commands(), "birth", filled) is None
    assert why(commands(), "birth", filled[:-2] + b'x"}') == Refusal.TOO_LARGE


def test_an_unknown_verb_is_answered_with_the_known_ones() -> None:
    of = commands()
    reply = of.hear("x" * 60_000, payload(3), retained=False, now_s=0)
    assert reply is not None and (reply.refused, reply.n, reply.ok) == (Refusal.UNKNOWN_VERB, 3, False)
    assert "birth, flush, reread, restart" in reply.text and len(reply.verb) < 100
    assert not of.obeyed


def test_a_device_that_this_gateway_does_not_have_is_refused_by_reread_alone() -> None:
    of = commands()
    assert why(of, "reread", payload(1, device="meter-9")) == Refusal.UNKNOWN_DEVICE
    assert why(of, "reread", payload(2, device="meter-1")) is None
    assert why(of, "flush", payload(3, device="meter-9")) is None


def test_more_than_may_wait_are_refused_as_busy_and_room_comes_back() -> None:
    of = commands()
    assert [why(of, "flush", payload(n)) for n in range(1, WAITING_MAX + 2)] == [None] * WAITING_MAX + [Refusal.BUSY]
    assert of.next() is not None
    assert why(of, "flush", payload(100)) is None


def test_a_flood_is_counted_whole_but_obeyed_and_answered_at_a_bounded_rate() -> None:
    of, flood_s = commands(), 60
    answers = obeyed = 0
    for n in range(1, 6001):
        reply = of.hear("birth", payload(n), retained=False, now_s=n * flood_s / 6000)
        answers += reply is not None
        while of.next() is not None:
            obeyed += 1
    bound = BURST_MAX + flood_s / EVERY_S + 1
    assert BURST_MAX < obeyed <= bound
    assert 0 < answers <= bound
    assert of.refused == {Refusal.TOO_MANY: 6000 - obeyed}


def test_an_allowance_comes_back_with_time_and_never_grows_beyond_its_burst() -> None:
    allowance = Allowance(burst=2, every_s=10)
    assert [allowance.take(0) for _ in range(3)] == [True, True, False]
    assert [allowance.take(s) for s in (9, 10.5, 11)] == [False, True, False]
    assert [allowance.take(1e6) for _ in range(3)] == [True, True, False]


def test_an_answer_of_a_later_version_is_read_with_reasons_and_keys_that_are_not_known_yet() -> None:
    later = b'{"run":"x","n":1,"verb":"dance","ok":false,"text":"no","refused":"night","mood":"good"}'
    reply = read_reply(later)
    assert reply is not None and (reply.refused, reply.ok) == ("night", False)
    command = read_command(payload(1, urgent=True))
    assert command is not None and command.n == 1
