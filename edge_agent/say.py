"""What the gateway says about itself at birth. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from data_contract.control import Birth, DeviceBirth, FieldBirth, write
from data_contract.reading import GATEWAY_DEVICE, FieldKind
from device_profiles.profile import Profile
from edge_agent import own_device
from edge_agent.config import DeviceConfig
from edge_agent.weigh import bin

BIN_KIND = "bin"


def kind_of(config: DeviceConfig, profile: Profile) -> str:
    """The measurement that a device's readings go to: a bin is a bin, whatever it stands on."""
    return profile.kind if config.bin is None else BIN_KIND


def kinds(devices: Mapping[str, tuple[DeviceConfig, Profile]]) -> dict[str, dict[str, FieldKind]]:
    """How the fields of each device add up, the gateway's own included."""
    found = {GATEWAY_DEVICE: {field: about.kind for field, about in own_device.FIELDS.items()}}
    for name, (config, profile) in devices.items():
        found[name] = {field: about.kind for field, about in profile.fields.items()}
        found[name] |= bin.KINDS if config.bin is not None else {}
    return found


def birth(
    *,
    gateway: str,
    board: str,
    version: str,
    run: str,
    devices: Mapping[str, tuple[DeviceConfig, Profile]],
    health: bool,
) -> bytes:
    """The retained birth message: who I am, and per device its kind, profile and fields. `health`: I am one, too."""
    said = {GATEWAY_DEVICE: own_device.birth()} if health else {}
    for name, (config, profile) in devices.items():
        fields = {
            field: FieldBirth(unit=about.unit, kind=about.kind, accuracy_percent=about.accuracy_percent)
            for field, about in profile.fields.items()
            if config.fields is None or field in config.fields
        }
        if config.bin is not None:
            fields |= {field: FieldBirth(unit=bin.UNITS[field], kind=bin.KINDS[field]) for field in bin.FIELDS}
        said[name] = DeviceBirth(
            kind=kind_of(config, profile),
            profile=profile.profile,
            profile_version=profile.version,
            simulated=config.simulated,
            fields=fields,
        )
    return write(Birth(gateway=gateway, board=board, version=version, run=run, devices=said))
