"""`loopgauge simulate gateway`: the agent of a gateway whose pins are simulated in its own process."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_DESCRIPTION = """\
Run the ordinary agent of a site file on mock pins.

On the pins of each HX711 bus sits a model of the chip, which fetches its conversions from the world that
`loopgauge simulate modbus` serves. All other buses are read as they are. The devices must say simulated: true.
Reads SITE, its profiles and PORTS; writes its spool; publishes to its broker.
"""


def add_kind(kinds: Any) -> None:
    """Add `gateway` to the kinds of `simulate`."""
    parser = kinds.add_parser(
        "gateway",
        help="the agent of a gateway on mock pins",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="SITE", type=Path, help="the gateway's site file (YAML)")
    parser.add_argument("--feed", required=True, type=Path, metavar="PORTS", help="ports of the world (JSON)")
    parser.add_argument("--profiles", type=Path, metavar="DIR", help="folder with the site's own device profiles")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure while running, 2 for bad input."""
    from device_profiles.library import Library
    from edge_agent import app
    from edge_agent.config import EdgeConfig
    from edge_agent.errors import Fatal
    from loopgauge.cli.common import RESTART, VERSION, complain, run_program
    from loopgauge.simulated_gateway import feeds_of, read_ports, solder
    from yaml_models.bad_file import BadFile
    from yaml_models.files import load

    try:
        config = load(args.file, EdgeConfig)
        feeds = feeds_of(config, read_ports(args.feed))
        agent = app.open_agent(config, library=Library(args.profiles), version=VERSION)
        solder(config, feeds)
    except Fatal as error:
        return complain(f"{args.file}: {error}", 2)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    code = run_program(agent.run, expected=(Fatal,))
    return RESTART if code == 0 and agent.restarting else code
