"""`loopgauge store`: what a person types and reads."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from loopgauge.cli import store
from series_store.open import open_writer
from series_store.table import STORED, Table
from series_store.vet import RECEIPT_FIELDS

T0 = 1_700_000_000_000


def command(*words: str) -> int:
    """Exit code of `loopgauge store ...`."""
    parser = argparse.ArgumentParser()
    store.add_parser(parser.add_subparsers())
    args = parser.parse_args(["store", *words])
    code: int = args.run(args)
    return code


async def fill(url: str) -> None:
    writer = open_writer(url)
    tags = (("gateway", "g1"), ("device", "m1"))
    power = Table("energy_meter", tags, ("power_w", "energy_kwh"), [T0, T0 + 5000], [[1.0, 2.0], [None, 7.0]])
    columns: list[list[float | str | None]] = [["ab12"], [7.0], [T0 * 1.0], [T0 + 10_000.0], [3.0], [0.0], ["{}"]]
    who = (("gateway", "g1"), ("worker", "w1"))
    receipt = Table("receipt", who, RECEIPT_FIELDS, [(T0 + 11_000) * 1000], columns, micros=True)
    assert await writer.write([power, receipt]) == STORED
    await writer.close()


def test_a_store_is_made_filled_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:{tmp_path / 'store'}"
    assert command("init", "--store", url) == 0
    assert command("init", "--store", url) == 0, "a second time changes nothing"
    assert {path.name for path in (tmp_path / "store").glob("*.db")} == {"readings.db", "rollups.db"}
    assert command("info", "--store", url) == 0
    assert "Nothing has been stored yet" in capsys.readouterr().out
    asyncio.run(fill(url))
    assert command("info", "--store", url) == 0
    said = capsys.readouterr().out
    assert "energy_meter  g1/m1" in said
    assert "2023-11-14T22:13:20Z to 2023-11-14T22:13:25Z: energy_kwh, power_w" in said
    assert "gateway g1: accounted for up to 2023-11-14T22:13:30Z" in said
    assert "batch 7 of run ab12, received 2023-11-14T22:13:31Z" in said


def test_a_script_gets_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:{tmp_path}"
    asyncio.run(fill(url))
    assert command("info", "--json", "--store", url) == 0
    assert json.loads(capsys.readouterr().out) == {
        "devices": [
            {"measurement": "energy_meter", "gateway": "g1", "device": "m1", "fields": ["energy_kwh", "power_w"]}
            | {"first_ms": T0, "last_ms": T0 + 5000}
        ],
        "gateways": [{"gateway": "g1", "run": "ab12", "seq": 7, "to_ms": T0 + 10_000, "at_ms": T0 + 11_000}],
    }


@pytest.mark.parametrize(
    "words, code, says",
    [
        (["info", "--store", "sqlite:{tmp}/none"], 1, "nothing has been stored here yet"),
        (["info", "--store", "influx1://127.0.0.1:1/db"], 1, "refused"),
        (["init", "--store", "influx1://127.0.0.1:1/db"], 1, "refused"),
        (["init", "--store", "influx2://org@127.0.0.1:1/b", "--secret-file", "{tmp}/token"], 1, "refused"),
        (["init", "--store", "mysql://h/db"], 2, "an address begins with"),
        (["init", "--store", "influx1://u@h/db", "--secret-file", "{tmp}/missing"], 2, "no such file"),
        (["init", "--store", "sqlite:{tmp}/token/store"], 1, "token"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    assert command(*(word.format(tmp=tmp_path) for word in words)) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
