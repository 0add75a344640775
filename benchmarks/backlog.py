"""A fleet with a backlog: what its gateways have sealed while the cloud was away, and the same as line protocol.

Twenty meters of ten fields behind each gateway, each field each second, batches of 10 s. All is made beforehand, by the
generator of `loopgauge simulate fleet`; no two columns are alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from series_store.influx.lines import encode
from series_store.table import Table
from simulators.fleet.batches import BatchMaker, Sealed
from simulators.fleet.gateways import Gateways
from simulators.fleet.plan import KIND, FleetPlan
from simulators.fleet.prepare import Prepared, prepare

GATEWAYS = 32
METERS, FIELDS = 20, 10
SEAL_MS = 10_000
BATCH_VALUES = METERS * FIELDS * SEAL_MS // 1_000
PIECE_BATCHES = 5
PIECE_LINES = PIECE_BATCHES * BATCH_VALUES // FIELDS


def plan_of(begin_ms: int, *, gateways: int = GATEWAYS) -> FleetPlan:
    """The fleet, its backlog beginning at `begin_ms` (ms UTC, a multiple of SEAL_MS). No meter fails to answer."""
    return FleetPlan(
        gateways=gateways,
        meters=METERS,
        fields=FIELDS,
        every_ms=1_000,
        seal_ms=SEAL_MS,
        begin_ms=begin_ms,
        missing=0.0,
        prefix="gw",
    )


def lines(plan: FleetPlan, gateway: int, batches: int) -> Iterator[bytes]:
    """The readings of whole pieces of PIECE_BATCHES batches, all fields of a stamp in one line."""
    maker = BatchMaker(plan=plan)
    tags = [(("gateway", plan.gateway(gateway)), ("device", plan.meter(meter))) for meter in range(plan.meters)]
    for piece in range(batches // PIECE_BATCHES):
        begins = [plan.begin_ms + (piece * PIECE_BATCHES + n) * SEAL_MS for n in range(PIECE_BATCHES)]
        made = maker.make([(gateway, Sealed(1, begin_ms, begin_ms + SEAL_MS)) for begin_ms in begins])
        yield encode(
            [
                Table(KIND, tags[meter], plan.field_names, each.stamps[meter].tolist(), each.values[meter].tolist())
                for each in made
                for meter in range(plan.meters)
            ]
        )


def write_messages(path: Path, plan: FleetPlan, batches: int) -> Prepared:
    """Make the file that `simulate fleet --replay` sends: batches merged as by an agent after an outage."""
    merge = Gateways(plan=plan).flight_batches_max
    return prepare(path, plan=plan, to_ms=plan.begin_ms + batches * plan.seal_ms, merge=merge)


def write_lines(folder: Path, plan: FleetPlan, batches: int, gateway: int) -> tuple[str, list[int]]:
    """Put the lines of one gateway into a file; its path, and the size of each piece."""
    path = folder / f"{plan.gateway(gateway)}.lines"
    with path.open("wb") as file:
        return str(path), [file.write(piece) for piece in lines(plan, gateway, batches)]
