"""Power cuts, changed site files, spoilt, cloned and replaced cards, with real programs: what the audit says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.line import GATEWAY, Line
from tests.e2e.programs import Program, run
from tests.e2e.servers import MosquittoServer

SPEED = 4.0
OUTAGE_BATCHES = 4
PAGE_BYTES = 4096


class Site(Line):
    """A gateway with its worker, and what happens to it."""

    def __init__(self, folder: Path, broker: MosquittoServer) -> None:
        port = {"port": broker.port}
        super().__init__(folder=folder, store=f"sqlite:{folder / 'store'}", uplink=port, broker=port, speed=SPEED)
        self.broker = broker
        self.file = folder / "edge.yaml"
        self.worker_file = folder / "w1.yaml"

    def stored(self) -> set[tuple[str, int]]:
        """(run, seq) of every batch with a receipt; one that came twice has two."""
        return {(receipt.run, receipt.seq) for receipt in self.receipts()}

    def hears(self, batches: int = 2) -> None:
        """Wait until so many more batches are stored."""
        before = self.stored()
        self.wait(lambda: len(self.stored() - before) >= batches, what="no more batches are stored")

    def start_again(self, batches: int = 2) -> None:
        """Start the agent; so many batches of its new run are stored then, and what was left of others."""
        known = {run_ for run_, _ in self.stored()}
        self.agent.start()

        def is_heard() -> bool:
            new = [run_ for run_, _ in self.stored() if run_ not in known]
            return len(new) >= batches and not [run_ for run_, _ in self.held() if run_ in known]

        self.wait(is_heard, what="nothing of its new run is stored, or not all of an older one")

    def cut_off(self) -> set[tuple[str, int]]:
        """The broker goes; batches are sealed that nobody hears, and then the power fails."""
        self.broker.kill()
        # What the broker had handed over when it went may be stored, however late, its answer gone with the broker.
        known = set(self.held())
        self.wait(lambda: len(set(self.held()) - known) >= OUTAGE_BATCHES, what="nothing more is sealed")
        self.agent.kill()
        return set(self.held()) - known

    def configure(self, **changes: Any) -> None:
        """Change the site file."""
        self.file.write_text(yaml.safe_dump({**self.configured(), **changes}, sort_keys=False), encoding="utf-8")

    def configured(self) -> dict[str, Any]:
        said: dict[str, Any] = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        return said

    def command(self, *words: str) -> str:
        """What a command that must succeed says, at the site's own time."""
        done = run(*words, env=self.env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def printed(self) -> str:
        """The audit as its operator reads it; it must add up."""
        return self.command("audit", "--store", self.store, "--zone", "UTC")

    def settled(self, told: str = "") -> str:
        """The same once it says `told`, and of nothing that it is pending: what is newest goes first."""
        printed = ""

        def is_settled() -> bool:
            nonlocal printed
            printed = self.printed()
            return told in printed and "pending" not in dict(gaps(printed))

        self.wait(is_settled, what=f"batches stay pending, or no word of {told!r}")
        return printed


@pytest.fixture
def site(tmp_path: Path, mosquitto: MosquittoServer) -> Iterator[Site]:
    with Site(tmp_path, mosquitto) as site:
        site.start()
        site.hears()
        yield site


def gaps(printed: str) -> list[tuple[str, str]]:
    """(what, the rest of the line) of each gap, in order, but for what is silent until now."""
    lines = printed.partition("\ngaps:\n")[2].partition("\n\n")[0].splitlines()
    parts = [line.strip().split("  ", 3) for line in lines]
    return [(part[1], "  ".join(part[2:])) for part in parts if part[1] != "silent"]


def expected(printed: str) -> dict[str, int]:
    """Device → readings that were expected of it."""
    return {name: int(number) for name, number in re.findall(r"^(\S+-meter) +\S+ +(\d+) ", printed, re.M)}


def test_a_power_cut_a_longer_interval_and_a_removed_device_cost_what_was_not_read_and_no_more(site: Site) -> None:
    site.agent.kill()
    site.start_again()
    cut = [what for what, _ in gaps(site.settled())]
    assert cut in (["unsealed", "down"], ["unsealed"]), (
        "a start within the seal interval leaves no time in which it was down"
    )

    site.agent.stop()
    devices = site.configured()["devices"]
    for device in devices.values():
        device["every_s"] = dict.fromkeys(device["every_s"], 2)
    site.configure(devices=devices)
    site.start_again()
    assert [what for what, _ in gaps(site.settled())] == [*cut, "down"]

    site.agent.stop()
    del devices["feed-meter"]
    site.configure(devices=devices)
    site.start_again()
    before = expected(site.printed())
    site.hears()
    printed = site.settled()
    assert [what for what, _ in gaps(printed)] == [*cut, "down", "down"]
    after = expected(printed)
    assert after["feed-meter"] == before["feed-meter"], "nothing is expected of a device that was removed"
    assert after["permeate-meter"] > before["permeate-meter"] > before["feed-meter"]


def test_a_spoilt_card_loses_what_was_on_it_and_the_audit_says_since_when_and_why(site: Site) -> None:
    lost = site.cut_off()
    with site.spool.open("r+b") as file:
        for page in range(1, file.seek(0, 2) // PAGE_BYTES):
            file.seek(page * PAGE_BYTES)
            file.write(b"\xa5" * PAGE_BYTES)
    site.spool.with_name("spool.db-wal").unlink(missing_ok=True)
    site.broker.start()
    site.agent.start()
    told = [(what, rest.partition("  ")[2]) for what, rest in gaps(site.settled("the spool was damaged"))]
    assert ("lost", "the spool was damaged") in told
    assert {what for what, _ in told} <= {"lost", "unsealed", "down"}
    assert len(lost) >= OUTAGE_BATCHES
    assert not lost & {(receipt.run, receipt.seq) for receipt in site.receipts()}
    site.wait(site.spool.with_name("spool.db.damaged-1.done").exists, what="what could be read is not carried over")


def test_a_cloned_card_is_parked_with_the_mend_in_a_note_and_the_true_one_loses_nothing(site: Site) -> None:
    site.agent.stop()
    folder = site.folder / "clone"
    shutil.copytree(site.spool.parent, folder / "spool")
    said = {**site.configured(), "board": "board2", "spool": {"file": str(folder / "spool" / "spool.db")}}
    (folder / "edge.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    site.start_again()
    clone = Program(folder=folder / "agent", words=["edge", "run", str(folder / "edge.yaml")], env=site.env)
    with clone:
        site.wait(lambda: "board2 has been parked" in site.printed(), what="no note")
        site.hears()
    printed = site.printed()
    assert "`loopgauge ingest gateway allow` lets it speak" in printed
    assert [what for what, _ in gaps(printed)] == ["down"], "the true agent was stopped once"
    site.drain()


def test_of_a_replaced_card_the_audit_names_the_run_to_close_and_then_who_closed_it_and_why(site: Site) -> None:
    lost = site.cut_off()
    shutil.rmtree(site.spool.parent)
    site.configure(board="board3")
    site.broker.start()
    site.agent.start()
    site.wait(lambda: "board board3 is parked" in site.printed(), what="it is not parked")
    site.command("ingest", "gateway", "allow", str(site.worker_file), GATEWAY, "board3")
    site.hears()
    site.drain()
    site.wait(lambda: "parked" not in site.printed(), what="it is parked for ever")
    told = gaps(site.printed())
    assert [what for what, _ in told] == ["unsealed", "down"]
    named = re.search(r"`loopgauge audit close --run ([0-9a-f]{8})`$", told[0][1])
    assert named and {run_[:8] for run_, _ in lost} == {named[1]}
    words = ["--run", named[1], "--reason", "card broke", "--worker-file", str(site.worker_file)]
    site.command("audit", "close", GATEWAY, *words)
    ((what, rest),) = gaps(site.printed())
    assert what == "lost" and rest.endswith("card broke") and "closed by" in rest
