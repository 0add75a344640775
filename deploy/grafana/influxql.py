"""The statements that dashboards ask, in InfluxQL with Grafana's macros. Names come from series_store.names.

Rows of rollups write a number that does not exist as 0 and name its field in `void`; whatever reads such a field asks
`has(field)` first. No statement reads raw readings over more than the time that its panel shows, or without a device.
"""

from __future__ import annotations

from collections.abc import Iterable

from series_store import names

SHOWN = "$timeFilter"
"""Grafana writes the time that the panel shows for it."""
STILL_THERE = '"to_ms" > ${__to}'
"""Of a place in the register: the device was there at the end of the time that is shown."""
CALLED_FOR = '"expected" > 0'
"""The schedule called for readings: InfluxDB says 0 where it divides by 0, which would be a meter without any."""
ENDED = "time < ${__to}ms - 1h"
"""Of an hour: it has ended. One that has not holds fewer readings than its schedule calls for."""
LAST_DAY = "time >= ${__to}ms - 25h"
"""With ENDED: the last 24 hours that have ended, whatever the panel shows."""
BUCKET = "15m"
"""Days of every time zone begin on a quarter of an hour of UTC."""


def quoted(*identifiers: str) -> str:
    """Identifiers with commas between."""
    return ", ".join(f'"{identifier}"' for identifier in identifiers)


def has(field: str) -> str:
    """The row holds a number in this field."""
    return f'"{names.VOID}" !~ /(^|,){field}(,|$)/'


def chosen(tag: str, variable: str) -> str:
    """The tag is what the variable says, or one of several. A quoted `= '$variable'` would break with several."""
    return f'"{tag}" =~ /^${{{variable}:regex}}$/'


def within(choice: str, variable: str) -> str:
    """The field `choice` of the register stands for what the variable says."""
    return f'"{choice}" =~ /(^|\\/)${{{variable}:regex}}{names.CHOICE_MARK}/'


def is_(tag: str, value: str) -> str:
    """The tag has this value."""
    return f"\"{tag}\" = '{value}'"


def select(what: str, source: str, conditions: Iterable[str] = (), group: str = "") -> str:
    """`SELECT what FROM source WHERE all conditions GROUP BY group`; `source` is taken as it is."""
    where = " AND ".join(conditions)
    return f"SELECT {what} FROM {source}{f' WHERE {where}' if where else ''}{f' GROUP BY {group}' if group else ''}"  # noqa: S608  (made of constants)


def newest_rows(measurement: str, numbers: Iterable[str], sure: Iterable[str], conditions: Iterable[str]) -> str:
    """The newest row of each indicator and area, void numbers as null.

    `numbers` may be void, `sure` never are; the first of them decides which row is the newest. One source per number
    leaves out the rows in which it is void; the quarter of an hour joins what belongs to one row again. The sure ones
    stand first: InfluxDB 1.x takes a text for a number that is not there where its first source does not have it.
    """
    kept, numbered = list(conditions), list(numbers)
    always = list(sure)
    tags = quoted(names.INDICATOR_TAG, names.AREA_TAG)
    sources = [f"({select(quoted(*always), quoted(measurement), kept, tags)})"]
    sources += [f"({select(quoted(n), quoted(measurement), [*kept, has(n)], tags)})" for n in numbered]
    columns = ", ".join(f'last("{name}") AS "{name}"' for name in (*always, *numbered))
    joined = select(columns, ", ".join(sources), [SHOWN], f"time({BUCKET}), {tags} fill(none)")
    return select(f'last("{always[0]}") AS "{always[0]}", {quoted(*always[1:], *numbered)}', f"({joined})", (), tags)
