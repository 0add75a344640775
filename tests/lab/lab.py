"""The lab while it runs: its hosts, the inventory as it stands, and what the steps do over and over."""

from __future__ import annotations

import time
from pathlib import Path

from tests.lab import plays, store
from tests.lab.host import Host
from tests.lab.place import LAB, ROOT
from tests.lab.shell import expect, wait_for

INVENTORY = ROOT / "tests" / "lab" / "inventory"
ASSETS = INVENTORY / "assets.yaml"
EDGE, ROLLUPS, CONSOLE = (f"loopgauge-{name}.service" for name in ("edge", "rollups", "console"))
INGEST = "loopgauge-ingest@worker-1.service"
CLOUD_UNITS = ("mosquitto.service", "influxdb.service", INGEST, ROLLUPS, CONSOLE)
SETTLE_S_MAX = 60


class Lab:
    """Hosts by name, and the inventory files that make up the fleet now."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {name: Host(name) for name in ("cloud", "gw-1", "gw-2")}
        self.inventories: list[Path] = [INVENTORY / "hosts.yml"]
        self.variables: dict[str, str] = {}
        """Given to every playbook from now on, above the inventory."""
        self._plays = 0

    @property
    def cloud(self) -> Host:
        """The host with broker, database and the cloud programs."""
        return self.hosts["cloud"]

    @property
    def gateways(self) -> list[Host]:
        """The hosts with an agent."""
        return [host for name, host in self.hosts.items() if name.startswith("gw-")]

    def play(self, playbook: str, *words: str, name: str = "") -> plays.Recap:
        """Run a playbook with the inventory as it stands; its log bears a number and `name`."""
        self._plays += 1
        label = f"{self._plays:02}-{name or playbook.removesuffix('.yml')}"
        extra = [word for key, value in self.variables.items() for word in ("-e", f"{key}={value}")]
        return plays.play(label, playbook, self.inventories, *extra, *words)

    def site(self, *words: str, name: str = "site") -> plays.Recap:
        """Run site.yml. Raises Failed where a task failed."""
        return self.play("site.yml", *words, name=name).expect_good()

    def wait_for_readings(self, gateway: str, more_than: int, *, within_s: float = SETTLE_S_MAX) -> int:
        """Wait until the database holds more readings of a gateway than `more_than`; how many it holds then."""
        found = 0

        def arrived() -> bool:
            nonlocal found
            found = store.readings(gateway)
            return found > more_than

        wait_for(f"more than {more_than} readings of {gateway} in the database", arrived, within_s=within_s, every_s=1)
        return found

    def accounts(self) -> str:
        """The audit of the whole fleet, which must add up: a line of evidence. Raises Failed otherwise."""
        found = store.audit()
        ledgers = found["gateways"]
        (LAB / "audit.json").write_text(repr(found))
        wrong = [str(finding["text"]) for ledger in ledgers for finding in ledger["unexplained"]]
        expect(found["adds_up"], f"the audit does not add up: {'; '.join(wrong[:10])}")
        parts = []
        for ledger in ledgers:
            fates = ", ".join(f"{number} {fate}" for fate, number in ledger["total"]["fates"].items())
            parts.append(f"{ledger['gateway']} {fates}")
        return "; ".join(parts)


def now_ms() -> int:
    """Civil time; hosts and controller share the machine's clock."""
    return round(time.time() * 1000)
