"""The history of a gateway: the shipped agent in virtual time, on simulated units, with the spool that it leaves."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_contract.cause import Missing
from device_profiles.library import Library
from edge_agent.errors import NotConnected, NotSampled
from edge_agent.ports import Answer, Ask, Talk
from loopgauge.demo.history import NoLink, PastClock, UnitBus, live_through
from loopgauge.demo.past import make
from loopgauge.demo.virtual_time import run_virtual
from simulators.app import build_units
from simulators.load_scenario import Loaded, load_scenario
from simulators.truth.record import Record, RecordError
from simulators.truth.rows import Shown
from simulators.world.world import World

HOUR_MS = 3_600_000
BEGIN_MS = 1_789_000_000_000
END_MS = BEGIN_MS + 6 * HOUR_MS
FIRST_SLOT_MS, LAST_SLOT_MS = 1_789_000_200_000, 1_789_021_200_000
SLOTS = 36

SCENARIO = {
    "scenario": "mill",
    "gateway": "mill-1",
    "trains": {"train-1": {"feed_m3_h": 40, "recovery": 0.42}},
    "meters": {
        "feed-meter": {
            "profile": "tuf-2000m",
            "unit_id": 3,
            "fields": {"volume_m3": "train-1.feed.volume_m3", "flow_m3_h": "train-1.feed.flow_m3_h"},
        },
    },
}


class Notes:
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.served: list[tuple[int, str, list[Shown]]] = []
        self.refused: list[str] = []

    def note(self, t_ms: int, gateway: str, device: str, fields: list[Shown]) -> None:
        self.served.append((t_ms, device, fields))

    def note_refused(self, t_ms: int, device: str, request: str, reason: str) -> None:
        self.refused.append(reason)


def world_of(folder: Path, **changes: Any) -> Loaded:
    file = folder / "scenario.yaml"
    file.write_text(yaml.safe_dump({**SCENARIO, **changes}), "utf-8")
    return load_scenario(file, Library().load)


def site_of(folder: Path) -> Path:
    file = folder / "site.yaml"
    device = {"profile": "tuf-2000m", "bus": "line", "unit_id": 3, "simulated": True}
    said = {
        "gateway": "mill-1",
        "board": "mill1",
        "spool": {"file": str(folder / "spool.db")},
        "uplink": {"host": "127.0.0.1"},
        "buses": {"line": {"type": "modbus_tcp", "host": "127.0.0.1"}},
        "devices": {"feed-meter": device},
    }
    file.write_text(yaml.safe_dump(said), "utf-8")
    return file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gateway with a history of six hours."""
    folder = tmp_path_factory.mktemp("history")
    make(site_of(folder), world_of(folder), folder / "record.db", profiles=None, begin_ms=BEGIN_MS, end_ms=END_MS)
    return folder


def batches(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """(base in ms UTC, body) of what lies in the spool, oldest first."""
    db = sqlite3.connect(folder / "spool.db")
    rows = db.execute("SELECT base_ms, body FROM batch ORDER BY seq").fetchall()
    db.close()
    return [(base_ms, json.loads(body)) for base_ms, body in rows]


def sealed(folder: Path, field: str) -> list[tuple[int, float]]:
    """(ms UTC, value) of a field, as the spool holds it."""
    found = []
    for base_ms, body in batches(folder):
        for block in body["devices"].get("feed-meter", {"blocks": []})["blocks"]:
            if field in block["values"]:
                t_ms = base_ms + body["from"]
                for step, value in zip(block["t"], block["values"][field], strict=True):
                    t_ms += step
                    found.append((t_ms, value))
    return found


def test_history_is_sealed_by_the_hour_without_a_gap(made: Path) -> None:
    ends = [(base_ms + body["from"], base_ms + body["to"]) for base_ms, body in batches(made)]
    assert [to for _, to in ends[:-1]] == [from_ for from_, _ in ends[1:]]
    assert (ends[0][0], ends[-1][1]) == (BEGIN_MS, END_MS - 1)
    assert all(to % HOUR_MS == 0 for _, to in ends[:-1])


def test_every_value_of_the_history_is_one_that_was_noted_as_served(made: Path) -> None:
    record = Record.open_readonly(made / "record.db")
    for field in ("volume_m3", "flow_m3_h", "signal_quality"):
        served = record.served("feed-meter", field, 0, 2**53)
        assert [value for _, value in served] == [value for _, value in sealed(made, field)]
        assert all(abs(t - s) <= 8 for (t, _), (s, _) in zip(served, sealed(made, field), strict=True))
        assert len(served) == SLOTS
        assert (served[0][0], served[-1][0]) == (FIRST_SLOT_MS, LAST_SLOT_MS)
    record.close()


def test_whoever_goes_on_finds_a_run_that_ended_well_just_before(made: Path) -> None:
    db = sqlite3.connect(made / "spool.db")
    assert db.execute("SELECT to_ms, clean FROM run").fetchall() == [(END_MS - 1, 1)]
    db.close()
    assert batches(made)[-1][1]["records"][-1]["kind"] == "stop"


def test_a_slot_at_the_very_end_is_left_to_whoever_goes_on(tmp_path: Path) -> None:
    end_ms = LAST_SLOT_MS
    make(site_of(tmp_path), world_of(tmp_path), tmp_path / "record.db", profiles=None, begin_ms=BEGIN_MS, end_ms=end_ms)
    record = Record.open_readonly(tmp_path / "record.db")
    assert record.served("feed-meter", "volume_m3", 0, 2**53)[-1][0] == end_ms - 600_000
    record.close()


def test_a_record_of_another_world_is_not_gone_on_with(made: Path, tmp_path: Path) -> None:
    """Gateways share a record; one that was left over must not lend its truth."""
    site, other, same = site_of(tmp_path), world_of(tmp_path, scenario="other"), world_of(tmp_path)
    earlier_ms = BEGIN_MS - HOUR_MS
    with pytest.raises(RecordError, match="another scenario or seed"):
        make(site, other, made / "record.db", profiles=None, begin_ms=BEGIN_MS, end_ms=END_MS)
    with pytest.raises(RecordError, match="another origin"):
        make(site, same, made / "record.db", profiles=None, begin_ms=earlier_ms, end_ms=END_MS)


def talk_of(asks: list[Ask], answers: list[Answer]) -> Talk:
    for ask in asks:
        answers.append((yield ask))


def ask_units(folder: Path, asks: list[Ask], **changes: Any) -> tuple[list[Answer], Notes]:
    notes, answers = Notes(), list[Answer]()
    units = build_units(loaded := world_of(folder, **changes), world=World(scenario=loaded.scenario, origin_ms=0))
    bus = UnitBus(units={3: units["feed-meter"]}, notes=notes, now_ms=lambda: 60_000)
    run_virtual(bus.carry(talk_of(asks, answers)))
    return answers, notes


def test_a_unit_that_is_silent_or_not_there_gives_no_reading(tmp_path: Path) -> None:
    silent = [{"device": "feed-meter", "what": "silent", "start_s": 0, "duration_s": 100}]
    answers, notes = ask_units(tmp_path, [Ask(3, "holding", 0, 2, 1), Ask(4, "holding", 0, 2, 1)], faults=silent)
    causes = [answer.cause for answer in answers if isinstance(answer, NotSampled)]
    assert causes == [Missing.TIMEOUT, Missing.EXCEPTION]
    assert notes.refused == ["silent"] and not notes.served


def test_what_a_unit_answers_has_been_noted_before(tmp_path: Path) -> None:
    answers, notes = ask_units(tmp_path, [Ask(3, "holding", 0, 2, 1)])
    ((t_ms, device, shown),) = notes.served
    assert (t_ms, device, [field.field for field in shown]) == (60_000, "feed-meter", ["flow_m3_h"])
    assert not isinstance(answers[0], NotSampled) and len(answers[0]) == 2


def test_the_past_has_no_uplink_and_its_clock_is_the_loops() -> None:
    async def main() -> tuple[int, int]:
        clock = PastClock(begin_ms=BEGIN_MS)
        with pytest.raises(NotConnected):
            async with NoLink().connect():
                pass
        await asyncio.sleep(clock.real_s(600_000))
        return clock.mono_ms(), clock.civil().utc_ms

    assert run_virtual(main()) == (600_000, BEGIN_MS + 600_000)


def test_an_agent_that_fails_in_the_past_does_not_pass_for_a_history() -> None:
    class Failing:
        async def run(self, stop: asyncio.Event) -> None:
            raise OSError("no room")

    with pytest.raises(ExceptionGroup, match="unhandled"):
        run_virtual(live_through(Failing(), PastClock(begin_ms=BEGIN_MS), END_MS, lambda t_ms: None))
