"""People begin with a ready scenario and change it: a slip must be refused with file, line, key and what mends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from device_profiles.library import Library
from simulators.load_scenario import find, load_scenario
from yaml_models.bad_file import BadFile

RAIN = "  rain: {events_per_year: 60, depth_mm: 9, duration_h: 4}\n"
SLIPS = [
    ("bad-day", "device: feed-meter, what: silent", "device: fed-meter, what: silent", "did you mean feed-meter?"),
    ("bad-day", "device: works-bus, what: hang_up", "device: work-bus, what: hang_up", "did you mean works-bus?"),
    ("bad-day", "works-bus\n    unit_id: 2", "works-bus\n    unit_id: 1", "give one of them another unit_id"),
    ("bad-day", "after_bytes: 5", "late_ms: 5", "late_ms: means nothing to torn; remove it"),
    ("bad-day", "fields: [ph], ", "fields: [phh], ", "did you mean ph?"),
    ("bad-day", "start_s: 45900, ", "start_s: -45900, ", "write a number of at least 0"),
    ("bad-day", "start_s: 50400, ", "start_s: 40000, ", "works-bus, which lasts until 41100 s; let it begin later"),
    ("bad-day", "volume_m3: 2147483648}", "volume_m3: 2147482648}", "let it start below"),
    ("jizhou-reclaimed", "{volume_m3: 8000", "{volume_m3: -8000", "write a number of more than 0"),
    (
        "jizhou-reclaimed",
        "{volume_m3: 8000",
        "{volume_m3: 800",
        "plant makes up for them; 2.14e+03 would do",
    ),
    ("jizhou-reclaimed", "flow_m3_h: 430", "flow_m3_h: 1430", "or lower the flows of the users"),
    ("jizhou-reclaimed", "drop_bar: 1.0", "drop_bar: 5", "keep it below 4.2"),
    ("tianjin-year", "2026-10-01, last: 2026", "2027-10-01, last: 2027", "add its year to calendar.years"),
    ("tianjin-year", "2026-10-10]", "2062-10-10]", "2062-10-10 does not lie in 2025, 2026; mend the date"),
    ("tianjin-year", "first: 2025-01-01}", "first: 2025-02-30}", "date"),
    ("nankai-bins", "    station: transfer\n", "    station: transfers\n", "did you mean transfer?"),
    ("nankai-bins", "    station: transfer\n", "", "vehicles.cart.station: missing"),
    ("nankai-bins", "collects: [transfer]", "collects: [sorting]", "the order is drop_off, transfer, sorting"),
    ("nankai-bins", "area: yard,", "area: yrad,", "no area 'yrad'; did you mean yard?"),
    ("nankai-bins", "hours: [9.25, 13,", "hours: [9.25, 10,", "leave 1.617 h between them"),
    ("nankai-bins", "yard-rest, school-rest", "yard-rest, school-paper", "nobody empties it"),
    ("nankai-bins", "yard-paper.door_open", "yard-paper.door_opne", "did you mean yard-paper.door_open?"),
    ("nankai-bins", "{quantity: weather.temperature_c}", "{quantity: wether.temperature_c}", "did you mean weather."),
    ("nankai-bins", "{quantity: weather.temperature_c}", "{quantity: qqqqqqqq}", "burner.weighbridge.weighings and"),
    (
        "binhai-desal",
        "recovery: 0.42",
        "recovery: 0.8",
        "g/L of salt would stand at the membranes; lower",
    ),
    ("binhai-desal", "calendar: {}", "calender: {}", "unknown key; did you mean calendar?"),
]


@pytest.mark.parametrize("name, was, becomes, mend", SLIPS)
def test_a_slip_in_a_ready_scenario_is_refused_at_its_line(
    tmp_path: Path, name: str, was: str, becomes: str, mend: str
) -> None:
    text = find(name).read_text("utf-8")
    assert was in text
    path = tmp_path / f"{name}.yaml"
    path.write_text(text.replace(was, becomes, 1), "utf-8")
    with pytest.raises(BadFile) as refused:
        load_scenario(path, Library().load)
    said = str(refused.value)
    found = re.match(rf"{re.escape(str(path))}:(\d+): ([\w.\[\]-]+): .+; .+", said)
    assert found is not None, said
    assert mend in said and "\n" not in said and len(said) < 600
    line, key = text.replace(was, becomes, 1).splitlines()[int(found[1]) - 1], re.split(r"[.\[]", found[2])
    assert any(each.rstrip("]") in line for each in key[-2:]) or becomes in line or line.strip().startswith("- "), line


def test_without_weather_nothing_can_follow_it_and_the_mend_says_so(tmp_path: Path) -> None:
    text = find("nankai-bins").read_text("utf-8")
    weather = text[text.index("weather:\n") : text.index("bins:\n")]
    assert RAIN in weather
    path = tmp_path / "dry.yaml"
    path.write_text(text.replace(weather, ""), "utf-8")
    with pytest.raises(BadFile, match=r"ambient\.quantity: no quantity 'weather\.temperature_c'; add weather: \{\}"):
        load_scenario(path, Library().load)


def test_a_meter_whose_profile_lays_two_fields_over_each_other_is_refused_at_the_line_of_the_profile(
    tmp_path: Path,
) -> None:
    library = Library(tmp_path)
    profile = library.folder("tuf-2000m") / "profile.yaml"
    text = (
        profile.read_text("utf-8").replace("profile: tuf-2000m", "profile: mine").replace("address: 4,", "address: 1,")
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "profile.yaml").write_text(text, "utf-8")
    path = tmp_path / "s.yaml"
    path.write_text("scenario: s\nmeters:\n  m: {profile: mine}\n", "utf-8")
    with pytest.raises(BadFile, match=r"mine/profile\.yaml:\d+: fields\.\w+.*(share|overlap|register)"):
        load_scenario(path, library.load)
