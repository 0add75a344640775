"""What a figure is set against: a target holds for a whole year, a figure seldom does, and then both say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rollups.catalog import Target
from rollups.periods import HOUR_MS, Unit, local, midnight_ms, period

_MINUTE_MS, _DAY_MS = 60_000, 24 * HOUR_MS
_LENGTHS = (
    (_DAY_MS, "day", "days", "天"),
    (HOUR_MS, "hour", "hours", "小时"),
    (_MINUTE_MS, "minute", "minutes", "分钟"),
)


@dataclass(frozen=True, slots=True)
class Against:
    """A period beside the year of a target.

    `kind` is "year" where the period is that whole year, "part" where it lies within it, else "other".
    """

    kind: str
    year: int
    share: float
    """How much of the target's year the period covers, 0 to 1."""
    en: str
    zh: str


def against(target: Target | None, from_ms: int, to_ms: int, zone: str) -> Against | None:
    """What to say where a figure over [from_ms, to_ms) stands beside a target; None: there is none of a year.

    Years are those of the clocks in `zone`.
    """
    if target is None or target.year is None:
        return None
    begin, end = period(Unit.YEAR, midnight_ms(date(target.year, 1, 1), zone), zone)
    share = max(0, min(end, to_ms) - max(begin, from_ms)) / (end - begin)
    if (from_ms, to_ms) == (begin, end):
        return Against("year", target.year, share, f"all of {target.year}", f"{target.year}年全年")
    kind = "part" if begin <= from_ms and to_ms <= end else "other"
    first, last = local(from_ms, zone).year, local(max(from_ms, to_ms - 1), zone).year
    amount, amount_zh = _amount(to_ms - from_ms)
    years, years_zh = (f"{first}", f"{first}年") if first == last else (f"{first} to {last}", f"{first}至{last}年")
    return Against(
        kind=kind,
        year=target.year,
        share=share,
        en=f"{amount} of {years} set against the target for {target.year}",
        zh=f"以{years_zh}内{amount_zh}的数据对照{target.year}年目标",
    )


def _amount(length_ms: int) -> tuple[str, str]:
    """A length of time in its largest fitting unit, to one decimal."""
    unit_ms, one, many, zh = next((entry for entry in _LENGTHS if length_ms >= entry[0]), _LENGTHS[-1])
    number = f"{length_ms / unit_ms:.1f}".removesuffix(".0")
    return f"{number} {one if number == '1' else many}", f"{number}{zh}"
