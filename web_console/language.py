"""Which of the page's languages a browser would rather have."""

from __future__ import annotations

LANGUAGES = ("en", "zh")
"""The first is the one for whoever asks for neither."""
RANGES_MAX = 32
"""More language ranges than this are not looked at."""


def preferred(accept: str) -> str:
    """The language of the page for a header `Accept-Language` (RFC 9110, 12.5.4): the weightiest range that is ours."""
    best, weight_max = LANGUAGES[0], 0.0
    for part in accept.split(",")[:RANGES_MAX]:
        name, _, parameter = part.strip().partition(";")
        language = name.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if language in LANGUAGES and weight > weight_max:
            best, weight_max = language, weight
    return best


def _weight(parameter: str) -> float:
    key, _, value = parameter.strip().partition("=")
    if key.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
