"""Makes the history of one gateway, as a program of its own: `python -m loopgauge.demo.past --site FILE …`.

Prints how far it has got as a share of 1, a line each.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections import defaultdict
from pathlib import Path

from data_contract.civil import ScaledClock
from device_profiles.library import Library
from edge_agent.app import Agent, Ports
from edge_agent.config import EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.health import SystemBoard
from edge_agent.keep.disk import FileDisk
from edge_agent.site_plan import load_devices
from loopgauge.cli.common import VERSION
from loopgauge.demo.history import NoLink, PastClock, UnitBus, live_through, of_the_past
from loopgauge.demo.virtual_time import run_virtual
from simulators.app import begin_record, build_units
from simulators.clock import CivilClock
from simulators.devices.unit import Unit
from simulators.load_scenario import Loaded, find, load_scenario, with_seed
from simulators.truth.record import RecordError, RecordWriter
from simulators.world.world import World
from yaml_models.bad_file import BadFile
from yaml_models.files import load


def make(site: Path, loaded: Loaded, record: Path, *, profiles: Path | None, begin_ms: int, end_ms: int) -> None:
    """Fill the spool of the gateway `site` with what it sampled in [begin_ms, end_ms), ms UTC, and the record with it.

    Raises BadFile, Fatal, RecordError.
    """
    library = Library(profiles)
    config = load(site, EdgeConfig)
    groups = {name: list(profile.groups) for name, (_, profile) in load_devices(config, library).items()}
    config = of_the_past(config, groups)
    devices = load_devices(config, library)
    units = build_units(loaded, world=World(scenario=loaded.scenario, origin_ms=begin_ms))
    notes = RecordWriter(path=record)
    then = CivilClock(scaled=ScaledClock(origin_ms=end_ms))
    begin_record(notes, record, loaded.scenario, then, history_ms=end_ms - begin_ms)
    clock = PastClock(begin_ms=begin_ms)
    lines: defaultdict[str, dict[int, Unit]] = defaultdict(dict)
    for name, (device, profile) in devices.items():
        lines[device.bus][profile.modbus.unit_id if device.unit_id is None else device.unit_id] = units[name]
    agent = Agent(
        config=config,
        devices=devices,
        ports=Ports(
            clock=clock,
            disk=FileDisk(path=Path(config.spool.file), bytes_max=config.spool.bytes_max),
            link=NoLink(),
            buses={bus: UnitBus(units=lines[bus], notes=notes, now_ms=clock.utc_ms) for bus in config.buses},
            board=SystemBoard(folder=Path(config.spool.file).parent),
            rng=random.Random(f"{loaded.scenario.seed} {config.gateway}"),
        ),
        board=config.board or "demo",
        version=VERSION,
    )

    def on_hour(t_ms: int) -> None:
        print(f"{(t_ms - begin_ms) / (end_ms - begin_ms):.3f}", flush=True)

    try:
        run_virtual(live_through(agent, clock, end_ms, on_hour))
    finally:
        notes.close()


def _leaf(group: BaseExceptionGroup[Exception]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    """Exit code 0, or 1 for what is said on the last line of stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, required=True, help="site file of the gateway")
    parser.add_argument("--profiles", type=Path, help="folder with profiles that the agent goes by")
    parser.add_argument("--scenario", required=True, help="file or name of the world's scenario")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True, help="the record of what was served")
    parser.add_argument("--begin-ms", type=int, required=True, help="begin of the world, ms UTC")
    parser.add_argument("--end-ms", type=int, required=True, help="end of the history, ms UTC")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    failed = 0
    try:
        loaded = with_seed(load_scenario(find(args.scenario), Library().load), args.seed)
        make(args.site, loaded, args.record, profiles=args.profiles, begin_ms=args.begin_ms, end_ms=args.end_ms)
    except* (BadFile, Fatal, RecordError) as group:
        print(_leaf(group), file=sys.stderr)
        failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
