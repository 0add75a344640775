"""A gateway without a board: the ordinary agent, on mock pins with chips that a simulated world feeds.

Mock pins are chosen here, on a person's word, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.config import EdgeConfig, Hx711Config
from edge_agent.errors import Fatal
from simulators.chips.ahead import Ahead
from simulators.chips.feed import FeedClient
from simulators.chips.hx711 import Hx711Chip, MockBoard

REPLY_S = 2.0
"""How long a chip waits for a conversion. Nobody waits with it, so a world that is busy may take its time."""


def feeds_of(config: EdgeConfig, ports: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Where the chip of each HX711 bus gets its conversions: bus -> (host, port). Raises Fatal.

    `ports` is what `loopgauge simulate modbus` wrote: a device on pins has `feed_host` and `feed_port`.
    """
    feeds: dict[str, tuple[str, int]] = {}
    for name, device in config.devices.items():
        if not isinstance(config.buses[device.bus], Hx711Config):
            continue
        if not device.simulated:
            raise Fatal(f"devices.{name}.simulated: its pins are not real; write simulated: true")
        place = ports.get(name)
        if not isinstance(place, Mapping) or not {"feed_host", "feed_port"} <= place.keys():
            raise Fatal(f"devices.{name}: the world does not feed it; name it as in the scenario")
        if device.bus in feeds:
            raise Fatal(f"devices.{name}.bus: {device.bus} has a device already; a chip carries one")
        feeds[device.bus] = str(place["feed_host"]), int(place["feed_port"])
    return feeds


def read_ports(path: Path) -> dict[str, Any]:
    """The file of ports. Raises Fatal."""
    try:
        ports = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Fatal(f"--feed {path}: {error}; give the file that `loopgauge simulate modbus --ports` writes") from None
    if not isinstance(ports, dict):
        raise Fatal(f"--feed {path}: no devices in it; give the file that `loopgauge simulate modbus --ports` writes")
    return ports


def solder(config: EdgeConfig, feeds: Mapping[str, tuple[str, int]]) -> MockBoard:
    """Mock pins for this process, with a chip on those of each HX711 bus. Raises Fatal."""
    board = MockBoard()
    for name, (host, port) in feeds.items():
        bus = config.buses[name]
        assert isinstance(bus, Hx711Config)
        feed = Ahead(FeedClient(host=host, port=port, reply_s=REPLY_S).sense)
        chip = Hx711Chip(sense=feed.sense, rate_hz=bus.rate_hz)
        try:
            board.connect(chip, dout_pin=bus.dout_pin, clock_pin=bus.clock_pin, door_pin=bus.door_pin)
        except ValueError as error:
            board.remove()
            raise Fatal(f"buses.{name}: {error}") from None
    return board
