"""Random lives of a gateway: whatever happened, the ledger comes to what the model knows, fate by fate."""

from __future__ import annotations

from collections import Counter

import pytest

from delivery_audit.evidence import PAGE_MS
from delivery_audit.ledger import Ledger
from tests.unit.delivery_audit.model import CAUSES, STORED, Model, without_zero

SEEDS = range(50)


def model(seed: int) -> Model:
    found = Model(seed)
    found.play()
    return found


def page(life: Model) -> int:
    """Pages so small that gaps, runs and digests lie across several, or one for all."""
    return life.rng.choice([7_000, 60_000, PAGE_MS])


def named(ledger: Ledger) -> set[tuple[str, int]]:
    """(run, seq) of the batches that the ledger calls unexplained."""
    return {(f.run, seq) for f in ledger.unexplained if f.first for seq in range(f.first, f.last + 1)}


def assert_true(life: Model, from_: int, to: int) -> None:
    ledger = life.scene.audit(from_, to, now=life.now, page_ms=page(life))
    said = {key: without_zero(account.fates) for key, account in ledger.accounts.items() if any(account.fates.values())}
    assert said == life.truth(from_, to)
    for account in ledger.accounts.values():
        assert account.expected == sum(account.fates.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_life_is_accounted_for_as_it_happened(seed: int) -> None:
    life = model(seed)
    assert_true(life, -60_000, life.now)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_unexplained_is_exactly_what_left_no_trace_even_where_times_are_reckoned(seed: int) -> None:
    life = Model(seed, wild=True)
    life.play()
    ledger = life.scene.audit(-60_000, life.now, page_ms=page(life))
    assert named(ledger) == life.nameable()
    deleted = [begin for _, begin in life.deleted if begin < life.now]
    assert ledger.adds_up == (not life.nameable() and not deleted)
    for account in ledger.accounts.values():
        assert account.expected == sum(account.fates.values())
    said, truth = ledger.total(), Counter[str]()
    for fates in life.truth(-60_000, life.now).values():
        truth.update(fates)
    for fate in (STORED, *CAUSES):
        assert said.fates[fate] == truth[fate], fate
    from_, to = sorted(life.rng.sample(range(-60_000, life.now), 2))
    assert named(life.scene.audit(from_, to, now=life.now, page_ms=page(life))) <= life.nameable()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_part_of_a_life_is_accounted_for_as_it_happened(seed: int) -> None:
    life = model(seed)
    a, b = sorted(life.rng.sample(range(-60_000, life.now + 60_000), 2))
    assert_true(life, a, b)
