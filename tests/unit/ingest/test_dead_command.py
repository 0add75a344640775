"""`loopgauge ingest dead` and `audit close` beside a worker: what they print, what they leave, what they refuse."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_contract.verdict import Closed
from ingest import requests_folder
from ingest.dead_letters import FolderDeadLetters
from ingest.desk import Desk
from ingest.errors import NoRoom
from ingest.letters_folder import LettersFolder
from ingest.ports import DeadLetter
from ingest.request import Close, Replay
from ingest.requests_folder import RequestsFolder
from ingest.worker import Worker
from loopgauge.cli.main import main
from tests.unit.ingest.cloud import BASE_MS, RUN, Cloud

FILE = """\
worker: w1
broker: {{host: localhost}}
store: {{url: 'sqlite:{folder}/store'}}
gateways_file: {folder}/gateways.json
dead_letters: {folder}/dead
dead_letters_bytes_max: 200000
"""
GOOD = DeadLetter(
    "gw-1",
    RUN,
    4,
    "stamp lies in the future",
    values=(("m1", "power_w", BASE_MS, "5.0"),),
    kinds=(("m1", "energy_meter"),),
    span=(BASE_MS, BASE_MS + 10_000),
)
NAN = (("m1", "x", BASE_MS, "nan"),)
NEVER = DeadLetter("gw-2", "f" * 32, 7, "not a finite number", "", NAN, GOOD.kinds, GOOD.span)
BATCH = DeadLetter("gw-1", RUN, 9, "schema: to", line="[9,0,{}]")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "worker.yaml"
    path.write_text(FILE.format(folder=tmp_path), encoding="utf-8")
    return str(path)


@pytest.fixture
def letters(tmp_path: Path) -> LettersFolder:
    folder = LettersFolder(folder=tmp_path / "dead", bytes_max=200_000)
    folder.keep([GOOD, NEVER], 1_700_000_000_000)
    folder.keep([BATCH], 1_700_000_100_000)
    return folder


@contextmanager
def running(tmp_path: Path) -> Iterator[Cloud]:
    """A worker's desk at work in a thread, with a store in memory."""
    clouds: list[Cloud] = []
    ready, over = threading.Event(), threading.Event()

    async def work() -> None:
        cloud = Cloud()
        clouds.append(cloud)
        dead = FolderDeadLetters(folder=tmp_path / "dead", bytes_max=200_000, now_ms=lambda: time.time_ns() // 10**6)
        worker = Worker(
            worker="w1",
            consumer=cloud.consumer,
            writer=cloud.store,
            dead=dead,
            gateways=cloud.boards,
            now_us=lambda: time.time_ns() // 1000,
        )
        stop = asyncio.Event()
        desk = Desk(worker=worker, dead=dead, requests=RequestsFolder(folder=tmp_path / "dead"))
        task = asyncio.create_task(desk.run(stop), name="desk")
        ready.set()
        await asyncio.to_thread(over.wait)
        stop.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    ready.wait()
    try:
        yield clouds[0]
    finally:
        over.set()
        thread.join()


def test_the_list_says_how_many_since_when_why_and_how_full(
    file: str, letters: LettersFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "dead", "list", file]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4
    assert said[0] == (
        "gw-1  run 01234567  1 letters, 1 batches, 0 values  2023-11-14T22:15:00Z to 2023-11-14T22:15:00Z  schema: to"
    )
    assert said[-1] == f"3 letters; {letters.size_bytes} of 200000 bytes (0 %)"
    assert main(["ingest", "dead", "list", file, "--reason", "future", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(group["gateway"], group["values"], group["first_ms"]) for group in found["groups"]] == [
        ("gw-1", 1, 1_700_000_000_000)
    ]
    assert (found["bytes_max"], found["requests_waiting"]) == (200_000, 0)


def test_an_empty_folder_is_an_empty_list_and_is_not_made(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "dead", "list", file]) == 0
    assert capsys.readouterr().out == "0 letters; 0 of 200000 bytes (0 %)\n"
    assert not (tmp_path / "dead").exists()


def test_a_letter_is_shown_with_all_that_it_holds(
    file: str, letters: LettersFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "dead", "show", file, "--gateway", "gw-1", "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [letter["seq"] for letter in said] == [4, 9]
    assert main(["ingest", "dead", "show", file, said[0]["id"][:7]]) == 0
    text = capsys.readouterr().out
    assert "stamp lies in the future" in text
    assert "m1 power_w = 5.0" in text
    assert text.endswith("1 letters\n")


def test_dropping_needs_a_choice_and_says_how_many(
    file: str, letters: LettersFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "dead", "drop", file]) == 2
    assert "say which letters" in capsys.readouterr().err
    assert len(list(letters.letters())) == 3
    assert main(["ingest", "dead", "drop", file, "--gateway", "gw-1", "--before", "2023-11-14T22:14"]) == 0
    assert capsys.readouterr().out == "1 letters dropped\n"
    assert [kept.letter.seq for kept in letters.letters()] == [7, 9]
    assert main(["ingest", "dead", "drop", file, "--all"]) == 0
    assert list(letters.letters()) == []


def test_a_running_worker_replays_and_what_is_refused_again_stays(
    file: str, letters: LettersFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as cloud:
        assert main(["ingest", "dead", "replay", file, "--reason", "future"]) == 0
        assert "1 letters stored, 0 refused again" in capsys.readouterr().out
        assert asyncio.run(cloud.stored()) == {("gw-1", "m1", "power_w", 0): 5.0}
        assert main(["ingest", "dead", "replay", file, "--all"]) == 1
        said = capsys.readouterr().out
    assert "0 letters stored, 2 refused again" in said
    assert "not a finite number" in said
    assert [kept.letter.seq for kept in letters.letters()] == [7, 9]
    assert list((tmp_path / "dead" / "asked").iterdir()) == []


def test_without_a_worker_a_request_waits_for_one(
    file: str, letters: LettersFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "dead", "replay", file, "--reason", "future", "--wait", "0"]) == 1
    assert "no answer yet" in capsys.readouterr().out
    assert main(["ingest", "dead", "list", file]) == 0
    assert "1 requests wait for the worker" in capsys.readouterr().out
    with running(tmp_path) as cloud:
        end_s = time.monotonic() + 20
        while RequestsFolder(folder=tmp_path / "dead").waiting() and time.monotonic() < end_s:
            time.sleep(0.05)
        assert asyncio.run(cloud.stored()) == {("gw-1", "m1", "power_w", 0): 5.0}


def test_a_run_is_closed_by_the_worker_with_who_and_why(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = ["audit", "close", "plant-1", "--run", "0123abcd", "--worker-file", file]
    with running(tmp_path) as cloud:
        assert main([*close, "--reason", "card replaced", "--by", "mei"]) == 0
        assert main([*close, "--reopen", "--by", "mei"]) == 0
        events = asyncio.run(cloud.store.events("cloud-closed", 0, 2**53, "plant-1"))
    said = [Closed.model_validate_json(event.text) for event in events]
    assert said == [
        Closed(run="0123abcd", reason="card replaced", by="mei"),
        Closed(run="0123abcd", by="mei", reopened=True),
    ]
    assert "plant-1: run 0123abcd closed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, mend",
    [
        (["Plant 1", "--run", "0123abcd", "--reason", "x"], "not the name of a gateway"),
        (["plant-1", "--run", "0123", "--reason", "x"], "at least the 8 digits"),
        (["plant-1", "--run", "0123abcd"], "give --reason"),
        (["plant-1", "--run", "0123abcd", "--reason", "x", "--reopen"], "or --reopen"),
        (["plant-1", "--run", "0123abcd", "--reason", "x" * 201], "longer than 200"),
    ],
)
def test_a_close_that_cannot_be_meant_is_one_line(
    arguments: list[str], mend: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "close", *arguments, "--worker-file", file]) == 2
    said = capsys.readouterr().err
    assert mend in said
    assert said.count("\n") == 1
    assert not (tmp_path / "dead").exists()


def test_requests_are_bounded_and_the_message_asks_for_the_worker(tmp_path: Path) -> None:
    folder = RequestsFolder(folder=tmp_path)
    made = [folder.leave(Replay(ids=["a"]), lambda: 5) for _ in range(requests_folder.WAITING_MAX)]
    assert [request.at_ms for request in made] == list(range(5, 105)), "each has a time of its own"
    with pytest.raises(NoRoom, match="does the worker run"):
        folder.leave(Replay(ids=["a"]), lambda: 5)
    assert folder.waiting() == list(range(5, 105))


def test_a_request_that_nobody_can_read_is_put_aside_and_holds_up_no_other(tmp_path: Path) -> None:
    folder = RequestsFolder(folder=tmp_path)
    folder.leave(Close(gateway="gw-1", said=Closed(run="0" * 32)), lambda: 9)
    for name, text in (("0000000000001.json", "{"), ("0000000000002.json", '{"ask":"sudo"}')):
        (tmp_path / "asked" / name).write_text(text, encoding="utf-8")
    (tmp_path / "asked" / "0000000000003.json").write_bytes(b'"' + b"x" * 1_000_001)
    request = asyncio.run(folder.next())
    assert request is not None
    assert request.at_ms == 9
    asyncio.run(folder.done(request))
    assert asyncio.run(folder.next()) is None
    assert sorted(os.listdir(tmp_path / "asked")) == [f"000000000000{n}.json.refused" for n in (1, 2, 3)]


def test_a_board_that_is_allowed_is_told_to_the_store_too(file: str, tmp_path: Path) -> None:
    assert main(["ingest", "gateway", "allow", file, "gw-1", "b2"]) == 0
    with running(tmp_path) as cloud:
        end_s = time.monotonic() + 20
        while RequestsFolder(folder=tmp_path / "dead").waiting() and time.monotonic() < end_s:
            time.sleep(0.05)
        [event] = asyncio.run(cloud.store.events("cloud-parked", 0, 2**53, "gw-1"))
    assert json.loads(event.text)["allowed"] is True
