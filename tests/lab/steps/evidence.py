"""What a running fleet must show: readings as they were served, figures, pages and metrics, and no other open port."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from tests.lab import meters, store
from tests.lab.host import Host
from tests.lab.lab import ASSETS, EDGE, Lab, now_ms
from tests.lab.shell import expect, wait_for

SSH, MQTT, INFLUXDB, CONSOLE = 22, 8883, 8086, 8080
EDGE_METRICS, INGEST_METRICS, ROLLUPS_METRICS = 9464, 9465, 9466
OPEN = {"cloud": {SSH, MQTT, INFLUXDB}}
OPEN_ON_A_GATEWAY = {SSH}
FIGURES = {
    "asset": "SELECT count(*) FROM asset",
    "rollup_1h": "SELECT count(*) FROM rollup_1h",
    "indicator": "SELECT count(*) FROM indicator",
}
"""Measurement → how to count its rows."""
METRICS = {"loopgauge_ingest_": INGEST_METRICS, "loopgauge_rollups_": ROLLUPS_METRICS, "loopgauge_console_": CONSOLE}
FIGURES_S_MAX = 240
"""Readings are there after some seconds; an open hour is computed at most once a minute."""


def readings(lab: Lab) -> str:
    """Readings of each gateway arrive in InfluxDB over TLS."""
    found = [f"{host.name} {lab.wait_for_readings(host.name, 20)}" for host in lab.gateways]
    return "readings: " + ", ".join(found)


def values(lab: Lab) -> str:
    """With the agents stopped in order: every value that meters served is in the database, exactly; nothing else is."""
    shown = []
    for host in lab.gateways:
        host.sh(f"systemctl stop {EDGE}")
    try:
        for host in lab.gateways:
            shown.append(f"{host.name} {_expect_equal(host.name)}")
        return "; ".join(shown) + " | audit: " + lab.accounts()
    finally:
        for host in lab.gateways:
            host.sh(f"systemctl start {EDGE}")


def _expect_equal(gateway: str) -> str:
    totals = store.judged(meters.RECORD, gateway, now_ms())
    expect(totals["delivered"], f"{gateway}: nothing was delivered: {totals}")
    expect(not totals["duplicates"], f"{gateway}: stored, but never served: {totals}")
    expect("unexplained" not in totals["missing"], f"{gateway}: record and ledger disagree: {totals}")
    expect(totals["expected"] == totals["delivered"] + sum(totals["missing"].values()), f"{gateway}: {totals}")
    return json.dumps({key: totals[key] for key in ("expected", "delivered", "duplicates", "missing")})


def figures(lab: Lab) -> str:
    """Hours and indicators that rollups computed are in the database, and `report` computes the same indicators."""
    found: dict[str, int] = {}

    def computed() -> bool:
        for measurement, statement in FIGURES.items():
            found[measurement] = _largest(statement)
        return all(found.values())

    wait_for(f"figures in the database ({found})", computed, within_s=FIGURES_S_MAX, every_s=2)
    names = {row["tags"]["indicator"] for row in store.query("SELECT last(*) FROM indicator GROUP BY indicator")}
    now = datetime.now(UTC)
    span = ("--from", (now - timedelta(hours=1)).isoformat(), "--to", (now + timedelta(minutes=5)).isoformat())
    lines = json.loads(store.report("--assets", str(ASSETS), *span, "--format", "json"))["figures"]
    known = [f"{line['indicator']} {line['value']:.4g}" for line in lines if line["value"] is not None]
    expect(known, f"the report has no figure: {lines}")
    rows = ", ".join(f"{number} {name}" for name, number in found.items())
    return f"rows: {rows}; indicators: {', '.join(sorted(names))}; report: {', '.join(known)}"


def _largest(statement: str) -> int:
    """The largest number in the answer to a counting query; 0 where there is none."""
    series = store.query(statement)
    return max((int(value) for each in series for row in each["values"] for value in row[1:] if value), default=0)


def pages(lab: Lab) -> str:
    """Console and metrics answer on the host itself, and from nowhere else."""
    page = lab.cloud.says(f"curl -sS --max-time 10 -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{CONSOLE}/")
    expect(page == "200", f"console: status {page}")
    for prefix, port in METRICS.items():
        expect_metrics(lab.cloud, prefix, port)
    for host in lab.gateways:
        expect_metrics(host, "loopgauge_edge_", EDGE_METRICS)
    return f"console 200; metrics of {len(METRICS) + len(lab.gateways)} programs"


def expect_metrics(host: Host, prefix: str, port: int) -> None:
    """Raise Failed unless a program shows figures of its own at /metrics, and only to the host itself."""
    text = host.says(f"curl -sS --max-time 10 http://127.0.0.1:{port}/metrics")
    expect(f"\n{prefix}" in "\n" + text, f"{host.name}:{port}/metrics has no {prefix}…: {text[:200]}")
    expect(not accepts(host.address, port), f"{host.name}:{port} answers from outside")


def ports(lab: Lab) -> str:
    """Of all sockets that listen on a host, exactly the expected ones can be reached from another host."""
    shown = []
    for host in lab.hosts.values():
        listening = {int(line.split()[3].rpartition(":")[2]) for line in host.says("ss -H -ltn").splitlines()}
        reached = {port for port in listening if accepts(host.address, port)}
        wanted = OPEN.get(host.name, OPEN_ON_A_GATEWAY)
        expect(reached == wanted, f"{host.name}: open from outside are {sorted(reached)}, not {sorted(wanted)}")
        udp = [line for line in host.says("ss -H -lun").splitlines() if "127." not in line and "[::1]" not in line]
        expect(not udp, f"{host.name}: UDP sockets: {udp}")
        shown.append(f"{host.name} {sorted(reached)} of {sorted(listening)}")
    return "open: " + "; ".join(shown)


def accepts(address: str, port: int) -> bool:
    """Whether a connection from the controller is accepted."""
    with suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False
