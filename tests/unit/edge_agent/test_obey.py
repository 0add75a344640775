"""Commands to a whole agent in virtual time: each does what it says, and no reading is lost, doubled or left open."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from data_contract.cause import Missing
from data_contract.control import REPLY_BYTES_MAX, Reply, read_birth, read_reply
from data_contract.reading import Quality
from data_contract.topics import Channel, command_topic, topic
from edge_agent.errors import NotSampled
from edge_agent.ports import Answer, Ask
from edge_agent.read.again import Again
from tests.faults.judge import judge, ledgers
from tests.faults.world import Gateway, World, body_of
from tests.twins.loop import run_virtual

Script = Callable[["Desk"], Awaitable[None]]


class Desk:
    """An operator at the broker of a world with one gateway."""

    def __init__(self, folder: Path, *, seed: int = 1) -> None:
        self.world = World(seed=seed, folder=folder)
        self.gateway: Gateway = self.world.gateways[0]
        self.replies: list[Reply] = []
        self.births = 0
        self.extra: list[tuple[int, int, int, tuple[int, ...]]] = []
        """What the bus served out of schedule, which nobody has to find in the store."""
        carried = self.world.broker.on_carry

        def hear(name: str, payload: bytes) -> None:
            carried(name, payload)
            self.births += name == topic("gw-1", Channel.BIRTH)
            if name == topic("gw-1", Channel.REPLY):
                reply = read_reply(payload)
                assert reply is not None
                self.replies.append(reply)

        self.world.broker.on_carry = hear

    @property
    def run(self) -> str:
        birth = read_birth(self.world.broker.retained[topic("gw-1", Channel.BIRTH)])
        assert birth is not None
        return birth.run

    def send(self, verb: str, n: int, **more: object) -> None:
        said = json.dumps({"run": self.run, "n": n, **more}).encode()
        self.world.broker.carry(command_topic("gw-1", verb), said)

    def set_apart(self) -> None:
        """Take what was served between two slots, all of which begin at multiples of 5 s, out of the record."""
        served = self.gateway.bus.served
        self.extra += [each for each in served if each[2] % 5000 >= 1000]
        served[:] = [each for each in served if each[2] % 5000 < 1000]

    async def ask(self, verb: str, n: int, *, within_s: float = 70, **more: object) -> Reply:
        self.send(verb, n, **more)
        for _ in range(round(within_s * 10)):
            await asyncio.sleep(0.1)
            for reply in self.replies:
                if reply.n == n:
                    return reply
        raise AssertionError(f"no answer to {verb} within {within_s:g} s")


def play(folder: Path, script: Script, **of_world: Any) -> Desk:
    """Run a script, settle, and hold the run against record, store and ledger."""

    async def main() -> Desk:
        desk = Desk(folder, **of_world)
        desk.world.start()
        await asyncio.sleep(33)
        await script(desk)
        desk.set_apart()
        await desk.world.settle(1200)
        verdict = await judge(desk.world)
        assert [*verdict.wrong, *await ledgers(desk.world)] == []
        return desk

    return run_virtual(main())


def test_birth_is_published_again_and_that_is_said(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        assert desk.births == 1
        desk.world.broker.retained.clear()
        run = desk.gateway.agent.run_id if desk.gateway.agent else ""
        desk.world.broker.carry(command_topic("gw-1", "birth"), json.dumps({"run": run, "n": 1}).encode())
        await asyncio.sleep(2)
        assert desk.births == 2 and desk.run == run
        assert [(reply.verb, reply.ok, reply.run) for reply in desk.replies] == [("birth", True, run)]

    play(tmp_path, script)


def test_flush_seals_before_the_time_and_waits_for_the_confirmation(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        uplink_s = 600.0
        desk.gateway.config = desk.gateway.config.model_copy(
            update={"uplink": desk.gateway.config.uplink.model_copy(update={"send_every_s": uplink_s})}
        )
        await desk.world.stop_gateway(desk.gateway)
        desk.world.start_gateway(desk.gateway)
        await asyncio.sleep(63)
        assert desk.gateway.agent is not None
        assert len(desk.gateway.agent.spool.held) >= 5, "they wait for the ten minutes to be over"
        before = len(desk.gateway.sealed)
        reply = await desk.ask("flush", 1)
        assert (reply.ok, reply.text) == (True, "sealed; all that was sealed is confirmed")
        assert len(desk.gateway.sealed) >= before + 1
        last = body_of(list(desk.gateway.sealed.values())[before].body)
        assert 0 < last.to - last.from_ < 10_000, "that was the ordinary seal"
        await asyncio.sleep(90)
        assert len(desk.gateway.agent.spool.held) >= 8, "it goes on to collect"

    play(tmp_path, script)


def test_a_flush_waits_for_what_it_sealed_and_not_for_what_is_sealed_meanwhile(tmp_path: Path) -> None:
    """Where an answer takes longer than the next seal, something always waits."""

    async def script(desk: Desk) -> None:
        desk.world.broker.delay_s = 6.0
        await asyncio.sleep(40)
        reply = await desk.ask("flush", 1)
        assert (reply.ok, reply.text) == (True, "sealed; all that was sealed is confirmed")

    play(tmp_path, script)


def test_a_flush_that_the_cloud_does_not_confirm_says_how_much_is_left(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.world.kill_worker("w1")
        reply = await desk.ask("flush", 1)
        assert not reply.ok
        assert reply.text.startswith("sealed; ") and reply.text.endswith(" still to be confirmed after 20 s")

    play(tmp_path, script)


def test_a_flush_on_a_full_disk_says_so(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        desk.gateway.fill(full=True)
        reply = await desk.ask("flush", 1)
        assert (reply.ok, reply.text) == (False, "not sealed: the spool is full")
        desk.gateway.fill(full=False)
        assert (await desk.ask("flush", 2)).ok

    play(tmp_path, script)


def test_reread_shows_what_the_devices_say_and_the_ledger_knows_nothing_of_it(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        reply = await desk.ask("reread", 1)
        said = {each.device: each.values for each in reply.devices}
        assert said.keys() == {"gateway", "meter-1", "meter-2"}
        assert said["meter-1"].keys() == {"total", "level", "state"}
        desk.set_apart()
        own = {(unit, address): words for unit, address, _, words in desk.extra}
        assert len(desk.extra) == len(own) == 4
        assert said["meter-2"]["level"] == own[2, 0][2] and said["meter-1"]["state"] == own[1, 100][0]
        own_device = next(each for each in reply.devices if each.device == "gateway")
        assert own_device.values["temperature_c"] is None
        assert own_device.quality == {"temperature_c": 3, "written_bytes_day": 3}
        assert reply.ok
        await asyncio.sleep(2)
        one = await desk.ask("reread", 2, device="meter-2")
        assert one.ok and [each.device for each in one.devices] == ["meter-2"]
        assert one.text == "3 of 3 fields read"

    desk = play(tmp_path, script)
    scheduled = sum(
        called
        for sealed in desk.gateway.sealed.values()
        for name, of in body_of(sealed.body).devices.items()
        if name != "gateway"
        for called, _, _ in of.counts.values()
    )
    assert sum(2 if address == 0 else 1 for _, address, _, _ in desk.gateway.bus.served) == scheduled
    assert len(desk.extra) == 6


def test_reread_forgets_that_a_device_was_asleep_and_a_dead_one_costs_its_neighbour_one_time_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def script(desk: Desk) -> None:
        desk.gateway.bus.silent.add(1)
        await asyncio.sleep(1203)
        asked: list[int] = []
        answer = desk.gateway.bus.answer

        async def note(ask: Ask) -> Answer:
            asked.append(ask.unit)
            return await answer(ask)

        desk.gateway.bus.answer = note  # type: ignore[method-assign]
        reply = await desk.ask("reread", 1)
        dead = next(each for each in reply.devices if each.device == "meter-1")
        assert dead.missing == dict.fromkeys(("total", "level", "state"), "timeout") and not dead.values
        assert dead.detail == "no answer"
        assert asked.count(1) == 1, "each of its requests took a time-out of its own"
        assert not next(each for each in reply.devices if each.device == "meter-2").missing
        await asyncio.sleep(60)
        assert asked.count(1) >= 5, "it is probed as rarely as before"
        await asyncio.sleep(-asyncio.get_running_loop().time() % 5 + 1)
        desk.gateway.bus.silent.clear()
        assert (await desk.ask("reread", 2, device="meter-1")).ok
        before = len(asked)
        await asyncio.sleep(12)
        assert asked[before:].count(1) >= 2, "it is still taken to be asleep"

    play(tmp_path, script)
    assert [r.getMessage() for r in caplog.records if "meter-1" in r.getMessage()] == [
        "meter-1: no reading: no answer (timeout)",
        "meter-1: answers again",
    ]


def test_a_line_of_dead_devices_does_not_make_a_reread_cost_its_neighbour_a_slot(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        meter = desk.gateway.config.devices["meter-1"]
        dead = {
            f"dead-{unit}": meter.model_copy(update={"unit_id": unit, "every_s": {"main": 3600, "slow": 3600}})
            for unit in range(10, 30)
        }
        await desk.world.stop_gateway(desk.gateway)
        devices = {**desk.gateway.config.devices, **dead}
        desk.gateway.config = desk.gateway.config.model_copy(update={"devices": devices})
        desk.world.start_gateway(desk.gateway)
        await asyncio.sleep(23)
        reply = await desk.ask("reread", 1)
        read, of = (int(word) for word in reply.text.removesuffix(" fields read").split(" of "))
        assert of - read == 3 * len(dead)
        await asyncio.sleep(30)

    desk = play(tmp_path, script)
    of_neighbours = [
        causes
        for sealed in desk.gateway.sealed.values()
        for name, of in body_of(sealed.body).devices.items()
        if name in ("meter-1", "meter-2")
        for _, _, causes in of.counts.values()
    ]
    assert len(of_neighbours) > 10 and not any(of_neighbours)


def test_a_reread_on_a_hung_bus_ends_and_tells_what_it_has(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        hung = asyncio.Event()
        answer = desk.gateway.bus.answer

        async def hang(ask: Ask) -> Answer:
            await hung.wait()
            return await answer(ask)

        desk.gateway.bus.answer = hang  # type: ignore[method-assign]
        reply = await desk.ask("reread", 1)
        assert not reply.ok and "not all answers within 60 s" in reply.text
        assert [each.device for each in reply.devices] == ["gateway"]
        hung.set()
        await asyncio.sleep(20)
        assert (await desk.ask("reread", 2, device="meter-1")).ok

    play(tmp_path, script)


def test_restart_answers_stops_in_order_and_asks_to_be_started_again(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        gateway, old = desk.gateway, desk.run
        assert gateway.agent is not None and gateway.task is not None
        desk.send("restart", 1, by="anna")
        async with asyncio.timeout(15):
            await gateway.task
        assert gateway.agent.restarting
        assert [(reply.verb, reply.ok) for reply in desk.replies] == [("restart", True)]
        assert [record.kind for record in body_of(list(gateway.sealed.values())[-1].body).records] == ["stop"]
        desk.world.start_gateway(gateway)
        await asyncio.sleep(12)
        assert desk.run != old and not gateway.agent.restarting
        recorded = json.dumps({"run": old, "n": 1, "by": "anna"}).encode()
        desk.world.broker.carry(command_topic("gw-1", "restart"), recorded)
        await asyncio.sleep(12)
        assert desk.replies[-1].refused == "other_run" and not gateway.task.done()

    play(tmp_path, script)


def test_a_restart_is_answered_even_where_nothing_else_may_be_sent(tmp_path: Path) -> None:
    """While the time is not known, no batch leaves, and so a stop has nothing to wait for."""

    async def script(desk: Desk) -> None:
        await desk.world.stop_gateway(desk.gateway)
        desk.gateway.clock.trusted = False
        desk.world.start_gateway(desk.gateway)
        await asyncio.sleep(12)
        assert desk.gateway.task is not None
        desk.send("restart", 1)
        await desk.gateway.task
        assert [reply.verb for reply in desk.replies] == ["restart"]
        desk.gateway.clock.trusted = True
        desk.world.start_gateway(desk.gateway)
        await asyncio.sleep(5)

    play(tmp_path, script)


def test_a_plain_stop_is_no_restart(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        await desk.world.stop_gateway(desk.gateway)
        assert desk.gateway.agent is not None and not desk.gateway.agent.restarting
        desk.world.start_gateway(desk.gateway)
        await asyncio.sleep(5)

    play(tmp_path, script)


def test_refused_commands_are_logged_counted_and_answered_and_harm_no_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(desk: Desk) -> None:
        for n in range(1, 2001):
            desk.send("restart\n", n)
        desk.world.broker.carry(command_topic("gw-1", "restart"), b"\x00" * 300_000)
        await asyncio.sleep(60)
        assert desk.gateway.agent is not None and not desk.gateway.agent.restarting
        refused = desk.gateway.agent.commands.refused
        assert refused.total() == 2001 and refused["unreadable"] + refused["too_large"] == 1
        lines = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
        assert 0 < len(lines) < 30 and all("\n" not in line for line in lines)
        assert 0 < len(desk.replies) < 30
        metrics = {metric.name: metric for metric in desk.gateway.agent._metrics()}
        said = {s.labels["reason"]: s.value for s in metrics["loopgauge_edge_commands_refused_total"].samples}
        assert said == dict(refused)

    play(tmp_path, script)


def test_commands_wait_for_one_another_and_each_is_answered_in_its_turn(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        for n, verb in enumerate(("reread", "flush", "birth"), start=1):
            desk.send(verb, n)
            await asyncio.sleep(0.1)
        await asyncio.sleep(60)
        assert [(reply.n, reply.verb) for reply in desk.replies] == [(1, "reread"), (2, "flush"), (3, "birth")]

    play(tmp_path, script)


def test_an_answer_that_found_no_connection_is_given_after_the_next_connect(tmp_path: Path) -> None:
    async def script(desk: Desk) -> None:
        desk.send("reread", 1)
        await asyncio.sleep(0.06)
        desk.world.broker.down = True
        desk.world.broker.drop()
        await asyncio.sleep(60)
        assert not desk.replies
        desk.world.broker.down = False
        await asyncio.sleep(120)
        assert [(reply.n, reply.verb) for reply in desk.replies] == [(1, "reread")]

    play(tmp_path, script)


def test_an_answer_keeps_to_its_size_and_counts_what_it_leaves_out() -> None:
    again = Again(None)
    for device in range(50):
        values = {f"field_{n:03}_with_a_long_name": (1 / 3, Quality.UNCERTAIN) for n in range(100)}
        again.heard(f"d-{device:02}", values)
    again.missed("d-99", ["lost_kwh"], NotSampled(Missing.TIMEOUT, "€" * 5000))
    answers, left_out = again.answers(bytes_max=REPLY_BYTES_MAX)
    whole = Reply(run="a" * 32, verb="reread", ok=True, text="", devices=answers, left_out=left_out).model_dump_json()
    shown = sum(len(each.values) + len(each.missing) for each in answers)
    assert shown + left_out == 5001
    assert REPLY_BYTES_MAX / 2 < len(whole.encode()) <= REPLY_BYTES_MAX + 100
    everything, none = again.answers(bytes_max=10_000_000)
    assert none == 0 and len(everything) == 51 and len(everything[-1].detail) == 120


def test_whose_card_it_was_does_not_leave_the_gateway_in_an_answer() -> None:
    again = Again(None)
    again.heard("bin-1", {"card_pseudonym": (281474976710655.0, Quality.GOOD), "raw_count": (5.0, Quality.GOOD)})
    ((answer,), _) = again.answers(bytes_max=1000)
    assert answer.values == {"raw_count": 5.0}
