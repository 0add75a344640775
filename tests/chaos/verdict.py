"""The store after a storm against the record of what was served, and both against the audit, gateway by gateway.

Of what agents and workers wrote, only the store is read. A clock that is stepped stamps readings with its own time: the
record's time is then put ahead by the offsets that were in force, so values stay exact and stamps stay bounded.
"""

from __future__ import annotations

import functools
import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_contract import receipt
from data_contract.reading import GATEWAY_DEVICE
from loopgauge.judge import Row
from series_store.port import Reader
from series_store.table import Receipt, SeriesKey
from simulators.truth.record import Record
from tests.chaos.fleet import FULL, SEAL_EVERY_S, STEPPED, TORN, Fleet
from tests.chaos.storm import Death, Storm
from tests.e2e.compare import ALWAYS_MS, ask, redelivered
from tests.e2e.programs import run

EARLY_MS = 200
"""A base that is off by less than 100 ms is kept: a device may note its answer before the stamp of the request."""
LATE_MS = 3_000
"""An agent waits 1 s for an answer; on a busy machine it comes to that later, or the device to noting it."""
SLACK_MS = 1_500
"""A seal, a start or a signal may come so late on a busy machine. How long it was seen to halt is added to both."""
ADOPTED_MS_MAX = 60_000
"""A stepped clock holds from the seal after next on; an agent that was stopped meanwhile comes to it late."""
UNSURE_MS_MAX = 60_000
"""A garbled spool forgets which stamps were used: its time is then moved on behind all of them, and says so."""
UNREAD = ("timeout", "exception", "invalid", "bus_down", "asleep", "overrun")
EVERYWHERE = ("stored", "unsealed", "down", "silent", *UNREAD)
ALSO = {FULL: ("disk_full", "evicted"), TORN: ("lost",)}
"""What only the one harm of a gateway can cost."""

Points = list[tuple[int, float]]


@dataclass(slots=True)
class Found:
    """What became of one gateway's readings."""

    delivered: int = 0
    missing: list[Row] = field(default_factory=list)
    """Served, and not in the store."""
    foreign: list[Row] = field(default_factory=list)
    """In the store, and not served; or there twice."""


def _sure(t_ms: int) -> int:
    """No stamp is an estimate, and no program was late."""
    return 0


class Offsets:
    """Which offsets of a gateway's clock can have been in force at a real time; `late_ms`: how late the machine was."""

    def __init__(self, changes: Sequence[tuple[int, int]], late_ms: Callable[[int], int] = _sure) -> None:
        self._changes = list(changes)
        self.late_ms = late_ms
        self.every = {offset for _, offset in changes}

    def at(self, t_ms: int) -> set[int]:
        """Every one that an agent may have used then, ms."""
        ends = [begin_ms for begin_ms, _ in self._changes[1:]] + [ALWAYS_MS]
        return {
            offset
            for (begin_ms, offset), end_ms in zip(self._changes, ends, strict=True)
            if begin_ms <= t_ms + SLACK_MS + self.late_ms(t_ms) and end_ms + ADOPTED_MS_MAX > t_ms
        }


def match(
    served: Points,
    stored: Points,
    offsets: Offsets,
    rank: Callable[[int], int],
    unsure_ms: Callable[[int], int] = _sure,
) -> Found:
    """Pair each stored value with an equal one that was served at its time; each has one partner at most.

    `unsure_ms`: how far a stamp may be off, as its batch says itself.

    As many pairs as there can be: where a value repeats itself, a clock that was stepped leaves several to choose from.
    Of these the ones of a low `rank` are paired first, so that what is left over is what may be missing, if it can be.
    """
    found = Found()
    times: defaultdict[float, list[int]] = defaultdict(list)
    stamps: defaultdict[float, list[int]] = defaultdict(list)
    for points, by_value in ((served, times), (stored, stamps)):
        for t_ms, value in sorted(points):
            by_value[value].append(t_ms)
    for value in times.keys() | stamps.keys():
        there = sorted(times[value], key=rank)
        paired = _paired(there, stamps[value], offsets, unsure_ms)
        found.delivered += len(paired)
        found.missing += [Row("", "", t_ms, value) for at, t_ms in enumerate(there) if at not in paired]
        kept = set(paired.values())
        found.foreign += [Row("", "", t_ms, value) for at, t_ms in enumerate(stamps[value]) if at not in kept]
    return found


def _paired(
    there: Sequence[int], stamps: Sequence[int], offsets: Offsets, unsure_ms: Callable[[int], int]
) -> dict[int, int]:
    """Places in `there` → places in `stamps`, each of both once: as many as possible, the first of `there` first."""
    in_time = sorted(range(len(there)), key=lambda at: there[at])
    times = [there[at] for at in in_time]
    wants: list[list[int]] = [[] for _ in there]
    for stamp, t_ms in enumerate(stamps):
        for at in _fits(t_ms, times, offsets, unsure_ms(t_ms)):
            wants[in_time[at]].append(stamp)
    return {at: stamp for stamp, at in _pairs(wants).items()}


def _fits(t_ms: int, times: Sequence[int], offsets: Offsets, unsure_ms: int) -> set[int]:
    """Which of the rising `times` may be the one that an agent stamped `t_ms`."""
    found = set()
    for offset in offsets.every:
        low = bisect_left(times, t_ms - offset - EARLY_MS - unsure_ms)
        late_ms = LATE_MS + offsets.late_ms(t_ms - offset)
        high = bisect_right(times, t_ms - offset + late_ms + unsure_ms)
        found |= {at for at in range(low, high) if offset in offsets.at(times[at])}
    return found


def _pairs(wants: Sequence[Sequence[int]]) -> dict[int, int]:
    """What is wanted → who has it: as many as possible, and whoever once has something keeps something.

    Whoever finds all that he wants taken looks for one whose holder can take another.
    """
    holder: dict[int, int] = {}
    for one in range(len(wants)):
        came: dict[int, int] = {}
        """What is wanted → who asked for it on this way."""
        queue = [one]
        for asking in queue:
            free = None
            for at in wants[asking]:
                if at not in came:
                    came[at] = asking
                    if at not in holder:
                        free = at
                        break
                    queue.append(holder[at])
            if free is not None:
                _hand_over(free, came, holder, one)
                break
    return holder


def _hand_over(free: int, came: Mapping[int, int], holder: dict[int, int], one: int) -> None:
    """Give `free` to whoever asked for it, and what that one held to whoever asked for that, back to `one`."""
    if came[free] == one:
        holder[free] = one
        return
    held = {who: at for at, who in holder.items()}
    while True:
        asked = came[free]
        holder[free] = asked
        if asked == one:
            return
        free = held[asked]


class Excuses:
    """Why a reading that was served need not be in the store: what the audit and the receipts say of its time."""

    def __init__(
        self,
        gaps: Sequence[Mapping[str, Any]],
        batches: Sequence[Receipt],
        offsets: Offsets,
        deaths: Sequence[Death],
    ) -> None:
        self._gaps = gaps
        self._offsets = offsets
        self._deaths = deaths
        self._counted: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        """Device → [from, to) of each batch that counts so many of its readings as missing."""
        self._unsure: list[tuple[int, int, int]] = []
        """[from, to) of each batch whose time is an estimate, and how far apart its bounds are."""
        for batch in batches:
            said = receipt.read(batch.counts)
            if said.unsure is not None:
                self._unsure.append((batch.from_ms, batch.to_ms, min(UNSURE_MS_MAX, said.unsure[1] - said.unsure[0])))
            for device, about in said.devices.items():
                number = sum(sum(causes.values()) for _, _, causes in about.counts.values())
                if number:
                    self._counted[device].append((batch.from_ms, batch.to_ms, number))
        for counted in self._counted.values():
            counted.sort(key=lambda each: each[1])

    def rank(self, device: str, t_ms: int) -> int:
        """0: it must be there; 1: its batch counts some as missing; 2: it lies in a gap."""
        own_ms = self._own(t_ms)
        return 2 if self._in_gap(t_ms, own_ms) else 1 if any(self._fitting(device, t_ms, own_ms)) else 0

    def unsure_ms(self, t_ms: int) -> int:
        """How far this stamp may be off, as its batch says."""
        return max((apart for from_, to, apart in self._unsure if from_ <= t_ms < to), default=0)

    def unexplained(self, missing: Sequence[Row]) -> list[Row]:
        """Those that are in no gap, and more than their batch counts as missing.

        A row near the end of a batch may be of the next one. So they come in order of time, each to the batch that
        ends first: what then finds no place has none.
        """
        used: Counter[tuple[str, tuple[int, int, int]]] = Counter()
        left = []
        for row in sorted(missing, key=lambda row: row.t_ms):
            own_ms = self._own(row.t_ms)
            if self._in_gap(row.t_ms, own_ms):
                continue
            fitting = self._fitting(row.device, row.t_ms, own_ms)
            batch = next((each for each in fitting if used[row.device, each] < each[2]), None)
            if batch is None:
                left.append(row)
            else:
                used[row.device, batch] += 1
        return left

    def _own(self, t_ms: int) -> list[int]:
        """What the agent's clock may have shown then."""
        return [t_ms + offset for offset in self._offsets.at(t_ms)]

    def _in_gap(self, t_ms: int, own_ms: Sequence[int]) -> bool:
        late_ms = self._offsets.late_ms(t_ms)
        if len(own_ms) > 1 and any(_lived_twice(t_ms, death, late_ms) for death in self._deaths):
            return True
        early_ms, late_ms = SLACK_MS + late_ms, LATE_MS + late_ms
        return any(g["from_ms"] - early_ms <= t < g["to_ms"] + late_ms for g in self._gaps for t in own_ms)

    def _fitting(self, device: str, t_ms: int, own_ms: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        late_ms = LATE_MS + self._offsets.late_ms(t_ms)
        for batch in self._counted[device]:
            if any(batch[0] - EARLY_MS <= t < batch[1] + late_ms for t in own_ms):
                yield batch


def compare(record: Record, rows: Mapping[tuple[str, str], Points], offsets: Offsets, excuses: Excuses) -> Found:
    """All that the devices of one gateway served against `rows`: (device, field) → what the store holds."""
    whole = Found()
    shown = {(device, name) for device in record.devices() for name in record.fields(device)}
    for device, name in sorted(shown | rows.keys()):
        answers = record.served(device, name, 0, ALWAYS_MS) if (device, name) in shown else []
        served = [(t_ms, value) for t_ms, value in answers if value is not None]
        there = rows.get((device, name), [])
        found = match(served, there, offsets, functools.partial(excuses.rank, device), excuses.unsure_ms)
        whole.delivered += found.delivered
        whole.missing += [row._replace(device=device, field=name) for row in found.missing]
        whole.foreign += [row._replace(device=device, field=name) for row in found.foreign]
    return whole


def stored(store: str, gateway: str) -> dict[tuple[str, str], Points]:
    """(device, field) → what the store holds of a gateway's meters."""

    async def read(reader: Reader) -> dict[tuple[str, str], Points]:
        keys = [key for key in await reader.series() if key.gateway == gateway and key.device != GATEWAY_DEVICE]
        found: defaultdict[tuple[str, str], Points] = defaultdict(list)
        for key, window in (await reader.window(keys, 0, ALWAYS_MS)).items():
            _add(found, key, list(zip(window.t.tolist(), window.value.tolist(), strict=True)))
        return found

    return ask(store, read)


def _add(found: defaultdict[tuple[str, str], Points], key: SeriesKey, points: Points) -> None:
    found[key.device, key.field] += points


def receipts(store: str) -> list[Receipt]:
    """Every receipt in the store."""
    return ask(store, lambda reader: reader.receipts(0, 1_000_000))


def judge(fleet: Fleet, storm: Storm) -> str:
    """After the calm: AssertionError with the first thing that is wrong, else what was found, in a few lines."""
    done = run("audit", "--store", fleet.store, "--json")
    audits = {said["gateway"]: said for said in json.loads(done.stdout or '{"gateways": []}')["gateways"]}
    wrong = {g: (said["unexplained"] or said["notes"]) for g, said in audits.items() if not said["adds_up"]}
    assert done.returncode == 0, f"the audit does not add up: {json.dumps(wrong)[:3000]}{done.stderr}"
    assert audits.keys() == fleet.lines.keys()
    everything, all_fates, expected, delivered = receipts(fleet.store), Counter[str](), 0, 0
    each_said = []
    for gateway, line in fleet.lines.items():
        record = Record.open_readonly(line.record)
        try:
            offsets = Offsets(storm.notes.offsets if gateway == STEPPED else [(0, 0)], fleet.halts.late_ms)
            own = [each for each in everything if each.gateway == gateway]
            deaths = storm.deaths(gateway)
            excuses = Excuses(audits[gateway]["gaps"], own, offsets, deaths)
            found = compare(record, stored(fleet.store, gateway), offsets, excuses)
        finally:
            record.close()
        fates, asked = _fates(audits[gateway])
        _hold(gateway, found, audits[gateway], fates, excuses, offsets, deaths, storm.stopped_ms)
        all_fates += fates
        expected, delivered = expected + asked, delivered + found.delivered
        each_said.append(f"{gateway}: {asked} expected, {found.delivered} delivered, missing {_missing(fates)}")
    again = redelivered(everything)
    return "\n".join(
        [
            *each_said,
            f"{expected} readings expected, {delivered} in the store exactly as served, none twice, none changed;",
            f"missing by cause: {_missing(all_fates)};",
            f"{again} batches delivered more than once; drained in {storm.drained_s:.0f} s",
        ]
    )


def _missing(fates: Counter[str]) -> str:
    return ", ".join(f"{n} {fate}" for fate, n in sorted(fates.items()) if fate != "stored") or "nothing"


def _fates(audit: Mapping[str, Any]) -> tuple[Counter[str], int]:
    fates, asked = Counter[str](), 0
    for account in audit["accounts"]:
        if account["device"] != GATEWAY_DEVICE:
            fates.update(account["fates"])
            asked += account["expected"]
    return +fates, asked


def _hold(
    gateway: str,
    found: Found,
    audit: Mapping[str, Any],
    fates: Counter[str],
    excuses: Excuses,
    offsets: Offsets,
    deaths: Sequence[Death],
    stopped_ms: int,
) -> None:
    """What must be true of one gateway, which was stopped at `stopped_ms`."""
    assert not found.foreign, f"{gateway}: {len(found.foreign)} stored, not served or twice: {found.foreign[:3]}"
    assert found.delivered == fates["stored"], f"{gateway}: {found.delivered} stored, the audit says {fates}"
    odd = fates.keys() - {*EVERYWHERE, *ALSO.get(gateway, ())}
    assert not odd, f"{gateway}: nothing that was done can cost {odd}: {fates}"
    assert sum(fates.values()) == audit_expected(audit), f"{gateway}: the fates do not add up: {fates}"
    late_ms = SLACK_MS + offsets.late_ms(stopped_ms)
    early = [gap for gap in audit["gaps"] if gap["what"] == "silent" and gap["from_ms"] < stopped_ms - late_ms]
    assert not early, f"{gateway} was silent before it was stopped: {early}"
    if gateway != TORN:  # of a spool that was garbled, the audit says itself what cannot be known any more
        _bounded(gateway, audit["gaps"], offsets, deaths)
    left = excuses.unexplained(found.missing)
    assert not left, f"{gateway}: {len(left)} readings served, not stored and not explained: {left[:3]}"


def audit_expected(audit: Mapping[str, Any]) -> int:
    """Readings that the schedule of the meters called for."""
    return sum(account["expected"] for account in audit["accounts"] if account["device"] != GATEWAY_DEVICE)


def _bounded(gateway: str, gaps: Sequence[Mapping[str, Any]], offsets: Offsets, deaths: Sequence[Death]) -> None:
    """A death costs what was not sealed, one interval at most, and the time until the next start."""
    reach_ms = int(SEAL_EVERY_S * 1000)
    spans = sorted(
        (death.since_ms - reach_ms - late_ms + low, death.back_ms + late_ms + high)
        for death in deaths
        for low, high in [_reach(offsets, death)]
        for late_ms in [SLACK_MS + max(map(offsets.late_ms, (death.since_ms, death.at_ms, death.back_ms)))]
    )
    for gap in gaps:
        if gap["what"] not in ("unsealed", "down") or not gap["readings"]:
            continue
        covered_ms = gap["from_ms"]
        for begin_ms, end_ms in spans:
            if begin_ms <= covered_ms:
                covered_ms = max(covered_ms, end_ms)
        assert covered_ms >= gap["to_ms"], f"{gateway}: {gap} is more than one seal interval and a downtime: {deaths}"


def _reach(offsets: Offsets, death: Death) -> tuple[int, int]:
    in_force = offsets.at(death.at_ms) | offsets.at(death.back_ms)
    return min(in_force), max(in_force)


def _lived_twice(t_ms: int, death: Death, late_ms: int) -> bool:
    """Unsealed at a death after which the clock was put back: no civil time is left that the audit could name."""
    return death.since_ms - SEAL_EVERY_S * 1000 - SLACK_MS - late_ms <= t_ms <= death.back_ms
