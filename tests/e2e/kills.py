"""Aimed kills: wait until a step of the line is seen, kill a process a few milliseconds later, start it again.

A kill is filed under the step that had been seen last when the signal went out, not under the one that it was aimed at.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from data_contract import receipt
from loopgauge.judge import Row
from tests.e2e.compare import redelivered
from tests.e2e.line import Line
from tests.e2e.servers import Server
from tests.e2e.sightings import Sightings

SPOOL, PUBLISH, STORE, ACK = STEPS = ("spool write", "publish", "store write", "ack")
KILLS_MIN = 3
"""In each step."""
EXTRA_MAX = 40
"""Further kills where the planned ones hit another step."""
DELAY_S_MAX = 0.005
FRESH_S = 0.05
"""A step that was seen longer ago is over."""
SEED_VARIABLE = "LOOPGAUGE_KILL_SEED"
SLACK_S = 0.3
"""Real time that a seal, a start or a stamp may come late on a busy machine; how long it was seen to halt is added."""


def seed_of_run() -> int:
    """A new seed, or the one that the environment asks for."""
    return int(os.environ.get(SEED_VARIABLE, 0)) or random.SystemRandom().randrange(1, 2**31)


@dataclass(frozen=True, slots=True)
class Kill:
    """One signal: whom it hit, and in which step; civil times (ms) of the signal and of the new start."""

    victim: str
    landed: str
    at_ms: int
    back_ms: int


class Killer:
    """Kills and restarts processes of a line. `victims` are all servers and programs by the name in the table."""

    def __init__(self, *, line: Line, victims: Mapping[str, Server], sightings: Sightings, seed: int) -> None:
        self.line = line
        self.seed = seed
        self.kills: list[Kill] = []
        self._victims = victims
        self._sightings = sightings
        self._rng = random.Random(seed)

    def run(self, plan: Sequence[tuple[str, str]]) -> None:
        """Every planned (step, victim) in an order of chance, then more of those that are short of `KILLS_MIN`."""
        order = list(plan)
        self._rng.shuffle(order)
        for step, victim in order:
            self.strike(step, victim)
        for more in range(EXTRA_MAX):
            short = [step for step in STEPS if self.landed()[step] < KILLS_MIN]
            if not short:
                return
            victim = self._rng.choice([victim for step, victim in plan if step == short[0]])
            self.strike(short[0], victim, delay_s_max=DELAY_S_MAX / (more + 2))

    def strike(self, step: str, victim: str, *, by: str = "", delay_s_max: float = DELAY_S_MAX) -> None:
        """One kill, the restart, and the wait until an ack has come through again."""
        at_ms, landed = self._hit(step, by, delay_s_max, self._victims[victim].kill)
        self._victims[victim].start()
        if victim == "agent":
            self._sightings.next(SPOOL)
        self.kills.append(Kill(victim, landed, at_ms, self.line.now_ms()))
        self._sightings.next(ACK, by="agent")

    def halt(self, step: str, victim: str, *, by: str = "") -> None:
        """Stop a process (SIGSTOP) until the others have done its work, too; then let it go on with what it held."""
        at_ms, landed = self._hit(step, by, DELAY_S_MAX, self._victims[victim].pause)
        self.line.drain()
        self._victims[victim].resume()
        self.kills.append(Kill(f"{victim} halted", landed, at_ms, self.line.now_ms()))
        self._sightings.next(ACK, by=victim)

    def _hit(self, step: str, by: str, delay_s_max: float, signal: Callable[[], None]) -> tuple[int, str]:
        """Send a signal a moment after `step` was seen; when (civil ms), and which step it hit."""
        delay_s = self._rng.uniform(0, delay_s_max)
        aimed_at = self._sightings.next(step, by=by)
        time.sleep(max(0.0, aimed_at.at_s + delay_s - time.monotonic()))
        at_s, at_ms = time.monotonic(), self.line.now_ms()
        signal()
        hit = self._sightings.last_before(at_s)
        return at_ms, hit.step if hit is not None and at_s - hit.at_s < FRESH_S else "between"

    def landed(self) -> Counter[str]:
        """How many kills hit each step."""
        return Counter(kill.landed for kill in self.kills)

    def table(self) -> str:
        """Step by victim, with the seed that aimed the same way again."""
        victims = sorted({kill.victim for kill in self.kills})
        rows = [["step", *victims, "all"]]
        for step in [*STEPS, "between"]:
            hits = Counter(kill.victim for kill in self.kills if kill.landed == step)
            if hits or step in STEPS:
                rows.append([step, *(str(hits[victim] or "-") for victim in victims), str(hits.total())])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"{len(self.kills)} kills, {SEED_VARIABLE}={self.seed}", *lines])


def finish(killer: Killer, capsys: pytest.CaptureFixture[str], *, least: Mapping[str, int] | None = None) -> None:
    """Let everything drain, stop cleanly, print what was hit, and judge.

    `least`: step → how many kills must have hit it; by default KILLS_MIN each.
    """
    killer.line.drain()
    killer.line.stop()
    with capsys.disabled():
        print(f"\n{killer.table()}")
    landed, least = killer.landed(), dict.fromkeys(STEPS, KILLS_MIN) if least is None else least
    assert all(landed[step] >= number for step, number in least.items()), f"too few kills: {landed}"
    said = judge(killer.line, killer.kills)
    with capsys.disabled():
        print(said)


def judge(line: Line, kills: Sequence[Kill]) -> str:
    """After a clean stop: the store is the record, except what the audit names; what was found, in one line."""
    audit = line.audit()
    named = Counter(gap["what"] for gap in audit["gaps"])
    assert set(named) <= {"unsealed", "down", "silent"}, f"the audit names {dict(named)}"
    _bound(line, audit["gaps"], kills)
    found = line.verdict()
    assert not found.foreign, f"{found.foreign} stored readings that nobody served, as {found.foreign_rows[0]}"
    left = _unexplained(line, audit["gaps"], found.missing_rows)
    assert not left, f"{len(left)} readings were served, are not stored and not explained, as {left[0]}"
    again = redelivered(line.receipts())
    assert again > 0, "no batch was delivered twice: no kill came between store and ack"
    assert audit["redelivered_batches"] == again, "the audit counts other redeliveries than the receipts show"
    return f"{found.delivered} readings as served, {found.missing} named by the audit, {again} redeliveries"


def _bound(line: Line, gaps: Sequence[Mapping[str, Any]], kills: Sequence[Kill]) -> None:
    """What a kill of the agent costs is at most one seal interval, and the time until a start that seals anything."""
    slack_ms = (SLACK_S + line.halts.worst_s) * 1000 * line.speed
    deaths = [kill for kill in kills if kill.victim == "agent"]
    unsealed = [gap for gap in gaps if gap["what"] == "unsealed"]
    assert len(unsealed) <= len(deaths), "readings were unsealed though no agent was killed"
    for gap in gaps:
        if gap["what"] == "silent":
            continue
        cost_ms = line.seal_every_s * 1000 + slack_ms
        assert any(
            kill.at_ms - gap["from_ms"] <= cost_ms and gap["to_ms"] <= _back_ms(kill, deaths, cost_ms) + slack_ms
            for kill in deaths
        ), f"{gap} is more than one seal interval and a downtime: {deaths}"


def _back_ms(kill: Kill, deaths: Sequence[Kill], cost_ms: float) -> float:
    """When the agent was back for good: a life that is ended before its first seal leaves no trace."""
    back_ms = kill.back_ms
    for later in sorted(deaths, key=lambda each: each.at_ms):
        if back_ms <= later.at_ms <= back_ms + cost_ms:
            back_ms = later.back_ms
    return back_ms


def _unexplained(line: Line, gaps: Sequence[Mapping[str, Any]], missing: Sequence[Row]) -> list[Row]:
    """Served readings that lie in no gap and are more than their batch counts as missing (an answer that was lost)."""
    slack_ms = (SLACK_S + line.halts.worst_s) * 1000 * line.speed
    allowed = {
        (batch.from_ms, batch.to_ms, device): sum(sum(causes.values()) for _, _, causes in about.counts.values())
        for batch in line.receipts()
        for device, about in receipt.read(batch.counts).devices.items()
    }
    left = []
    for row in missing:
        if any(gap["from_ms"] - slack_ms <= row.t_ms < gap["to_ms"] + slack_ms for gap in gaps):
            continue
        within = (key for key in allowed if key[2] == row.device and key[0] <= row.t_ms < key[1] + slack_ms)
        batch = next((key for key in within if allowed[key]), None)
        if batch is None:
            left.append(row)
        else:
            allowed[batch] -= 1
    return left
