"""Whatever the database answers, or if it answers nothing: what it can take is stored, what it never will is kept."""

from __future__ import annotations

import base64
import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import Cloud, line, message
from tests.e2e.gate import Answer, Gate, Rule, passed
from tests.e2e.servers import PATIENCE_S, InfluxServer, MosquittoServer, wait_until

GATEWAY = "binhai-1"
DATABASE = "loopgauge"


@pytest.fixture
def gate(influx: InfluxServer) -> Iterator[Gate]:
    """A gate before a running InfluxDB."""
    with Gate(target=influx.url) as gate:
        yield gate


def _cloud(
    folder: Path, broker: MosquittoServer, influx: InfluxServer, gate: Gate, *, database: str = DATABASE
) -> Cloud:
    direct = f"influx1://127.0.0.1:{influx.port}/{database}"
    return Cloud(folder=folder, port=broker.port, store=f"influx1://127.0.0.1:{gate.port}/{database}", direct=direct)


def _always(answer: Answer) -> Rule:
    return lambda lines, through: answer


def _said(text: str, key: str = "error") -> bytes:
    return json.dumps({key: text}).encode()


TROUBLE = {
    "400": Answer(400, _said("the database takes nothing today")),
    "422": Answer(422, _said("it cannot be processed", "message")),
    "503": Answer(503, _said("timeout"), {"Retry-After": "1"}),
    "nothing": Answer(0),
}
PASSWORD, CHANGED = "sea-salt", "changed-salt"


def test_while_the_database_refuses_nothing_is_acknowledged_and_afterwards_everything(
    tmp_path: Path, influx: InfluxServer
) -> None:
    """One worker for each trouble, all at once, since after some of them it waits long; the 401 is a real one."""
    clouds: dict[str, Cloud] = {}
    gates: dict[str, Gate] = {}
    with contextlib.ExitStack() as stack:
        for what in TROUBLE:
            broker = stack.enter_context(MosquittoServer(folder=tmp_path / f"broker-{what}"))
            gates[what] = stack.enter_context(Gate(target=influx.url))
            cloud = _cloud(tmp_path / what, broker, influx, gates[what], database=f"trouble_{what}")
            clouds[what] = stack.enter_context(cloud)
        locked, clouds["401"] = _locked(stack, tmp_path)
        for cloud in clouds.values():
            cloud.send_good(GATEWAY, 1)
            cloud.acked(GATEWAY, 1)
        for what, gate in gates.items():
            gate.rule = _always(TROUBLE[what])
        _query(locked, f"SET PASSWORD FOR admin = '{CHANGED}'", password=PASSWORD)
        for cloud in clouds.values():
            cloud.send_good(GATEWAY, 2)
        for cloud in clouds.values():
            _until(lambda cloud=cloud: bool(cloud.log_lines("store: away")))  # type: ignore[misc]
            assert not cloud.is_acked(GATEWAY, 2)
        for gate in gates.values():
            gate.rule = passed
        _query(locked, f"SET PASSWORD FOR admin = '{PASSWORD}'", password=CHANGED)
        for what, cloud in clouds.items():
            cloud.acked(GATEWAY, 2)
            assert cloud.values(GATEWAY) == {("meter", "power_w"): [1.0, 2.0]}
            assert cloud.dead(GATEWAY) == []
            (away,), (back,) = cloud.log_lines("store: away"), cloud.log_lines("store: back")
            assert (what if what.isdigit() else "without response") in away
            assert cloud.worker.log().splitlines() == [away, back]
            assert "salt" not in away


def _locked(stack: contextlib.ExitStack, folder: Path) -> tuple[InfluxServer, Cloud]:
    """An InfluxDB that asks for a password, with broker and worker."""
    influx = stack.enter_context(InfluxServer(folder=folder / "locked-influx", http_options="auth-enabled = true"))
    _query(influx, f"CREATE USER admin WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
    broker = stack.enter_context(MosquittoServer(folder=folder / "broker-401"))
    store = f"influx1://admin@127.0.0.1:{influx.port}/{DATABASE}"
    return influx, stack.enter_context(Cloud(folder=folder / "401", port=broker.port, store=store, secret=PASSWORD))


def test_a_receipt_that_the_database_refuses_is_never_acknowledged(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer, gate: Gate
) -> None:
    def no_receipts(lines: bytes, through: Callable[[bytes], Answer]) -> Answer:
        return Answer(400, _said("partial write: no")) if lines.startswith(b"receipt,") else through(lines)

    with _cloud(tmp_path, mosquitto, influx, gate) as cloud:
        gate.rule = no_receipts
        cloud.send_good(GATEWAY, 1)
        _until(lambda: bool(cloud.log_lines("refused a receipt")))
        gate.rule = passed
        cloud.send_good(GATEWAY, 2)
        cloud.acked(GATEWAY, 2)
        assert not cloud.is_acked(GATEWAY, 1)


def test_a_400_for_one_row_costs_that_row_alone_and_it_lies_in_the_dead_letters(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer, gate: Gate
) -> None:
    """A real field type conflict: somebody wrote text under the name of a number."""
    with _cloud(tmp_path, mosquitto, influx, gate) as cloud:
        _write(influx, f'energy_meter,gateway=x,device=y odd_w="text" {cloud.base_ms}')
        _one_odd_row(cloud, "field type conflict")


def test_a_422_for_one_row_costs_that_row_alone_and_it_lies_in_the_dead_letters(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer, gate: Gate
) -> None:
    """As InfluxDB 2.x says it; the other lines of the request are stored."""

    def refuses_odd(lines: bytes, through: Callable[[bytes], Answer]) -> Answer:
        kept = [each for each in lines.splitlines() if b"odd_w" not in each]
        dropped = len(lines.splitlines()) - len(kept)
        answer = through(b"\n".join(kept)) if kept else Answer(204)
        text = f"failure writing points to database: partial write: points beyond retention policy dropped={dropped}"
        return Answer(422, _said(text, "message")) if dropped else answer

    with _cloud(tmp_path, mosquitto, influx, gate) as cloud:
        gate.rule = refuses_odd
        _one_odd_row(cloud, "points beyond retention policy")


def _one_odd_row(cloud: Cloud, reason: str) -> None:
    """Batches 1 to 3 with an odd row in the middle one."""
    devices = {"meter": {"power_w": 2.0}, "odd": {"odd_w": 5.0}, "other": {"power_w": 7.0}}
    cloud.send_good(GATEWAY, 1)
    cloud.send(GATEWAY, message(GATEWAY, 2, 2, line(2, devices, base_ms=cloud.base_ms)))
    cloud.send_good(GATEWAY, 3)
    assert [cloud.reason(GATEWAY, seq) for seq in (1, 2, 3)] == ["", "", ""]
    assert cloud.values(GATEWAY) == {("meter", "power_w"): [1.0, 2.0, 3.0], ("other", "power_w"): [7.0]}
    (letter,) = cloud.dead(GATEWAY)
    assert letter["seq"] == 2
    assert reason in letter["reason"]
    assert [value[:2] for value in letter["values"]] == [["odd", "odd_w"]]
    assert cloud.log_lines("store: away") == []


def test_a_413_makes_the_requests_smaller_until_everything_is_stored(
    tmp_path: Path, mosquitto: MosquittoServer
) -> None:
    """A real limit: the server takes no more than 2000 bytes at once."""
    devices = {f"meter-{number:03}": {"power_w": float(number)} for number in range(200)}
    with (
        InfluxServer(folder=tmp_path / "influx", http_options="max-body-size = 2000") as influx,
        Gate(target=influx.url) as gate,
        _cloud(tmp_path, mosquitto, influx, gate) as cloud,
    ):
        # As many devices do not fit into one receipt of that size, so they come in several batches.
        for seq, start in enumerate(range(0, 200, 8), start=1):
            part = dict(list(devices.items())[start : start + 8])
            cloud.send(GATEWAY, message(GATEWAY, seq, seq, line(seq, part, base_ms=cloud.base_ms)))
        for seq in range(1, 26):
            assert cloud.reason(GATEWAY, seq) == ""
        assert cloud.values(GATEWAY) == {(name, "power_w"): [of["power_w"]] for name, of in devices.items()}
        assert cloud.dead(GATEWAY) == []


def _until(ready: Callable[[], bool]) -> None:
    assert wait_until(ready)


def _write(influx: InfluxServer, text: str) -> None:
    url = f"{influx.url}/write?db={DATABASE}&precision=ms"
    with urllib.request.urlopen(url, data=text.encode(), timeout=PATIENCE_S) as answer:
        assert answer.status == 204


def _query(influx: InfluxServer, statement: str, *, password: str = "") -> None:
    user = {"Authorization": f"Basic {base64.b64encode(f'admin:{password}'.encode()).decode()}"} if password else {}
    body = urllib.parse.urlencode({"q": statement}).encode()
    asked = urllib.request.Request(f"{influx.url}/query", data=body, headers=user)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert "error" not in json.load(answer)["results"][0]
