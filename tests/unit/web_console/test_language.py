"""The page speaks the language that the browser asks for, and has all of its words in both."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from rollups.catalog import Term
from rollups.figures import MeterSum, evaluate
from rollups.hours import Stretch
from rollups.library import load_catalog
from tests.twins.store import StoreTwin
from tests.unit.web_console import city
from tests.unit.web_console.test_page import look
from web_console.app import STATIC, create_app
from web_console.fields import _NAMES, rank
from web_console.language import preferred
from web_console.silence import CAUSES


@pytest.mark.parametrize(
    "accept, language",
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh-TW;q=0.5, en;q=0.4", "zh"),
        ("zh;q=0.2,en;q=0.7", "en"),
        ("ZH-hans", "zh"),
        ("de,fr", "en"),
        ("zh;q=0", "en"),
        ("zh;q=2,en;q=0.1", "en"),
        ("zh;q=nan,en;q=0.1", "en"),
        ("zh;level=1", "zh"),
        (";;;,=,q=,zh ; q=0.5", "zh"),
        ("x," * 100_000 + "zh", "en"),
    ],
)
def test_the_weightiest_language_that_the_page_has_is_taken(accept: str, language: str) -> None:
    assert preferred(accept) == language


@pytest.mark.parametrize("accept, language", [("zh-CN", "zh"), ("en", "en"), ("sv", "en")])
def test_the_page_comes_in_the_language_of_the_browser(accept: str, language: str) -> None:
    client = TestClient(create_app(look=look(StoreTwin())), base_url="http://localhost")
    answer = client.get("/", headers={"accept-language": accept})
    assert f'<html lang="{language}">' in answer.text
    assert answer.headers["content-language"] == language
    assert "accept-language" in answer.headers["vary"].lower()


def words(file: str) -> dict[str, str]:
    """Key -> text of a table of words."""
    return dict(re.findall(r'"([a-z0-9._-]+)": "((?:[^"\\]|\\.)*)"', (STATIC / file).read_text("utf-8")))


def test_every_word_stands_in_both_tables_with_the_same_blanks() -> None:
    english, chinese = words("words.js"), words("chinese.js")
    assert len(english) > 100
    assert english.keys() == chinese.keys()
    blanks = {
        key: (set(re.findall(r"\{\w+\}", english[key])), set(re.findall(r"\{\w+\}", chinese[key]))) for key in english
    }
    assert [key for key, (one, other) in blanks.items() if one != other] == []


def test_whatever_the_page_says_has_words() -> None:
    own = words("words.js")
    for file in STATIC.glob("*.js"):
        asked = re.findall(r"\bsay\(\"([^\"]+)\"", file.read_text("utf-8"))
        assert [key for key in asked if key not in own] == [], file.name
    assert [cause for cause in CAUSES if f"cause.{cause}" not in own] == []


def test_the_page_asks_for_all_of_its_files_at_once() -> None:
    index = (STATIC / "index.html").read_text("utf-8")
    assert [path.name for path in STATIC.glob("*.js") if f"/static/{path.name}" not in index] == []


def test_known_fields_have_two_names_and_come_before_unknown_ones() -> None:
    assert [stem for stem, (en, zh) in _NAMES.items() if not en or not zh] == []
    assert sorted(["zeta", "error_bits", "voltage_l2_v", "flow_m3_h", "weight_kg"], key=rank) == [
        "weight_kg",
        "flow_m3_h",
        "voltage_l2_v",
        "error_bits",
        "zeta",
    ]


def reasons() -> list[str]:
    """Every reason that a figure can give, from what makes figures."""
    indicator = load_catalog().indicators["reclaimed_water_utilisation"]
    above, below = indicator.terms[0], indicator.terms[-1]
    meters = city.assets().assets

    def meter(name: str, term: Term, delta: float | None) -> MeterSum:
        stretch = None if delta is None else Stretch(0, 9, 1, 1, 9, 0, 8, delta)
        return MeterSum(meters[name], term, 0, 9, stretch)

    used, dead = meter("steel-meter", above, 1.0), meter("park-meter", above, None)
    cases: list[dict[Term, list[MeterSum]]] = [
        {above: [], below: [meter("treated-meter", below, 1.0)]},
        {above: [dead], below: [meter("treated-meter", below, 1.0)]},
        {above: [used], below: [meter("treated-meter", below, 0.0)]},
        {above: [used, dead], below: [meter("treated-meter", below, 1.0)]},
    ]
    return [evaluate("reclaimed_water_utilisation", indicator, "jizhou", 0, 9, sums).reason for sums in cases]


def test_the_reason_why_there_is_no_figure_is_said_in_the_reader_s_language() -> None:
    patterns = re.findall(r'\[/\^(.+)\$/, "reason\.', (STATIC / "indicators.js").read_text("utf-8"))
    known = [re.compile(pattern.replace("(?<", "(?P<")) for pattern in patterns]
    said = reasons()
    assert all(said)
    assert [text for text in said if not any(pattern.fullmatch(text) for pattern in known)] == []
    assert len({next(pattern for pattern in known if pattern.fullmatch(text)) for text in said}) == len(known) == 4
