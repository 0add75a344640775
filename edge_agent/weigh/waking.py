"""Bins at the start of the agent: what they remember, and what is put on record of them. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from data_contract.batch import Record
from data_contract.calibration import CALIBRATION
from edge_agent.config import DeviceConfig
from edge_agent.weigh.bin import BinMeter

log = logging.getLogger("loopgauge.edge")


def wake(
    meters: Mapping[str, BinMeter], memory: Mapping[str, str], devices: Mapping[str, DeviceConfig]
) -> Iterator[Record]:
    """Bins go on from what they knew at the last seal; what turns their counts into kilograms is put on record."""
    for name, meter in meters.items():
        if name in memory:
            try:
                meter.restore(memory[name])
            except ValueError:
                log.error("%s: what the spool remembers of it cannot be read; its totals begin again at 0", name)
        of = devices[name].bin
        if of is not None and of.calibrations:
            data = {"calibrations": [each.model_dump(mode="json", by_alias=True) for each in of.calibrations]}
            yield Record(kind=CALIBRATION, device=name, data=data)
