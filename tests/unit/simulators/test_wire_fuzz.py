"""A served device must outlive whatever is said to it, and answer the next one who asks properly."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from simulators.devices.frames import rtu_request, tcp_requests
from simulators.devices.line import REQUESTS_PENDING_MAX
from simulators.devices.modbus import CONNECTIONS_MAX
from tests.twins.steady import run_steady
from tests.unit.simulators.plant import fault
from tests.unit.simulators.wire import calling, crc, mbap, on_line, rtu, serial, tcp

FRAMES = 4000
ASK_TCP, ASK_RTU = mbap(7, 3, 4, 0, 2), rtu(3, 4, 0, 2)


def hostile(of: random.Random, sound: Callable[[], bytes]) -> bytes:
    """One frame that nobody should send."""
    frame = bytearray(sound())
    how = of.randrange(7)
    if how == 0:
        return of.randbytes(of.randrange(1, 400))
    if how == 1:
        return bytes(frame[: of.randrange(len(frame))])
    if how == 2:
        for _ in range(of.randrange(1, 5)):
            frame[of.randrange(len(frame))] = of.randrange(256)
        return bytes(frame)
    if how == 3:
        return bytes(frame) * of.randrange(2, 30)
    if how == 4:
        return bytes(frame) + of.randbytes(of.randrange(1, 300))
    if how == 5:
        return of.randbytes(of.randrange(1, 9)) + bytes(frame)
    return bytes(frame[: of.randrange(2, 8)]) + bytes([of.randrange(256)]) * of.randrange(1, 300)


def some(of: random.Random) -> tuple[int, int, int, int]:
    count = of.choice((0, 2, 2, 2, 80, 125, 65535))
    return of.choice((1, 2, 3, 9)), of.choice((3, 3, 4, 4, 6, 99)), of.randrange(70), count


def test_thousands_of_hostile_frames_over_tcp_leave_the_device_as_it_was(tmp_path: Path) -> None:
    of = random.Random(6)

    async def run() -> None:
        async with tcp(tmp_path) as there:

            async def bother(frames: int) -> None:
                async with calling(there.port) as asker:
                    for _ in range(frames):
                        asker.writer.write(hostile(of, lambda: mbap(of.randrange(65536), *some(of))))
                        await asyncio.sleep(0)
                    if of.random() < 0.5:
                        await asker.heard(quiet_s=0.01)

            for _ in range(FRAMES // 40):
                await asyncio.gather(*(bother(4) for _ in range(10)), return_exceptions=True)
            async with calling(there.port) as asker:
                asker.writer.write(ASK_TCP)
                heard = await asker.heard(13)
            assert heard[:9] == bytes.fromhex("0007 0000 0007 03 04 04")
            shown = there.record.words("energy-meter", "voltage_l1_v")[-1][1]
            assert bytes.fromhex(shown) == heard[9:]

    run_steady(run())


def test_thousands_of_hostile_frames_on_a_line_leave_the_device_as_it_was(tmp_path: Path) -> None:
    of = random.Random(7)

    def sound() -> bytes:
        return rtu(*some(of))

    async def run() -> None:
        async with serial(tmp_path, baud=1_000_000) as there, on_line(there.port) as asker:
            for n in range(FRAMES):
                asker.writer.write(hostile(of, sound))
                await asker.writer.drain()
                if n % 20 == 0:
                    await asker.heard(quiet_s=0.002)
            await asker.heard(quiet_s=1.0)
            asker.writer.write(bytes(300))
            asker.writer.write(ASK_RTU)
            heard = await asker.heard(9)
            assert heard[:3] == b"\x03\x04\x04" and crc(heard[:-2]) == heard[-2:]
            shown = there.record.words("energy-meter", "voltage_l1_v")[-1][1]
            assert bytes.fromhex(shown) == heard[3:-2]

    run_steady(run())


def test_every_answer_to_hostile_frames_answers_one_of_them_and_is_noted(tmp_path: Path) -> None:
    """What comes back is whole frames of units that were asked, and as many with values as the record says."""
    of = random.Random(8)

    async def run() -> None:
        async with tcp(tmp_path) as there:
            with_values = refused = 0
            for _ in range(300):
                frames = [mbap(of.randrange(65536), *some(of)) for _ in range(6)]
                frames.insert(of.randrange(7), hostile(of, lambda: mbap(of.randrange(65536), *some(of))))
                asked = b"".join(frames)
                async with calling(there.port) as asker:
                    asker.writer.write(asked)
                    asker.writer.write_eof()
                    heard = await asker.heard(10**6)
                sought, _ = tcp_requests(asked)
                answers, rest = tcp_requests(heard)
                assert rest == b""
                assert [(one.transaction, one.unit_id) for one in answers] == [
                    (o.transaction, o.unit_id) for o in sought
                ]
                with_values += sum(one.pdu[0] in (3, 4) for one in answers)
                refused += sum(one.pdu[0] > 0x80 and one.unit_id in (1, 2, 3) for one in answers)
            assert with_values > 100 and refused > 100
            assert sum(len(there.refused(unit.device)) for unit in there.units) == refused

    run_steady(run())


def test_pipelined_requests_are_all_answered_each_under_its_own_number(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path) as there, calling(there.port) as asker:
            asker.writer.write(b"".join(mbap(n, 1 + n % 3, 3 + n % 3 // 2, 0, 2) for n in range(500)))
            heard = await asker.heard(500 * 13)
            answers, rest = tcp_requests(heard)
            assert rest == b"" and [one.transaction for one in answers] == list(range(500))
            assert all(one.unit_id == 1 + n % 3 for n, one in enumerate(answers))

    run_steady(run())


def test_a_request_in_single_bytes_is_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path) as there, calling(there.port) as asker:
            for byte in ASK_TCP:
                asker.writer.write(bytes([byte]))
                await asyncio.sleep(0.002)
            assert len(await asker.heard(13)) == 13
        async with serial(tmp_path / "s") as line, on_line(line.port) as asker:
            for byte in ASK_RTU:
                asker.writer.write(bytes([byte]))
                await asyncio.sleep(0.002)
            assert len(await asker.heard(9)) == 9

    (tmp_path / "s").mkdir()
    run_steady(run())


@pytest.mark.parametrize("header", ["0001 0001 0006 03", "0001 0000 0001 03", "0001 0000 ffff 03", "4745 5420 2f20 48"])
def test_what_is_no_request_ends_the_connection_after_those_before_it_are_answered(tmp_path: Path, header: str) -> None:
    async def run() -> None:
        async with tcp(tmp_path) as there, calling(there.port) as asker:
            asker.writer.write(ASK_TCP + bytes.fromhex(header))
            assert len(await asker.heard(10**6)) == 13
            assert asker.reader.at_eof()

    run_steady(run())


@pytest.mark.parametrize(
    "pdu, answer",
    [("03", "8303"), ("0300", "8303"), ("030000000200", "8303"), ("10000000010200ff", "9001"), ("2b0e0100", "ab01")],
)
def test_a_request_of_the_wrong_length_or_function_is_refused_with_its_code(
    tmp_path: Path, pdu: str, answer: str
) -> None:
    asked = bytes.fromhex(pdu)

    async def run() -> None:
        async with tcp(tmp_path) as there, calling(there.port) as asker:
            asker.writer.write(struct.pack(">HHHB", 5, 0, len(asked) + 1, 1) + asked)
            assert (await asker.heard(9))[7:] == bytes.fromhex(answer)
            assert there.noted("feed-meter") == 0 and len(there.refused("feed-meter")) == 1

    run_steady(run())


def test_no_more_connections_than_there_are_places_and_a_place_that_is_left_is_free(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path) as there:
            held = [await asyncio.open_connection("127.0.0.1", int(there.port)) for _ in range(CONNECTIONS_MAX)]
            async with calling(there.port) as asker:
                assert await asker.closed(60.0)
            held[-1][0].feed_data(b"")
            held[0][1].write(ASK_TCP)
            assert len(await held[0][0].readexactly(13)) == 13
            held[0][1].close()
            await asyncio.sleep(0.1)
            async with calling(there.port) as asker:
                asker.writer.write(ASK_TCP)
                assert len(await asker.heard(13)) == 13
            for _, writer in held:
                writer.close()

    run_steady(run())


def test_who_asks_for_ever_and_never_reads_is_cut_off(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path) as there:
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", int(there.port)))
            many = mbap(1, 1, 3, 12, 59) * 200  # registers that nothing stands in
            cut = False
            async with asyncio.timeout(90):
                while not cut:
                    try:
                        await loop.sock_sendall(deaf, many)
                    except ConnectionError:
                        cut = True
            deaf.close()
            async with calling(there.port) as other:
                other.writer.write(ASK_TCP)
                assert len(await other.heard(13)) == 13

    run_steady(run())


def test_a_client_that_hangs_up_before_its_late_answer_does_no_harm(tmp_path: Path) -> None:
    async def run() -> None:
        async with tcp(tmp_path, faults=[fault("late", late_ms=100)]) as there:
            for _ in range(20):
                async with calling(there.port) as asker:
                    asker.writer.write(ASK_TCP * 100)
                    await asker.writer.drain()
                    asker.writer.transport.abort()
            await asyncio.sleep(0.3)
            async with calling(there.port) as asker:
                asker.writer.write(ASK_TCP)
                assert len(await asker.heard(13)) == 13

    run_steady(run())


def test_a_unit_keeps_no_more_requests_than_it_may_and_a_full_terminal_loses_answers_only(tmp_path: Path) -> None:
    async def run() -> None:
        async with serial(tmp_path, baud=1_000_000) as there, on_line(there.port) as asker:
            asker.writer.write(ASK_RTU * 100)
            heard = await asker.heard(9, quiet_s=0.3)
            assert 9 <= len(heard) <= 9 * (REQUESTS_PENDING_MAX + 2)

            def deaf() -> None:
                asker.reader._transport.pause_reading()  # type: ignore[attr-defined]

            deaf()
            for _ in range(800):
                asker.writer.write(rtu(3, 4, 0, 74))
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            asker.reader._transport.resume_reading()  # type: ignore[attr-defined]
            await asker.heard(quiet_s=1.0)
            asker.writer.write(ASK_RTU)
            assert len(await asker.heard(9)) == 9

    run_steady(run())


def test_half_a_request_is_forgotten_when_a_whole_one_follows(tmp_path: Path) -> None:
    async def run() -> None:
        async with serial(tmp_path) as there, on_line(there.port) as asker:
            for size in range(1, 8):
                asker.writer.write(ASK_RTU[:size])
                await asyncio.sleep(0.01)
                asker.writer.write(rtu(1, 3, 0, 2))
                assert (await asker.heard(9, quiet_s=0.02))[:3] == b"\x01\x03\x04", size

    run_steady(run())


def test_a_sound_request_is_found_in_any_noise_and_none_in_an_answer_to_another_unit() -> None:
    of = random.Random(9)
    for _ in range(2000):
        noise = bytes(of.choice((0, 4, 5, 255, 200)) for _ in range(of.randrange(30)))
        found = rtu_request(noise + ASK_RTU + b"rest", {3})
        assert found == (ASK_RTU, b"rest")
    assert rtu_request(ASK_RTU[:-1], {3}) is None
    assert rtu_request(ASK_RTU, {1, 2}) is None
    write = bytes.fromhex("03 10 0001 0002 04 000a 0102")
    assert rtu_request(write + crc(write) + b"x", {3}) == (write + crc(write), b"x")
    assert all(rtu_request((write + crc(write))[:n], {3}) is None for n in range(13))
