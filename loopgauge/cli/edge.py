"""`loopgauge edge`: run the agent of a gateway, or look at its site file without connecting to anything."""

from __future__ import annotations

import argparse
from typing import Any

from loopgauge.cli import edge_aside


def add_parser(subparsers: Any) -> None:
    """Add the verb and its sub-verbs."""
    parser = subparsers.add_parser("edge", help="the agent on a gateway")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run|check|read|calibrate|aside|sample")
    run_parser = verbs.add_parser(
        "run",
        help="read meters, keep readings on disk, send them",
        description="Reads the site FILE; writes its spool; publishes to its broker. Exit code 75: an operator has"
        " commanded a restart (`loopgauge command`), so start it again.",
    )
    check_parser = verbs.add_parser(
        "check",
        help="validate a site file",
        description="Reads the site FILE and the profiles that it names; writes and connects to nothing.",
    )
    read_parser = verbs.add_parser(
        "read",
        help="read the devices once, or again and again, and show what they say",
        description="Asks the devices of the site FILE; keeps and sends nothing. Exit code 1: something was not read.",
    )
    read_parser.add_argument("--once", action="store_true", help="once, rather than at each interval until Ctrl-C")
    read_parser.add_argument("--device", metavar="NAME", help="only this device")
    read_parser.add_argument("--json", action="store_true", help="a line of JSON for each device")
    calibrate_parser = verbs.add_parser(
        "calibrate",
        help="zero and one known mass of a bin: prints the entry for the site file",
        description="Reads a bin while its platform is empty, and again with a known mass on it. Prints what belongs"
        " under `calibrations:` in the site FILE, which it does not change. No agent may run meanwhile.",
    )
    calibrate_parser.add_argument("--device", required=True, metavar="NAME", help="the device with the bin")
    calibrate_parser.add_argument("--zero-now", action="store_true", help="the platform is empty already: do not ask")
    calibrate_parser.add_argument(
        "--mass", type=float, metavar="KG", help="the known mass: go on by itself when it has been put on"
    )
    sample_parser = verbs.add_parser(
        "sample", help="print a commented site file", description="Writes to the terminal only."
    )
    sample_parser.set_defaults(run=run)
    edge_aside.add_parser(verbs)
    for each in (run_parser, check_parser, read_parser, calibrate_parser):
        each.add_argument("file", metavar="FILE", help="the gateway's site file (YAML)")
        each.add_argument("--profiles", metavar="DIR", help="folder with the site's own device profiles")
        each.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure while running, 2 for bad input, 75 for `edge run` that was told to restart."""
    from pathlib import Path

    from device_profiles.library import Library
    from edge_agent import app, site_plan
    from edge_agent.commission.site_check import check_site, read_site
    from edge_agent.config import SAMPLE, EdgeConfig
    from edge_agent.errors import Fatal
    from loopgauge.cli.common import RESTART, VERSION, complain, run_program
    from service_health.notify import Notifier
    from yaml_models.bad_file import BadFile
    from yaml_models.files import read_text
    from yaml_models.sample import sample

    if args.verb == "sample":
        print(sample(EdgeConfig, SAMPLE), end="")
        return 0
    try:
        parsed = read_site(read_text(Path(args.file)), file=args.file)
        config = parsed.model
        library = Library(Path(args.profiles) if args.profiles else None)
        if args.verb == "check":
            found = check_site(parsed, library, site_plan.plans_of)
            for bad in found.errors:
                complain(bad, 2)
            for warning in found.warnings:
                complain(f"{warning} (warning)", 0)
            if found.errors:
                return 2
            for line in site_plan.check(config, library=library):
                print(line)
            print(f"{args.file}: good")
            return 0
        if args.verb == "read":
            from loopgauge.cli.edge_read import read

            return read(args, config, library)
        if args.verb == "calibrate":
            from loopgauge.cli.edge_calibrate import calibrate

            return calibrate(args, config, library)
        agent = app.open_agent(config, library=library, version=VERSION, notifier=Notifier.from_environment())
    except Fatal as error:
        return complain(f"{args.file}: {error}", 2)
    except (BadFile, ValueError) as error:
        return complain(error, 2)
    code = run_program(agent.run, expected=(Fatal,))
    return RESTART if code == 0 and agent.restarting else code
