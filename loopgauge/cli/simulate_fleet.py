"""`loopgauge simulate fleet`: thousands of gateways from one process, as a load or as a rehearsal."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulators.fleet.live import Progress
    from simulators.fleet.pace import Pace
    from simulators.fleet.plan import FleetPlan

_DESCRIPTION = """\
Be a fleet of gateways that speak the real contract with a broker, until --for is over or SIGTERM; then each seals what
it has, says so, and waits for its last acks.

Every gateway reads --meters three-phase meters of --fields fields, each --every s, and seals a batch each --seal s. It
sends it at QoS 1 over a connection of its own (plain MQTT, no TLS), forgets it when ingest has acknowledged it, and
else sends it again. 5000 gateways of 20 meters take about 100 MB, and 0.3 kB more for each batch that waits.

Without --rate the gateways run with the clock (LOOPGAUGE_CLOCK). With --rate their time runs faster or slower; a faster
fleet begins in the past and ends in the present.

Reads nothing, or the file of --replay. Publishes to --broker. Writes, where asked to: --record (SQLite: every reading
that was sent, noted before it left), --prepare (payloads for --replay; no broker is needed), --result (JSON: what was
sent and confirmed). Exit code 0, 1 where a batch remained unconfirmed or something failed, 2 for bad input.
"""

RATE_MAX = 1e9


def add_kind(kinds: Any) -> None:
    """Add `fleet` to the kinds of `simulate`."""
    parser = kinds.add_parser(
        "fleet",
        help="thousands of gateways that speak the real contract",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fleet = parser.add_argument_group("the fleet")
    fleet.add_argument("--gateways", type=int, default=100, metavar="N", help="how many (%(default)s)")
    fleet.add_argument("--meters", type=int, default=10, metavar="M", help="behind each gateway (%(default)s)")
    fleet.add_argument("--fields", type=int, default=10, metavar="F", help="of each meter (%(default)s)")
    fleet.add_argument("--every", type=span_s, default=10.0, metavar="S", help="between two readings (10s)")
    fleet.add_argument("--seal", type=span_s, default=10.0, metavar="S", help="between two batches (10s)")
    fleet.add_argument("--seed", type=int, default=1, metavar="S", help="another seed, other meters (%(default)s)")
    fleet.add_argument(
        "--missing", type=float, default=0.001, metavar="SHARE", help="unanswered requests (%(default)s)"
    )
    fleet.add_argument("--prefix", default="fleet", metavar="NAME", help="gateways are NAME-00000 … (%(default)s)")
    load = parser.add_argument_group("the load")
    load.add_argument("--rate", type=float, metavar="R", help="readings per s of all gateways together")
    load.add_argument("--for", dest="for_s", type=span_s, metavar="TIME", help="such as 60s, 10m; else until SIGTERM")
    load.add_argument(
        "--outage",
        type=_outage,
        action="append",
        default=[],
        metavar="START,DURATION,SHARE",
        help="from START s on this share of the connections is cut for DURATION s, then all come back; may be repeated",
    )
    load.add_argument("--spool", type=int, default=360, metavar="N", help="batches that a gateway keeps (%(default)s)")
    load.add_argument("--drain", type=span_s, default=30.0, metavar="TIME", help="longest wait for last acks (30s)")
    load.add_argument(
        "--prepare", type=Path, metavar="FILE", help="write the payloads of --for instead of sending them"
    )
    load.add_argument(
        "--merge", type=int, metavar="N", help="with --prepare: batches in a message (as after an outage)"
    )
    load.add_argument(
        "--bytes-max", type=int, default=4 << 30, metavar="N", help="with --prepare: bound of FILE (4 GiB)"
    )
    load.add_argument("--replay", type=Path, metavar="FILE", help="send what was prepared, as fast as acks come")
    way = parser.add_argument_group("the way")
    way.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT", help="(%(default)s)")
    way.add_argument(
        "--connections",
        type=int,
        metavar="N",
        help="let gateways share N connections: for benches, on a broker without ACL, and without last wills",
    )
    way.add_argument("--secret-file", type=Path, metavar="FILE", help="one password for all; the user is the gateway")
    way.add_argument("--record", type=Path, metavar="FILE", help="keep what is sent, for a judge")
    way.add_argument("--result", type=Path, metavar="FILE", help="write at the end what was sent and confirmed")
    parser.set_defaults(run=run)


def span_s(text: str) -> float:
    from loopgauge.cli.spans import span_s as parse

    return parse(text)


def _outage(text: str) -> Any:
    from simulators.fleet.pace import Outage

    try:
        return Outage.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected START,DURATION,SHARE such as 60,30,0.5, got {text!r}") from None


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 1 for a failure or an unconfirmed batch, 2 for bad input."""
    from loopgauge.cli.common import complain
    from simulators.fleet.prepare import PreparedFile, PrepareError
    from yaml_models.bad_file import BadFile

    try:
        _check(args)
        if args.replay is not None:
            return _replay(args, PreparedFile.open(args.replay))
        plan, pace = _plan(args)
        return _prepare(args, plan) if args.prepare is not None else _live(args, plan, pace)
    except (PrepareError, BadFile, ValueError) as error:
        return complain(error, 2)


def _check(args: argparse.Namespace) -> None:
    """Raise ValueError for what no fleet can mean."""
    if args.prepare is not None and args.replay is not None:
        raise ValueError("--prepare and --replay exclude each other: prepare first, then replay the file")
    if args.prepare is not None and args.for_s is None:
        raise ValueError("--prepare: say how much time of the gateways it is to hold, such as --for 10m")
    if args.prepare is not None and args.rate is not None:
        raise ValueError("--prepare: holds payloads, whatever their pace; give --rate with --replay")
    if args.replay is not None and args.record is not None:
        raise ValueError("--record: a replay makes no readings; record a living fleet")
    if args.rate is not None and not 0 < args.rate <= RATE_MAX:
        raise ValueError(f"--rate {args.rate:g}: give readings per s, above 0 and at most {RATE_MAX:g}")
    for option, value in (("--connections", args.connections), ("--merge", args.merge), ("--spool", args.spool)):
        if value is not None and value < 1:
            raise ValueError(f"{option} {value}: give a whole number from 1 on")


def _plan(args: argparse.Namespace) -> tuple[FleetPlan, Pace]:
    """The plan, from its begin on, and its pace. Raises ValueError."""
    import os
    import time

    from data_contract.civil import CLOCK_VARIABLE, ScaledClock
    from simulators.fleet.pace import Pace, pace_of
    from simulators.fleet.plan import FleetPlan

    clock = ScaledClock.parse(os.environ.get(CLOCK_VARIABLE))
    plan = FleetPlan(
        gateways=args.gateways,
        meters=args.meters,
        fields=args.fields,
        every_ms=round(args.every * 1000),
        seal_ms=round(args.seal * 1000),
        seed=args.seed,
        missing=args.missing,
        prefix=args.prefix,
    )
    now_ms = clock.now_ms(time.time() * 1000)
    if args.prepare is not None:
        begin_ms = (now_ms - round(args.for_s * 1000)) // plan.seal_ms * plan.seal_ms
        return dataclasses.replace(plan, begin_ms=begin_ms), Pace(begin_ms, clock.speed)
    pace = pace_of(
        natural_rate=plan.natural_rate,
        rate=args.rate,
        for_s=args.for_s,
        now_ms=now_ms,
        clock_speed=clock.speed,
        seal_ms=plan.seal_ms,
    )
    # They have sampled for one interval when they are first seen, so that the load is there from the first moment.
    return dataclasses.replace(plan, begin_ms=pace.start_ms - plan.seal_ms), pace


def _prepare(args: argparse.Namespace, plan: FleetPlan) -> int:
    from simulators.fleet.gateways import Gateways
    from simulators.fleet.prepare import Prepared, prepare

    show = _line()

    def say(so_far: Prepared) -> None:
        show(f"{so_far.readings / 1e6:.2f} M readings, {so_far.size / 1e6:.0f} MB")

    merge = args.merge or Gateways(plan=plan).flight_batches_max
    if merge > (most := _merge_max()):
        raise ValueError(f"--merge {merge}: a message holds at most {most} batches")
    to_ms = plan.begin_ms + round(args.for_s * 1000)
    done = prepare(args.prepare, plan=plan, to_ms=to_ms, merge=merge, bytes_max=args.bytes_max, say=say)
    show("")
    print(
        f"{args.prepare}: {done.messages} messages, {done.batches} batches, {done.readings} readings, {done.size} bytes"
    )
    _write_result(args.result, done._asdict())
    return 0


def _merge_max() -> int:
    from data_contract.message import BATCHES_MAX

    return BATCHES_MAX


def _live(args: argparse.Namespace, plan: FleetPlan, pace: Pace) -> int:
    import asyncio

    from simulators.fleet.app import run_live

    uplink = _uplink(args)

    async def program(stop: asyncio.Event) -> Progress:
        return await run_live(
            plan=plan,
            pace=pace,
            uplink=uplink,
            stop=stop,
            say=_say(),
            for_s=args.for_s,
            drain_s=args.drain,
            wait_connected=args.rate is not None,
            record=args.record,
            outages=args.outage,
            spool_batches_max=args.spool,
        )

    return _run(args, program)


def _replay(args: argparse.Namespace, file: Any) -> int:
    import asyncio

    from simulators.fleet.app import run_replay

    uplink = _uplink(args)

    async def program(stop: asyncio.Event) -> Progress:
        return await run_replay(
            file=file,
            uplink=uplink,
            stop=stop,
            say=_say(),
            rate=args.rate,
            for_s=args.for_s,
            drain_s=args.drain,
        )

    try:
        return _run(args, program)
    finally:
        file.close()


def _run(args: argparse.Namespace, program: Callable[[Any], Any]) -> int:
    """Run to the end, say what was sent, and whether all of it is confirmed."""
    from loopgauge.cli.common import complain, run_program
    from simulators.fleet.prepare import PrepareError
    from simulators.fleet.publish import CannotConnect
    from simulators.fleet.record import RecordError

    ended: list[Progress] = []

    async def kept(stop: Any) -> None:
        ended.append(await program(stop))

    code = run_program(kept, expected=(RecordError, CannotConnect, PrepareError))
    if code or not ended:
        return code
    told = ended[0]
    _line()("")
    print(_summary(told))
    _write_result(args.result, dataclasses.asdict(told))
    if told.unconfirmed:
        return complain(f"{told.unconfirmed} batches are unconfirmed; is ingest running, with this broker?", 1)
    return 0


def _uplink(args: argparse.Namespace) -> Any:
    """Where to connect. Raises ValueError, BadFile."""
    from simulators.fleet.app import Uplink
    from yaml_models.files import read_secret

    host, _, port = args.broker.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"--broker {args.broker}: write it as HOST:PORT, such as 127.0.0.1:1883")
    secret = read_secret(args.secret_file) if args.secret_file else ""
    return Uplink(host=host, port=int(port), connections=args.connections, secret=secret)


def _say() -> Callable[[Progress], None]:
    show = _line()

    def say(told: Progress) -> None:
        late = f", {told.behind_s:.0f} s late" if told.behind_s > 1 else ""
        show(
            f"{told.seconds:.0f} s: {told.connected} of {told.connections} connected,"
            f" {told.readings / 1e6:.2f} M readings sent, {told.unconfirmed} batches unconfirmed{late}"
        )

    return say


def _line() -> Callable[[str], None]:
    """Shows progress on one line of a terminal, and nothing elsewhere."""
    import sys

    def show(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    return show


def _summary(told: Progress) -> str:
    rate = (told.readings_at_end or told.readings) / told.seconds if told.seconds else 0.0
    return (
        f"{told.readings} readings in {told.batches} batches and {told.messages} messages, {rate:.0f} readings/s over"
        f" {told.seconds:.1f} s; {told.confirmed} batches confirmed, {told.rejected} of them rejected,"
        f" {told.redelivered} sent again, {told.unconfirmed} unconfirmed; {told.lost_connections} connections lost"
    )


def _write_result(path: Path | None, said: dict[str, Any]) -> None:
    import time

    if path is not None:
        said = {**said, "cpu_s": time.process_time()}
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps(said) + "\n", encoding="utf-8")
        partial.replace(path)
