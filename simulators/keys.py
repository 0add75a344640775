"""Which models make up a scenario: by section, and within it by the key that holds another model."""

from __future__ import annotations

from pydantic import BaseModel

from simulators.parts.areas import Area
from simulators.parts.base import DayCurve
from simulators.parts.calendar import Calendar, Holiday, Window
from simulators.parts.city import Bin, Body, Load, Park, Plant, User
from simulators.parts.collection import Station, Vehicle
from simulators.parts.fault import Fault
from simulators.parts.meter import Ambient, Line, LoadCell, Meter, Scale
from simulators.parts.process import Network, Process, Storage
from simulators.parts.train import Fouling, Ro, Sea, Train
from simulators.parts.weather import Rain, Weather

SECTIONS: dict[str, dict[str, type[BaseModel]]] = {
    "areas": {"": Area},
    "calendar": {"": Calendar, "holidays": Holiday},
    "weather": {"": Weather, "rain": Rain},
    "bins": {"": Bin, "body": Body, "open": Window},
    "vehicles": {"": Vehicle},
    "stations": {"": Station},
    "plants": {"": Plant, "users": User, "process": Process, "process.storage": Storage, "process.network": Network},
    "parks": {"": Park},
    "trains": {"": Train, "ro": Ro, "ro.sea": Sea, "ro.fouling": Fouling},
    "loads": {"": Load, "day": DayCurve},
    "lines": {"": Line},
    "meters": {"": Meter, "load_cell": LoadCell, "scale": Scale, "ambient": Ambient},
    "faults": {"": Fault},
}
"""Section -> the models of its entries, in the order in which people meet them."""
