"""Writes the dashboards, alert rules and provisioning files that Grafana reads: `python -m deploy.grafana.build`.

`--indicators FILE` makes them for another catalog of indicators, `--to FOLDER` writes them elsewhere.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from deploy.grafana.alerting import FOLDER, alerts, groups
from deploy.grafana.city import city
from deploy.grafana.model import DATASOURCE, Dashboard
from deploy.grafana.site import site
from deploy.grafana.words import LANGUAGES, Words
from device_profiles.library import Library
from rollups.catalog import Catalog
from rollups.library import load_catalog
from web_console.bins import WEIGHT

HOME = Path(__file__).parent
INSTALLED = "/etc/grafana/loopgauge/dashboards"
"""Where the dashboards lie on a host that the role `grafana` set up."""
FOLDERS = Words(FOLDER, f"{FOLDER} 中文")

_NOTE = "# Written by python -m deploy.grafana.build.\n"


def dashboards(catalog: Catalog) -> tuple[Dashboard, ...]:
    """All dashboards; each is told in every language."""
    return city(catalog), site(_profiled() | catalog.counters() | {WEIGHT})


def _profiled() -> set[str]:
    """Every field of every device in the catalog of profiles. What a bin's weight is made into is no device's field."""
    library = Library()
    return {field for name in library.ids() for field in library.load(name).fields}


def files(catalog: Catalog) -> dict[str, str]:
    """Path below this folder -> content of everything that is generated."""
    made = dashboards(catalog)
    found = {
        f"dashboards/{language}/{dashboard.name}.json": _json(dashboard.json(language))
        for language in LANGUAGES
        for dashboard in made
    }
    # Grafana replaces variables of its environment in provisioning files; $$ is a $.
    found["alerts/loopgauge.yaml"] = _NOTE + _yaml(groups(alerts(), made[0])).replace("$", "$$")
    found["provisioning/dashboards/loopgauge.yaml"] = _NOTE + _yaml(_providers())
    found["provisioning/datasources/loopgauge.yaml"] = (
        _NOTE
        + "# An example: put in the address and the reader's password, or let the role grafana write it.\n"
        + _yaml(_datasource())
    )
    return found


def _providers() -> dict[str, Any]:
    providers = [
        {
            "name": f"loopgauge-{language}",
            "orgId": 1,
            "type": "file",
            "folder": FOLDERS.in_(language),
            "disableDeletion": False,
            "allowUiUpdates": False,
            "updateIntervalSeconds": 60,
            "options": {"path": f"{INSTALLED}/{language}"},
        }
        for language in LANGUAGES
    ]
    return {"apiVersion": 1, "providers": providers}


def _datasource() -> dict[str, Any]:
    source = {
        "name": "Loopgauge",
        **DATASOURCE,
        "orgId": 1,
        "access": "proxy",
        "url": "https://influxdb.example:8086",
        "user": "reader",
        "jsonData": {"dbName": "loopgauge", "httpMode": "POST", "version": "InfluxQL", "tlsAuthWithCACert": True},
        "secureJsonData": {
            "password": "$__file{/etc/grafana/loopgauge/reader.password}",
            "tlsCACert": "$__file{/etc/grafana/loopgauge/ca.crt}",
        },
        "editable": False,
    }
    return {"apiVersion": 1, "datasources": [source]}


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _yaml(content: Any) -> str:
    text: str = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=120)
    return text


def main() -> None:
    """Write everything that is generated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indicators", type=Path, help="catalog of indicators; the shipped one if left out")
    parser.add_argument("--to", type=Path, default=HOME, help="folder to write to")
    args = parser.parse_args()
    for name, text in files(load_catalog(args.indicators)).items():
        path: Path = args.to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
