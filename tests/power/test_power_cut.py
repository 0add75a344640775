"""After a power cut everything is there that was reported sealed or confirmed; and the method sees where it is not.

A card that notes each write and flush serves an ext4 on which the shipped classes work. A cut rebuilds what the card
held at a random instant, mounts that, and asks the shipped classes what they find. `LOOPGAUGE_POWER_SEED` replays a run
of the same decisions; the instants of writes are the machine's own.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.keep import disk as spool_disk
from series_store.sqlite import database
from tests.power.card import read_book
from tests.power.cuts import Cutter, Left
from tests.power.mounts import Card, NotMounted, after, require
from tests.power.work import IngestWork, SpoolWork, Told, Work

CUTS, STEPS = 120, 240
"""Of each kind of work: 240 cuts in all."""
CUTS_BAD, STEPS_BAD = 30, 90
CAUGHT_MIN = 5
"""Of CUTS_BAD cuts, by which a card that lies or a lax setting must have shown itself."""
JUST_AFTER_NS = 3_000_000

Make = Callable[[random.Random], Work]
WORKS: dict[str, Make] = {"spool": SpoolWork, "ingest": IngestWork}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of cuts has shown."""

    cuts: int
    promises: int
    """Told steps that were looked for, over all cuts."""
    wrong: dict[str, list[str]]
    """By cut: what was lost."""


@pytest.fixture(scope="module", autouse=True)
def _machine_can(tmp_path_factory: pytest.TempPathFactory) -> None:
    require(tmp_path_factory.mktemp("power"))


def _seed() -> int:
    return int(os.environ.get("LOOPGAUGE_POWER_SEED", random.SystemRandom().randrange(2**32)))


def _instants(told: list[Told], count: int, rng: random.Random) -> list[int]:
    """When to cut: most of them just after somebody was told, which is where a lie shows."""
    found = []
    for _ in range(count):
        step = rng.choice(told)
        match rng.randrange(4):
            case 0:
                found.append(rng.randrange(told[0].asked_ns, told[-1].told_ns))
            case 1:
                found.append(rng.randrange(step.asked_ns, step.told_ns + 1))
            case _:
                found.append(step.told_ns + rng.randrange(JUST_AFTER_NS))
    return sorted(found)


def _cut(make: Make, folder: Path, *, cuts: int, steps: int, options: str = "noatime") -> Outcome:
    """Let something work on a card, and cut its power again and again."""
    seed = _seed()
    print(f"LOOPGAUGE_POWER_SEED={seed}")
    rng = random.Random(seed)
    card, work = Card(folder / "card"), make(rng)
    with card.mounted(options) as place:
        asyncio.run(work.run(place, steps))
    cutter = Cutter(card.image.read_bytes(), list(read_book(card.book)), rng)
    wrong: dict[str, list[str]] = {}
    promises = 0
    for t_ns in _instants(work.told, cuts, rng):
        left = rng.choice(list(Left))
        promises += sum(each.told_ns <= t_ns for each in work.told)
        try:
            with after(cutter.at(t_ns, left), folder) as place:
                found = asyncio.run(work.lost(place, t_ns))
        except NotMounted as error:
            found = [str(error)]
        if found:
            wrong[f"{len(wrong)}: {(t_ns - work.told[0].asked_ns) / 1e9:.4f} s, {left.value}"] = found
    return Outcome(cuts, promises, wrong)


def _tell(what: str, outcome: Outcome) -> None:
    kinds = Counter(each.partition(" s, ")[2] for each in outcome.wrong)
    print(f"{what}: {outcome.cuts} cuts, {outcome.promises} promises looked for, {len(outcome.wrong)} cuts lost some")
    for kind, count in kinds.items():
        print(f"  {count} with {kind} left of what was not flushed")


@pytest.mark.parametrize("what", WORKS)
def test_what_was_reported_durable_is_there_after_a_power_cut(what: str, tmp_path: Path) -> None:
    outcome = _cut(WORKS[what], tmp_path, cuts=CUTS, steps=STEPS)
    _tell(what, outcome)
    assert outcome.promises > CUTS * STEPS / 10
    assert not outcome.wrong, {cut: lost[:3] for cut, lost in outcome.wrong.items()}


@pytest.mark.parametrize("what", WORKS)
def test_a_card_that_lies_is_caught(what: str, tmp_path: Path) -> None:
    """Without barriers no flush reaches the card, as if it only claimed to have written."""
    outcome = _cut(WORKS[what], tmp_path, cuts=CUTS_BAD, steps=STEPS_BAD, options="noatime,barrier=0")
    _tell(f"{what}, a card that lies", outcome)
    assert len(outcome.wrong) >= CAUGHT_MIN


def test_a_spool_that_does_not_wait_for_its_card_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure = spool_disk.configure

    def lax(connection: sqlite3.Connection, bytes_max: int) -> None:
        configure(connection, bytes_max)
        connection.execute("PRAGMA synchronous=NORMAL")

    monkeypatch.setattr(spool_disk, "configure", lax)
    outcome = _cut(SpoolWork, tmp_path, cuts=CUTS_BAD, steps=STEPS_BAD)
    _tell("spool, synchronous=NORMAL", outcome)
    assert len(outcome.wrong) >= CAUGHT_MIN


def test_a_store_that_does_not_wait_for_its_disk_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = database._prepare

    def lax(connection: sqlite3.Connection, *, create: bool) -> None:
        prepare(connection, create=create)
        connection.execute("PRAGMA synchronous = NORMAL")

    monkeypatch.setattr(database, "_prepare", lax)
    outcome = _cut(IngestWork, tmp_path, cuts=CUTS_BAD, steps=STEPS_BAD)
    _tell("ingest, synchronous=NORMAL", outcome)
    assert len(outcome.wrong) >= CAUGHT_MIN


def test_dead_letters_that_are_not_synced_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    outcome = _cut(IngestWork, tmp_path, cuts=CUTS_BAD, steps=STEPS_BAD)
    _tell("dead letters without fsync", outcome)
    assert len(outcome.wrong) >= CAUGHT_MIN
