"""Carries out a plan of faults on a running fleet, stands in for systemd meanwhile, and notes what it did to whom."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.chaos.fleet import DRAIN_S_MAX, FULL, START_S_MAX, STEPPED, TORN, Fleet
from tests.chaos.plan import CLOCK, DISK, KILL, LINK, STEP_MS_MAX, STOP, TEAR, Fault
from tests.chaos.stepped import OFFSET_FILE, write_offset
from tests.e2e.kills import ACK, DELAY_S_MAX, FRESH_S, PUBLISH, SPOOL, STEPS
from tests.e2e.servers import Server, wait_until

AIM_S_MAX = 3.0
SETTLED_MS = 8_000
"""A clock that is set right holds at the gateway by then."""
LOOK_S = 0.05
LONG_S = 600.0
"""A storm of this length has every kind of fault in it."""
TEAR_BYTES = 64
NOTICED_MS_MAX = 5_000
"""So much earlier a program may have ended by itself than that was seen."""
_FILL = bytes(65_536)
_OWN_STEPS = (SPOOL, PUBLISH, ACK)
"""Of an agent."""


def victims(fleet: Fleet) -> dict[str, list[str]]:
    """Kind of fault → whom it may hit in this fleet."""
    found = {
        KILL: list(fleet.servers),
        STOP: list(fleet.servers),
        LINK: list(fleet.links),
        DISK: [FULL] if fleet.can_fill else [],
        CLOCK: [STEPPED],
        TEAR: [TORN],
    }
    return {kind: names for kind, names in found.items() if names}


@dataclass(frozen=True, slots=True)
class Death:
    """An agent was dead: real time (ms) since when it could not seal, of its end, and of its first write thereafter."""

    since_ms: int
    at_ms: int
    back_ms: int


@dataclass(slots=True)
class Notes:
    """What has been done, for the table and for the verdict."""

    kinds: Counter[str] = field(default_factory=Counter)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(step, victim) → how many."""
    ended: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(program, exit code) → how often it ended by itself, and was started again as systemd does."""
    offsets: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """(real ms, offset ms of the stepped clock from then on)."""
    deaths: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    """Gateway → (since, at: real ms; monotonic s of the new start)."""
    torn: int = 0


def now_ms() -> int:
    """Real time, which is civil time in a storm."""
    return int(time.time() * 1000)


class Storm:
    """One run of a plan."""

    def __init__(self, fleet: Fleet, faults: list[Fault], seed: int) -> None:
        self.notes = Notes()
        self._fleet = fleet
        self._faults = faults
        self._rng = random.Random(seed)
        self._undo: list[tuple[float, int, str, Callable[[], None]]] = []
        self._order = itertools.count()
        self._held_ms: dict[str, int] = {}
        """Victim → since when (real ms) it cannot do its work: it is stopped, or has no room."""
        self._down: set[str] = set()
        self._filling = False

    def run(self, length_s: float) -> None:
        """Every fault at its time, or as soon after as the one before it lets; then calm."""
        begin_s = time.monotonic()
        for fault in self._faults:
            while time.monotonic() < begin_s + fault.at_s:
                self._look()
            self._do(fault)
        while time.monotonic() < begin_s + length_s:
            self._look()
        while self._undo:
            self._undone()
        self._set_clock(0)
        if length_s >= LONG_S:
            left_out = victims(self._fleet).keys() - self.notes.kinds.keys()
            assert not left_out, f"in {length_s:g} s nobody suffered {left_out}"

    def calm(self) -> None:
        """Wait until all that was sealed is confirmed, and stop agents and workers as systemd would.

        AssertionError says who did not, with the end of its log, or who has ended by itself without a reason.
        """
        # What the stepped clock put into the future must be past when the audit looks at it.
        ahead_ms = max(until + offset for (_, offset), (until, _) in pairwise(self.notes.offsets)) + SETTLED_MS
        wait_until(lambda: now_ms() > ahead_ms, within_s=(STEP_MS_MAX + SETTLED_MS) / 1000, every_s=LOOK_S)
        begun_s, waiting = time.monotonic(), {g: set(line.held()) for g, line in self._fleet.lines.items()}

        def drained() -> bool:
            self._restart()
            return all(not waiting[g] & set(line.held()) for g, line in self._fleet.lines.items())

        done = wait_until(drained, within_s=DRAIN_S_MAX, every_s=0.3)
        left = {g: len(waiting[g] & set(line.held())) for g, line in self._fleet.lines.items()}
        logs = {g: self._fleet.agents[g].log()[-1500:] for g, count in left.items() if count}
        assert done, f"spools did not drain within {DRAIN_S_MAX:g} s of calm: {left}\n{logs}"
        self.drained_s = time.monotonic() - begun_s
        odd = {name: count for (name, _), count in self.notes.ended.items() if name != TORN or count > self.notes.torn}
        assert not odd, f"ended by themselves, and nothing that was done to them is a reason: {odd}"
        self.stopped_ms = now_ms()
        for name, program in self._fleet.programs.items():
            program.stop()
            assert program.exit_code == 0, f"{name} ended with {program.exit_code}: {program.log()[-2000:]}"
        assert not self._filler.exists(), "the disk is still full"
        kept = {g: len(line.held()) for g, line in self._fleet.lines.items()}
        assert not any(kept.values()), f"batches in the spools after a clean stop: {kept}"

    def deaths(self, gateway: str) -> list[Death]:
        """When a gateway's agent was dead."""
        found = []
        for since_ms, at_ms, started_s in self.notes.deaths.get(gateway, []):
            seen = self._fleet.sightings.first_after(started_s, SPOOL, gateway)
            ago_s = time.monotonic() - (seen.at_s if seen is not None else started_s + START_S_MAX)
            found.append(Death(since_ms, at_ms, now_ms() - int(ago_s * 1000)))
        return found

    def table(self) -> str:
        """Faults by kind, kills by step and victim."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.notes.kinds.items()))
        hit = sorted({victim for _, victim in self.notes.kills})
        rows = [["kills", *hit, "all"]]
        for step in (*STEPS, "between"):
            counts = [self.notes.kills[step, victim] for victim in hit]
            rows.append([step, *(str(count or "-") for count in counts), str(sum(counts))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        ended = ", ".join(f"{n} × {name} ({code})" for (name, code), n in self.notes.ended.items()) or "none"
        return "\n".join([f"faults: {kinds}", *lines, f"ended by themselves and started again: {ended}"])

    def _look(self) -> None:
        time.sleep(LOOK_S)
        if self._undo and self._undo[0][0] <= time.monotonic():
            self._undone()
        self._restart()
        if self._filling:
            self._fill()

    def _undone(self) -> None:
        due_s, _, _, action = heapq.heappop(self._undo)
        time.sleep(max(0.0, due_s - time.monotonic()))
        action()

    def _later(self, fault: Fault, action: Callable[[], None]) -> None:
        heapq.heappush(self._undo, (time.monotonic() + fault.last_s, next(self._order), fault.victim, action))

    def _do(self, fault: Fault) -> None:
        if fault.victim in self._down or fault.victim in self._held_ms or self._is_dead(fault.victim):
            return
        self.notes.kinds[fault.kind] += 1
        match fault.kind:
            case "kill":
                self._aim(fault)
                self._kill(fault)
            case "stop":
                self._held_ms[fault.victim] = now_ms()
                self._fleet.servers[fault.victim].pause()
                self._later(fault, lambda: self._resumed(fault))
            case "link":
                link = self._fleet.links[fault.victim]
                link.down = True
                link.cut()
                self._later(fault, lambda: setattr(link, "down", False))
            case "disk":
                self._held_ms[FULL] = now_ms()
                self._filling = True
                self._later(fault, lambda: self._emptied(fault))
            case "clock":
                self._set_clock(fault.offset_ms)
            case _:
                self._kill(fault, after=lambda: self._tear(fault.offset_ms))

    def _is_dead(self, victim: str) -> bool:
        return victim in self._fleet.servers and not self._fleet.servers[victim].runs

    def _aim(self, fault: Fault) -> None:
        """Wait for the step, if the victim takes part in one, and then for up to DELAY_S_MAX."""
        if not fault.step:
            return
        # A step that a victim takes itself is waited for there, any other one with whoever takes it.
        own = {*_OWN_STEPS} if fault.victim in self._fleet.lines else {ACK} if fault.victim in self._fleet.links else {}
        by = fault.victim if fault.step in own else ""
        with contextlib.suppress(AssertionError):  # nothing moves just now: then it hits between
            self._fleet.sightings.next(fault.step, within_s=AIM_S_MAX, by=by)
            time.sleep(self._rng.uniform(0, DELAY_S_MAX))

    def _kill(self, fault: Fault, after: Callable[[], None] = lambda: None) -> None:
        victim, server = fault.victim, self._fleet.servers[fault.victim]
        if self._is_dead(victim):
            return
        at_s, at_ms = time.monotonic(), now_ms()
        server.kill()
        hit = self._fleet.sightings.last_before(at_s, self._concerned(victim))
        landed = hit.step if hit is not None and at_s - hit.at_s < FRESH_S else "between"
        self.notes.kills[landed, victim] += 1
        since_ms = min(at_ms, self._held_ms.pop(victim, at_ms))
        self._down.add(victim)
        after()
        self._later(fault, lambda: self._started(victim, server, since_ms, at_ms))

    def _concerned(self, victim: str) -> set[str]:
        """Whose steps a kill of the victim hits: an agent has none of other agents, a worker none of other workers."""
        agents, workers = set(self._fleet.lines), set(self._fleet.workers)
        peers = agents if victim in agents else workers if victim in workers else set()
        return {"", *agents, *workers} - (peers - {victim})

    def _started(self, victim: str, server: Server, since_ms: int, at_ms: int) -> None:
        self._down.discard(victim)
        if victim in self._fleet.lines:
            self.notes.deaths.setdefault(victim, []).append((since_ms, at_ms, time.monotonic()))
        server.start()

    def _resumed(self, fault: Fault) -> None:
        if fault.victim not in self._held_ms:
            return
        if fault.fatal:
            self._kill(Fault(0, KILL, fault.victim, 0.5))
            return
        del self._held_ms[fault.victim]
        if self._fleet.servers[fault.victim].runs:
            self._fleet.servers[fault.victim].resume()

    def _fill(self) -> None:
        """Take every byte that is left."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(_FILL)
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0")

    @property
    def _filler(self) -> Path:
        return self._fleet.lines[FULL].spool.parent / "filler"

    def _emptied(self, fault: Fault) -> None:
        if fault.fatal:
            self._kill(Fault(0, KILL, FULL, 0.5))
        self._held_ms.pop(FULL, None)
        self._filling = False
        self._filler.unlink(missing_ok=True)

    def _set_clock(self, offset_ms: int) -> None:
        self.notes.offsets.append((now_ms(), offset_ms))
        write_offset(self._fleet.agents[STEPPED].folder / OFFSET_FILE, offset_ms)

    def _tear(self, seed: int) -> None:
        """Garble a few places of the dead agent's spool.

        The journal is played into it first: else that would mend most of it, and nothing would be lost.
        """
        rng, path = random.Random(seed), self._fleet.lines[TORN].spool
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            size = file.seek(0, 2)
            for _ in range(rng.randint(1, 4)):
                file.seek(rng.randrange(max(1, size - TEAR_BYTES)))
                file.write(rng.randbytes(rng.randint(1, TEAR_BYTES)))
        self.notes.torn += 1

    def _restart(self) -> None:
        """What has ended by itself is started again."""
        for name, server in self._fleet.servers.items():
            if server.runs or not server.has_died:
                continue
            at_ms = now_ms()
            server.stop()
            assert server.exit_code is not None
            self.notes.ended[name, server.exit_code] += 1
            assert self.notes.ended.total() < 50 + len(self._faults), f"{name} does not stay up: {server.log()[-2000:]}"
            self._started(name, server, min(at_ms - NOTICED_MS_MAX, self._held_ms.pop(name, at_ms)), at_ms)
