"""What an unquoted word means, and that what is written reads back."""

from __future__ import annotations

import random

import pytest
import yaml

from yaml_models.scalars import DIGITS_MAX, Scalar, read_scalar, write_scalar


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "Yes", "N", "y", "True", "TRUE", "FALSE", "None", "NULL"])
def test_a_word_that_yaml_1_1_takes_for_a_boolean_stays_text(text: str) -> None:
    assert read_scalar(text) == text


@pytest.mark.parametrize(
    "text",
    ["007", "0o17", "017", "1_000", "1:30", "12:30:45", "2024-01-01", "0x", "0xG", "1.2.3", "-", "+", ".", "0b1"],
)
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert read_scalar(text) == text


@pytest.mark.parametrize(
    "text, value",
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-5", -5),
        ("+5", 5),
        ("0x1F", 31),
        ("0x00ff", 255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
    ],
)
def test_numbers_and_the_few_constants_are_read(text: str, value: Scalar) -> None:
    read = read_scalar(text)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["1e999", "9" * (DIGITS_MAX + 1), "0x" + "F" * DIGITS_MAX, "-1e400"])
def test_a_number_that_nothing_could_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number"):
        read_scalar(text)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 2**60, 0.1, -2.5e-7, 1e300, 123456.789),
        *(
            "",
            " ",
            "a b",
            "a: b",
            "- a",
            "#x",
            "a #b",
            "yes",
            "true",
            "null",
            "~",
            "007",
            "1.5",
            "0x1F",
            "'",
            '"',
            "\\",
        ),
        *(
            "a\nb",
            "a\tb",
            "\x00\x1b",
            "é",
            "中水",
            "\U0001f4a7",
            "*x",
            "&x",
            "!x",
            "%a",
            "@a",
            "`a",
            "{",
            "]",
            "a,b",
            "? a",
        ),
        *(
            "plant-1",
            "m3/h",
            "/dev/ttyUSB0",
            "a  b",
            " a",
            "a ",
            "x:",
            ":x",
            "...",
            "---",
            "<<",
            "=",
            "kW.h",
            "\x85\u2028",
        ),
    ],
)
def test_what_a_sample_writes_is_read_back_as_it_was(value: Scalar) -> None:
    document = f"key: {write_scalar(value)}\n"
    event = next(
        e for e in list(yaml.parse(document, Loader=yaml.SafeLoader))[4:] if isinstance(e, yaml.events.ScalarEvent)
    )
    read = read_scalar(event.value) if event.implicit[0] else event.value

    assert read == value
    assert type(read) is type(value)


def test_any_text_and_any_float_that_a_sample_writes_is_read_back() -> None:
    rng = random.Random(20)
    for _ in range(3000):
        text = "".join(
            chr(rng.choice([rng.randrange(32, 127), rng.randrange(0, 0xD7FF)])) for _ in range(rng.randrange(6))
        )
        event = next(
            e
            for e in list(yaml.parse(f"key: {write_scalar(text)}\n", Loader=yaml.SafeLoader))[4:]
            if isinstance(e, yaml.events.ScalarEvent)
        )
        assert (read_scalar(event.value) if event.implicit[0] else event.value) == text
        number = rng.uniform(-1, 1) * 10 ** rng.randrange(-30, 30)
        assert read_scalar(write_scalar(number)) == number
