"""`loopgauge audit` on a real store: exit code, output, and complaints of one line."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loopgauge.cli.main import main
from series_store.open import open_writer
from tests.unit.delivery_audit.scene import METER, NOON, Scene

MINUTE = 60_000


def store_of(scene: Scene, folder: Path) -> str:
    """The scene in a SQLite store."""
    url = f"sqlite:{folder / 'store'}"

    async def write() -> None:
        writer = open_writer(url)
        try:
            for table in scene.written:
                assert (await writer.write([table])).stored
        finally:
            await writer.close()

    asyncio.run(write())
    return url


def sound() -> Scene:
    scene = Scene()
    scene.start(0)
    scene.schedule(0)
    scene.batches("a", 1, 18, 0, 3 * MINUTE)
    return scene


def test_a_store_that_adds_up_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = store_of(sound(), tmp_path)
    assert main(["audit", "--store", url, "--to", "2026-01-01T12:03"]) == 0
    said = capsys.readouterr().out
    assert "pi1, 2026-01-01 00:00:00 to 2026-01-01 12:03:00: adds up" in said


def test_anything_unexplained_exits_1_and_is_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = sound()
    scene.batch("a", 20, 4 * MINUTE, 5 * MINUTE)
    scene.rows(METER, [3 * MINUTE + 4])
    url = store_of(scene, tmp_path)
    assert main(["audit", "--store", url, "--gateway", "pi1", "--to", "2026-01-01T04:05Z", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["adds_up"] is False
    [gateway] = said["gateways"]
    assert [finding["batches"] for finding in gateway["unexplained"]] == [[19, 19]]
    assert [finding["readings"] for finding in gateway["surplus"]] == [2]


def test_what_was_written_under_a_gateway_without_receipts_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = sound()
    stray = scene.written[2]
    assert stray.measurement == METER.kind
    scene.written.append(replace(stray, tags=(("gateway", "stranger"), ("device", "m1"))))
    url = store_of(scene, tmp_path)
    main(["audit", "--store", url])
    assert "stranger: readings of 2 fields in the store, but no receipt at all" in capsys.readouterr().out


def test_the_civil_clock_of_a_demo_is_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store_of(sound(), tmp_path)
    monkeypatch.setenv("LOOPGAUGE_CLOCK", f"{NOON + 3 * MINUTE}:{int(time.time() * 1000)}:0.001")
    assert main(["audit", "--store", url, "--json"]) == 0
    [gateway] = json.loads(capsys.readouterr().out)["gateways"]
    assert 0 <= gateway["to_ms"] - (NOON + 3 * MINUTE) < MINUTE


@pytest.mark.parametrize(
    "words, said",
    [
        (["--store", "nowhere:x"], "store nowhere:x: "),
        (["--zone", "Mars/Olympus"], "--zone Mars/Olympus: no such time zone"),
        (["--from", "yesterday"], "--from yesterday: not an ISO date or time"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "--from 2026-01-02: does not lie before --to"),
        (["--from", "9999-01-01"], "--from 9999-01-01: does not lie before --to and before now"),
        (["--gateway", "pi2"], "--gateway pi2: has no receipt in this store; known: pi1"),
        (["--secret-file", "/nonexistent/secret"], "/nonexistent/secret"),
    ],
)
def test_bad_input_is_one_line_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    url = store_of(sound(), tmp_path)
    assert main(["audit", "--store", url, *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_bad_clock_in_the_environment_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPGAUGE_CLOCK", "soon")
    assert main(["audit", "--store", f"sqlite:{tmp_path}"]) == 2
    assert "LOOPGAUGE_CLOCK" in capsys.readouterr().err


def test_a_store_that_is_not_there_or_holds_nothing_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--store", f"sqlite:{tmp_path / 'none'}"]) == 1
    empty = store_of(Scene(), tmp_path)
    assert main(["audit", "--store", empty]) == 1
    assert capsys.readouterr().err.count("\n") == 2
