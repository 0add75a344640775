"""Reading a model from text: what is accepted, what is bounded, and that nothing but BadFile ever comes out."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from device_profiles.profile import Profile
from yaml_models.bad_file import LINE_CHARS_MAX, BadFile
from yaml_models.parse import parse, parse_with_lines
from yaml_models.tree import FILE_BYTES_MAX, NESTING_MAX

CATALOG = Path(__file__).parents[3] / "device_profiles" / "catalog"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Inner(_Model):
    a: int = 1
    deep: dict[str, Inner] = {}


class Outer(_Model):
    text: str = "x"
    number: float = 1
    flag: bool = False
    pair: tuple[int, int] = (1, 2)
    inner: Inner = Inner()
    inners: list[Inner] = []
    either: int | str = 0
    maybe: Inner | None = None


class Circle(_Model):
    shape: Literal["circle"]
    radius_m: float


class Square(_Model):
    shape: Literal["square"]
    circle: float
    """A key that is called like the other alternative's tag."""


class Shapes(_Model):
    shapes: dict[str, Annotated[Circle | Square, Field(discriminator="shape")]]


class Numbers(RootModel[dict[str, float | None]]):
    """The file is one mapping."""


def _line(text: str, model: type[BaseModel]) -> str:
    with pytest.raises(BadFile) as caught:
        parse(text, model, file="f.yaml")
    return str(caught.value)


def test_a_file_of_every_kind_of_value_is_read() -> None:
    read = parse(
        "text: no\nnumber: 3\nflag: true\npair: [0x10, 2]\n"
        "inner: {a: 5}\ninners:\n- a: 6\n- {}\neither: on\nmaybe: null\n",
        Outer,
        file="f.yaml",
    )

    assert read == Outer(
        text="no", number=3, flag=True, pair=(16, 2), inner=Inner(a=5), inners=[Inner(a=6), Inner()], either="on"
    )


def test_an_empty_file_means_all_defaults() -> None:
    assert (
        parse("", Outer, file="f")
        == parse("# only this\n", Outer, file="f")
        == parse("---\n", Outer, file="f")
        == Outer()
    )


def test_a_section_whose_lines_are_all_commented_out_means_its_defaults() -> None:
    read = parse("inner:\n  #a: 5\ninners:\nmaybe:\n", Outer, file="f.yaml")

    assert read == Outer()
    assert read.maybe is None


def test_a_number_or_date_in_quotes_stays_text_and_a_quoted_key_is_a_key() -> None:
    assert parse('"text": "12"\n', Outer, file="f").text == "12"
    assert parse("text: 2024-01-01\n", Outer, file="f").text == "2024-01-01"


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse("1: 5\ntrue: 6\n2024-01-01: 7\n~: 8\n", Numbers, file="f").root == {
        "1": 5,
        "true": 6,
        "2024-01-01": 7,
        "~": 8,
    }


def test_a_file_that_is_one_mapping_gives_the_line_of_its_entry() -> None:
    assert _line("a: 1\nb: x\n", Numbers) == "f.yaml:2: b: expected a number, got 'x'; write for example 1.0"


def test_a_key_called_like_another_alternative_is_still_found() -> None:
    text = "shapes:\n  s:\n    shape: square\n    circle: wide\n"

    assert _line(text, Shapes) == "f.yaml:4: shapes.s.circle: expected a number, got 'wide'; write for example 1.0"


def test_the_key_of_an_alternative_is_named_without_the_alternative() -> None:
    text = "shapes:\n  s:\n    shape: circle\n    radius: 4\n"

    assert _line(text, Shapes) == "f.yaml:4: shapes.s.radius: unknown key; did you mean radius_m?"


def test_one_wrong_value_counts_once_though_no_alternative_takes_it() -> None:
    assert _line("either: [1]\n", Outer) == "f.yaml:1: either: expected a whole number, got a list; write for example 0"


def test_the_lines_of_keys_are_kept_for_later_complaints() -> None:
    parsed = parse_with_lines("text: a\ninners:\n- a: 1\n- a: 2\n", Outer, file="f.yaml")

    assert str(parsed.bad("inners[1].a", "odd", "even")) == "f.yaml:4: inners[1].a: odd; even"
    assert str(parsed.bad("inners[1].b.c", "odd", "")) == "f.yaml:4: inners[1].b.c: odd"
    assert str(parsed.bad("nowhere", "odd", "")) == "f.yaml:1: nowhere: odd"


def test_nesting_is_bounded_and_just_below_the_bound_still_reads() -> None:
    def nested(levels: int) -> str:
        return "inner: " + "{deep: {x: " * (levels // 2) + "{}" + "}}" * (levels // 2)

    assert parse(nested(NESTING_MAX - 2), Outer, file="f").inner.deep
    assert "nested deeper" in _line(nested(NESTING_MAX), Outer)
    assert "nested deeper" in _line("[" * 100_000, Outer)
    assert "nested deeper" in _line("a:\n" + "".join("  " * i + "- b:\n" for i in range(1, 400)), Outer)


def test_a_file_that_multiplies_itself_through_aliases_is_refused_at_once() -> None:
    bomb = "a: &a [x, x, x]\n" + "".join(
        f"{c}: &{c} [*{p}, *{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )

    assert _line(bomb, Outer).startswith("f.yaml:1: an anchor or alias (a)")


def test_a_file_above_the_size_bound_is_refused() -> None:
    assert _line("#" * (FILE_BYTES_MAX + 1), Outer) == "f.yaml: larger than 1048576 bytes; split it"


def test_a_message_is_one_bounded_line_whatever_it_quotes() -> None:
    nasty = "\\u2028\\r\\x1b[2J\\u202e" * 50

    for text in (f'"{nasty}": 1\n', f'number: "{nasty}"\n', "k" * 5000 + ": 1\n", "number: " + "v" * 5000):
        line = _line(text, Outer)
        assert len(line) <= LINE_CHARS_MAX
        assert line.isprintable()
        assert ";" in line


def _mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(6):
            case 0:
                text = text[:at] + text[at + rng.randrange(1, 30) :]
            case 1:
                text = text[:at] + rng.choice(_SCRAPS) + text[at:]
            case 2:
                text = text[:at] + chr(rng.choice([rng.randrange(256), rng.randrange(0x110000)])) + text[at:]
            case 3:
                other = rng.randrange(len(text) + 1)
                text = text[:at] + text[other : other + 40] + text[at:]
            case 4:
                text = text[:at]
            case _:
                text = text.replace(rng.choice(": -,[]{}\n\"'#"), rng.choice(_SCRAPS), rng.randrange(1, 3))
    return text


_SCRAPS = [
    *(
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "#",
        "'",
        '"',
        "|\n",
        ">-\n",
        "? ",
        "&a ",
        "*a",
        "!t ",
        "%",
        "---\n",
        "...\n",
    ),
    *(
        "\t",
        "\n",
        "\r",
        "\x00",
        "\ufeff",
        "\u2028",
        "\\U00110000",
        "\\x",
        "~",
        "null",
        "true",
        "0x",
        "1e999",
        ".nan",
        "007",
    ),
    *(
        "%YAML 1.1\n---\n",
        "%TAG ! tag:x\n---\n",
        "<<: ",
        "!!binary ",
        "@",
        "`",
        "9" * 5000,
        "\ud800",
        "=",
        "2024-01-01",
    ),
]


def _refusal(text: str, model: type[BaseModel]) -> str | None:
    """The line that refuses `text`, or None where it reads; anything but BadFile fails the test."""
    try:
        parse(text, model, file="f.yaml")
    except BadFile as error:
        return str(error)
    return None


def test_only_bad_file_comes_out_of_a_damaged_profile() -> None:
    rng = random.Random(7)
    originals = [path.read_text(encoding="utf-8") for path in sorted(CATALOG.glob("*/profile.yaml"))]
    said = [
        _refusal(_mutated(rng.choice(originals)[: rng.choice([500, 2000, 10_000])], rng), Profile) for _ in range(250)
    ]

    refusals = [line for line in said if line is not None]
    assert len(refusals) > 200
    assert all(line.isprintable() and line.startswith("f.yaml") for line in refusals)


def test_only_bad_file_comes_out_of_a_small_file_damaged_thousands_of_times() -> None:
    rng = random.Random(8)
    text = (
        "text: 'a'\nnumber: 1.5\npair: [1, 2]\n"
        "inner: {a: 5, deep: {x: {a: 1}}}\ninners:\n  - a: 6\neither: |\n  block\n"
    )
    refusals = [line for _ in range(4000) if (line := _refusal(_mutated(text, rng), Outer)) is not None]

    assert len(refusals) > 2000
    assert all(line.isprintable() for line in refusals)


def test_every_truncation_of_a_profile_reads_or_is_told_in_one_line() -> None:
    text = (CATALOG / "tuf-2000m" / "profile.yaml").read_text(encoding="utf-8")
    refusals = [line for end in range(0, len(text), 23) if (line := _refusal(text[:end], Profile)) is not None]

    assert len(refusals) > 100
    assert all(line.isprintable() for line in refusals)
