"""What a worker may expect of its dead letters and of the list of boards, on real files and on the twins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.dead_letters import FILE_NAME, FolderDeadLetters
from ingest.errors import Fatal, NoRoom
from ingest.gateways import PARKED_MAX, READ_AGAIN_S, GatewaysFile, allow
from ingest.ports import DeadLetter, DeadLetters, Gateways
from tests.twins.cloud import DeadLettersTwin, GatewaysTwin
from tests.twins.loop import run_virtual

RUN = "a" * 32


def letter(seq: int, line: str = "[1,0,{}]") -> DeadLetter:
    return DeadLetter("gw-1", RUN, seq, "schema: to", line, (("m1", "power_w", 7, "nan"),))


@dataclass
class Cemetery:
    """Dead letters, what lies there, and how to fill the place."""

    run: Callable[[Coroutine[Any, Any, Any]], Any]
    dead: DeadLetters
    lying: Callable[[], list[int]]
    fill: Callable[[bool], None]


@pytest.fixture(params=["folder", "twin"])
def cemetery(request: pytest.FixtureRequest, tmp_path: Path) -> Cemetery:
    if request.param == "twin":
        twin = DeadLettersTwin()
        return Cemetery(
            run_virtual, twin, lambda: [each.seq for each in twin.letters], lambda on: setattr(twin, "full", on)
        )
    folder = FolderDeadLetters(folder=tmp_path / "dead", bytes_max=100_000, now_ms=lambda: 5)

    def fill(on: bool) -> None:
        folder._files._bytes_max = 0 if on else 100_000

    return Cemetery(asyncio.run, folder, lambda: [each["seq"] for each in lines(tmp_path / "dead" / FILE_NAME)], fill)


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line that can be read; an unreadable one is skipped, as a replay does."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def test_letters_that_were_kept_are_there(cemetery: Cemetery) -> None:
    async def main() -> None:
        await cemetery.dead.keep([letter(1), letter(2)])
        await cemetery.dead.keep([])
        await cemetery.dead.keep([letter(3)])

    cemetery.run(main())
    assert cemetery.lying() == [1, 2, 3]


def test_without_room_none_is_kept_and_with_room_all_are(cemetery: Cemetery) -> None:
    async def main() -> None:
        await cemetery.dead.keep([letter(1)])
        cemetery.fill(True)
        with pytest.raises(NoRoom):
            await cemetery.dead.keep([letter(2), letter(3)])
        assert cemetery.lying() == [1]
        cemetery.fill(False)
        await cemetery.dead.keep([letter(2), letter(3)])

    cemetery.run(main())
    assert cemetery.lying() == [1, 2, 3]


def test_a_letter_says_all_that_is_known_of_it(tmp_path: Path) -> None:
    dead = FolderDeadLetters(folder=tmp_path, bytes_max=100_000, now_ms=lambda: 5)
    asyncio.run(dead.keep([letter(9, line='{"a":"ä\n\ud800"}')]))
    (found,) = lines(tmp_path / FILE_NAME)
    assert found["at_ms"] == 5
    assert (found["gateway"], found["run"], found["seq"], found["reason"]) == ("gw-1", RUN, 9, "schema: to")
    assert found["values"] == [["m1", "power_w", 7, "nan"]]
    assert found["line"].startswith('{"a":"ä\n')
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_a_line_that_an_earlier_life_left_half_written_does_not_swallow_the_next(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"seq": 1, "rea')
    dead = FolderDeadLetters(folder=tmp_path, bytes_max=100_000, now_ms=lambda: 5)
    asyncio.run(dead.keep([letter(2)]))
    assert [found["seq"] for found in lines(tmp_path / FILE_NAME)] == [2]


def test_a_folder_that_cannot_be_written_is_no_room_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    dead = FolderDeadLetters(folder=tmp_path / "file" / "dead", bytes_max=100_000, now_ms=lambda: 5)
    with pytest.raises(NoRoom, match="dead_letters: "):
        asyncio.run(dead.keep([letter(1)]))


@dataclass
class Gate:
    """A list of boards, and how a person allows one."""

    run: Callable[[Coroutine[Any, Any, Any]], Any]
    boards: Gateways
    allow: Callable[[str, str], Any]


@pytest.fixture(params=["file", "twin"])
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Gate:
    if request.param == "twin":
        twin = GatewaysTwin()
        return Gate(run_virtual, twin, twin.allow)
    path = tmp_path / "gateways.json"
    return Gate(run_virtual_in_threads, GatewaysFile(path), lambda g, b: GatewaysFile(path).changed(allow(g, b)))


def run_virtual_in_threads(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The file is asked in a thread, so it needs the real loop."""
    return asyncio.run(coroutine)


def test_the_first_board_of_a_name_speaks_and_a_second_waits_to_be_allowed(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.gateways.READ_AGAIN_S", 0.0)

    async def main() -> None:
        assert await gate.boards.admits("gw-1", "b1")
        assert not await gate.boards.admits("gw-1", "b2")
        assert await gate.boards.admits("gw-1", "b1")
        assert await gate.boards.admits("gw-2", "b2")
        gate.allow("gw-1", "b2")
        assert await gate.boards.admits("gw-1", "b2")

    gate.run(main())


def test_all_workers_share_one_list_and_see_what_is_allowed_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert READ_AGAIN_S <= 5
    monkeypatch.setattr("ingest.gateways.READ_AGAIN_S", 3600.0)
    path = tmp_path / "gateways.json"
    one, two = GatewaysFile(path), GatewaysFile(path)

    async def main() -> None:
        assert await one.admits("gw-1", "b1")
        assert not await two.admits("gw-1", "b2")
        assert two.read() == ({"gw-1": {"b1"}}, {"gw-1": {"b2"}})
        one.changed(allow("gw-1", "b2"))
        assert one.read() == ({"gw-1": {"b1", "b2"}}, {"gw-1": set()}) or one.read()[1] == {}
        assert not await two.admits("gw-1", "b2"), "the file is not read for every message"

    asyncio.run(main())


def test_a_new_gateway_whose_first_messages_come_in_several_groups_is_taken_on_with_all_of_them(tmp_path: Path) -> None:
    gateways = GatewaysFile(tmp_path / "gateways.json")

    async def main() -> None:
        asked = await asyncio.gather(*(gateways.admits("gw-1", board) for board in ("a", "a", "b", "a", "b")))
        assert asked == [True, True, False, True, False]

    asyncio.run(main())


def test_a_flood_of_boards_does_not_grow_the_list_without_end(tmp_path: Path) -> None:
    gateways = GatewaysFile(tmp_path / "gateways.json")

    async def main() -> None:
        await gateways.admits("gw-1", "b0")
        for number in range(1, 5 * PARKED_MAX):
            assert not await gateways.admits("gw-1", f"b{number}")

    asyncio.run(main())
    assert len(gateways.read()[1]["gw-1"]) == PARKED_MAX


def test_who_makes_up_a_board_for_each_message_does_not_keep_the_worker_at_the_file_or_fill_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateways = GatewaysFile(tmp_path / "gateways.json")
    reads = 0
    changed = gateways.changed

    def counted(change: Any) -> dict[str, set[str]]:
        nonlocal reads
        reads += 1
        return changed(change)

    monkeypatch.setattr(gateways, "changed", counted)

    async def main() -> None:
        await gateways.admits("gw-1", "b0")
        for number in range(1, 3000):
            assert not await gateways.admits("gw-1", f"b{number}")
        assert await gateways.admits("gw-1", "b0")
        assert await gateways.admits("gw-2", "b0"), "another gateway is kept out by it"

    asyncio.run(main())
    assert reads < 5 * PARKED_MAX
    assert len(caplog.records) <= PARKED_MAX


def test_a_list_that_cannot_be_written_keeps_new_ones_waiting_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk: the worker goes on for all that it knows."""
    monkeypatch.setattr("ingest.gateways.READ_AGAIN_S", 0.0)
    gateways = GatewaysFile(tmp_path / "gateways.json")
    in_the_way = tmp_path / "gateways.json.new"

    async def main() -> None:
        assert await gateways.admits("gw-1", "b1")
        in_the_way.mkdir()
        assert not await gateways.admits("gw-2", "b2")
        assert not await gateways.admits("gw-1", "b2")
        assert await gateways.admits("gw-1", "b1")
        in_the_way.rmdir()
        assert await gateways.admits("gw-2", "b2")

    asyncio.run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "make room" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"gateways":{}}', '{"gateways":[],"parked":{}}'])
def test_a_damaged_list_stops_the_worker_with_one_line_and_is_not_overwritten(text: str, tmp_path: Path) -> None:
    path = tmp_path / "gateways.json"
    path.write_text(text)
    gateways = GatewaysFile(path)
    with pytest.raises(Fatal, match=r"gateways_file: .* cannot be read") as error:
        asyncio.run(gateways.admits("gw-1", "b1"))
    assert "\n" not in str(error.value)
    assert path.read_text() == text
