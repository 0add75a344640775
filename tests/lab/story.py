"""The steps of the lab in their order; each tells in its docstring what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.lab import Lab
from tests.lab.steps import evidence, faults, fleet, keeping, letters, operators, secrets, set_up, versions


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, what it does (and returns as evidence), and whether every later step needs it."""

    name: str
    run: Callable[[Lab], str]
    needed: bool = False


STEPS = (
    Step("boot", set_up.boot, needed=True),
    Step("reach", set_up.reach, needed=True),
    Step("site", set_up.first_run, needed=True),
    Step("again", set_up.second_run),
    Step("units", set_up.units),
    Step("readings", evidence.readings),
    Step("pages", evidence.pages),
    Step("ports", evidence.ports),
    Step("values", evidence.values),
    Step("figures", evidence.figures),
    Step("killed", faults.killed),
    Step("frozen", faults.frozen),
    Step("hung-bus", faults.hung_bus),
    Step("power-cut", faults.power_cut),
    Step("cable", faults.cable_pulled),
    Step("broker-restart", faults.broker_restarts),
    Step("commands", operators.commands),
    Step("no-right", operators.no_right),
    Step("dead-letters", letters.dead_letters),
    Step("audit-there", letters.audit_there),
    Step("wrong-config", fleet.wrong_config),
    Step("joins", fleet.joins),
    Step("leaves", fleet.leaves),
    Step("taken-away", letters.taken_away),
    Step("upgrade", versions.upgrade),
    Step("rollback", versions.roll_back),
    Step("new-card", fleet.new_card),
    Step("database", keeping.database),
    Step("authority", keeping.authority),
    Step("secrets", secrets.hidden),
    Step("values-again", evidence.values),
    Step("units-again", set_up.units),
)
