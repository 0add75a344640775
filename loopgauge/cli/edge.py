"""`loopgauge edge`: run the agent of a gateway, or look at its site file without connecting to anything."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb and its sub-verbs."""
    parser = subparsers.add_parser("edge", help="the agent on a gateway")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run|check|sample")
    run_parser = verbs.add_parser(
        "run",
        help="read meters, keep readings on disk, send them",
        description="Reads the site FILE; writes its spool; publishes to its broker.",
    )
    check_parser = verbs.add_parser(
        "check",
        help="validate a site file",
        description="Reads the site FILE and the profiles that it names; writes and connects to nothing.",
    )
    sample_parser = verbs.add_parser(
        "sample", help="print a commented site file", description="Writes to the terminal only."
    )
    sample_parser.set_defaults(run=run)
    for each in (run_parser, check_parser):
        each.add_argument("file", metavar="FILE", help="the gateway's site file (YAML)")
        each.add_argument("--profiles", metavar="DIR", help="folder with the site's own device profiles")
        each.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure while running, 2 for bad input."""
    from pathlib import Path

    from device_profiles.library import Library
    from edge_agent import app
    from edge_agent.config import SAMPLE, EdgeConfig
    from edge_agent.errors import Fatal
    from loopgauge.cli.common import VERSION, complain, run_program
    from yaml_models.bad_file import BadFile
    from yaml_models.files import load
    from yaml_models.sample import sample

    if args.verb == "sample":
        print(sample(EdgeConfig, SAMPLE), end="")
        return 0
    try:
        config = load(Path(args.file), EdgeConfig)
        library = Library(Path(args.profiles) if args.profiles else None)
        if args.verb == "check":
            for line in app.check(config, library=library):
                print(line)
            print(f"{args.file}: good")
            return 0
        agent = app.open_agent(config, library=library, version=VERSION)
    except Fatal as error:
        return complain(f"{args.file}: {error}", 2)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    return run_program(agent.run, expected=(Fatal,))
