"""The gateway's site file: buses, devices, spool and uplink. This model is also the documentation and the sample."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contract.reading import GATEWAY_DEVICE

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class TlsConfig(_Model):
    """How the broker proves who it is, and how this gateway does."""

    ca_file: str = Field(description="certificate authority of the broker, PEM")
    cert_file: str | None = Field(
        default=None, description="this gateway's certificate, PEM; omit when it uses a password"
    )
    key_file: str | None = Field(default=None, description="private key of cert_file, PEM, readable by the agent alone")


class UplinkConfig(_Model):
    """The MQTT broker."""

    host: str = Field(description="name or address of the broker")
    port: Port = Field(default=8883, description="port of the broker")
    tls: TlsConfig | None = Field(default=None, description="required unless the broker is on this machine")
    username: str | None = Field(
        default=None, description="user name, by default the gateway's id when a password is given"
    )
    password_file: str | None = Field(default=None, description="file with the password, mode 600")
    keepalive_s: Annotated[int, Field(ge=5, le=1200)] = Field(default=30, description="MQTT keep-alive in s")
    timeout_s: Annotated[float, Field(ge=1, le=120)] = Field(default=15, description="longest wait for the broker in s")
    send_every_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0, description="0 sends each batch when it is sealed; metered links save bytes with 60"
    )

    @model_validator(mode="after")
    def _protected(self) -> UplinkConfig:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError(f"tls is missing and {self.host} is not this machine: add tls with ca_file")
        return self


class SpoolConfig(_Model):
    """Where batches wait until the cloud has confirmed them."""

    file: str = Field(description="SQLite file; its folder must exist and be writable")
    bytes_max: Annotated[int, Field(ge=1_000_000, le=2**40)] = Field(
        default=512_000_000, description="size at which new batches are refused and counted as disk_full"
    )


class ClockConfig(_Model):
    """When to believe the system's time."""

    trust: Literal["synchronised", "always"] = Field(
        default="synchronised", description="synchronised: when the kernel says so; always: a machine with a clock chip"
    )
    wait_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=600, description="how long batches wait for a trusted time before they go with an estimate"
    )


class ModbusTcpConfig(_Model):
    """A Modbus TCP server: a meter, or a converter with several units behind it."""

    type: Literal["modbus_tcp"]
    host: str = Field(description="name or address")
    port: Port = Field(default=502, description="TCP port")


class DeviceConfig(_Model):
    """One device on a bus."""

    profile: str = Field(description="id of its profile, see `loopgauge profile list`")
    bus: str = Field(description="name of one of the buses")
    unit_id: Annotated[int, Field(ge=0, le=255)] | None = Field(default=None, description="by default the profile's")
    fields: tuple[str, ...] | None = Field(default=None, description="only these fields of the profile; by default all")
    every_s: dict[str, Annotated[float, Field(ge=0.01, le=86_400)]] = Field(
        default={}, description="sampling interval per poll group in s, instead of the profile's"
    )
    simulated: bool = Field(default=False, description="say in birth, page and report that this is no real device")


class EdgeConfig(_Model):
    """A gateway."""

    gateway: Id = Field(description="id of this gateway, as in the broker's ACL")
    board: Annotated[str, Field(pattern=r"^[0-9a-z]{1,32}$")] | None = Field(
        default=None, description="serial number of the board; by default read from the system"
    )
    seal_every_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=10,
        description="interval after which readings are sealed on disk: the most that a power cut may lose, in s",
    )
    spool: SpoolConfig
    uplink: UplinkConfig
    clock: ClockConfig = ClockConfig()
    buses: dict[Id, ModbusTcpConfig]
    devices: dict[Id, DeviceConfig]

    @model_validator(mode="after")
    def _consistent(self) -> EdgeConfig:
        for name, device in self.devices.items():
            if name == GATEWAY_DEVICE:
                raise ValueError(f"devices.{name}: this id is the gateway's own; choose another")
            if device.bus not in self.buses:
                raise ValueError(
                    f"devices.{name}.bus: there is no bus {device.bus!r}; the buses are {', '.join(self.buses)}"
                )
        return self


SAMPLE: dict[str, object] = {
    "gateway": "plant-1",
    "spool": {"file": "/var/lib/loopgauge/spool.db"},
    "uplink": {"host": "localhost"},
    "buses": {"meter-line": {"type": "modbus_tcp", "host": "192.0.2.10"}},
    "devices": {"energy-meter": {"profile": "eastron-sdm630", "bus": "meter-line"}},
}
"""A gateway with one meter: what `loopgauge edge sample` shows."""
