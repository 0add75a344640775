"""What is stored and what rollups have seen of it: to be late is no fault, to stand still is, and to pass over."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_contract import receipt as wire
from data_contract.reading import Quality
from data_contract.receipt import BatchReceipt, DeviceReceipt
from delivery_audit.arrivals import HOUR_MS, WAIT_MS_MAX, Arrivals, Seen, Waiting
from delivery_audit.days import Days
from delivery_audit.evidence import audit
from delivery_audit.ledger import Ledger
from delivery_audit.seen import CHECKS_MAX
from delivery_audit.table import as_json, as_text
from loopgauge.cli.main import main
from rollups.assets import Assets
from rollups.assets_file import parse_assets
from rollups.catalog import Catalog
from rollups.worker import Worker
from series_store import names
from series_store.open import open_figures, open_reader
from series_store.table import Receipt, Table
from tests.twins.loop import run_virtual
from tests.unit.delivery_audit.scene import GATEWAY, METER, NOON, SHANGHAI, Scene
from tests.unit.delivery_audit.test_command import store_of

MINUTE = 60_000
ASSETS: Assets = parse_assets("zone: Asia/Shanghai\nareas: {}\nsites: {}\nassets: {}\n", file="assets.yaml")
CATALOG = Catalog(indicators={})


def sound(minutes: int = 3) -> Scene:
    scene = Scene(zone=SHANGHAI)
    scene.start(0)
    scene.schedule(0)
    for seq in range(1, minutes + 1):
        scene.batch("a", seq, (seq - 1) * MINUTE, seq * MINUTE)
    return scene


def roll_up(scene: Scene, now_ms: int) -> None:
    async def settle() -> None:
        worker = Worker(reader=scene.store, figures=scene.store, assets=ASSETS, catalog=CATALOG, now_ms=lambda: now_ms)
        while await worker.cycle():
            pass

    run_virtual(settle())


def ledger(scene: Scene, to: int, now: int | None = None) -> Ledger:
    now_ms = scene.zero + (to if now is None else now)
    days = Days(zone=scene.zone)
    span = {"from_ms": scene.zero, "to_ms": scene.zero + to}
    return run_virtual(audit(scene.store, GATEWAY, now_ms=now_ms, days=days, figures=scene.store, **span))


def seen(scene: Scene, to: int, now: int | None = None) -> Seen:
    found = ledger(scene, to, now).seen
    assert found is not None
    return found


def test_where_rollups_never_ran_this_is_said_and_is_no_fault() -> None:
    scene = sound()
    found = ledger(scene, 3 * MINUTE)
    assert found.seen == Seen(ran=False)
    assert not found.seen.at_fault
    assert "rollups never ran here" in as_text([found], SHANGHAI)
    assert as_json([found], SHANGHAI)["gateways"][0]["rollups"]["ran"] is False


def test_an_audit_that_nobody_asked_about_rollups_says_nothing_of_them() -> None:
    found = sound().audit(0, 3 * MINUTE)
    assert found.seen is None
    assert "rollups" not in as_text([found], SHANGHAI)
    assert as_json([found], SHANGHAI)["gateways"][0]["rollups"] is None


def test_what_rollups_have_worked_in_is_not_called_unseen() -> None:
    scene = sound()
    roll_up(scene, NOON + 3 * HOUR_MS)
    found = seen(scene, 3 * MINUTE)
    assert (found.ran, found.waiting, found.hidden, found.unchecked, found.at_fault) == (True, (), (), 0, False)
    assert found.to_ms == NOON + 3 * MINUTE


@pytest.mark.parametrize("waited_ms, fault", [(WAIT_MS_MAX, False), (WAIT_MS_MAX + 1, True)])
def test_what_waits_for_rollups_is_a_fault_only_after_its_bound(waited_ms: int, fault: bool) -> None:
    scene = sound()
    roll_up(scene, NOON + 3 * HOUR_MS)
    scene.batch("a", 4, 3 * MINUTE, 4 * MINUTE)
    scene.batch("a", 5, 4 * MINUTE, 5 * MINUTE)
    found = seen(scene, 5 * MINUTE, 4 * MINUTE + waited_ms)
    assert found.waiting == (Waiting("2026-01-01", 2, 2 * (24 + 2), NOON + 4 * MINUTE),)
    assert found.at_fault is fault
    text = as_text([ledger(scene, 5 * MINUTE, 4 * MINUTE + waited_ms)], SHANGHAI)
    assert "2026-01-01  52 readings in 2 batches stored, not yet seen by rollups, since 2026-01-01 12:04:00" in text
    assert ("is `loopgauge rollup run` running" in text) is fault
    assert ("THEY HAVE NOT SEEN ALL" in text) is fault


def test_what_waits_is_told_by_the_day_of_the_readings() -> None:
    scene = Scene(zone=SHANGHAI)
    scene.start(0)
    scene.schedule(0)
    scene.batch("a", 1, 0, MINUTE)
    roll_up(scene, NOON + 3 * HOUR_MS)
    midnight = 12 * HOUR_MS
    scene.batch("a", 2, midnight - MINUTE, midnight, prev=MINUTE)
    scene.batch("a", 3, midnight, midnight + MINUTE)
    assert [(one.day, one.batches) for one in seen(scene, midnight + MINUTE).waiting] == [
        ("2026-01-01", 1),
        ("2026-01-02", 1),
    ]


def test_a_batch_that_is_delivered_again_was_seen_the_first_time() -> None:
    scene = sound()
    roll_up(scene, NOON + 3 * HOUR_MS)
    scene.batch("a", 2, MINUTE, 2 * MINUTE)
    assert seen(scene, 3 * MINUTE, HOUR_MS).waiting == ()


def test_a_batch_of_which_more_was_stored_the_second_time_waits() -> None:
    scene = sound(1)
    scene.batch("a", 2, MINUTE, 2 * MINUTE, stored=False)
    scene.written.clear()
    roll_up(scene, NOON + 3 * HOUR_MS)
    part = DeviceReceipt({"main": (24, 24, {})}, 24, NOON + MINUTE + 1, NOON + 2 * MINUTE - 4999)
    more = replace(part, stored=26)
    scene.receipt("a", 2, MINUTE, 2 * MINUTE, {"m1": part})
    scene.receipt("a", 2, MINUTE, 2 * MINUTE, {"m1": more, "m2": part})
    assert [one.readings for one in seen(scene, 2 * MINUTE, HOUR_MS).waiting] == [50]


def test_a_batch_in_which_nothing_was_sampled_does_not_wait_for_rollups() -> None:
    scene = sound()
    roll_up(scene, NOON + 3 * HOUR_MS)
    silent = {"m1": DeviceReceipt({"main": (24, 0, {"timeout": 24})})}
    scene.receipt("a", 4, 3 * MINUTE, 4 * MINUTE, silent)
    assert seen(scene, 4 * MINUTE, 4 * HOUR_MS).waiting == ()
    # A digest may bring nothing but summaries: those, rollups have to see.
    scene.receipt("a", 5, 4 * MINUTE, 5 * MINUTE, silent, replaces=[("a", 9, 9)])
    assert [one.batches for one in seen(scene, 5 * MINUTE, 4 * HOUR_MS).waiting] == [1]


def hours_passed_over(scene: Scene, hours: int) -> int:
    """Rollups' cursor stands behind receipts that they never saw; where the audit is to end."""
    roll_up(scene, NOON + 3 * HOUR_MS)
    for hour in range(1, hours + 1):
        from_ = hour * HOUR_MS
        scene.batch("a", 3 + hour, from_, from_ + MINUTE, prev=from_ - HOUR_MS + (3 * MINUTE if hour == 1 else MINUTE))
    end = hours * HOUR_MS + MINUTE
    run_virtual(scene.store.set_cursor(names.CURSOR_RECEIPTS, (NOON + end) * 1000))
    return end


def test_an_hour_that_rollups_passed_over_is_named_with_its_mend() -> None:
    scene = sound()
    end = hours_passed_over(scene, 2)
    found = seen(scene, end)
    assert found.waiting == ()
    assert sorted(found.hidden) == [(name, NOON + hour * HOUR_MS) for name in ("m1", "m2") for hour in (1, 2)]
    assert found.at_fault
    text = as_text([ledger(scene, end)], SHANGHAI)
    assert "2026-01-01 13:00:00 to 2026-01-01 15:00:00  m1  stored, passed over by rollups" in text
    assert "`loopgauge rollup recompute --since 2026-01-01T05:00:00Z`" in text


def test_hours_of_bad_readings_and_of_pseudonyms_have_no_row_and_are_not_passed_over() -> None:
    scene = sound()
    end = hours_passed_over(scene, 1)
    tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, METER.device))
    stamps = [NOON + HOUR_MS + slot * 5000 + 1 for slot in range(12)]
    bad = [[float(Quality.INVALID)] * 12] * 2
    run_virtual(scene.store.write([Table(METER.kind, tags, ("q_power_w", "q_energy_kwh"), stamps, bad)]))
    assert [hour.device for hour in seen(scene, end).hidden] == ["m2"]


def test_no_more_hours_are_looked_at_than_the_bound() -> None:
    scene = sound()
    end = hours_passed_over(scene, CHECKS_MAX // 2 + 3)
    found = seen(scene, end)
    assert (len(found.hidden), found.unchecked) == (CHECKS_MAX, 6)
    assert found.at_fault


def test_hours_that_digests_tell_of_are_told_for_each_device() -> None:
    scene = sound()
    hour = NOON + HOUR_MS
    tags = ((names.GATEWAY, GATEWAY), (names.DEVICE, METER.device))
    fields = tuple(f"power_w_{part}" for part in (names.SUMMARY_TO, names.SUMMARY_COUNT, *names.SUMMARY_COURSE))
    for at in (hour, hour + HOUR_MS):
        cells = [[float(at + HOUR_MS - 5000)], [720.0], [1.0], [3.0], [2.0]]
        run_virtual(scene.store.write([Table(names.SUMMARY, tags, fields, [at], cells)]))
    part = DeviceReceipt({"main": (2 * 1440, 2 * 1440, {})})
    scene.receipt("a", 9, HOUR_MS, 3 * HOUR_MS, {"m1": part}, replaces=[("a", 4, 8)])
    roll_up(scene, NOON + 5 * HOUR_MS)
    found = seen(scene, 3 * HOUR_MS)
    assert found.summarised == (("m1", hour), ("m1", hour + HOUR_MS))
    text = as_text([ledger(scene, 3 * HOUR_MS)], SHANGHAI)
    assert "2026-01-01 13:00:00 to 2026-01-01 15:00:00  m1  2 h" in text
    told = as_json([ledger(scene, 3 * HOUR_MS)], SHANGHAI)["gateways"][0]["rollups"]["summarised"]
    assert told == [{"device": "m1", "from_ms": hour, "to_ms": hour + 2 * HOUR_MS}]


def test_the_audit_of_months_asks_rollups_by_the_day_and_reads_no_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = sound()
    roll_up(scene, NOON + 3 * HOUR_MS)
    windows, spans = [], []
    window, figures = scene.store.window, scene.store.figures

    async def watched_window(*asked: object) -> object:
        windows.append(asked)
        return await window(*asked)  # type: ignore[arg-type]

    async def watched_figures(measurement: str, tags: dict[str, str], from_ms: int, to_ms: int) -> object:
        if measurement == names.ROLLUP_1H:
            spans.append((tags, to_ms - from_ms))
        return await figures(measurement, tags, from_ms, to_ms)

    monkeypatch.setattr(scene.store, "window", watched_window)
    monkeypatch.setattr(scene.store, "figures", watched_figures)
    seen(scene, 60 * 24 * HOUR_MS)
    assert windows == []
    assert len(spans) in (60, 61)
    assert {length for _, length in spans[:-1]} == {24 * HOUR_MS}
    assert all(tags == {names.GATEWAY: GATEWAY} for tags, _ in spans)


def rolled_up(url: str, now_ms: int) -> None:
    async def settle() -> None:
        reader, figures = open_reader(url), open_figures(url)
        try:
            worker = Worker(reader=reader, figures=figures, assets=ASSETS, catalog=CATALOG, now_ms=lambda: now_ms)
            while await worker.cycle():
                pass
        finally:
            await reader.close()
            await figures.close()

    asyncio.run(settle())


def test_the_command_exits_1_once_rollups_stand_still_and_0_when_they_have_worked_all_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = sound()
    url = store_of(scene, tmp_path)
    words = ["audit", "--store", url, "--to", "2026-01-01T12:03"]
    assert main(words) == 0
    assert "rollups never ran here" in capsys.readouterr().out
    rolled_up(url, NOON + 3 * HOUR_MS)
    assert main(words) == 0
    assert "rollups have worked in what was stored up to 2026-01-01 12:03:00" in capsys.readouterr().out
    scene.batch("a", 4, 3 * MINUTE, 4 * MINUTE)
    store_of(scene, tmp_path)
    assert main([*words[:-1], "2026-01-01T12:04", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["adds_up"] is True
    [gateway] = said["gateways"]
    assert gateway["rollups"]["at_fault"] is True
    assert [(one["readings"], one["late"]) for one in gateway["rollups"]["waiting"]] == [(26, True)]


def test_in_a_demo_at_sixty_times_speed_rollups_have_as_much_real_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    scene = sound()
    url = store_of(scene, tmp_path)
    rolled_up(url, NOON + 3 * HOUR_MS)
    scene.batch("a", 4, 3 * MINUTE, 4 * MINUTE)
    store_of(scene, tmp_path)
    for speed, code in ((1, 1), (60, 0)):
        clock = f"{NOON + 4 * MINUTE + 2 * WAIT_MS_MAX}:{int(time.time() * 1000)}:{speed}"
        monkeypatch.setenv("LOOPGAUGE_CLOCK", clock)
        assert main(["audit", "--store", url, "--to", "2026-01-01T12:04"]) == code, capsys.readouterr().out


def test_figures_that_cannot_be_opened_are_said_and_do_not_stop_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = store_of(sound(), tmp_path)
    (tmp_path / "store" / "rollups.db").write_bytes(b"SQLite format 3\0" + b"\1" * 4096)
    assert main(["audit", "--store", url, "--to", "2026-01-01T12:03"]) == 0
    assert "rollups: cannot be asked: " in capsys.readouterr().out


def test_recompute_has_rollups_find_what_they_had_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = sound()
    scene.batch("a", 4, 3 * MINUTE, HOUR_MS)
    scene.batch("a", 5, HOUR_MS, HOUR_MS + MINUTE)
    url = store_of(scene, tmp_path)

    async def pass_over() -> None:
        figures = open_figures(url)
        await figures.set_cursor(names.CURSOR_RECEIPTS, (NOON + HOUR_MS + MINUTE) * 1000)
        await figures.close()

    asyncio.run(pass_over())
    words = ["audit", "--store", url, "--to", "2026-01-01T13:01"]
    assert main(words) == 1
    assert "12:00:00 to 2026-01-01 14:00:00  m1  stored, passed over by rollups" in capsys.readouterr().out
    assert main(["rollup", "recompute", "--store", url, "--since", "2026-01-01T04:00Z"]) == 0
    assert "receipts of 2026-01-01 04:00:00 UTC" in capsys.readouterr().out
    rolled_up(url, NOON + 3 * HOUR_MS)
    assert main(words) == 0


@pytest.mark.parametrize("since", ["soon", "2026-01-01T04:00"])
def test_a_bad_time_to_recompute_from_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    assert main(["rollup", "recompute", "--store", f"sqlite:{tmp_path}", "--since", since]) == 2
    error = capsys.readouterr().err
    assert error == f"loopgauge: --since {since}: not a time with its offset; write 2026-01-31T06:00Z\n"


def test_recompute_never_moves_rollups_forward_past_what_they_have_not_seen(tmp_path: Path) -> None:
    url = store_of(sound(), tmp_path)
    rolled_up(url, NOON + 3 * HOUR_MS)
    assert main(["rollup", "recompute", "--store", url, "--since", "2027-01-01T00:00Z"]) == 0

    async def stands() -> int:
        figures = open_figures(url, writes=False)
        try:
            return await figures.cursor(names.CURSOR_RECEIPTS)
        finally:
            await figures.close()

    assert asyncio.run(stands()) == (NOON + 3 * MINUTE) * 1000


def test_what_is_stored_out_of_a_dead_letter_waits_for_rollups_like_any_other_reading() -> None:
    def receipt(at_us: int, readings: int, letter: str | None) -> tuple[Receipt, BatchReceipt]:
        part = DeviceReceipt({}, readings, NOON, NOON + 9)
        said = BatchReceipt({"m1": part}, restored=letter)
        return Receipt(at_us, GATEWAY, "w1", "a", 1, NOON, NOON + MINUTE, readings, 0, wire.write(said)), said

    arrivals = Arrivals(5_000)
    batch, letter = receipt(1_000, 24, None), receipt(2_000, 3, "l1")
    arrivals.add("2026-01-01", [batch, letter])
    assert arrivals.waiting() == ()
    arrivals.add("2026-01-01", [batch, letter, receipt(9_000, 2, "l2"), receipt(8_000, 2, "l2")])
    assert arrivals.waiting() == (Waiting("2026-01-01", 1, 2, 8),)
