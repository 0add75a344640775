"""The verbs `report`, `rollup` and `console` on a real store in a folder: results, and one line for every mistake."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from loopgauge.cli.main import main
from series_store.open import open_figures, open_writer, provision
from tests.unit.rollups.plant import ASSETS, HOUR_MS, MIDNIGHT, batches, deliver


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:{tmp_path_factory.mktemp('store')}"

    async def fill() -> None:
        await provision(url)
        writer = open_writer(url)
        for batch in batches(MIDNIGHT - HOUR_MS, MIDNIGHT + 3 * HOUR_MS):
            await deliver(writer, batch, batch.to_ms * 1000)
        await writer.close()

    asyncio.run(fill())
    return url


@pytest.fixture
def assets_file(tmp_path: Path) -> Path:
    file = tmp_path / "assets.yaml"
    file.write_text(ASSETS.replace("ZONE", "Asia/Shanghai"), "utf-8")
    return file


def report(store: str, assets_file: Path, *more: str) -> int:
    period = ["--from", "2026-01-01", "--to", "2026-01-01T02:00"]
    return main(["report", "--store", store, "--assets", str(assets_file), *period, *more])


def test_a_report_in_csv_and_in_json_says_the_same_of_the_same_interval(
    store: str, assets_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(store, assets_file, "--area", "plant") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    out = tmp_path / "report.json"
    assert report(store, assets_file, "--area", "plant", "--format", "json", "--out", str(out)) == 0
    figures = json.loads(out.read_text("utf-8"))["figures"]
    assert [row["value"] for row in rows] == ["" if one["value"] is None else str(one["value"]) for one in figures]
    by_indicator = {figure["indicator"]: figure for figure in figures}
    assert by_indicator["desalination_recovery"]["value"] == pytest.approx(42.0)
    assert by_indicator["waste_diversion"]["reason"] == "no asset in plant has the role recycling_bin in this period"
    assert figures[0]["from_utc"] == "2025-12-31T16:00:00Z"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "more, said",
    [
        (["--area", "atlantis"], "--area atlantis: not in "),
        (["--from", "yesterday"], "--from yesterday: no ISO date or time"),
        (["--to", "2025-01-01"], "--from 2026-01-01: does not lie before --to 2025-01-01"),
        (["--store", "sqlight:x"], "store sqlight:x: an address begins with"),
        (["--assets", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--indicators", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2(
    more: list[str], said: str, store: str, assets_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(store, assets_file, *more) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"loopgauge: {said}")


def test_a_store_that_is_not_there_is_one_line_and_exit_code_1(
    assets_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(f"sqlite:{tmp_path / 'nothing'}", assets_file) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_report_that_cannot_be_written_is_one_line(
    store: str, assets_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(store, assets_file, "--out", str(tmp_path)) == 1
    assert capsys.readouterr().err.startswith(f"loopgauge: --out {tmp_path}: cannot be written")


def test_the_rollup_program_fills_the_store_and_ends_on_sigterm(store: str, assets_file: Path) -> None:
    async def cursor() -> int:
        figures = open_figures(store, writes=False)
        try:
            return await figures.cursor("rollups")
        finally:
            await figures.close()

    def stop_when_done() -> None:
        for _ in range(3000):
            time.sleep(0.05)
            if asyncio.run(cursor()) > 0:
                break
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=stop_when_done)
    watcher.start()
    try:
        assert main(["rollup", "run", "--store", store, "--assets", str(assets_file)]) == 0
    finally:
        watcher.join()
    assert asyncio.run(cursor()) > 0


def test_the_page_does_not_start_on_a_port_that_is_taken_and_says_so(
    store: str, assets_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["console", "--store", store, "--assets", str(assets_file), "--port", port]) == 1
    assert capsys.readouterr().err.startswith(f"loopgauge: --host 127.0.0.1 --port {port}: ")
    assert main(["console", "--store", store, "--assets", str(assets_file), "--port", "70000"]) == 2


def test_a_mistake_in_the_register_is_named_by_every_verb(
    store: str, assets_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assets_file.write_text(assets_file.read_text("utf-8").replace("role: permeate", "roll: permeate"), "utf-8")
    for verb in (["rollup", "run"], ["console"], ["report", "--from", "2026-01-01", "--to", "2026-01-02"]):
        assert main([*verb, "--store", store, "--assets", str(assets_file)]) == 2
        assert capsys.readouterr().err == (
            f"loopgauge: {assets_file}:29: assets.permeate-1.roll: unknown key; did you mean role?\n"
        )


def test_the_files_of_rollups_can_be_checked_without_a_store(
    assets_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rollup", "check", "--assets", str(assets_file)]) == 0
    assert capsys.readouterr().out == f"{assets_file}: good\n"
    bad = tmp_path / "indicators.yaml"
    bad.write_text("indicators: {recovery: {}}\n", "utf-8")
    assert main(["rollup", "check", "--assets", str(assets_file), "--indicators", str(bad)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"loopgauge: {bad}:1: indicators.recovery")


@pytest.mark.parametrize("where", ["here", "127.0.0.1:", "127.0.0.1:70000", "0"])
def test_a_wrong_place_for_metrics_is_one_line(
    where: str, store: str, assets_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rollup", "run", "--store", store, "--assets", str(assets_file), "--metrics", where]) == 2
    assert capsys.readouterr().err == f"loopgauge: --metrics {where}: no port; write 9466 or HOST:9466\n"


@pytest.mark.parametrize(
    "verb", [["rollup", "run"], ["console"], ["report", "--from", "2026-01-01", "--to", "2026-01-02"]]
)
def test_an_authority_that_cannot_be_used_is_named_with_its_option(
    verb: list[str], store: str, assets_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*verb, "--store", "influx1+https://localhost/db", "--assets", str(assets_file), "--ca-file", "nowhere.crt"]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("loopgauge: nowhere.crt: --ca-file: no such file; ")
    assert main([*verb, "--store", store, "--assets", str(assets_file), "--ca-file", str(assets_file)]) == 2
    assert capsys.readouterr().err.startswith(f"loopgauge: {assets_file}: --ca-file: holds no certificate; ")
