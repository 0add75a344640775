"""The command `loopgauge`: one verb, one module; a verb's libraries are imported only when it runs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from loopgauge.cli.common import VERSION, complain, set_up_logging

VERBS = ("demo", "edge", "ingest", "rollup", "report", "console", "audit", "command", "profile", "simulate", "store")

_EXTRAS = {"edge": "edge", "simulate": "sim", "demo": "sim"}
"""Which extra brings the libraries of a verb; `cloud` for all others."""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    top = argparse.ArgumentParser(
        prog="loopgauge", description="Meter a circular economy: from bins and meters to figures that can be signed."
    )
    top.add_argument("--version", action="version", version=f"loopgauge {VERSION}")
    top.add_argument("-v", "--verbose", action="store_true", help="log more")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="|".join(VERBS))
    for verb in VERBS:
        importlib.import_module(f"loopgauge.cli.{verb}").add_parser(subparsers)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 for a failure, 2 for bad input."""
    args = parser().parse_args(argv)
    set_up_logging(args.verbose)
    try:
        code: int = args.run(args)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"loopgauge", "edge_agent", "ingest", "rollups"}:
            raise
        extra = _EXTRAS.get(args.command, "cloud")
        return complain(f"{args.command} needs the library {error.name}: pip install 'loopgauge[{extra}]'", 1)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
