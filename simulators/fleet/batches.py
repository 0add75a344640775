"""Sealed batches as the JSON that travels, many at once: values by column from numpy, text by one format per meter.

The text is what `data_contract.batch.write_body` would write of the same body, to the byte; it only gets there faster.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contract.batch import STOP, Record
from data_contract.batch import Span as SeqSpan
from data_contract.cause import Missing
from data_contract.message import Row, pack
from data_contract.schedule import next_slot
from simulators import chance
from simulators.fleet.columns import Columns, Keys, columns, keys_of
from simulators.fleet.plan import BOARD, GROUP, JITTER_MS, KIND, FleetPlan

CHUNK_READINGS = 65_536
"""So many values are computed at once: enough to forget numpy's overhead, and few enough for a processor's cache."""
_MISSING, _JITTER = np.uint64(0x5EED_0001), np.uint64(0x5EED_0002)
_EXCEPTIONS = 0.25
"""Share of the missing answers that are a device's exception; the others are time-outs."""
_SEPARATORS = (",", ":")

Lacking = tuple[dict[Missing, int], dict[Missing, int]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch before it is written: [from_ms, to_ms) in ms UTC, of which the first `lost_ms` were not kept."""

    seq: int
    from_ms: int
    to_ms: int
    lost_ms: int = 0
    pending: tuple[tuple[int, int], ...] = ()
    """Ranges of seq that waited when this one was sealed."""
    stop: bool = False

    @property
    def kept_from_ms(self) -> int:
        """Begin of what it holds values of."""
        return self.from_ms + self.lost_ms


@dataclass(frozen=True, slots=True)
class Made:
    """A batch as it travels, and what it says as numbers: stamps (meters, n) in ms UTC, values (meters, fields, n).

    A value is NaN where the meter did not answer.
    """

    gateway: int
    seq: int
    row: Row
    stamps: NDArray[np.int64]
    values: Columns

    @property
    def readings(self) -> int:
        """Values that it holds."""
        return int(np.count_nonzero(~np.isnan(self.values)))


class BatchMaker:
    """Makes the batches of a plan; the same ones again whenever it is asked."""

    def __init__(self, *, plan: FleetPlan) -> None:
        self._plan = plan
        names = [(plan.gateway(g), plan.meter(m)) for g in range(plan.gateways) for m in range(plan.meters)]
        self._keys: Keys = keys_of(plan.seed, names).reshape(plan.gateways, plan.meters)
        self._stagger = (np.arange(plan.meters, dtype=np.int64) * plan.stagger_ms)[None, :, None]
        self._heads = [f'"{plan.meter(m)}":{{"kind":"{KIND}","counts":{{"{GROUP}":[' for m in range(plan.meters)]
        self._formats: dict[int, str] = {}

    def make(self, wanted: Sequence[tuple[int, Sealed]]) -> list[Made]:
        """The batches of these gateways, in the same order."""
        by_rows: defaultdict[int, list[int]] = defaultdict(list)
        for place, (_, sealed) in enumerate(wanted):
            by_rows[self._plan.rows(sealed.kept_from_ms, sealed.to_ms)].append(place)
        found: dict[int, Made] = {}
        for rows, places in by_rows.items():
            step = max(1, CHUNK_READINGS // max(1, self._plan.meters * self._plan.fields * rows))
            for at in range(0, len(places), step):
                chunk = places[at : at + step]
                found |= zip(chunk, self._chunk([wanted[place] for place in chunk], rows), strict=True)
        return [found[place] for place in range(len(wanted))]

    def _chunk(self, wanted: Sequence[tuple[int, Sealed]], rows: int) -> Iterator[Made]:
        """Batches with the same number of slots."""
        plan, many = self._plan, len(wanted)
        keys = self._keys[[gateway for gateway, _ in wanted]].reshape(many * plan.meters, 1)
        firsts = np.array([next_slot(plan.every_ms, sealed.kept_from_ms) for _, sealed in wanted], dtype=np.int64)
        slots = firsts[:, None, None] + np.arange(rows, dtype=np.int64) * plan.every_ms
        stamps = np.broadcast_to(slots + self._stagger, (many, plan.meters, rows)).reshape(many * plan.meters, rows)
        at = np.repeat(slots, plan.meters, axis=1).reshape(many * plan.meters, rows)
        stamps = stamps + (chance.units(keys ^ _JITTER, at) * JITTER_MS).astype(np.int64)
        values = columns(keys, stamps, plan.fields)
        luck = chance.units(keys ^ _MISSING, at)
        missing = luck < plan.missing
        begins = np.repeat(np.array([sealed.from_ms for _, sealed in wanted], dtype=np.int64), plan.meters)
        steps = np.diff(stamps, axis=1, prepend=begins[:, None])
        cells = np.concatenate([steps[:, None, :].astype(np.float64), values], axis=1)
        lines = cells.reshape(len(cells), -1).tolist()
        gaps = np.flatnonzero(missing.any(axis=1)).tolist()
        texts: dict[int, str] = {}
        values[np.broadcast_to(missing[:, None, :], values.shape)] = np.nan
        for meter in gaps:
            texts[meter] = self._with_gaps(stamps[meter], values[meter], luck[meter], int(begins[meter]))
        for place, (gateway, sealed) in enumerate(wanted):
            cut = slice(place * plan.meters, (place + 1) * plan.meters)
            devices = self._devices(sealed, rows, lines[cut], texts, cut.start)
            row = Row(sealed.seq, plan.begin_ms, self._body(gateway, sealed, devices))
            yield Made(gateway, sealed.seq, row, stamps[cut], values[cut])

    def _devices(self, sealed: Sealed, rows: int, lines: list[list[float]], texts: dict[int, str], first: int) -> str:
        """What the meters of one gateway contributed; the counts, and the block behind them."""
        plan = self._plan
        lost = plan.rows(sealed.from_ms, sealed.kept_from_ms) * plan.fields
        called = lost + rows * plan.fields
        if not called:
            return ""
        parts = []
        whole = self._format(rows)
        for meter, line in enumerate(lines):
            text = texts.get(first + meter)
            if text is None:
                text = f'{called - lost},{{}}]}},"blocks":[{whole % tuple(line)}]}}' if rows else "0,{}]}}"
            parts.append(f"{self._heads[meter]}{called},{_with_lost(text, lost)}")
        # Whole numbers lose their fraction, as in every body that a gateway writes.
        return ",".join(parts).replace(".0,", ",").replace(".0]", "]")

    def _format(self, rows: int) -> str:
        if rows not in self._formats:
            columns_ = ",".join(f'"{name}":[{",".join(["%r"] * rows)}]' for name in self._plan.field_names)
            self._formats[rows] = f'{{"t":[{",".join(["%d"] * rows)}],"values":{{{columns_}}}}}'
        return self._formats[rows]

    def _with_gaps(self, stamps: NDArray[np.int64], values: Columns, luck: Columns, begin_ms: int) -> str:
        """The rest of a device of which some answers are missing."""
        plan = self._plan
        kept = luck >= plan.missing
        exceptions = int(np.count_nonzero(luck < plan.missing * _EXCEPTIONS)) * plan.fields
        timeouts = int(np.count_nonzero(~kept)) * plan.fields - exceptions
        causes = {Missing.EXCEPTION.value: exceptions, Missing.TIMEOUT.value: timeouts}
        missing = json.dumps({cause: n for cause, n in causes.items() if n}, separators=_SEPARATORS)
        rows = int(np.count_nonzero(kept))
        head = f"{rows * plan.fields},{missing}]}}"
        if not rows:
            return head + "}"
        steps = np.diff(stamps[kept], prepend=begin_ms)[None, :].astype(np.float64)
        cells = np.concatenate([steps, values[:, kept]]).ravel().tolist()
        return f'{head},"blocks":[{self._format(rows) % tuple(cells)}]}}'

    def _body(self, gateway: int, sealed: Sealed, devices: str) -> str:
        base_ms, run = self._plan.begin_ms, self._plan.run(gateway)
        from_, to = sealed.from_ms - base_ms, sealed.to_ms - base_ms
        parts = [f'"from":{from_},"to":{to}']
        if sealed.seq > 1:
            parts.append(f'"prev":{from_}')
        if devices:
            parts.append(f'"devices":{{{devices}}}')
        records = self._plan.opening(gateway) if sealed.seq == 1 else []
        records += [Record(kind=STOP, t=to - from_)] if sealed.stop else []
        if records:
            shapes = [record.model_dump(exclude_defaults=True) for record in records]
            parts.append(f'"records":{json.dumps(shapes, separators=_SEPARATORS)}')
        if sealed.pending:
            waiting: list[SeqSpan] = [(run, first, last) for first, last in sealed.pending]
            parts.append(f'"pending":{json.dumps(waiting, separators=_SEPARATORS)}')
        return f"{{{','.join(parts)}}}"


def _with_lost(text: str, lost: int) -> str:
    """`sampled,{missing}…` with the readings that a full spool has cost among the missing, in order of their names."""
    if not lost:
        return text
    sampled, rest = text.split(",", 1)
    missing, behind = rest[1:].split("}", 1)
    mine = f'"{Missing.DISK_FULL.value}":{lost}'
    return f"{sampled},{{{mine}{',' if missing else ''}{missing}}}{behind}"


def message(plan: FleetPlan, made: Sequence[Made]) -> bytes:
    """The payload for consecutive batches of one gateway."""
    gateway = made[0].gateway
    return pack(plan.gateway(gateway), BOARD, plan.run(gateway), [each.row for each in made])
