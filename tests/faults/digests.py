"""What must hold of digests: each tells of the batches that it replaces exactly what they held, as far as anything is
computed from it; and nothing that gave way is without one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, combinations, pairwise
from typing import NamedTuple

from data_contract.batch import Body
from data_contract.counter_law import DISPLAY_MS, Law, Walk
from data_contract.reading import GATEWAY_DEVICE, FieldKind, Quality
from data_contract.schedule import GAP_INTERVALS
from tests.faults.gateway import WIDTH, Gateway, body_of, replaced
from tests.faults.world import PROFILE

Batch = tuple[str, int]
MEAN_SHARE = 1e-6
"""A mean is sent with nine digits."""
LAWS = (Law(), Law(rollover=WIDTH), Law(rollover=WIDTH, rate_max_per_h=400_000), Law(rate_max_per_h=220_000))
"""By which volumes are compared: the witnesses are chosen without any."""


class Reading(NamedTuple):
    """A value under its stamp, ms UTC."""

    t_ms: int
    value: float
    quality: int

    @property
    def counts(self) -> bool:
        """Whether figures are made of it."""
        return self.quality <= Quality.UNCERTAIN and math.isfinite(self.value)


Readings = dict[tuple[str, str], list[Reading]]
"""By device and field, in time order."""


class Digests:
    """The digests that a gateway has ever sealed, beside the batches that they stand in for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        bodies = {key: body_of(sealed.body) for key, sealed in gateway.sealed.items()}
        self.plain = {key: body for key, body in bodies.items() if not body.replaces}
        self.told = {key: body for key, body in bodies.items() if body.replaces}

    def given_up(self, by: Iterable[Batch]) -> set[Batch]:
        """Every batch that these digests stand in for, digests among them."""
        told = {key for digest in self.told.keys() & set(by) for key in replaced(self.told[digest])}
        return told & self._gateway.sealed.keys()

    def twice(self, by: Iterable[Batch]) -> bool:
        """Whether two of these digests tell of one batch that did not arrive, and each of others: a card came back.

        Then nobody knows how much of what both counted they counted of the same.
        """
        arrived = set(by)
        there = [replaced(self.told[key]) for key in self.told.keys() & arrived]
        for one, other in combinations(there, 2):
            if one - arrived <= other or other - arrived <= one:
                continue
            known = [each for each in there if each - arrived <= one & other]
            if (one & other) - arrived - set().union(*known):
                return True
        return False

    @property
    def merged(self) -> int:
        """Digests that stand in for others."""
        return sum(not self.told.keys().isdisjoint(replaced(body)) for body in self.told.values())

    def wrong(self) -> Iterator[str]:
        """What does not hold."""
        for key, body in self.told.items():
            for text in self._of(key, body):
                yield f"{self._gateway.name}: digest {key[1]} of {key[0]}: {text}"

    def _of(self, key: Batch, body: Body) -> Iterator[str]:
        stands_in = replaced(body)
        inner = [self.told[other] for other in stands_in & self.told.keys()]
        unknown = stands_in - self.plain.keys() - self.told.keys()
        if unknown or key in stands_in:
            yield f"it replaces {sorted(unknown)[:3]}, which were never sealed"
            return
        if any(not replaced(other) <= stands_in for other in inner):
            yield "it forgets what a digest in it stood in for"
        batches = {other: self.plain[other] for other in stands_in & self.plain.keys()}
        if self._gateway.sealed[key].base_ms != 0 or any(self._base(other) is None for other in batches):
            yield "it has a base, or stands in for what has none"
            return
        if unsure := [other for other in batches if self._gateway.sealed[other].unsure]:
            yield f"it stands in for {sorted(unsure)[:3]}, whose time is an estimate, and does not say so"
        if _counts([body]) != _counts(batches.values()):
            yield f"it counts {_counts([body])} instead of {_counts(batches.values())}"
        base = {other: self._base(other) or 0 for other in batches}
        if _records({key: body}, {key: 0}) != _records(batches, base):
            yield f"its records differ: {_records({key: body}, {key: 0})} instead of {_records(batches, base)}"
        yield from self._values(body, _readings(batches, base), {run for run, _ in batches})

    def _base(self, key: Batch) -> int | None:
        return self._gateway.sealed[key].base_ms

    def _values(self, body: Body, whole: Readings, runs: set[str]) -> Iterator[str]:
        kept = _readings({("", 0): body}, {("", 0): 0})
        for at, readings in kept.items():
            if strange := set(readings) - set(whole.get(at, ())):
                yield f"it invents {at} {sorted(strange)[:3]}"
        for (device, field), readings in whole.items():
            said, few = body.devices[device], kept.get((device, field), [])
            sound = [each for each in readings if each.counts]
            spans = said.witnessed.get(field, [])
            if field in said.summary:
                yield from _gauge(f"{device} {field}", said.summary[field], sound)
                continue
            if not spans and few != readings and sound:
                yield f"{device} {field}: {few} of {readings} and no word of the others"
            if spans and sum(count for _, _, count in spans) != len(sound):
                yield f"{device} {field}: {spans} for {len(sound)} readings"
            gap_ms = max(self._gap_ms(run, device, field) for run in runs)
            if any(after[0] <= before[1] for before, after in pairwise(sorted(spans))):
                continue  # a clock that was put back: two pasts at one time
            counter = device != GATEWAY_DEVICE and PROFILE.fields[field].kind is FieldKind.COUNTER
            tell: Callable[..., object] = _volumes if counter else _times
            if (first := tell(sound, spans, gap_ms)) != (second := tell(few, spans, gap_ms)):
                yield f"{device} {field}: {second} of {len(few)} witnesses instead of {first} of {len(sound)} readings"

    def _gap_ms(self, run: str, device: str, field: str) -> int:
        """Readings of a field that are farther apart have a hole between them."""
        polls = self._gateway.schedules[run].polls
        every = [poll.every_ms for poll in polls if poll.device == device and field in poll.fields]
        return int(GAP_INTERVALS * max(every, default=0))


def _counts(bodies: Iterable[Body]) -> dict[tuple[str, str, str], int]:
    """By device, group and what."""
    found: Counter[tuple[str, str, str]] = Counter()
    for body in bodies:
        for device, about in body.devices.items():
            for group, (called, sampled, missing) in about.counts.items():
                found.update({(device, group, "called"): called, (device, group, "sampled"): sampled})
                found.update({(device, group, cause): count for cause, count in missing.items()})
    return {key: count for key, count in found.items() if count}


def _records(bodies: Mapping[Batch, Body], base: Mapping[Batch, int]) -> list[str]:
    return sorted(
        f"{base[key] + body.from_ + record.t} {record.device} {record.kind} {sorted(record.values.items())} "
        f"{record.data}"
        for key, body in bodies.items()
        for record in body.records
    )


def _readings(bodies: Mapping[Batch, Body], base: Mapping[Batch, int]) -> Readings:
    found: defaultdict[tuple[str, str], list[Reading]] = defaultdict(list)
    for key, body in bodies.items():
        for device, about in body.devices.items():
            for block in about.blocks:
                stamps = list(accumulate(block.t, initial=base[key] + body.from_))[1:]
                for field, column in block.values.items():
                    marks = dict(block.quality.get(field, ()))
                    for i, (t_ms, value) in enumerate(zip(stamps, column, strict=True)):
                        if value is not None:
                            found[device, field].append(Reading(t_ms, value, marks.get(i, 0)))
    return {at: sorted(readings) for at, readings in found.items()}


def _gauge(name: str, summaries: Sequence[Sequence[float]], sound: Sequence[Reading]) -> Iterator[str]:
    """Each stretch has count, extremes and mean of its readings, and every reading lies in one."""
    if sum(summary[2] for summary in summaries) != len(sound):
        yield f"{name}: {summaries} for {len(sound)} readings"
    for first, last, count, least, greatest, mean in summaries:
        part = [each for each in sound if first <= each.t_ms <= last]
        values = [each.value for each in part]
        if (len(part), min(values), max(values)) != (count, least, greatest):
            yield f"{name}: {count} from {least} to {greatest} instead of {values}"
        area = sum((a.value + b.value) / 2 * (b.t_ms - a.t_ms) for a, b in pairwise(part))
        true = area / (last - first) if last > first else values[0]
        if abs(mean - true) > MEAN_SHARE * max(1.0, abs(true)):
            yield f"{name}: mean {mean} instead of {true}"


def _volumes(readings: Sequence[Reading], spans: Sequence[Sequence[int]], gap_ms: int) -> list[float]:
    """What passed from the first reading to the last, by each law; a step may stand for several that were given up."""
    found = []
    for law in LAWS if readings else ():
        walk, total = Walk(law, readings[0].t_ms, readings[0].value), 0.0
        for before, after in pairwise(readings):
            passed = walk.take(after.t_ms, after.value, _late_ms(before.t_ms, after.t_ms, spans, gap_ms))
            total += sum(span.delta for span in passed if span.believed)
        found.append(total)
    return found


def _late_ms(before_ms: int, after_ms: int, spans: Sequence[Sequence[int]], gap_ms: int) -> int:
    """What a step may be late by beyond a single one."""
    for first, last, count in spans:
        if first <= before_ms and after_ms <= last and after_ms - before_ms > gap_ms:
            return (round((after_ms - before_ms) * (count - 1) / (last - first)) - 1) * DISPLAY_MS
    return 0


def _times(readings: Sequence[Reading], spans: Sequence[Sequence[int]], gap_ms: int) -> dict[tuple[float, float], int]:
    """For how many ms each state was shown, and one became another, as far as it was read throughout."""
    found: Counter[tuple[float, float]] = Counter()
    for before, after in pairwise(readings):
        if any(first <= before.t_ms and after.t_ms <= last for first, last, _ in spans):
            found[before.value, after.value] += after.t_ms - before.t_ms
    return dict(found)
