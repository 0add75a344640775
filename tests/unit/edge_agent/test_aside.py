"""Batches set aside at the gateway, in an operator's hands: beside an agent, after it, and what the cloud hears."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from edge_agent.errors import Fatal
from edge_agent.keep import at_rest
from edge_agent.keep.aside import TOLD_SPANS_MAX, told
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.spool import Sealed, Spool
from loopgauge.cli.main import main

A, B = "a" * 32, "b" * 32
ZERO = 1_790_000_000_000
SITE = """\
gateway: gw-1
spool: {{file: {spool}}}
uplink: {{host: localhost}}
buses: {{line: {{type: modbus_tcp, host: localhost}}}}
devices: {{m1: {{profile: eastron-sdm630, bus: line, unit_id: 1}}}}
"""


@pytest.fixture
def site(tmp_path: Path) -> str:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(spool=tmp_path / "spool.db"), encoding="utf-8")
    return str(path)


def spool_at(path: Path, run: str) -> Spool:
    return Spool(disk=FileDisk(path=path, bytes_max=10_000_000), run=run, boot="boot")


async def six_of_which_three_are_aside(path: Path) -> Spool:
    spool = spool_at(path, A)
    await spool.open()
    for seq in range(1, 7):
        body = f'{{"from":{seq * 10},"to":{seq * 10 + 10},"devices":{{}}}}'
        await spool.seal(Sealed(seq=seq, base_ms=ZERO, guess_ms=ZERO, to_ms=ZERO + seq * 10 + 10, body=body), [])
    await spool.set_aside((A, 2, 3), "unanswered")
    await spool.set_aside((A, 5, 5), "unanswered")
    return spool


@pytest.fixture
def rest(tmp_path: Path) -> Path:
    """A spool that no agent has open."""

    async def make() -> None:
        await (await six_of_which_three_are_aside(tmp_path / "spool.db")).close()

    asyncio.run(make())
    return tmp_path / "spool.db"


async def after_a_start(path: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int, int, str]]]:
    """What a new life of the agent offers, and what it tells of as set aside."""
    spool = spool_at(path, B)
    await spool.open()
    try:
        return list(spool.held), list(spool.aside)
    finally:
        await spool.close()


def test_the_list_names_run_numbers_times_and_reason(site: str, rest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edge", "aside", "list", site]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run aaaaaaaa  3 batches (2-5)  2026-09-21T14:13:20Z to 2026-09-21T14:13:20Z  unanswered",
        "3 batches, 96 bytes",
    ]
    assert main(["edge", "aside", "list", site, "--batches", "2-3", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["first"], group["last"], group["from_ms"], group["to_ms"]) == (2, 3, ZERO + 20, ZERO + 40)
    assert main(["edge", "aside", "show", site, "--batches", "5"]) == 0
    assert '{"from":50,"to":60,"devices":{}}' in capsys.readouterr().out


def test_beside_a_running_agent_one_may_look_and_is_told_how_to_change(
    site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def script() -> None:
        spool = await six_of_which_three_are_aside(tmp_path / "spool.db")
        try:
            assert main(["edge", "aside", "list", site]) == 0
            assert "3 batches" in capsys.readouterr().out
            for verb in (["offer"], ["drop", "--why", "x"]):
                assert main(["edge", "aside", verb[0], site, "--all", *verb[1:]]) == 2
                assert "systemctl stop loopgauge-edge" in capsys.readouterr().err
            body = '{"from":70,"to":80}'
            await spool.seal(Sealed(seq=7, base_ms=ZERO, guess_ms=ZERO, to_ms=ZERO + 80, body=body), [])
        finally:
            await spool.close()

    asyncio.run(script())
    held, aside = asyncio.run(after_a_start(tmp_path / "spool.db"))
    assert [seq for _, seq in held] == [1, 4, 6, 7]
    assert len(aside) == 2


def test_what_is_offered_again_goes_with_the_next_start_in_its_old_place(
    site: str, rest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edge", "aside", "offer", site]) == 2
    assert "say which batches" in capsys.readouterr().err
    assert main(["edge", "aside", "offer", site, "--run", "aaaa", "--batches", "2-4"]) == 0
    assert capsys.readouterr().out == "2 batches offered from the next start of the agent on\n"
    held, aside = asyncio.run(after_a_start(rest))
    assert held == [(A, seq) for seq in (1, 2, 3, 4, 6)]
    assert aside == [(A, 5, 5, "unanswered")]


def test_what_was_dropped_is_gone_and_the_next_batches_say_who_and_why(
    site: str, rest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "mei")
    assert main(["edge", "aside", "drop", site, "--batches", "2", "--why", "made ingest stumble"]) == 0
    assert capsys.readouterr().out == "1 batches dropped\n"
    for _ in range(3):  # starts of the agent
        held, aside = asyncio.run(after_a_start(rest))
        assert (A, 2) not in held
        assert (A, 2, 2, "dropped by mei: made ingest stumble") in aside
    assert main(["edge", "aside", "offer", site, "--all"]) == 0
    assert capsys.readouterr().out.startswith("2 batches"), "what was dropped cannot be offered"
    assert main(["edge", "aside", "drop", site, "--all", "--why", "again"]) == 0
    assert capsys.readouterr().out.startswith("0 batches")


def test_a_dropped_batch_that_was_the_last_of_its_run_and_undated_does_not_stop_the_agent(tmp_path: Path) -> None:
    async def script() -> None:
        spool = spool_at(tmp_path / "spool.db", A)
        await spool.open()
        await spool.seal(Sealed(seq=1, base_ms=None, guess_ms=5, to_ms=15, body='{"from":1,"to":9}'), [])
        await spool.set_aside((A, 1, 1), "unanswered")
        await spool.close()
        from edge_agent.keep.aside import Choice, aside, drop

        at_rest.change(tmp_path / "spool.db", lambda db: drop(db, aside(db, Choice()), "by mei: x"))
        spool = spool_at(tmp_path / "spool.db", B)
        await spool.open()
        await spool.date(ZERO)
        await spool.guess()
        await spool.close()

    asyncio.run(script())


def test_without_a_spool_or_with_a_newer_one_nothing_is_done(
    site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edge", "aside", "list", site]) == 2
    assert "an agent makes it" in capsys.readouterr().err
    assert not (tmp_path / "spool.db").exists()
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(Fatal, match="schema 99"):
        at_rest.change(tmp_path / "spool.db", lambda db: None)


def test_a_batch_tells_of_a_bounded_number_of_spans_and_leaves_none_out() -> None:
    spans = [(A, seq, seq, "unanswered") for seq in range(1, 2 * TOLD_SPANS_MAX, 2)]
    assert told(spans) == spans
    spans.append((B, 1, 1, "unanswered"))
    assert told(spans) == [(A, 1, 2 * TOLD_SPANS_MAX - 1, "unanswered"), (B, 1, 1, "unanswered")]
