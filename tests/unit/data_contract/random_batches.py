"""Batches and receipts drawn from a seed: every key of the contract appears, with values that are hard to carry."""

from __future__ import annotations

import random

from data_contract.batch import Block, Body, Counts, Device, Record, Span
from data_contract.receipt import BatchReceipt, DeviceReceipt

RUNS = ("0" * 32, "f" * 32, "0123456789abcdef" * 2)
NUMBERS = (0.0, -0.5, 1e-300, 1.7976931348623157e308, 0.1 + 0.2, 5e-324, 2.0**53, 1e15, 123456.789, -1.0)


def number(chance: random.Random) -> float:
    """A finite float64, often an awkward one."""
    return chance.choice(NUMBERS) if chance.random() < 0.4 else chance.uniform(-1e6, 1e6)


def span(chance: random.Random) -> Span:
    first = chance.randint(1, 10**6)
    return chance.choice(RUNS), first, first + chance.randint(0, 1000)


def counts(chance: random.Random) -> Counts:
    missing = {cause: chance.randint(1, 9) for cause in ("timeout", "asleep", "overrun") if chance.random() < 0.3}
    sampled = chance.randint(0, 50)
    return sampled + sum(missing.values()), sampled, missing


def block(chance: random.Random) -> Block:
    rows = chance.randint(0, 6)
    fields = [f"field_{n}" for n in range(chance.randint(0, 3))]
    values = {f: [None if chance.random() < 0.2 else number(chance) for _ in range(rows)] for f in fields}
    marks = {f: [(chance.randrange(rows), chance.randint(1, 255))] for f in fields if rows and chance.random() < 0.3}
    return Block(t=[chance.randint(-10, 10_000) for _ in range(rows)], values=values, quality=marks)


def device(chance: random.Random) -> Device:
    from_ = chance.randint(0, 2**40)
    summary = {"level": [(from_, from_ + 1, chance.randint(0, 9), number(chance), number(chance), number(chance))]}
    return Device(
        kind=chance.choice(["water_meter", "bin"]),
        counts={f"g{n}": counts(chance) for n in range(chance.randint(0, 2))},
        blocks=[block(chance) for _ in range(chance.randint(0, 3))],
        summary=summary if chance.random() < 0.2 else {},
    )


def record(chance: random.Random) -> Record:
    return Record(
        kind=chance.choice(["start", "emptying"]),
        t=chance.randint(-5, 10_000),
        device=chance.choice(["gateway", "bin-1"]),
        values={"mass_kg": number(chance)} if chance.random() < 0.5 else {},
        data={"text": 'ä "quoted" \\ 中文 \x7f', "list": [1, None, True, {"deep": "x"}]}
        if chance.random() < 0.5
        else {},
    )


def body(chance: random.Random) -> Body:
    from_ = chance.randint(-(2**40), 2**40)
    return Body(
        from_=from_,
        to=from_ + chance.randint(0, 10**7),
        prev=chance.choice([None, from_]),
        devices={f"meter-{n}": device(chance) for n in range(chance.randint(0, 3))},
        records=[record(chance) for _ in range(chance.randint(0, 2))],
        pending=[span(chance) for _ in range(chance.randint(0, 2))],
        aside=[(*span(chance), "unanswered")] if chance.random() < 0.2 else [],
        replaces=[span(chance)] if chance.random() < 0.2 else [],
    )


def receipt(chance: random.Random) -> BatchReceipt:
    """A receipt in the one form that `write` and `read` agree on: nothing is said twice or of nothing."""
    devices = {}
    for name in range(chance.randint(0, 3)):
        stored = chance.choice([0, chance.randint(1, 99)])
        first = chance.randint(1, 2**41) if stored else 0
        last = first + chance.randint(0, 9999) if stored else 0
        of = {f"g{n}": counts(chance) for n in range(chance.randint(0, 2))}
        devices[f"meter-{name}"] = DeviceReceipt(of, stored, first, last, chance.choice([0, chance.randint(1, 9)]))
    return BatchReceipt(
        devices=devices,
        prev_ms=chance.choice([None, 0, chance.randint(0, 2**41)]),
        rejected=chance.choice([None, "schema: kind 中"]),
        off_grid=chance.random() < 0.3,
        unsure=chance.choice([None, (chance.randint(0, 10), chance.randint(10, 20))]),
        pending=tuple(span(chance) for _ in range(chance.randint(0, 2))),
        aside=tuple((*span(chance), "unanswered") for _ in range(chance.randint(0, 2))),
        replaces=tuple(span(chance) for _ in range(chance.randint(0, 2))),
    )
