"""What is generated from the models and committed says what the models say now."""

from __future__ import annotations

from deploy.grafana import build as grafana
from rollups.library import load_catalog
from tools import contract_schemas as schemas
from tools import scenario_keys


def test_the_schemas_of_the_contract_are_those_of_its_models() -> None:
    present = {path.name: path.read_text("utf-8") for path in schemas.FOLDER.glob("*.schema.json")}
    wanted = {schemas.path(name).name: schemas.text(name) for name in schemas.MODELS}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    assert stale == [], "run: python -m tools.contract_schemas"


def test_the_dashboards_and_alert_rules_are_those_of_the_code_that_makes_them() -> None:
    folders = ("dashboards", "alerts", "provisioning")
    found = (path for folder in folders for path in (grafana.HOME / folder).rglob("*") if path.is_file())
    present = {path.relative_to(grafana.HOME).as_posix(): path.read_text("utf-8") for path in found}
    wanted = grafana.files(load_catalog())
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    assert stale == [], "run: python -m deploy.grafana.build"


def test_the_keys_of_a_scenario_are_those_of_its_models() -> None:
    assert scenario_keys.FILE.read_text("utf-8") == scenario_keys.document(), "run: python -m tools.scenario_keys"
