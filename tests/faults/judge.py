"""What must hold after any faults: every sealed value is stored once, as it was; what is not stored has a cause.

The judge reads what the twins noted (served by devices, committed by disks) and the store, and computes every key and
count with code of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC

from data_contract import receipt
from data_contract.batch import Body
from data_contract.cause import Fate, Missing
from data_contract.reading import GATEWAY_DEVICE
from delivery_audit.days import Days
from delivery_audit.evidence import audit
from edge_agent.site_plan import plans_of
from tests.faults.digests import Digests
from tests.faults.world import PROFILE, Gateway, World, body_of, values_of
from tests.twins.clock import ORIGIN_MS, civil_ms

Key = tuple[str, str, str, int]
STAMP_SLACK_MS = 16
"""A stamp lies this close to the instant of its request."""
RIGHT_MS = 1000
"""What a stamp without a flag may be off by."""
FOLLOW_MS = 40_000
"""A step of a trusted clock is followed within two seals, each of which a slow device may hold up."""
FOLLOW_SEALS = 3
"""The batch in which a step comes to be seen, and two more."""
LATE_MS = 60_000
"""A device may answer so long after its slot, whose batch has then been sealed with the slot given up."""


@dataclass(slots=True)
class Verdict:
    """What a run came to; `wrong` is empty where everything holds."""

    wrong: list[str] = field(default_factory=list)
    sealed: int = 0
    stored: int = 0
    refused: int = 0
    aside: int = 0
    evicted: int = 0
    """Given up; a digest tells of them."""
    digests: int = 0
    merged: int = 0
    """Digests that stand in for digests."""
    both: int = 0
    """Batches that are stored and stand in a digest, too."""
    lost: int = 0
    """On cards that are gone, or can no longer be read."""
    served: int = 0
    unsealed: int = 0
    unsure: int = 0
    """Batches with bounds for their time."""
    counted: Counter[str] = field(default_factory=Counter)
    redelivered: int = 0

    def say(self, text: str) -> None:
        if len(self.wrong) < 20:
            self.wrong.append(text)


async def judge(world: World, *, no_room: bool = False) -> Verdict:
    """Compare. `no_room`: dead letters were full, so that batches may lie aside on their gateways."""
    verdict = Verdict(wrong=world.early[:10])
    stored = await world.stored()
    verdict.stored = len(stored)
    letters = _letters(world)
    known: set[Key] = set()
    for gateway in world.gateways:
        sealed = world.sealed_readings(gateway)
        digests = Digests(gateway)
        here = {key for key in gateway.sealed if key in world.receipted}
        evicted = _keys(gateway, digests.given_up(here))
        aside = _keys(gateway, aside_of(gateway) | digests.given_up(aside_of(gateway)))
        lost = _keys(gateway, gateway.lost | digests.given_up(gateway.lost))
        known |= set(sealed)
        verdict.sealed += len(sealed)
        verdict.aside += len(aside)
        verdict.redelivered += gateway.redelivered
        for key, value in sealed.items():
            there = stored.get(key)
            if there == value:
                continue
            if there is not None:
                verdict.say(f"{key}: sealed {value}, stored {there}")
            elif letters.get(key) == value:
                verdict.refused += 1
            elif key in evicted:
                verdict.evicted += 1
            elif key in lost:
                verdict.lost += 1
            elif key not in aside:
                verdict.say(f"{key}: sealed {value}, neither stored nor in a dead letter")
        if aside and not no_room:
            verdict.say(f"{gateway.name}: {len(aside)} values were set aside although ingest could take them")
        verdict.digests += len(digests.told)
        verdict.merged += digests.merged
        verdict.both += len(digests.given_up(here) & here)
        for text in digests.wrong():
            verdict.say(text)
        _kept(gateway, digests.told.keys() & here, stored, letters, verdict)
        _counts(gateway, verdict)
        _served(gateway, verdict)
        _times(gateway, verdict)
        await _receipts(world, gateway, verdict)
    for key in stored.keys() - known:
        verdict.say(f"{key}: stored {stored[key]}, never sealed")
    return verdict


def _letters(world: World) -> dict[Key, float]:
    return {
        (letter.gateway, device, name, t_ms): float(text)
        for letter in world.dead.letters
        for device, name, t_ms, text in letter.values
        if name
    }


def aside_of(gateway: Gateway) -> set[tuple[str, int]]:
    """Batches that the gateway has stopped offering."""
    assert gateway.agent is not None
    return {(run, seq) for run, first, last, _ in gateway.agent.spool.aside for seq in range(first, last + 1)}


def _kept(
    gateway: Gateway,
    digests: Set[tuple[str, int]],
    stored: Mapping[Key, float],
    letters: Mapping[Key, float],
    v: Verdict,
) -> None:
    """What a digest brought is stored like anything else."""
    for batch in sorted(digests):
        for device, name, t_ms, value in values_of(body_of(gateway.sealed[batch].body)):
            key = (gateway.name, device, name, t_ms)
            if value not in (stored.get(key), letters.get(key)):
                v.say(f"{key}: {value} in digest {batch}, stored {stored.get(key)}")


def _keys(gateway: Gateway, batches: Set[tuple[str, int]]) -> set[Key]:
    """Keys of all values in some batches."""
    found: set[Key] = set()
    for batch in batches:
        base = gateway.sealed[batch].base_ms or 0
        found |= {(gateway.name, d, f, base + t) for d, f, t, _ in values_of(body_of(gateway.sealed[batch].body))}
    return found


def _slots(every_ms: int, from_ms: int, to_ms: int) -> int:
    """Multiples of `every_ms` in [from, to), counted by floor division of the ends."""
    return math.floor((to_ms - 1) / every_ms) - math.floor((from_ms - 1) / every_ms)


def _counts(gateway: Gateway, verdict: Verdict) -> None:
    """Batches follow each other without gap, and count exactly what the schedule calls for."""
    before: dict[str, Body] = {}
    told: set[tuple[str, int]] = set()
    for (run, seq), sealed in sorted(gateway.sealed.items()):
        body, base = body_of(sealed.body), sealed.base_ms or 0
        if body.replaces:
            told.add((run, seq))
            continue
        last = before.get(run)
        if (
            (last is None and any((run, n) not in told for n in range(1, seq)))
            or body.prev != (last.to if last else None)
            or (last and body.from_ != last.to)
        ):
            verdict.say(f"{gateway.name}: batch {seq} of {run} does not follow its predecessor")
        before[run] = body
        sampled = sum(1 for _ in values_of(body))
        counted = sum(c[1] for device in body.devices.values() for c in device.counts.values())
        if sampled != counted:
            verdict.say(f"{gateway.name}: batch {seq} of {run} counts {counted} values and holds {sampled}")
        for poll in gateway.schedules[run].polls:
            device = body.devices.get(poll.device)
            called, _, missing = device.counts.get(poll.group, (0, 0, {})) if device else (0, 0, {})
            wanted = _slots(poll.every_ms, base + body.from_, base + body.to) * len(poll.fields)
            verdict.counted.update(missing)
            # A batch that waited for room may span a change of the clock.
            if called != wanted and not (sealed.late or body.off_grid) and "disk_full" not in missing:
                verdict.say(f"{gateway.name}: batch {seq} of {run}, {poll.group}: {called} called for, not {wanted}")


def _served(gateway: Gateway, verdict: Verdict) -> None:
    """Every answer of a device is sealed as it was, or dropped and counted, or lies in time that nobody sealed."""
    plans = {
        (plan.unit, request.address): (plan, request)
        for name, device in gateway.devices.items()
        for plan in plans_of(name, device, PROFILE)
        for request in plan.requests
    }
    values: defaultdict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    spans: list[tuple[int, int, Body]] = []
    for (run, seq), sealed in gateway.sealed.items():
        body, zero = body_of(sealed.body), ORIGIN_MS + gateway.booted[run]
        if body.replaces:
            continue
        # What was answered in the very millisecond in which a run begins was asked by the one before it.
        spans.append((zero + body.from_ + (seq == 1), zero + body.to, body))
        for device, name, stamp, value in values_of(body):
            values[device, name][zero + stamp] = value
    spans.sort(key=lambda span: span[:2])
    for unit, address, at_ms, words in gateway.bus.served:
        plan, request = plans[unit, address]
        for name in request.fields:
            verdict.served += 1
            reader = plan.readers[name]
            start = reader.address - request.address
            served, _ = reader.decode(words[start : start + reader.registers])
            near = values[plan.poll.device, name]
            found = [near[t] for t in range(at_ms - STAMP_SLACK_MS, at_ms + STAMP_SLACK_MS) if t in near]
            if served in found:
                continue
            verdict.unsealed += 1
            if not any(low <= at_ms < high for low, high, _ in spans):
                continue
            about = [b.devices.get(plan.poll.device) for low, high, b in spans if low <= at_ms < high + LATE_MS]
            dropped = [d.counts[plan.poll.group][2] for d in about if d is not None and plan.poll.group in d.counts]
            if not any(m.get("disk_full") or m.get("overrun") for m in dropped):
                verdict.say(
                    f"{gateway.name}: {plan.poll.device} {name} served {served} at {at_ms}: sealed time, no cause"
                )


async def _receipts(world: World, gateway: Gateway, verdict: Verdict) -> None:
    """Each sealed batch has its receipt, which counts what is stored; no receipt speaks of anything else."""
    found = await world.store.receipts_between(gateway.name, 0, 2**53)
    seen: Counter[tuple[str, int]] = Counter((r.run, r.seq) for r in found)
    elsewhere = aside_of(gateway) | gateway.lost
    elsewhere |= Digests(gateway).given_up(elsewhere | seen.keys())
    for key in gateway.sealed.keys() - seen.keys() - elsewhere:
        verdict.say(f"{gateway.name}: batch {key} has no receipt")
    for key in seen.keys() - gateway.sealed.keys():
        verdict.say(f"{gateway.name}: a receipt for {key}, which was never sealed")
    for each in found:
        sealed = gateway.sealed.get((each.run, each.seq))
        said = receipt.read(each.counts)
        if sealed is None or said.rejected is not None:
            verdict.say(f"{gateway.name}: {each.run} {each.seq} was rejected: {said.rejected}")
            continue
        held = sum(1 for _ in values_of(body_of(sealed.body)))
        if each.readings + each.bad != held:
            verdict.say(
                f"{gateway.name}: {each.run} {each.seq} holds {held}, its receipt says {each.readings}+{each.bad}"
            )


def _slept(body: Body) -> bool:
    """Whether every slot of a meter was given up: the gateway samples itself for a slot long past."""
    counts = [of.counts.values() for name, of in body.devices.items() if name != GATEWAY_DEVICE]
    return all(missing.keys() == {Missing.OVERRUN} and not sampled for of in counts for _, sampled, missing in of)


def _times(gateway: Gateway, verdict: Verdict) -> None:
    """The base of every batch is the time that a trusted clock told, or says within which bounds it lies."""
    since: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=FOLLOW_SEALS))
    for (run, seq), sealed in sorted(gateway.sealed.items()):
        body = body_of(sealed.body)
        if body.replaces:
            continue
        unsure = sealed.unsure or body.unsure
        truth = ORIGIN_MS + gateway.booted[run]
        verdict.unsure += unsure is not None
        # A batch that waited for room keeps the time of its begin, and a step in it is seen when it is sealed.
        # What a process slept through is sealed when it wakes, on the time of when it fell asleep.
        begun = min([*since[run], body.from_])
        if not _slept(body):
            since[run].append(body.from_)
        if sealed.base_ms is None:
            continue
        if unsure is not None:
            if not gateway.lied and not unsure[0] <= truth <= unsure[1]:
                verdict.say(f"{gateway.name}: {run} {seq} has bounds {unsure}, and is {truth}")
        elif sealed.late:
            if not gateway.lied and abs(sealed.base_ms - truth) > RIGHT_MS:
                verdict.say(f"{gateway.name}: {run} {seq} is off by {sealed.base_ms - truth} ms, and does not say so")
        else:
            shown = gateway.clock.shown(gateway.booted[run] + begun - FOLLOW_MS, gateway.booted[run] + body.to)
            if all(abs(sealed.base_ms - truth - offset) > RIGHT_MS for offset in shown):
                verdict.say(f"{gateway.name}: {run} {seq} is off by {sealed.base_ms - truth} ms, the clock by {shown}")


def _tells_of_damage(body: Body) -> bool:
    return any("damaged" in (record.data or {}) for record in body.records)


async def ledgers(world: World) -> list[str]:
    """What the shipped audit finds wrong."""
    found = []
    stored = await world.stored()
    for gateway in world.gateways:
        ledger = await audit(world.store, gateway.name, now_ms=civil_ms(), days=Days(zone=UTC))
        # What lay on a card that somebody took away stays unexplained until that somebody says so.
        with_it = gateway.gone | Digests(gateway).given_up(gateway.gone)
        if any(_tells_of_damage(body_of(gateway.sealed[batch].body)) for batch in gateway.gone):
            with_it |= gateway.lost
        taken = [
            finding
            for finding in ledger.unexplained
            if all((finding.run, seq) in with_it for seq in range(finding.first, finding.last + 1))
        ]
        rest = [finding for finding in ledger.unexplained if finding not in taken]
        found += [f"{gateway.name}: {finding}" for finding in (*rest, *ledger.surplus)]
        if not ledger.adds_up and not found and not taken:
            found.append(f"{gateway.name}: the ledger does not add up: {ledger.total()}")
        arrived = gateway.sealed.keys() & world.receipted
        digests = Digests(gateway)
        evicted = _keys(gateway, digests.given_up(arrived) - arrived) - stored.keys()
        says = ledger.total().fates[Fate.EVICTED]
        if says < len(evicted) or (says > len(evicted) and not digests.twice(arrived)):
            found.append(f"{gateway.name}: {len(evicted)} values were evicted, the ledger says {ledger.total()}")
        if digests.twice(arrived) and not any("count twice" in note for note in ledger.notes):
            found.append(f"{gateway.name}: two digests tell of the same, and the ledger does not say so")
        if not all(account.balances for account in ledger.accounts.values()):
            found.append(f"{gateway.name}: an account does not balance: {ledger.total()}")
    await asyncio.sleep(0)
    return found
