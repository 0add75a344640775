"""The dashboard of a city: is it where it promised to be, which bins are full, who is silent, how are the gateways?"""

from __future__ import annotations

from deploy.grafana import influxql as ql
from deploy.grafana.bins import bins
from deploy.grafana.gateways import gateways, health, prospects
from deploy.grafana.indicators import DAYS, INDICATOR, all_areas, days, newest
from deploy.grafana.indicators import districts as completeness
from deploy.grafana.meters import CITY, districts, listed, meters
from deploy.grafana.model import Dashboard, Variable, row
from deploy.grafana.words import Words
from rollups.catalog import Catalog
from series_store import names


def city(catalog: Catalog) -> Dashboard:
    """The dashboard for a catalog of indicators."""
    return Dashboard(
        name="city",
        title=Words("Loopgauge: city", "Loopgauge：城市"),
        about=Words(
            "Indicators against their targets, bins to collect, silent meters, completeness, health of the gateways.",
            "指标与目标对照、待清运收集容器、静默计量器具、数据完整率与网关健康状况。",
        ),
        variables=_variables(),
        panels=(
            row(Words("Newest day in ${area:text}", "${area:text}最新一日")),
            *(newest(name, indicator) for name, indicator in catalog.indicators.items()),
            row(Words("All areas, newest day", "所有区域最新一日")),
            all_areas(catalog),
            row(Words("Days in ${area:text}", "${area:text}逐日")),
            *(days(name, indicator) for name, indicator in catalog.indicators.items()),
            row(Words("Bins, districts and meters", "收集容器、各区与计量器具")),
            bins(),
            completeness(catalog),
            meters((24, 12)),
            row(Words("Gateways", "网关")),
            gateways(),
            prospects(),
            *health(),
        ),
        time_from="now-30d",
    )


def _variables() -> tuple[Variable, ...]:
    areas = [
        ql.select(f'DISTINCT("{field}")', INDICATOR, [DAYS, ql.SHOWN]) for field in ("area_choice", "area_choice_zh")
    ]
    theirs = [ql.within("city", "city"), ql.within("district", "district")]
    return (
        CITY,
        districts(every=True),
        Variable("area", Words("Indicators of", "指标区域"), Words(*areas), in_time=True),
        listed(names.GATEWAY, "gateways", *theirs),
        listed(names.DEVICE, "devices", *theirs),
    )
