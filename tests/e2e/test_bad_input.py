"""Whatever a gateway, or somebody in its place, sends: its neighbours are stored, and a person finds the reason."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import BOARD, Cloud, line, message
from tests.e2e.programs import run
from tests.e2e.servers import MosquittoServer, wait_until

HUGE_BYTES = 100_000_000
GROWTH_BYTES_MAX = 30_000_000
PLACE = {("meter", "power_w"): [1.0, 3.0]}
"""What the store holds of batches 1 and 3, when 2 between them was bad."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One broker and one worker for the whole file: what one test sends must not trouble the next."""
    folder = tmp_path_factory.mktemp("cloud")
    with (
        MosquittoServer(folder=folder / "broker") as broker,
        Cloud(folder=folder, port=broker.port, store=f"sqlite:{folder / 'store'}") as cloud,
    ):
        yield cloud


def _between_neighbours(cloud: Cloud, gateway: str, payload: bytes) -> None:
    """Batch 1, something in the place of batch 2, batch 3; 1 and 3 are acknowledged."""
    cloud.send_good(gateway, 1)
    cloud.send(gateway, payload)
    cloud.send_good(gateway, 3)
    for seq in (1, 3):
        assert cloud.reason(gateway, seq) == ""


def _bomb() -> bytes:
    return zlib.compress(b"[" * 50_000_000, 9)


def _cut() -> bytes:
    return zlib.compress(line(2, {"meter": {"power_w": 2.0}}, base_ms=0))[:-7]


UNDECODABLE: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "malformed-json": (lambda: b'[2, 1700000000000, {"from": 1,]\n', "plain", "Invalid JSON: "),
    "not-text": (lambda: b"\xff\xfe\x00\x01\n", "plain", "Invalid JSON: "),
    "wrong-schema": (lambda: b'[2, 1700000000000, {"from": 1}]\n', "plain", "to: Field required"),
    "no-line": (lambda: b"[2, 1700000000000, {}", "plain", "1 batches announced, 0 whole lines found"),
    "truncated-deflate": (_cut, "zlib", "the zlib stream is cut short"),
    "not-deflate": (lambda: b"no zlib stream at all", "zlib", "not a zlib stream"),
    "deflate-bomb": (_bomb, "zlib", "inflates to more than"),
}


@pytest.mark.parametrize("what", UNDECODABLE)
def test_a_batch_that_cannot_be_decoded_is_rejected_with_its_reason_and_kept(what: str, cloud: Cloud) -> None:
    body, packing, reason = UNDECODABLE[what]
    _between_neighbours(cloud, what, message(what, 2, 2, body(), packing=packing))
    said = cloud.reason(what, 2)
    assert reason in said
    assert not said.startswith(":")
    assert cloud.values(what) == PLACE
    (letter,) = cloud.dead(what)
    assert letter["seq"] == 2
    assert reason in letter["reason"]
    assert letter["line"], "no copy of what arrived"


def test_one_bad_line_does_not_spoil_the_other_batches_of_its_message(cloud: Cloud) -> None:
    gateway = "one-bad-line"
    first, third = (line(seq, {"meter": {"power_w": seq}}, base_ms=cloud.base_ms) for seq in (1, 3))
    cloud.send(gateway, message(gateway, 1, 3, first + b"{}\n" + third))
    assert [bool(cloud.reason(gateway, seq)) for seq in (1, 2, 3)] == [False, True, False]
    assert cloud.values(gateway) == PLACE
    assert [letter["seq"] for letter in cloud.dead(gateway)] == [2]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_value_that_is_no_number_costs_neither_its_row_nor_its_batch(word: str, cloud: Cloud) -> None:
    gateway = f"cell-{word.lower().lstrip('-')}-{len(word)}"
    devices = {"meter": {"power_w": float(word), "voltage_l1_v": 230.5}, "other": {"power_w": 7.0}}
    body = line(1, devices, base_ms=cloud.base_ms)
    assert word.encode() in body
    cloud.send(gateway, message(gateway, 1, 1, body))
    assert cloud.reason(gateway, 1) == ""
    assert cloud.values(gateway) == {("meter", "voltage_l1_v"): [230.5], ("other", "power_w"): [7.0]}
    (letter,) = cloud.dead(gateway)
    assert letter["reason"] == "not a finite number"
    assert [value[:2] for value in letter["values"]] == [["meter", "power_w"]]


UNATTRIBUTABLE: dict[str, tuple[Callable[[str], bytes], str]] = {
    "no-header": (lambda _: b"no header at all", "no_header"),
    "empty": (lambda _: b"", "no_header"),
    "unknown-version": (lambda gateway: message(gateway, 2, 2, b"[2]\n", version="lg2"), "unknown_version"),
    "wrong-crc": (lambda gateway: message(gateway, 2, 2, b"[2]\n", crc=1), "bad_crc"),
    "another-gateway": (lambda _: message("somebody-else", 2, 2, b"[2]\n"), "foreign_gateway"),
}


@pytest.mark.parametrize("what", UNATTRIBUTABLE)
def test_a_message_of_nobody_is_not_acknowledged_and_the_log_says_why(what: str, cloud: Cloud) -> None:
    payload, reason = UNATTRIBUTABLE[what]
    _between_neighbours(cloud, what, payload(what))
    assert cloud.log_lines(f"lg/v1/{what}/data", reason)
    assert cloud.values(what) == PLACE
    assert not cloud.is_acked(what, 2)
    assert not cloud.is_acked("somebody-else", 2)
    assert cloud.dead(what) == [], "a copy that anybody could have forged was kept"


def test_a_message_of_100_mb_never_reaches_the_memory_of_the_worker(cloud: Cloud) -> None:
    gateway = "huge"
    cloud.send_good(gateway, 1)
    cloud.acked(gateway, 1)
    before = _peak_bytes(cloud.worker.pid)
    payload = message(gateway, 2, 2, b"x" * HUGE_BYTES)
    cloud.send(gateway, payload)
    cloud.send_good(gateway, 3)
    assert cloud.reason(gateway, 3) == ""
    assert cloud.values(gateway) == PLACE
    assert not cloud.is_acked(gateway, 2)
    assert _peak_bytes(cloud.worker.pid) - before < GROWTH_BYTES_MAX


def _peak_bytes(pid: int) -> int:
    """Most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line_,) = [text for text in status.splitlines() if text.startswith("VmHWM:")]
    return int(line_.split()[1]) * 1024


def test_a_second_board_waits_until_a_person_allows_it(cloud: Cloud) -> None:
    gateway, spare = "two-boards", "board2"
    cloud.send_good(gateway, 1)
    cloud.acked(gateway, 1)
    theirs = message(gateway, 2, 2, line(2, {"meter": {"power_w": 2.0}}, base_ms=cloud.base_ms), board=spare)
    cloud.send(gateway, theirs)
    cloud.send_good(gateway, 3)
    cloud.acked(gateway, 3)
    assert not cloud.is_acked(gateway, 2)
    assert cloud.log_lines(gateway, f"board {spare}", "parked")
    assert json.loads(cloud.gateways_file.read_text())["parked"] == {gateway: [spare]}
    listed = run("ingest", "gateway", "list", str(cloud.config))
    assert f"{gateway}: {BOARD}; parked: {spare}" in listed.stdout.splitlines()

    allowed = run("ingest", "gateway", "allow", str(cloud.config), gateway, spare)
    assert (allowed.returncode, allowed.stderr) == (0, "")

    def repeated() -> bool:
        cloud.send(gateway, theirs)
        return cloud.is_acked(gateway, 2)

    assert wait_until(repeated, every_s=0.5), "the board was allowed, and is not heard"
    assert cloud.values(gateway) == {("meter", "power_w"): [1.0, 2.0, 3.0]}
    assert cloud.dead(gateway) == []


def test_a_gateway_whose_clock_is_a_year_ahead_spoils_nothing_and_is_told_apart(cloud: Cloud) -> None:
    gateway = "a-year-ahead"
    ahead_ms = int(time.time() * 1000) + 365 * 86_400_000
    _between_neighbours(cloud, gateway, message(gateway, 2, 2, line(2, {"meter": {"power_w": 2.0}}, base_ms=ahead_ms)))
    assert cloud.reason(gateway, 2) == ""
    assert cloud.values(gateway) == PLACE
    (letter,) = cloud.dead(gateway)
    assert letter["reason"] == "stamp lies in the future"
