"""What cannot be stored, and what an operator does about it on the cloud host, as docs/operations.md says."""

from __future__ import annotations

import json

from tests.lab import store
from tests.lab.lab import Lab
from tests.lab.shell import expect, wait_for
from tests.lab.steps.fleet import INGEST_FILE

KNOWN_NAMES = "/var/lib/loopgauge/ingest/gateways.json.devices/gw-1"
ONE_NAME = ("--limit", "cloud", "-e", json.dumps({"ingest_devices_per_gateway_max": 1}))
REASON = "names of devices"
SETTLE_S_MAX = 90
AUDIT = (
    "sudo -u loopgauge-rollups /opt/loopgauge/current/bin/loopgauge audit --store influx1+https://rollups@cloud:8086/loopgauge"
    " --secret-file /etc/loopgauge/secrets/rollups-influxdb --ca-file /etc/loopgauge/pki/ca.crt"
)
_AS_INGEST = f"""\
PATH=/opt/loopgauge/current/bin:$PATH
FILE={INGEST_FILE}
"""


def dead_letters(lab: Lab) -> str:
    """Beyond the bound of names values become dead letters; after a wider bound a replay stores each of them."""
    cloud = lab.cloud
    cloud.sh(f"rm {KNOWN_NAMES}")  # which an operator may do, where names were made by mistake
    lab.site(*ONE_NAME, name="one-name")
    held = ""

    def lie_there() -> bool:
        nonlocal held
        held = _as_ingest(lab, "loopgauge ingest dead list $FILE --gateway gw-1")
        return REASON in held

    wait_for("values become dead letters", lie_there, within_s=SETTLE_S_MAX, every_s=1)
    shown = _as_ingest(lab, f"loopgauge ingest dead show $FILE --gateway gw-1 --reason '{REASON}'")
    expect("gw-1" in shown and "meter" in shown, f"dead show: {shown[:500]}")
    rejected = _rejected(lab)
    lab.site("--limit", "cloud", name="many-names")
    said = _as_ingest(lab, f"loopgauge ingest dead replay $FILE --reason '{REASON}'")
    left = _as_ingest(lab, "loopgauge ingest dead list $FILE --gateway gw-1")
    expect(REASON not in left, f"not all of them were stored: {left}")
    wait_for("the audit has none that is rejected", lambda: not _rejected(lab), within_s=SETTLE_S_MAX, every_s=2)
    lines = said.splitlines()
    return f"{rejected} rejected, then none: {lines[-1] if lines else 'nothing said'} | {lab.accounts()}"


def audit_there(lab: Lab) -> str:
    """The audit on the cloud host, by the user and with the password that are there, adds up."""
    done = lab.cloud.sh(AUDIT, check=False, within_s=120)
    expect(done.returncode == 0, f"exit code {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    for host in lab.gateways:
        expect(host.name in done.stdout, f"the audit does not speak of {host.name}")
    totals = [" ".join(line.split()) for line in done.stdout.splitlines() if line.startswith(("device ", "all "))]
    return "; ".join(totals)


def taken_away(lab: Lab) -> str:
    """A gateway that left for good is closed by its last run: what it kept is lost, and it is silent no more."""
    runs = [receipt.run for receipt in store.receipts("gw-3")]
    expect(runs, "gw-3 never was: run the steps joins and leaves before")
    words = f"audit close gw-3 --run {runs[-1][:8]} --reason 'taken away' --worker-file {INGEST_FILE}"
    said = lab.cloud.says(f"sudo -u loopgauge-ingest /opt/loopgauge/current/bin/loopgauge {words}")
    wait_for("nothing of gw-3 is silent", lambda: not _fates("gw-3").get("silent"), within_s=SETTLE_S_MAX, every_s=2)
    return f"{said} | gw-3 {_fates('gw-3')}"


def _as_ingest(lab: Lab, command: str) -> str:
    """What a command says in the shell that the documentation opens. Raises Failed where it fails."""
    return lab.cloud.sh("sudo -u loopgauge-ingest -s", stdin=f"set -e\n{_AS_INGEST}{command}\n").stdout


def _rejected(lab: Lab) -> int:
    return sum(int(_fates(host.name).get("rejected", 0)) for host in lab.gateways)


def _fates(gateway: str) -> dict[str, int]:
    """Where the readings that were expected of a gateway ended."""
    found = next(each for each in store.audit()["gateways"] if each["gateway"] == gateway)
    fates: dict[str, int] = found["total"]["fates"]
    return fates
