"""A random life of a gateway that knows, slot by slot, where each reading ended: the ledger must come to the same.

Nothing of the audit is used here. Slots are found by walking the grid, fates are drawn when a batch is sealed, and the
rule for what is unsealed is applied as it is written down. Tame lives are those in which the rules tell the truth
exactly: the first batch of each run arrives, and no clock steps beside a batch that does not. In wild ones anything may
be missing, whole runs included, so that times can only be reckoned.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from data_contract.batch import Counts, Previous, Span
from data_contract.receipt import DeviceReceipt
from data_contract.schedule import Poll, Schedule
from tests.unit.delivery_audit.scene import SHANGHAI, Scene, slots

SEAL = 10_000
STORED, REJECTED, EVICTED, ASIDE, PENDING = "stored", "rejected", "evicted", "set_aside", "pending"
GONE, LOST = "unexplained", "lost"
CAUSES = ("timeout", "exception", "invalid", "asleep")

Key = tuple[str, str]
"""(device, day)"""


@dataclass
class Slot:
    """One slot of one poll group in one batch: sampled (cause "") or not."""

    poll: Poll
    at: int
    cause: str = ""
    bad: bool = False
    late: int = 1
    """How long after it was due it was asked for: also what keeps stamps apart after the clock was put back."""

    @property
    def stamp(self) -> int:
        return self.at + self.late


@dataclass
class Sealed:
    """One batch as the gateway sealed it; `step` is how far the clock moved just before it."""

    run: str
    seq: int
    from_: int
    to: int
    prev: int | None
    slots: list[Slot]
    fate: str = STORED
    copies: int = 1
    step: int = 0
    replaces: list[Sealed] = field(default_factory=list)
    counted: bool = True
    witnesses: list[Slot] = field(default_factory=list)

    @property
    def digest(self) -> bool:
        return bool(self.replaces)


@dataclass
class Life:
    """One run: its batches in the order of their numbers, how it ended, and what was expected until the next began."""

    run: str
    begin: int
    schedule: Schedule
    batches: list[Sealed] = field(default_factory=list)
    clean: bool = False
    damaged: bool = False

    @property
    def ordinary(self) -> list[Sealed]:
        return [batch for batch in self.batches if not batch.digest]

    @property
    def end(self) -> int:
        return self.ordinary[-1].to


class Model:
    """`play` draws a life and writes it into a scene; `truth` is what the ledger of a window must say."""

    def __init__(self, seed: int, *, wild: bool = False) -> None:
        self.wild = wild
        self.rng = random.Random(seed)
        midnight = 1_767_283_200_000
        self.scene = Scene(zero=midnight - self.rng.randrange(0, 20) * 60_000, zone=SHANGHAI)
        self.lives: list[Life] = []
        self.now = 0
        self.deleted: Counter[tuple[str, int]] = Counter()
        """(device, begin of the batch) → rows that were deleted from the store."""
        self._late = 1

    def play(self) -> None:
        rng = self.rng
        t = rng.randrange(0, 30_000)
        for number in range(rng.randrange(1, 6)):
            life = self._life(f"run{number}", t)
            self.lives.append(life)
            t = life.end + rng.choice([rng.randrange(1, 9_000), rng.randrange(10_000, 120_000)])
        self._draw_fates()
        for life in self.lives:
            self._evict(life)
        self.now = t
        self._write()
        self._delete_rows()

    # What happens on the gateway

    def _schedule(self) -> Schedule:
        rng = self.rng
        polls = tuple(
            Poll(
                device=f"m{i % 2}",
                kind="meter",
                group=f"g{i}",
                every_ms=every,
                fields=tuple(f"{name}{i}_kwh" for name in "ab"[: rng.randrange(1, 3)]),
            )
            for i, every in enumerate(rng.sample([2_000, 5_000, 7_000, 10_000, 30_000], rng.randrange(1, 4)))
        )
        return Schedule(seal_every_ms=SEAL, polls=polls)

    def _life(self, run: str, begin: int) -> Life:
        rng = self.rng
        keep = self.lives and rng.random() < 0.5
        life = Life(run, begin, self.lives[-1].schedule if keep else self._schedule())
        at, prev, step = begin, None, 0
        for _ in range(rng.randrange(1, 25)):
            # The grid of civil time is absolute; the scene's zero lies on a whole minute.
            to = (at // SEAL + 1) * SEAL
            life.batches.append(self._seal(life, at, to, prev, step))
            at = prev = to
            step = 0
            if rng.random() < 0.05:
                step = rng.choice([rng.randrange(20_000, 90_000), -rng.randrange(5_000, 40_000)])
                self._late += 7 if step < 0 else 0
                at = prev = to + step + (1 if step < 0 else 0)
        life.clean = rng.random() < 0.4
        if life.clean:
            life.batches.append(self._seal(life, at, at + rng.randrange(1, SEAL), prev, step))
        return life

    def _seal(self, life: Life, from_: int, to: int, prev: int | None, step: int) -> Sealed:
        rng, zero = self.rng, self.scene.zero
        found = []
        for poll in life.schedule.polls:
            for at in slots(poll, zero + from_, zero + to):
                draw = rng.random()
                cause = rng.choice(CAUSES) if draw < 0.1 else ""
                found.append(Slot(poll, at - zero, cause, bad=not cause and draw > 0.97, late=self._late))
        return Sealed(life.run, len(life.batches) + 1, from_, to, prev, found, step=step)

    # What becomes of the batches

    def _draw_fates(self) -> None:
        rng = self.rng
        newest = self.lives[-1]
        newest.damaged = not self.wild and len(self.lives) > 1 and rng.random() < 0.2
        for life in self.lives:
            nowhere = LOST if newest.damaged and life is not newest else GONE
            fate, left = STORED, rng.randrange(0 if self.wild else 1, 10)
            for index, batch in enumerate(life.batches):
                if left == 0:
                    kinds = [STORED, REJECTED, ASIDE, PENDING, nowhere]
                    fate = rng.choices(kinds, [6, 3, 3, 3, 3 if nowhere == LOST else 1])[0]
                    left = rng.randrange(1, 40 if self.wild else 6)
                left -= 1
                after = life.batches[index + 1] if index + 1 < len(life.batches) else None
                beside_step = batch.step or (after and after.step)
                is_newest = life is newest and after is None
                tame = not self.wild and (index == 0 or beside_step)
                batch.fate = STORED if is_newest or tame else fate
                batch.copies = 2 if rng.random() < 0.1 else 1

    def _evict(self, life: Life) -> None:
        """Give a stretch of this run to a digest, which is sealed in the newest run, before its last batch."""
        rng = self.rng
        candidates = [b for b in life.ordinary if b.fate in (PENDING, ASIDE, REJECTED)]
        if not candidates or rng.random() < 0.5:
            return
        fate = candidates[0].fate
        chosen: list[Sealed] = []
        for batch in candidates:
            # What a digest stands in for hangs together, on one base.
            if batch.fate == fate and (not chosen or (chosen[-1].seq + 1 == batch.seq and not batch.step)):
                chosen.append(batch)
        for batch in chosen:
            batch.fate = EVICTED
        newest = self.lives[-1]
        last = newest.batches.pop()
        digest = Sealed(newest.run, last.seq, chosen[0].from_, chosen[-1].to, None, [], replaces=chosen)
        digest.counted = rng.random() < 0.5
        sampled = [slot for batch in chosen for slot in batch.slots if not slot.cause]
        digest.witnesses = [slot for slot in sampled if rng.random() < 0.2]
        last.seq += 1
        newest.batches += [digest, last]

    # What the cloud has of it

    def _write(self) -> None:
        pending, aside = self._spans(PENDING), [(*span, "unanswered") for span in self._spans(ASIDE)]
        previous: Previous | None = None
        stops = []
        for life in self.lives:
            if life.batches[0].fate == STORED:
                self.scene.start(life.begin, previous, "malformed" if life.damaged else None, life.run)
                self.scene.schedule(life.begin, life.schedule)
            for batch in life.batches:
                newest = life is self.lives[-1] and batch is life.batches[-1]
                if batch.fate == STORED:
                    self._store(batch, pending if newest else [], aside if newest else [])
                elif batch.fate == REJECTED:
                    self.scene.rejected(batch.run, batch.seq, at=batch.to)
            if life.clean and life.batches[-1].fate == STORED:
                stops.append(life.end)
            last = life.batches[-1]
            previous = self.scene.previous(life.run, last.seq, life.end, clean=life.clean)
        for stop in stops:
            self.scene.stop(stop)

    def _spans(self, fate: str) -> list[Span]:
        return [(b.run, b.seq, b.seq) for life in self.lives for b in life.batches if b.fate == fate]

    def _store(self, batch: Sealed, pending: list[Span], aside: list[tuple[str, int, int, str]]) -> None:
        kept = batch.witnesses if batch.digest else [s for s in batch.slots if not s.cause and not s.bad]
        for poll in {id(slot.poll): slot.poll for slot in kept}.values():
            self.scene.rows(poll, sorted(slot.stamp for slot in kept if slot.poll is poll))
        counted = [s for b in batch.replaces for s in b.slots] if batch.digest else batch.slots
        devices = {}
        for device in sorted({slot.poll.device for slot in [*counted, *kept]}):
            own = [slot.stamp for slot in kept if slot.poll.device == device]
            first, last = (min(own), max(own)) if own else (0, 0)
            values = sum(len(slot.poll.fields) for slot in kept if slot.poll.device == device)
            bad = sum(len(s.poll.fields) for s in batch.slots if s.bad and s.poll.device == device)
            counts = self._counts([slot for slot in counted if slot.poll.device == device])
            zero = self.scene.zero if own else 0
            devices[device] = DeviceReceipt(counts if batch.counted else {}, values, zero + first, zero + last, bad)
        replaces = [(b.run, b.seq, b.seq) for b in batch.replaces]
        for _ in range(batch.copies):
            self.scene.receipt(
                batch.run,
                batch.seq,
                batch.from_,
                batch.to,
                devices,
                prev=batch.prev,
                pending=pending,
                aside=aside,
                replaces=replaces,
            )

    @staticmethod
    def _counts(found: list[Slot]) -> dict[str, Counts]:
        counts: dict[str, Counts] = {}
        for slot in found:
            width = len(slot.poll.fields)
            called, sampled, missing = counts.get(slot.poll.group, (0, 0, {}))
            missing = dict(missing)
            if slot.cause:
                missing[slot.cause] = missing.get(slot.cause, 0) + width
            counts[slot.poll.group] = (called + width, sampled + (0 if slot.cause else width), missing)
        return counts

    def _delete_rows(self) -> None:
        """Lose a few rows from the store; not beside a digest, whose stamps lie among those of others."""
        if any(batch.digest for life in self.lives for batch in life.batches):
            return
        rows = [
            (batch, slot)
            for life in self.lives
            for batch in life.ordinary
            if batch.fate == STORED
            for slot in batch.slots
            if not slot.cause and not slot.bad
        ]
        for batch, slot in self.rng.sample(rows, min(len(rows), self.rng.choice([0, 0, 1, 3]))):
            field_ = self.rng.choice(slot.poll.fields)
            series = self.scene.series(slot.poll, field_)
            self.scene.store.delete_reading(series, self.scene.zero + slot.stamp)
            self.deleted[slot.poll.device, batch.from_] += 1

    # What the ledger must say

    def nameable(self) -> set[tuple[str, int]]:
        """(run, seq) of batches that are gone without a trace, but of which later ones tell that they existed."""
        found: set[tuple[str, int]] = set()
        for index, life in enumerate(self.lives):
            arrived = [batch.seq for batch in life.batches if batch.fate != GONE]
            known = max(arrived, default=0)
            if index + 1 < len(self.lives) and self.lives[index + 1].batches[0].fate == STORED:
                known = life.batches[-1].seq
            found |= {(b.run, b.seq) for b in life.batches if b.fate == GONE and b.seq <= known}
        return found

    def truth(self, from_: int, to: int) -> dict[Key, Counter[str]]:
        """(device, day) → fate → readings, for what begins in [from, to)."""
        found: dict[Key, Counter[str]] = defaultdict(Counter)
        for device, at, fate, readings in self._all(from_, min(to, self.now)):
            if readings:
                found[device, self.day(at)][fate] += readings
        return {key: Counter({f: n for f, n in fates.items() if n > 0}) for key, fates in found.items()}

    def day(self, at: int) -> str:
        return datetime.fromtimestamp((self.scene.zero + at) / 1000, UTC).astimezone(SHANGHAI).date().isoformat()

    def _all(self, from_: int, to: int) -> Iterator[tuple[str, int, str, int]]:
        counted = {id(b) for life in self.lives for d in life.batches if d.digest and d.counted for b in d.replaces}
        for index, life in enumerate(self.lives):
            for batch in life.batches:
                inside = from_ <= batch.from_ < to
                if batch.digest and inside:
                    yield from self._digest(batch)
                elif batch.fate == STORED and inside:
                    yield from self._stored(batch)
                elif not batch.digest and batch.fate != STORED and id(batch) not in counted:
                    for slot in batch.slots:
                        if from_ <= slot.at < to:
                            yield slot.poll.device, slot.at, batch.fate, len(slot.poll.fields)
            nxt = self.lives[index + 1] if index + 1 < len(self.lives) else None
            for poll in life.schedule.polls:
                zero = self.scene.zero
                for at in (t - zero for t in slots(poll, zero + life.end, zero + (nxt.begin if nxt else self.now))):
                    fate = "silent" if nxt is None else "down" if life.clean or at >= life.end + SEAL else "unsealed"
                    if from_ <= at < to:
                        yield poll.device, at, fate, len(poll.fields)
        for (device, begin), number in self.deleted.items():
            if from_ <= begin < to:
                yield device, begin, STORED, -number
                yield device, begin, GONE, number

    def _stored(self, batch: Sealed) -> Iterator[tuple[str, int, str, int]]:
        for slot in batch.slots:
            fate = slot.cause or (REJECTED if slot.bad else STORED)
            yield slot.poll.device, batch.from_, fate, len(slot.poll.fields)

    def _digest(self, digest: Sealed) -> Iterator[tuple[str, int, str, int]]:
        for slot in digest.witnesses:
            yield slot.poll.device, digest.from_, STORED, len(slot.poll.fields)
            yield slot.poll.device, digest.from_, EVICTED, -len(slot.poll.fields)
        if digest.counted:
            for slot in (slot for batch in digest.replaces for slot in batch.slots):
                yield slot.poll.device, digest.from_, slot.cause or EVICTED, len(slot.poll.fields)


def without_zero(fates: Counter[str]) -> Counter[str]:
    """Only what occurs."""
    return Counter({fate: number for fate, number in fates.items() if number})
