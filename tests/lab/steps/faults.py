"""What goes wrong on a host by itself: programs that are killed, frozen or hung, a power cut, a cable pulled."""

from __future__ import annotations

import time

from tests.lab import network, store
from tests.lab.host import Host
from tests.lab.lab import EDGE, INGEST, INVENTORY, Lab
from tests.lab.shell import expect, tail, wait_for

BACK_S_MAX = 240
"""A frozen program is back after its watchdog's time and a start; a hung one after the promise's time as well."""
PAUSE_S = 5
HUNG = INVENTORY.parent / "hung_agent.py"
HUNG_ON_HOST = "/opt/loopgauge-lab/hung_agent.py"
TRIGGER = "/run/loopgauge-edge/hang"
DROP_IN = f"/run/systemd/system/{EDGE}.d/lab.conf"


def killed(lab: Lab) -> str:
    """SIGKILL of agent and ingest: systemd starts them again, and readings go on."""
    return _signal(lab, "KILL")


def frozen(lab: Lab) -> str:
    """SIGSTOP of agent and ingest: the watchdog notices, systemd starts them again, and readings go on."""
    return _signal(lab, "STOP")


def _signal(lab: Lab, signal: str) -> str:
    gateway = lab.hosts["gw-1"]
    before = store.readings(gateway.name)
    hit = [(host, unit, host.property_of(unit, "MainPID")) for host, unit in ((gateway, EDGE), (lab.cloud, INGEST))]
    for host, _, pid in hit:
        host.sh(f"kill -{signal} {pid}")
    begin, shown = time.monotonic(), []
    for host, unit, pid in hit:
        comes_back(host, unit, pid)
        shown.append(f"{unit} back within {time.monotonic() - begin:.0f} s")
    lab.wait_for_readings(gateway.name, before)
    return ", ".join(shown) + " | " + lab.accounts()


def comes_back(host: Host, unit: str, pid: str) -> float:
    """Wait until a unit is active with another main process than `pid`; how many s it took."""

    def is_back() -> bool:
        return host.property_of(unit, "ActiveState") == "active" and host.property_of(unit, "MainPID") not in ("0", pid)

    return wait_for(f"{host.name}: {unit} is back", is_back, within_s=BACK_S_MAX)


def hung_bus(lab: Lab) -> str:
    """A bus task that hangs inside a running agent stops the watchdog; systemd restarts it; nothing sealed is lost."""
    host = lab.hosts["gw-1"]
    host.write(HUNG_ON_HOST, HUNG.read_text())
    shipped = next(line for line in host.says(f"systemctl cat {EDGE}").splitlines() if line.startswith("ExecStart="))
    words = shipped.split()[1:]
    hanging = f"ExecStart=/opt/loopgauge/current/bin/python {HUNG_ON_HOST} {TRIGGER} {' '.join(words)}"
    host.write(DROP_IN, f"[Service]\nExecStart=\n{hanging}\n")
    host.sh(f"systemctl daemon-reload && systemctl restart {EDGE}")
    try:
        return _hang(lab, host)
    finally:
        host.sh(f"rm -f {DROP_IN} && systemctl daemon-reload && systemctl restart {EDGE}")


def _hang(lab: Lab, host: Host) -> str:
    before = lab.wait_for_readings(host.name, store.readings(host.name))
    pid = host.property_of(EDGE, "MainPID")
    restarts = int(host.property_of(EDGE, "NRestarts"))
    host.sh(f"touch {TRIGGER}")
    seconds = comes_back(host, EDGE, pid)
    expect(int(host.property_of(EDGE, "NRestarts")) > restarts, "the service was not restarted by systemd")
    said = host.says(f"journalctl -q --no-pager -u {EDGE} --since -5min | grep -i watchdog | tail -n 1")
    expect("watchdog" in said.lower(), "nothing in the journal speaks of the watchdog")
    lab.wait_for_readings(host.name, before)
    return f"back after {seconds:.0f} s; {said.partition(': ')[2]} | " + lab.accounts()


def power_cut(lab: Lab) -> str:
    """A gateway loses its power; it boots, sends what it had sealed, and the rest is accounted for."""
    host = lab.hosts["gw-2"]
    before = store.readings(host.name)
    host.cut_power()
    seconds = host.boot()
    lab.wait_for_readings(host.name, before)
    return f"boot {seconds:.1f} s | " + lab.accounts()


def cable_pulled(lab: Lab) -> str:
    """The cloud's cable is pulled and put back: what was sealed meanwhile arrives."""
    before = {host.name: store.readings(host.name) for host in lab.gateways}
    network.cable(lab.cloud.name, plugged=False)
    try:
        for host in lab.gateways:
            host.sh("sleep 15")
            break
    finally:
        network.cable(lab.cloud.name, plugged=True)
    for name, number in before.items():
        lab.wait_for_readings(name, number)
    return lab.accounts()


def broker_restarts(lab: Lab) -> str:
    """The broker is started anew: nobody ends because of it, all are connected again, and readings go on."""
    watched = [(lab.cloud, INGEST), *((host, EDGE) for host in lab.gateways)]
    pids = [host.property_of(unit, "MainPID") for host, unit in watched]
    before = {host.name: store.readings(host.name) for host in lab.gateways}
    lab.cloud.sh("systemctl restart mosquitto.service")
    for name, number in before.items():
        lab.wait_for_readings(name, number)
    for (host, unit), pid in zip(watched, pids, strict=True):
        now = host.property_of(unit, "MainPID")
        expect(now == pid, f"{host.name}: {unit} has ended\n{tail(host.journal(unit))}")
    return f"{len(watched)} programs went on | {lab.accounts()}"
