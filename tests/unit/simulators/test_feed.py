"""Conversions over loopback: noted before the chip has them; a broken feed is a silent chip, never a wrong count."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device_profiles.library import Library
from simulators.app import build_units, serve
from simulators.checked_scenario import CheckedScenario
from simulators.chips.feed import CONNECTIONS_MAX, LINE_BYTES_MAX, RECONNECT_S, REPLY_S, FeedClient, FeedServer
from simulators.chips.hx711 import Hx711Chip
from simulators.chips.sensed import Sensed
from simulators.clock import CivilClock
from simulators.devices.unit import Unit
from simulators.faults import FaultPlan
from simulators.load_scenario import Loaded
from simulators.parts.fault import Fault
from simulators.truth.record import Record, RecordWriter
from simulators.world.world import World as TheWorld
from tests.e2e.servers import PATIENCE_S

NOW_MS = 1_760_000_000_000


class Load:
    """A load cell that counts on by 1000 with each ms of its clock, down from far below 0."""

    def value(self, field: str, t_ms: int) -> float:
        return float((t_ms - NOW_MS) % 2) if field == "door_open" else (t_ms - NOW_MS) * 1000.0 - 3_000_000


class World:
    """A feed and its record, on a loop in a thread of its own."""

    def __init__(self, path: Path, *faults: Fault) -> None:
        self.now_ms = NOW_MS
        unit = Unit(
            device="bin-1",
            gateway="gw-1",
            profile=Library().load("avia-hx711"),
            unit_id=1,
            gauge=Load(),
            faults=FaultPlan(faults=faults, origin_ms=NOW_MS),
        )
        self.writer = RecordWriter(path=path)
        self._unit, self._port = unit, 0
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

        async def open_here() -> None:  # SQLite: the thread that opens it is the one that writes
            self.writer.open({})

        asyncio.run_coroutine_threadsafe(open_here(), self.loop).result(PATIENCE_S)
        self.record = Record.open_readonly(path)

    def start(self) -> int:
        self.server = FeedServer(
            host="127.0.0.1", port=self._port, unit=self._unit, record=self.writer, now_ms=lambda: self.now_ms
        )
        self._port = asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(PATIENCE_S)
        return self._port

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(PATIENCE_S)

    def close(self) -> None:
        async def last() -> None:
            await self.server.stop()
            late = asyncio.all_tasks() - {asyncio.current_task()}
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            self.writer.close()

        asyncio.run_coroutine_threadsafe(last(), self.loop).result(PATIENCE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()

    def noted(self, field: str) -> list[float | None]:
        return [value for _, value in self.record.served("bin-1", field, 0, 2**62)]


@contextmanager
def world(path: Path, *faults: Fault) -> Iterator[World]:
    made = World(path / "record.db", *faults)
    try:
        made.start()
        yield made
    finally:
        made.close()


def client(port: int, reply_s: float = 20.0) -> FeedClient:
    """A chip that waits for a busy machine, too, unless its patience is what is looked at."""
    return FeedClient(host="127.0.0.1", port=port, reply_s=reply_s)


def test_each_conversion_is_in_the_record_before_the_chip_has_it(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        chip = client(there._port)
        for n in range(200):
            there.now_ms = NOW_MS + n * 31
            sensed = chip.sense(25)
            assert sensed == Sensed(n * 31_000 - 3_000_000, n % 2 == 1)
            assert there.noted("raw_count")[-1] == n * 31_000 - 3_000_000
            assert there.noted("door_open")[-1] == n % 2
        assert len(there.noted("raw_count")) == 200
        chip.close()


def test_an_input_on_which_there_is_no_load_cell_gets_nothing_and_notes_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        chip = client(there._port)
        assert chip.sense(26) is None
        assert chip.sense(27) is None
        assert there.noted("raw_count") == []
        assert chip.sense(25) is not None
        chip.close()


def fault(what: str, **more: Any) -> Fault:
    return Fault.model_validate({"device": "bin-1", "what": what, "start_s": 10, "duration_s": 5, **more})


@pytest.mark.parametrize("what", ["silent", "exception", "reboot_reset"])
def test_a_fault_of_the_scenario_is_a_chip_that_gets_nothing(tmp_path: Path, what: str) -> None:
    with world(tmp_path, fault(what)) as there:
        chip = client(there._port)
        there.now_ms = NOW_MS + 12_000
        assert chip.sense(25) is None
        assert there.noted("raw_count") == []
        assert len(there.record.refused("bin-1")) == 1
        there.now_ms = NOW_MS + 15_000
        assert chip.sense(25) == Sensed(12_000_000)
        chip.close()


def test_no_number_is_shown_as_a_saturated_converter_and_noted_as_none(tmp_path: Path) -> None:
    with world(tmp_path, fault("nan")) as there:
        chip = client(there._port)
        there.now_ms = NOW_MS + 12_000
        assert chip.sense(25) == Sensed(0x7FFFFF)
        assert there.noted("raw_count") == [None]
        chip.close()


def test_a_late_conversion_is_never_taken_for_the_next_one(tmp_path: Path) -> None:
    with world(tmp_path, fault("late", late_ms=40_000)) as there:
        chip = client(there._port, REPLY_S)
        there.now_ms = NOW_MS + 12_000
        began_s = time.monotonic()
        assert chip.sense(25) is None
        assert time.monotonic() - began_s < 30
        time.sleep(RECONNECT_S * 1.1)
        there.now_ms = NOW_MS + 20_000
        chip._reply_s = 20.0  # from here on its patience does not matter
        assert chip.sense(25) == Sensed(17_000_000)
        chip.close()


def test_a_lost_feed_is_a_chip_that_is_never_ready_until_it_is_back(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        feed, ns = client(there._port), 0
        chip = Hx711Chip(sense=feed.sense, now_ns=lambda: ns)

        def ready_within_s(seconds: float) -> bool:
            nonlocal ns
            for _ in range(round(seconds * 10)):
                ns += 100_000_000
                if not chip.line:
                    return True
            return False

        def read() -> None:
            for _ in range(25):
                chip.rise()
                chip.fall()

        assert ready_within_s(1)
        read()
        there.stop()
        assert not ready_within_s(20)
        there.start()
        time.sleep(RECONNECT_S * 1.1)
        assert ready_within_s(1)
        feed.close()


def test_what_cannot_be_noted_is_not_given(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        chip = client(there._port)
        assert chip.sense(25) is not None

        async def close() -> None:
            there.writer.close()

        asyncio.run_coroutine_threadsafe(close(), there.loop).result(PATIENCE_S)
        assert chip.sense(25) is None
        chip.close()


@pytest.mark.parametrize(
    "asked", [b"\n", b"convert\n", b"convert 25 \n", b"CONVERT 25\n", b"\xff\xfe\n", b"convert 25\r\n", b"0\n"]
)
def test_whoever_asks_something_else_is_told_nothing_and_nothing_is_noted(tmp_path: Path, asked: bytes) -> None:
    with (
        world(tmp_path) as there,
        socket.create_connection(("127.0.0.1", there._port), timeout=PATIENCE_S) as connection,
    ):
        connection.sendall(asked)
        assert connection.recv(100) == b"-\n"
        assert there.noted("raw_count") == []


def test_one_connection_more_than_there_are_places_is_cut_off_and_the_others_are_not(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        held = [
            socket.create_connection(("127.0.0.1", there._port), timeout=PATIENCE_S) for _ in range(CONNECTIONS_MAX)
        ]
        for connection in held:
            connection.sendall(b"convert 25\n")
            assert connection.recv(100) == b"-3000000 0\n"
        with socket.create_connection(("127.0.0.1", there._port), timeout=PATIENCE_S) as one_more:
            assert one_more.recv(100) == b""
        held[0].sendall(b"convert 25\n")
        assert held[0].recv(100) == b"-3000000 0\n"
        for connection in held:
            connection.close()


def test_a_request_in_pieces_is_one_and_an_endless_one_is_cut_off(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        with socket.create_connection(("127.0.0.1", there._port), timeout=PATIENCE_S) as connection:
            for byte in b"convert 25\n":
                connection.sendall(bytes([byte]))
            assert connection.recv(100) == b"-3000000 0\n"
        with socket.create_connection(("127.0.0.1", there._port), timeout=PATIENCE_S) as connection:
            connection.sendall(b"x" * (LINE_BYTES_MAX * 4))
            assert connection.recv(100) == b""
        with socket.create_connection(("127.0.0.1", there._port), timeout=PATIENCE_S) as connection:
            connection.sendall(b"convert 25")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert there.noted("raw_count") == [-3_000_000]


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A world that answers as it likes, once."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            answer(connection)

    thread = threading.Thread(target=serve_one)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(PATIENCE_S)
        listener.close()


GOOD = b"-1234567 1\n"
BROKEN = [GOOD[:n] for n in range(len(GOOD))] + [
    GOOD + b"8 0\n",
    b"12\n",
    b"1 2 3\n",
    b"a b\n",
    b"1.5 0\n",
    b"\xff 0\n",
    b"-\n",
    b"9" * 200,
]


@pytest.mark.parametrize("answer", BROKEN)
def test_an_answer_that_is_cut_or_garbage_is_no_conversion(answer: bytes) -> None:
    with answering(lambda connection: connection.sendall(answer)) as port:
        assert client(port).sense(25) is None


def test_an_answer_in_pieces_is_put_together() -> None:
    def drip(connection: socket.socket) -> None:
        for byte in GOOD:
            connection.sendall(bytes([byte]))
            time.sleep(0.002)

    with answering(drip) as port:
        assert client(port).sense(25) == Sensed(-1234567, True)


def test_a_world_that_drips_for_ever_costs_a_finite_time() -> None:
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not done.wait(0.2):  # the longest line that is taken would cost 13 s
            try:
                connection.sendall(b"1")
            except OSError:
                return

    with answering(drip) as port:
        began_s = time.monotonic()
        assert client(port, REPLY_S).sense(25) is None
        assert time.monotonic() - began_s < 10
        done.set()


def test_a_world_says_where_its_chips_are_fed(tmp_path: Path) -> None:
    scenario = CheckedScenario.model_validate(
        {
            "scenario": "scales",
            "bins": {
                "bin-1": {
                    "material": "paper",
                    "capacity_kg": 120,
                    "tare_kg": 18,
                    "deposits_per_day": 100,
                    "empty_hour": 5,
                }
            },
            "meters": {
                "scale": {
                    "profile": "avia-hx711",
                    "fields": {"raw_count": "bin-1.gross_kg", "door_open": "bin-1.door_open"},
                    "load_cell": {"zero_counts": 84_210, "counts_per_kg": 20_000.5},
                }
            },
        }
    )
    loaded = Loaded(scenario, {"avia-hx711": Library().load("avia-hx711")})
    ports = tmp_path / "ports.json"

    async def main() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(
            serve(
                loaded,
                record_path=tmp_path / "record.db",
                ports_path=ports,
                clock=CivilClock.from_environment({}),
                stop=stop,
            ),
            name="serve",
        )
        for _ in range(4500):
            await asyncio.sleep(0.02)
            if ports.exists():
                break
        [(device, place)] = json.loads(ports.read_text()).items()
        assert device == "scale"
        assert place.keys() == {"feed_host", "feed_port"}
        feed = FeedClient(host=place["feed_host"], port=place["feed_port"], reply_s=20.0)
        sensed = await asyncio.to_thread(feed.sense, 25)
        assert sensed is not None
        assert 84_210 + 17 * 20_000 < sensed.count < 84_210 + 150 * 20_000
        record = Record.open_readonly(tmp_path / "record.db")
        assert [value for _, value in record.served("scale", "raw_count", 0, 2**62)] == [sensed.count]
        feed.close()
        stop.set()
        await serving

    asyncio.run(main())


def test_a_chip_without_power_is_off_and_settles_when_it_is_back(tmp_path: Path) -> None:
    with world(tmp_path, fault("power_down")) as there:
        feed, ns = client(there._port), 0
        chip = Hx711Chip(sense=feed.sense, now_ns=lambda: ns)

        def ready_after_ms(most: int) -> int | None:
            nonlocal ns
            for waited in range(most):
                ns += 1_000_000
                if not chip.line:
                    return waited + 1
            return None

        assert ready_after_ms(1000) == 400
        for _ in range(27):
            chip.rise()
            chip.fall()
        assert ready_after_ms(3000) is None, "nothing is wired to the input that was chosen"
        there.now_ms = NOW_MS + 12_000
        assert ready_after_ms(3000) is None, "what stood in its register is gone with the power"
        there.now_ms = NOW_MS + 15_000
        back = ready_after_ms(1000)
        assert back is not None and 0 < back <= 400, "a reset chooses the first input again"
        assert there.record.refused("bin-1")[0][2] == "power_down"
        assert set(there.noted("raw_count")) == {-3_000_000.0, 12_000_000.0}
        feed.close()


def cell(*faults: dict[str, Any]) -> Any:
    """The unit of a load cell that bears a bin, with faults."""
    scenario = CheckedScenario.model_validate(
        {
            "scenario": "cell",
            "bins": {
                "bin-1": {
                    "material": "paper",
                    "capacity_kg": 120,
                    "tare_kg": 18,
                    "deposits_per_day": 100,
                    "empty_hour": 5,
                }
            },
            "meters": {
                "scale": {
                    "profile": "avia-hx711",
                    "fields": {"raw_count": "bin-1.gross_kg", "door_open": "bin-1.door_open"},
                    "load_cell": {"zero_counts": 84_210, "counts_per_kg": 20_000.5},
                }
            },
            "faults": [{"device": "scale", "start_s": 100, "duration_s": 100, **one} for one in faults],
        }
    )
    profiles = {"avia-hx711": Library().load("avia-hx711")}
    return build_units(Loaded(scenario, profiles), world=TheWorld(scenario=scenario, origin_ms=NOW_MS))["scale"]


def counts(unit: Any, since_s: float) -> tuple[int, float | None]:
    """The count as the chip gets it, and what the record is told."""
    words, fields = unit.answer(3, 0, 2, NOW_MS + round(since_s * 1000))
    return int.from_bytes(words[0].to_bytes(2, "big") + words[1].to_bytes(2, "big"), "big", signed=True), fields[
        0
    ].value


def test_a_loose_signal_wire_shows_either_rail_and_no_value_is_noted() -> None:
    unit = cell({"what": "wire_off"})
    seen = [counts(unit, 100 + n * 0.1) for n in range(1000)]
    assert {count for count, _ in seen} == {0x7FFFFF, -0x800000}
    assert {noted for _, noted in seen} == {None}
    assert 300 < sum(count > 0 for count, _ in seen) < 700
    assert 400_000 < counts(unit, 99)[0] < 3_000_000 and counts(unit, 200)[1] is not None


@pytest.mark.parametrize("side, end", [("high", 0x7FFFFF), ("low", -0x800000)])
def test_a_saturated_converter_shows_its_end_and_no_value_is_noted(side: str, end: int) -> None:
    unit = cell({"what": "saturated", "side": side, "fields": ["raw_count"]})
    assert counts(unit, 150) == (end, None)
    assert counts(unit, 250)[1] is not None


def test_a_spike_stays_within_the_converter() -> None:
    unit = cell({"what": "spike", "spike_by": 1e9, "spike_share": 1, "fields": ["raw_count"]})
    assert {counts(unit, 100 + n)[0] for n in range(100)} <= {0x7FFFFF, -0x800000}
