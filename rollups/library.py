"""Opens what rollups compute by: the indicators that ship or a site's own, and the register of assets."""

from __future__ import annotations

from pathlib import Path

from rollups.assets import Assets
from rollups.assets_file import parse_assets
from rollups.catalog import Catalog
from yaml_models.files import load, read_text

_SHIPPED = Path(__file__).parent / "indicators.yaml"


def load_catalog(path: Path | None = None) -> Catalog:
    """The catalog at `path`, or the one that ships. Raises BadFile."""
    return load(path or _SHIPPED, Catalog)


def load_assets(path: Path) -> Assets:
    """The register of assets at `path`. Raises BadFile."""
    return parse_assets(read_text(path), file=str(path))
