"""Each timed fault must do on a real socket and a real terminal what it is called, be noted, and end on time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.faults import FaultPlan
from simulators.parts.fault import Fault
from tests.e2e.servers import PATIENCE_S
from tests.twins.steady import run_steady
from tests.unit.simulators.plant import ORIGIN_MS, fault, plant
from tests.unit.simulators.wire import AFTER_MS, AT_MS, Wire, calling, crc, mbap, on_line, rtu, serial, tcp

ASK_TCP, ASK_RTU = mbap(7, 3, 4, 0, 2), rtu(3, 4, 0, 2)


def sound_tcp(frame: bytes) -> bool:
    return len(frame) == 13 and frame[:9] == bytes.fromhex("0007 0000 0007 03 04 04")


def sound_rtu(frame: bytes) -> bool:
    return len(frame) == 9 and frame[:3] == bytes.fromhex("03 04 04") and crc(frame[:-2]) == frame[-2:]


async def until(ready: Callable[[], Awaitable[bool]]) -> bool:
    """Ask again and again, in time of the loop; the last answer."""
    now_s = asyncio.get_running_loop().time
    end_s = now_s() + PATIENCE_S
    while not await ready():
        if now_s() > end_s:
            return False
        await asyncio.sleep(0.02)
    return True


def refused(there: Wire) -> Callable[[], Awaitable[bool]]:
    """Whether it is noted that the meter gave no good answer; on a busy machine that takes longer than a quiet does."""

    async def noted() -> bool:
        return bool(there.refused("energy-meter"))

    return noted


def both(tmp_path: Path, entry: dict[str, Any], by_tcp: int, by_rtu: int) -> tuple[bytes, bytes, list[str]]:
    """What a TCP client and a master get during a fault, and the reasons noted; after it and beside it all is well."""
    reasons = []

    async def on_tcp() -> bytes:
        async with tcp(tmp_path, faults=[entry]) as there, calling(there.port) as asker:
            asker.writer.write(ASK_TCP)
            assert await until(refused(there))
            heard = await asker.heard(by_tcp)
            reasons.extend(there.refused("energy-meter"))
            assert there.noted("energy-meter") == 0
            asker.writer.write(mbap(8, 1, 3, 0, 2))
            assert (await asker.heard(13))[:2] == b"\0\x08"
            there.now_ms = AFTER_MS
            asker.writer.write(ASK_TCP)
            assert sound_tcp(await asker.heard(13))
            return heard

    async def on_serial() -> bytes:
        async with serial(tmp_path / "s", faults=[entry]) as there, on_line(there.port) as asker:
            asker.writer.write(ASK_RTU)
            assert await until(refused(there))
            heard = await asker.heard(by_rtu)
            reasons.extend(there.refused("energy-meter"))
            assert there.noted("energy-meter") == 0
            asker.writer.write(rtu(1, 3, 0, 2))
            assert (await asker.heard(9))[:3] == b"\x01\x03\x04"
            there.now_ms = AFTER_MS
            asker.writer.write(ASK_RTU)
            assert sound_rtu(await asker.heard(9))
            return heard

    (tmp_path / "s").mkdir()
    return run_steady(on_tcp()), run_steady(on_serial()), reasons


@pytest.mark.parametrize("size", [0, 1, 5, 8])
def test_a_torn_answer_ends_where_it_is_cut_and_no_value_is_noted(tmp_path: Path, size: int) -> None:
    by_tcp, by_rtu, reasons = both(tmp_path, fault("torn", after_bytes=size), size, size)
    assert by_tcp == bytes.fromhex("0007 0000 0007 03 04 04")[:size]
    assert len(by_rtu) == size and by_rtu == (b"\x03\x04\x04" + by_rtu[3:])[:size]
    assert reasons == [f"torn after {size} bytes"] * 2


def test_an_answer_that_is_cut_behind_its_end_is_whole_and_noted_as_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path, faults=[fault("torn", after_bytes=13)]) as there, calling(there.port) as asker:
            asker.writer.write(ASK_TCP)
            assert sound_tcp(await asker.heard(13))
            assert there.noted("energy-meter") == 1
            assert there.refused("energy-meter") == []

    run_steady(run())


def test_garbage_is_as_long_as_it_says_and_the_same_for_the_same_moment(tmp_path: Path) -> None:
    by_tcp, by_rtu, reasons = both(tmp_path, fault("garbage", garbage_bytes=40), 40, 40)
    assert len(by_tcp) == 40 and by_tcp == by_rtu
    assert len(set(by_tcp)) > 20
    assert reasons == ["garbage"] * 2


def test_a_wrong_unit_stands_in_an_answer_that_is_sound_otherwise(tmp_path: Path) -> None:
    by_tcp, by_rtu, reasons = both(tmp_path, fault("wrong_unit", answers_as=9), 13, 9)
    assert by_tcp[:9] == bytes.fromhex("0007 0000 0007 09 04 04") and len(by_tcp) == 13
    assert by_rtu[:3] == b"\x09\x04\x04" and crc(by_rtu[:-2]) == by_rtu[-2:]
    assert reasons == ["answered as unit 9"] * 2


def test_an_exception_bears_the_code_that_was_asked_for(tmp_path: Path) -> None:
    by_tcp, by_rtu, reasons = both(tmp_path, fault("exception", exception_code=6), 9, 5)
    assert by_tcp == bytes.fromhex("0007 0000 0003 03 84 06")
    assert by_rtu == b"\x03\x84\x06" + crc(b"\x03\x84\x06")
    assert reasons == ["exception 6"] * 2


@pytest.mark.parametrize("what", ["silent", "reboot", "reboot_reset", "flapping"])
def test_who_is_silent_sends_nothing_and_is_noted(tmp_path: Path, what: str) -> None:
    more: dict[str, Any] = {"period_s": 50} if what == "flapping" else {}
    assert both(tmp_path, fault(what, **more), 0, 0) == (b"", b"", [what] * 2)


def test_flapping_goes_on_and_off_with_its_period() -> None:
    plan = FaultPlan(
        faults=(Fault(device="d", what="flapping", start_s=100, duration_s=50, period_s=10, off_share=0.3),),
        origin_ms=ORIGIN_MS,
    )
    states = [plan.active(ORIGIN_MS + s * 1000) is not None for s in range(95, 155)]
    assert [len(list(group)) for _, group in itertools.groupby(states)] == [5, 3, 7, 3, 7, 3, 7, 3, 7, 3, 12]


def test_a_share_of_the_requests_is_about_that_share_and_the_same_ones_every_time() -> None:
    entry = Fault(device="d", what="silent", start_s=0, duration_s=1e5, share=0.3)
    one, other = (FaultPlan(faults=(entry,), origin_ms=ORIGIN_MS, of=99) for _ in range(2))
    times = range(ORIGIN_MS, ORIGIN_MS + 40_000_000, 10_000)
    hit = [one.active(t_ms) is not None for t_ms in times]
    assert sum(hit) / len(hit) == pytest.approx(0.3, abs=0.03)
    assert [other.active(t_ms) is not None for t_ms in reversed(times)][::-1] == hit


def test_a_late_answer_with_jitter_is_late_by_another_time_each_time_within_its_bounds(tmp_path: Path) -> None:
    async def run() -> None:
        faults = [fault("late", late_ms=50, jitter_ms=100)]
        async with tcp(tmp_path, faults=faults) as there, calling(there.port) as asker:
            took_s = []
            for n in range(8):
                there.now_ms = AT_MS + n
                begin_s = time.monotonic()
                asker.writer.write(ASK_TCP)
                assert sound_tcp(await asker.reader.readexactly(13))
                took_s.append(time.monotonic() - begin_s)
            unit = there.units[2]
            planned = [unit.late_ms(AT_MS + n) for n in range(500)]
        assert all(took >= 0.05 for took in took_s)
        assert min(planned) == 50 and max(planned) == 150 and len(set(planned)) > 80

    run_steady(run())


def line_fault(what: str) -> dict[str, Any]:
    return fault(what, "line-1")


def test_whoever_asks_is_cut_off_by_a_port_that_hangs_up_and_it_is_noted(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path, faults=[line_fault("hang_up")]) as there:
            async with calling(there.port) as asker:
                asker.writer.write(ASK_TCP[:5])
                assert await asker.heard() == b"" and not asker.reader.at_eof()
                asker.writer.write(ASK_TCP[5:])
                assert await asker.closed(PATIENCE_S)
            assert there.refused("energy-meter") == ["hang_up"]
            there.now_ms = AFTER_MS
            async with calling(there.port) as asker:
                asker.writer.write(ASK_TCP)
                assert sound_tcp(await asker.heard(13))

    run_steady(run())


def test_a_half_open_connection_stays_and_says_nothing_and_is_dead_once_the_port_is_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path, faults=[line_fault("half_open")]) as there, calling(there.port) as asker:
            asker.writer.write(ASK_TCP)
            assert await until(refused(there))
            assert await asker.heard() == b"" and not asker.reader.at_eof()
            assert there.refused("energy-meter") == ["half_open"]
            assert there.noted("energy-meter") == 0
            there.now_ms = AFTER_MS
            async with calling(there.port) as fresh:
                fresh.writer.write(ASK_TCP)
                assert sound_tcp(await fresh.heard(13))
            assert not asker.reader.at_eof(), "nobody tells a half-open connection that it is dead"
            asker.writer.write(ASK_TCP)
            assert await asker.closed(PATIENCE_S)
            assert there.noted("energy-meter") == 1

    run_steady(run())


def test_an_unplugged_port_refuses_drops_who_was_there_and_comes_back_as_itself(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path, faults=[line_fault("unplugged")]) as there:
            there.now_ms = ORIGIN_MS

            async def open_to_all() -> bool:
                try:
                    async with calling(there.port) as asker:
                        asker.writer.write(ASK_TCP)
                        return sound_tcp(await asker.heard(13))
                except OSError:
                    return False

            async def refuses() -> bool:
                try:
                    async with calling(there.port):
                        return False
                except ConnectionResetError:
                    return False  # the kernel had taken it before the port was closed
                except ConnectionRefusedError:
                    return True

            assert await open_to_all()
            async with calling(there.port) as before:
                there.now_ms = AT_MS
                assert await until(refuses)
                assert await before.closed(PATIENCE_S)
            there.now_ms = AFTER_MS
            assert await until(open_to_all)

    run_steady(run())


def test_an_unplugged_line_is_gone_with_its_name_and_comes_back_under_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with serial(tmp_path, faults=[line_fault("unplugged")]) as there:
            there.now_ms = ORIGIN_MS
            name = tmp_path / "serial" / "line-1"
            assert there.port == str(name)

            async def here() -> bool:
                return name.exists()

            async def gone() -> bool:
                return not name.is_symlink()

            async with on_line(there.port) as asker:
                asker.writer.write(ASK_RTU)
                assert sound_rtu(await asker.heard(9))
                there.now_ms = AT_MS
                assert await until(gone)
                assert await asker.closed(PATIENCE_S)
            there.now_ms = AFTER_MS
            assert await until(here)
            async with on_line(there.port) as asker:
                asker.writer.write(ASK_RTU)
                assert sound_rtu(await asker.heard(9))

    run_steady(run())


def test_a_fault_of_the_line_is_one_of_each_unit_on_it_for_who_asks_them_directly() -> None:
    from tests.unit.simulators.plant import units

    line = plant()["meters"] | {"energy-meter": plant()["meters"]["energy-meter"] | {"line": "line-1", "unit_id": 3}}
    made = units(meters=line, faults=[line_fault("hang_up")])
    for unit, function in ((made["feed-meter"], 3), (made["energy-meter"], 4)):
        refused = unit.refuse(function, 0, 2, AT_MS)
        assert refused is not None and (refused.reason, refused.code) == ("hang_up", None)
        assert unit.refuse(function, 0, 2, AFTER_MS) is None
    torn = units(faults=[fault("torn")])["energy-meter"].refuse(4, 0, 2, AT_MS)
    assert torn is not None and torn.code is None
