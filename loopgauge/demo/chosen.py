"""What a demo shows: a scenario, shipped or a person's own, with the register of assets that its figures go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from data_contract.cause import Missing
from device_profiles.library import Library
from loopgauge.demo.register import NoRegister, register
from loopgauge.demo.sites import cannot_stand
from rollups.assets_file import parse_assets
from simulators.load_scenario import Loaded, find, load_scenario, with_seed
from simulators.truth.figures import not_shown
from yaml_models.files import read_text

SHIPPED: Mapping[str, str] = {"demo": "assets.yaml"}
"""Scenario -> its register beside this file; that of any other is made from the scenario."""
ORIGIN = "{origin}"
"""Stands in a register for the time at which the history begins."""
_OF_FAULTS = tuple(cause.value for cause in Missing if cause is not Missing.DISK_FULL)
"""Besides what the device itself does: an agent lets a silent device sleep for a while of real time, which at a demo's
speed is many of its slots, and waiting for a late answer may cost its next ones. None of it is ever `unexplained`."""


class NotForADemo(ValueError):
    """A demo cannot show this scenario; one line says where, why, and the mend."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A scenario that a demo can show."""

    path: Path
    loaded: Loaded
    assets: str
    """The text of its register, with ORIGIN in it."""

    def causes_of_faults(self, *, origin_ms: int, to_ms: int) -> tuple[str, ...]:
        """For what reasons readings may be missing by `to_ms` (ms UTC), because the scenario says so."""
        begun = any(origin_ms + fault.start_s * 1000 < to_ms for fault in self.loaded.scenario.faults)
        return _OF_FAULTS if begun else ()


def choose(name_or_path: str, *, seed: int | None, assets: Path | None) -> Chosen:
    """A scenario by name or path, drawn from `seed` if that is given, with the register `assets` or its own.

    Raises BadFile, NotForADemo.
    """
    path = find(name_or_path).absolute()
    loaded = load_scenario(path, Library().load)
    if seed is not None:
        loaded = with_seed(loaded, seed)
    scenario = loaded.scenario
    problem = cannot_stand(scenario)
    if problem is not None:
        raise NotForADemo(f"{path}: {problem}")
    figures = not_shown(scenario)
    if not figures:
        raise NotForADemo(f"{path}: no indicator follows from it; give it bins, plants, parks or trains")
    if all(figures.values()):
        missing = next(iter(figures.values()))[0].replace(".mass_in_kg", ".gross_kg")
        raise NotForADemo(f"{path}: meters: no indicator has all its meters; begin with one that shows {missing}")
    try:
        text = _register(loaded, name_or_path, assets)
    except NoRegister as error:
        raise NotForADemo(f"{path}: {error}, or give --assets") from None
    parse_assets(text.replace(ORIGIN, "1970-01-01T00:00:00+00:00"), file=str(assets or path))
    return Chosen(path, loaded, text)


def _register(loaded: Loaded, name: str, assets: Path | None) -> str:
    if assets is not None:
        return read_text(assets)
    if name in SHIPPED:
        return resources.files("loopgauge.demo").joinpath(SHIPPED[name]).read_text("utf-8")
    made = yaml.safe_dump(register(loaded.scenario, ORIGIN), sort_keys=False, allow_unicode=True, width=110)
    return f"# Made from the scenario {loaded.scenario.scenario}; copy and edit it, and give it with --assets.\n{made}"
