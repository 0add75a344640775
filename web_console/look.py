"""Looks into the store for one page: what is stored, in the shapes of `views`."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from data_contract.batch import SCHEDULE, START, Start
from data_contract.reading import GATEWAY_DEVICE, is_pseudonym
from data_contract.schedule import Schedule
from rollups.catalog import Catalog
from series_store import names
from series_store.port import Figure, FigureStore, Reader
from series_store.table import SeriesKey
from web_console import courses, views
from web_console.bins import bins
from web_console.emptyings import Emptyings
from web_console.figures import DAY_MS, REACH_MS, indicators
from web_console.labels import Labels
from web_console.silence import NEVER_HEARD, Heard, Silence, heard, silence_of_device, silence_of_gateway

EVER_MS = 9_000_000_000_000
RECENT_MS = 900_000
"""Causes of a silence are read from the batches of so much time."""
SERIES_MS_MAX = 7 * DAY_MS
"""A line of readings shows so much at most."""
HISTORY_MS_MAX = 31 * DAY_MS
"""A line of hours shows so much at most."""


class Look:
    """The store as the page sees it. Every method may raise Unavailable.

    `grace_ms` of civil time is what a batch may take from its gateway to the store before the gateway counts as silent.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        figures: FigureStore,
        catalog: Catalog,
        labels: Labels,
        now_ms: Callable[[], int],
        grace_ms: int = 30_000,
    ) -> None:
        self._reader = reader
        self._figures = figures
        self._catalog = catalog
        self._labels = labels
        self._now_ms = now_ms
        self._grace_ms = grace_ms
        self._emptyings = Emptyings(reader=reader, figures=figures)
        self._schedules: dict[str, tuple[int, Schedule | None]] = {}
        self._versions: dict[str, tuple[int, str]] = {}

    async def overview(self) -> views.Json:
        """Everything on the page but the lines of devices."""
        now_ms, labels = self._now_ms(), self._labels
        stored = await self._reader.series()
        keys = [key for key in stored if key.device != GATEWAY_DEVICE and not is_pseudonym(key.field)]
        newest = await self._reader.latest(keys)
        said, silences = await self._heard(keys, newest, now_ms)
        versions = {one.gateway: await self._version(one.gateway) for one in said}
        causes = views.quiet(silences, labels, keys, now_ms)
        emptied = await self._emptyings.of(keys, newest, now_ms)
        shown = views.devices(keys, newest, labels, causes, now_ms)
        return {
            "now_ms": now_ms,
            "zone": labels.zone,
            "simulated": any(device["simulated"] for device in shown),
            "areas": views.areas(labels),
            "indicators": indicators(self._catalog, labels, await self._rows(now_ms), now_ms),
            "bins": bins(labels, newest, emptied, causes, now_ms),
            "devices": shown,
            "gateways": views.gateways(said, versions, labels, now_ms, self._grace_ms),
            "silent": views.silent(silences, labels, now_ms),
        }

    async def _rows(self, now_ms: int) -> list[Figure]:
        """Figures of each period as far back as the page shows them."""
        rows: list[Figure] = []
        for period, reach_ms in REACH_MS.items():
            tags = {names.PERIOD_TAG: period}
            rows += await self._figures.figures(names.INDICATOR, tags, now_ms - reach_ms, now_ms + DAY_MS)
        return rows

    async def line(self, gateway: str, device: str, field: str, span_ms: int) -> views.Json | None:
        """The last `span_ms` of a series, None if it is not stored."""
        key = courses.asks_for(await self._reader.series(), gateway, device, field)
        if key is None:
            return None
        now_ms = self._now_ms()
        from_ms = max(0, now_ms - min(span_ms, SERIES_MS_MAX))
        window = (await self._reader.window([key], from_ms, now_ms + 1))[key]
        return {"from_ms": from_ms, "to_ms": now_ms, **courses.line(window)}

    async def history(self, gateway: str, device: str, field: str, span_ms: int) -> views.Json | None:
        """The hours of a series in the last `span_ms`, None if it is not stored. No reading is looked at."""
        if courses.asks_for(await self._reader.series(), gateway, device, field) is None:
            return None
        now_ms = self._now_ms()
        from_ms = max(0, now_ms - min(span_ms, HISTORY_MS_MAX))
        tags = {names.GATEWAY: gateway, names.DEVICE: device, names.FIELD: field}
        rows = await self._figures.figures(names.ROLLUP_1H, tags, from_ms, now_ms + 1)
        return {"from_ms": from_ms, "to_ms": now_ms, **courses.hours(rows)}

    async def _heard(
        self, keys: list[SeriesKey], newest: views.Newest, now_ms: int
    ) -> tuple[list[Heard], list[Silence]]:
        """What each gateway said last, and who is silent."""
        everyone: list[Heard] = []
        silences: list[Silence] = []
        for receipt in await self._reader.last_receipts():
            schedule = await self._schedule(receipt.gateway)
            said = heard(receipt, schedule)
            everyone.append(said)
            gone = silence_of_gateway(said, now_ms, self._grace_ms)
            if gone is not None:
                silences.append(gone)
                continue
            recent = await self._reader.receipts_between(receipt.gateway, said.to_ms - RECENT_MS, said.to_ms)
            for device in self._devices_of(receipt.gateway, keys, schedule, now_ms):
                own = [t for key, (t, _) in newest.items() if (key.gateway, key.device) == (receipt.gateway, device)]
                silence = silence_of_device(said, device, max(own, default=None), schedule, recent)
                if silence is not None:
                    silences.append(silence)
        known = {said.gateway for said in everyone}
        never = {label.gateway for label in self._labels.current(now_ms)} - known
        silences += [Silence(gateway, None, None, NEVER_HEARD, {}) for gateway in sorted(never)]
        return everyone, silences

    def _devices_of(self, gateway: str, keys: list[SeriesKey], schedule: Schedule | None, now_ms: int) -> list[str]:
        """The gateway's devices that ought to speak: polled, or registered as an asset; all if nothing is known."""
        polled = {poll.device for poll in schedule.polls} if schedule else set()
        registered = {label.device for label in self._labels.current(now_ms) if label.gateway == gateway}
        stored = {key.device for key in keys if key.gateway == gateway}
        return sorted((polled | registered or stored) - {GATEWAY_DEVICE})

    async def _schedule(self, gateway: str) -> Schedule | None:
        """The newest schedule of a gateway. What was found is remembered; only newer ones are asked for."""
        since_ms, schedule = self._schedules.get(gateway, (0, None))
        for event in await self._reader.events(SCHEDULE, since_ms, EVER_MS, gateway):
            try:
                schedule = Schedule.model_validate_json(event.text)
            except ValidationError:
                continue
            since_ms = event.t_ms
        self._schedules[gateway] = since_ms, schedule
        return schedule

    async def _version(self, gateway: str) -> str:
        """The version that a gateway said when it last started, "" if it never did. Remembered as schedules are."""
        since_ms, version = self._versions.get(gateway, (0, ""))
        for event in await self._reader.events(START, since_ms, EVER_MS, gateway):
            try:
                version = Start.model_validate_json(event.text).version
            except ValidationError:
                continue
            since_ms = event.t_ms
        self._versions[gateway] = since_ms, version
        return version
