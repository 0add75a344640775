"""When a device, the broker or the database goes, each who misses it says so once, and once when it is back."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.line import Line
from tests.e2e.servers import InfluxServer, MosquittoServer

SPEED = 4.0
SILENT_FROM_S, SILENT_S = 3.0, 25.0
"""Real time after the meters began, and for how long: a slow start of the agent, three time-outs of 1 s, then a probe
5 s later."""


def test_a_dead_device_broker_and_database_each_cost_one_line_when_they_go_and_one_when_they_are_back(
    tmp_path: Path, mosquitto: MosquittoServer, influx: InfluxServer
) -> None:
    port = {"port": mosquitto.port}
    silence = {
        "device": "permeate-meter",
        "what": "silent",
        "start_s": SILENT_FROM_S * SPEED,
        "duration_s": SILENT_S * SPEED,
    }
    line = Line(
        folder=tmp_path,
        store=f"influx1://127.0.0.1:{influx.port}/loopgauge",
        uplink=port,
        broker=port,
        faults=[silence],
        speed=SPEED,
    )
    with line:
        line.start()
        worker = line.workers[0]
        line.wait(lambda: len(line.receipts()) >= 2, what="fewer than 2 receipts")

        influx.kill()
        line.wait(lambda: "store" in worker.log(), what="the worker did not miss the database")
        held = len(line.held())
        line.wait(lambda: len(line.held()) >= held + 4, what="the agent did not go on")
        influx.start()
        line.wait(lambda: "store: back" in worker.log(), what="the worker did not find the database")
        line.drain()

        mosquitto.kill()
        line.wait(lambda: "uplink" in line.agent.log(), what="the agent did not miss the broker")
        line.wait(lambda: "broker" in worker.log(), what="the worker did not miss the broker")
        held = len(line.held())
        line.wait(lambda: len(line.held()) >= held + 4, what="the agent did not go on")
        mosquitto.start()
        line.wait(lambda: "connected again" in line.agent.log(), what="the agent did not find the broker")
        # What is sent before the worker is back comes again, but later.
        line.wait(lambda: "connected again" in worker.log(), what="the worker did not find the broker")

        line.wait(lambda: "answers again" in line.agent.log(), what="the agent did not find the device")
        line.drain()
        line.stop()

        others = [f"{name}-meter: " for name in ("feed", "energy")]  # on a busy machine they are late, too
        log = "\n".join(text for text in line.agent.log().splitlines() if not any(name in text for name in others))
        assert _kinds(log) == {
            "permeate-meter: no reading": 1,
            "permeate-meter: answers again": 1,
            "uplink: not connected": 1,
            "uplink: connected again": 1,
        }
        assert _kinds(worker.log()) == {
            "store: away": 1,
            "store: back": 1,
            f"broker: 127.0.0.1:{mosquitto.port} away": 1,
            "broker: connected again": 1,
        }
        assert line.meters.log() == ""
        fates = line.account()
        # A time-out of 1 s lasts two seal intervals here, so a slot may be given up as overrun before it is over.
        assert {"asleep"} <= set(fates) <= {"stored", "timeout", "asleep", "overrun", "silent"}


def _kinds(log: str) -> dict[str, int]:
    """How often each line occurs, without level, module and details."""
    found: dict[str, int] = {}
    for text in log.splitlines():
        said = text.split(": ", 1)[1]
        kind = said.split(" (")[0]
        if kind.count(": ") > 1:
            kind = ": ".join(kind.split(": ")[:2])
        found[kind] = found.get(kind, 0) + 1
    return found
