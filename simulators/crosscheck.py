"""What the types of a scenario cannot say: names that two have, balances that cannot hold, plants that cannot work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from simulators.city_checks import check_city
from simulators.fault_checks import check_fault_fields, check_faults
from simulators.meter_checks import check_fields, check_meter, check_ports
from simulators.mistake import Mistake, Place
from simulators.parts.city import PLANT_FLOWS
from simulators.parts.weather import WEATHER
from simulators.process_checks import check_process
from simulators.world.ro_days import hardest, vessels
from simulators.world.sea import salinity_span_g_l, temperature_span_c
from simulators.world.seawater import SALINITY_G_KG_MAX

if TYPE_CHECKING:
    from device_profiles.profile import Profile
    from simulators.parts.base import DayCurve
    from simulators.parts.city import Plant
    from simulators.parts.train import Ro, Train
    from simulators.scenario import Scenario


def mistakes(scenario: Scenario) -> Iterator[Mistake]:
    """Everything in which the parts of a scenario contradict one another."""
    yield from _names(scenario)
    yield from check_city(scenario)
    for name, train in scenario.trains.items():
        if train.ro is not None:
            yield from _train(("trains", name), train, train.ro)
    for name, plant in scenario.plants.items():
        yield from _plant(name, plant) if plant.process is None else check_process(scenario, name, plant)
    for name, park in scenario.parks.items():
        if park.reuse_share + park.reuse_wander >= 1.0:
            mend = f"keep it below {1.0 - park.reuse_share:g}"
            yield Mistake(("parks", name, "reuse_wander"), "more would be reused than is used", mend)
    for device, meter in scenario.meters.items():
        yield from check_meter(scenario, device, meter)
    yield from check_ports(scenario)
    yield from check_faults(scenario)


def against_profiles(scenario: Scenario, profiles: Mapping[str, Profile]) -> Iterator[Mistake]:
    """What a scenario asks of its device profiles that they do not have; `profiles` by their id."""
    units: dict[tuple[str, int], str] = {}
    for device, meter in scenario.meters.items():
        profile = profiles[meter.profile]
        yield from check_fields(device, meter, profile)
        unit = (meter.line or f"port of {device}", meter.unit_id or profile.modbus.unit_id)
        if unit in units:
            problem = f"unit {unit[1]} of {unit[0]} is already {units[unit]}"
            yield Mistake(("meters", device, "unit_id"), problem, "give one of them another unit_id")
        units.setdefault(unit, device)
    for index, fault in enumerate(scenario.faults):
        hit = scenario.meters.get(fault.device)
        if hit is not None:
            profile = profiles[hit.profile]
            yield from check_fault_fields(index, fault, profile, hit.unit_id or profile.modbus.unit_id)


def _names(scenario: Scenario) -> Iterator[Mistake]:
    """Quantities stand behind the name of their part, so no two parts share one."""
    taken: dict[str, str] = {} if scenario.weather is None else {WEATHER: "name of the world itself"}
    sections: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("trains", "train", scenario.trains),
        ("loads", "load", scenario.loads),
        ("bins", "bin", scenario.bins),
        ("plants", "plant", scenario.plants),
        ("parks", "park", scenario.parks),
        ("vehicles", "vehicle", scenario.vehicles),
        ("stations", "station", scenario.stations),
    )
    for section, what, names in sections:
        for name in names:
            if name in taken:
                yield Mistake((section, name), f"{name} is already a {taken[name]}", f"give the {what} another name")
            taken.setdefault(name, what)


FLUX_LMH = (5.0, 25.0)
"""Between these a seawater plant is designed; what lies beyond is not proposed."""
SEA_C = (-2.0, 45.0)
"""From where seawater freezes to the most that the elements of a membrane may meet."""
SEA_G_L_LEAST = 5.0


def _train(at: Place, train: Train, ro: Ro) -> Iterator[Mistake]:
    """Whether there are such membranes in such a sea, at the hardest of all that the train may meet."""
    for key in ("specific_energy_kwh_m3", "specific_energy_wander"):
        if key in train.model_fields_set:
            yield Mistake((*at, key), "its energy follows from ro", f"remove it, or set {at[1]}.ro.rest_kwh_m3")
    found = list(_sea(at, ro))
    yield from found
    if found:
        return
    number = vessels(train, ro)
    if (problem := _beyond(train, ro, number)) is None:
        return
    of_one = train.feed_m3_h * train.recovery / (ro.elements * ro.element_m2) * 1000.0
    others = (max(1, round(number * 1.25**power)) for power in (*range(1, 24), *range(-1, -16, -1)))
    usual = (n for n in others if FLUX_LMH[0] <= of_one / n <= FLUX_LMH[1])
    better = next((n for n in usual if _beyond(train, ro, n) is None), None)
    if better is None:
        yield Mistake((*at, "recovery"), problem, "lower it")
    elif ro.vessels is not None:
        yield Mistake((*at, "ro", "vessels"), problem, f"{better} would do")
    else:
        yield Mistake((*at, "ro", "flux_lmh"), problem, f"{of_one / better:.3g} would do")


def _sea(at: Place, ro: Ro) -> Iterator[Mistake]:
    least_c, most_c = temperature_span_c(ro.sea)
    if not (SEA_C[0] <= least_c and most_c <= SEA_C[1]):
        problem = f"the sea would be between {least_c:g} and {most_c:g} degrees C"
        mend = f"keep mean, swing and wander between {SEA_C[0]:g} and {SEA_C[1]:g}"
        yield Mistake((*at, "ro", "sea", "temperature_c"), problem, mend)
    least_g_l, _ = salinity_span_g_l(ro.sea)
    if least_g_l < SEA_G_L_LEAST:
        problem = f"the sea would have as little as {least_g_l:g} g/L of salt"
        mend = f"keep mean less swing and wander above {SEA_G_L_LEAST:g}"
        yield Mistake((*at, "ro", "sea", "salinity_g_l"), problem, mend)


def _beyond(train: Train, ro: Ro, number: int) -> str | None:
    """What `number` pressure vessels cannot bear, or None."""
    point, found = hardest(train, ro, number)
    worst = int(found.feed_bar.argmax() if found.possible.all() else found.possible.argmin())
    _, recovery, salt_g_l, warmth_c, left = (float(np.asarray(each)[worst]) for each in point)
    where = f"at {warmth_c:g} degrees C, {salt_g_l:g} g/L, recovery {recovery:g} and {100.0 * left:.0f} % of their flow"
    if not found.possible[worst]:
        return f"{where} more than {SALINITY_G_KG_MAX:g} g/L of salt would stand at the membranes"
    if found.feed_bar[worst] > ro.pressure_max_bar:
        return f"{where} the membranes need {found.feed_bar[worst]:.1f} bar and bear {ro.pressure_max_bar:g}"
    return None


def _plant(name: str, plant: Plant) -> Iterator[Mistake]:
    for user in plant.users:
        if user in PLANT_FLOWS:
            yield Mistake(("plants", name, "users", user), f"{user} is a flow of the plant itself", "rename the user")
        if plant.users[user].weekend is not None:
            mend = "add process, or remove it"
            yield Mistake(("plants", name, "users", user, "weekend"), "only a plant with process knows weekends", mend)
    most = plant.losses_m3_h * (1.0 + plant.losses_wander)
    most += sum(user.flow_m3_h * _most(user.curve) for user in plant.users.values())
    least = plant.treated_m3_h * (2.0 - _most(plant.day))
    if most > least:
        problem = f"users and losses may take {most:g} m3/h, of treated sewage there may be as little as {least:g}"
        yield Mistake(("plants", name, "treated_m3_h"), problem, "raise it, or lower the flows of the users")


def _most(day: DayCurve) -> float:
    """A bound of the daily pattern, over its mean; the second wave of the day has a third of the first."""
    return 1.0 + day.swing * 4.0 / 3.0 + day.wander
