"""The name of every measurement, tag and field in the store, in one place. Dashboards and tests read it, too."""

from __future__ import annotations

GATEWAY, DEVICE, KIND, WORKER = "gateway", "device", "kind", "worker"
"""Tags. Readings carry gateway and device only: whatever can change about a device is joined at rollup time."""

EVENT = "event"
"""Tags gateway, device, kind; float fields as the record's values, and EVENT_TEXT."""
EVENT_TEXT = "text"
"""The record's data as JSON text."""

SUMMARY = "summary"
"""Tags gateway, device; readings that a full gateway gave up, at the stamp of the first of successive ones:
`<field>_to` (stamp of the last), `<field>_count`; of a gauge `_min|_max|_mean`, too. Of totals and states, those that
decide were kept, and lie under their own keys."""
SUMMARY_TO, SUMMARY_COUNT, SUMMARY_MEAN = "to", "count", "mean"
SUMMARY_COURSE = ("min", "max", SUMMARY_MEAN)
SUMMARY_MS_MAX = 3_600_000
"""They lie within one hour of UTC."""

UNSURE = "unsure"
"""Tags gateway, device; readings whose time is an estimate, at the stamp of the first of a batch: stamp of the last,
and how long before (negative) and after their stamps they may have been taken, in ms."""
UNSURE_FIELDS = ("to", "early", "late")

RECEIPT = "receipt"
"""Tags gateway, worker; time in microseconds; fields below. One per batch made durable; a batch may have several."""
RUN, SEQ, FROM, TO, READINGS, BAD, COUNTS = "run", "seq", "from", "to", "readings", "bad", "counts"

VOID = "void"
"""Figures: the fields of a row that hold no number, by name, comma between. They read 0: a store merges what is written
under one key, so a field that was left out would keep the value of an earlier row."""

ASSET = "asset"
"""Tags gateway, device, and these three; at the begin of a place."""
ASSET_TAG, ROLE_TAG, SITE_TAG = "asset", "role", "site"
ASSET_FIELDS = (
    "title",
    "title_zh",
    "path",  # ids of the areas from the top down, / between; the last one is the site
    "city",  # these eight: a choice each, of the areas that it lies in and of its device
    "city_zh",
    "district",
    "district_zh",
    "place",
    "place_zh",
    "meter",
    "meter_zh",
    "zone",
    "to_ms",
    "simulated",
    "use",
    "material",
    "capacity_kg",
    VOID,
)

CHOICE_MARK = " "
"""A choice is one entry of a dashboard's variable, `city/harbour Harbour`: a path, whose last id is the value, and what
a person reads. No id holds the mark. It sorts before all that ids and paths hold: an area comes before its parts."""

ROLLUP_1H, ROLLUP_1D = "rollup_1h", "rollup_1d"
"""Tags gateway, device, field; at the begin of the hour (UTC) or of the day (the site's zone)."""
FIELD = "field"
SUMMARISED, TIME_UNSURE = "summarised", "time_unsure"
STRETCH_FIELDS = (
    "kind",  # counter | gauge
    "readings",
    SUMMARISED,  # beside them: given up by a full gateway, and told of by a digest
    TIME_UNSURE,  # of these: so many whose time is an estimate, and which may belong to a neighbour
    "expected",  # absent where no schedule is known
    "covered_s",
    "first_ms",
    "last_ms",
    "delta",
    "mean",
    "min",
    "max",
    "odd",  # JSON: [[from_ms, to_ms, kind, delta, believed], …]
    "gaps",  # JSON: [lead, tail], each null or [from_ms, to_ms, delta]
    "doubts",  # JSON: [volume, lead, tail], each null or [from_ms, to_ms, before, after, readings before, after]
    VOID,
)

INDICATOR = "indicator"
"""These three tags; at the begin of the period."""
INDICATOR_TAG, AREA_TAG, PERIOD_TAG = "indicator", "area", "period"
FIGURE_FIELDS = (
    "value",
    "from_ms",
    "to_ms",
    "numerator",
    "denominator",
    "completeness",
    "partial",
    SUMMARISED,  # readings of its meters that only digests tell of
    TIME_UNSURE,  # readings of its meters that may belong to a neighbouring period: low and high say by how much
    "low",
    "high",
    "simulated",
    "target",  # as the catalog said when the row was written
    "area_choice",
    "area_choice_zh",
    "rule",
    "reason",
    "meters",  # JSON: [[asset, role, delta, completeness], …]
    VOID,
)

CURSOR = "cursor"
CURSOR_RECEIPTS, CURSOR_CLOSED = "rollups", "rollups_closed"
"""What rollups remember: receipts (microseconds) up to which all hours are written; civil time (ms) up to which periods
that have ended are settled. 0: they never ran."""

RESERVED = frozenset({EVENT, SUMMARY, UNSURE, RECEIPT, ASSET, ROLLUP_1H, ROLLUP_1D, INDICATOR, CURSOR})
"""Measurements that are ours: no device kind may bear these names."""
