"""`loopgauge simulate keys`: what may stand in a scenario, as a commented file."""

from __future__ import annotations

import argparse
from typing import Any

_DESCRIPTION = """\
Print the keys of a section of a scenario as a commented file: what each means, its unit in its name, its default.

  areas      the tree of districts and sites         parks      industry that recirculates its water
  calendar   weekends, holidays, days worked         trains     desalination: flows, membranes, sea, fouling
  weather    warmth and rain                         loads      what draws power
  bins       deposits, body, opening windows         lines      lines that meters share
  vehicles   rounds and what they carry              meters     what a device shows, and how it errs
  stations   where rounds end, on a weighbridge      faults     what goes wrong with devices, sensors, lines
  plants     reclaimed water: users, process, store

A guide with examples: docs/writing-a-scenario.md; all keys in one table: docs/scenario-keys.md.
"""

_LISTS = (("calendar", "holidays"), ("bins", "open"))
"""Lists that are empty by default, so that a sample of their section shows no entry of them."""


def add_kind(kinds: Any) -> None:
    """Add `keys` to the kinds of `simulate`."""
    parser = kinds.add_parser(
        "keys",
        help="what may stand in a scenario: every key with its default",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("section", metavar="SECTION", nargs="?", help="one of the above; without it all are printed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 2 for a section that there is not."""
    from loopgauge.cli.common import complain
    from simulators.keys import SECTIONS
    from yaml_models.sample import sample

    if args.section is not None and args.section not in SECTIONS:
        return complain(f"no section {args.section!r}; there is {', '.join(SECTIONS)}", 2)
    for section in SECTIONS if args.section is None else (args.section,):
        for name, model in SECTIONS[section].items():
            if not name or (section, name) in _LISTS:
                print(f"# ---- {section}{f' · {name}' if name else ''}\n{sample(model)}")
    return 0
