"""The gateway's site file: buses, devices, spool and uplink. This model is also the documentation and the sample."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contract.calibration import Calibration
from data_contract.reading import GATEWAY_DEVICE
from yaml_models.loopback import is_loopback

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    bytes_per_s_max: Annotated[float, Field(ge=20, le=1e9)] | None = Field(
        default=None,
        description="most that the uplink may take in bytes per s over time, both ways and with all headers; alarms and"
        " live readings go first, 1/8 is kept for the backlog; without it as much as the link carries",
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
        default=512_000_000, description="size at which the oldest hours give up their detail for new batches"
    )


class ClockConfig(_Model):
    """When to believe the system's time."""

    trust: Literal["synchronised", "always"] = Field(
        default="synchronised", description="synchronised: when the kernel says so; always: a machine with a clock chip"
    )
    wait_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=600,
        description="how long batches wait for a trusted time before they go with an estimate; alarms do not",
    )


class ModbusTcpConfig(_Model):
    """A Modbus TCP server: a meter, or a converter with several units behind it."""

    type: Literal["modbus_tcp"]
    host: str = Field(description="name or address")
    port: Port = Field(default=502, description="TCP port")


class ModbusRtuConfig(_Model):
    """A serial line with one or more Modbus units."""

    type: Literal["modbus_rtu"]
    port: str = Field(description="serial port, best by its lasting name under /dev/serial/by-id")
    baud: Annotated[int, Field(ge=300, le=1_000_000)] = Field(default=9600, description="bits per second")
    parity: Literal["N", "E", "O"] = Field(default="N", description="none, even or odd")
    stop_bits: Literal[1, 2] = Field(default=1, description="stop bits")


Pin = Annotated[int, Field(ge=0, le=27)]


class Hx711Config(_Model):
    """A load cell behind an HX711 on two pins, and a door contact on a third."""

    type: Literal["hx711"]
    dout_pin: Pin = Field(description="data out of the chip (DOUT), by its GPIO number", examples=[5])
    clock_pin: Pin = Field(description="clock of the chip (PD_SCK), by its GPIO number", examples=[6])
    door_pin: Pin | None = Field(default=None, description="door contact to ground: closed contact = closed door")
    rate_hz: Literal[10, 80] = Field(default=10, description="conversions per second, as its RATE pin is wired")

    @model_validator(mode="after")
    def _apart(self) -> Hx711Config:
        pins = [pin for pin in (self.dout_pin, self.clock_pin, self.door_pin) if pin is not None]
        if len(set(pins)) < len(pins):
            raise ValueError("two of the pins are the same; give each its own GPIO number")
        return self


BusConfig = Annotated[ModbusTcpConfig | ModbusRtuConfig | Hx711Config, Field(discriminator="type")]


class BinConfig(_Model):
    """The device is a bin on a scale: adds weight_kg, mass_in_kg, mass_out_kg and emptyings to its fields."""

    weight: str = Field(description="field of the profile with the load: kg, or counts with calibrations")
    door: str | None = Field(default=None, description="field of the profile that is not 0 while the door is open")
    tare_kg: float = Field(default=0.0, description="what the empty container weighs, in kg")
    division_kg: Annotated[float, Field(gt=0)] = Field(
        default=0.05, description="division d of the scale in kg; a change counts from 2 d on"
    )
    steady_divisions: Annotated[float, Field(gt=0)] = Field(
        default=3, description="the load is at rest while samples lie within this many d"
    )
    steady_samples: Annotated[int, Field(ge=1, le=100)] = Field(
        default=2, description="how many samples in a row must lie so"
    )
    emptying_kg: Annotated[float, Field(gt=0)] = Field(
        default=2.0, description="a drop of this much or more is an emptying, in kg"
    )
    calibrations: tuple[Calibration, ...] = Field(
        default=(), description="counts to kg, from which date on; see `loopgauge edge calibrate`"
    )


class LimitConfig(_Model):
    """Beyond these limits a value is an alarm: sealed and sent at once, before everything else."""

    above: float | None = Field(default=None, description="a larger value is an alarm, in the unit of the field")
    below: float | None = Field(default=None, description="a smaller value is an alarm")
    clear_by: Annotated[float, Field(ge=0)] = Field(
        default=0, description="the alarm is over when the value has been back within by so much for a minute"
    )

    @model_validator(mode="after")
    def _sets_one(self) -> LimitConfig:
        if self.above is None and self.below is None:
            raise ValueError("sets no limit: give above, below or both")
        if self.above is not None and self.below is not None and self.above - self.below <= 2 * self.clear_by:
            raise ValueError("above must lie above below by more than twice clear_by, or the alarm would never be over")
        return self


class DeviceConfig(_Model):
    """One device on a bus."""

    profile: str = Field(description="id of its profile, see `loopgauge profile list`")
    bus: str = Field(description="name of one of the buses")
    unit_id: Annotated[int, Field(ge=0, le=255)] | None = Field(default=None, description="by default the profile's")
    fields: tuple[str, ...] | None = Field(default=None, description="only these fields of the profile; by default all")
    every_s: dict[str, Annotated[float, Field(ge=0.01, le=86_400)]] = Field(
        default={}, description="sampling interval per poll group in s, instead of the profile's"
    )
    bin: BinConfig | None = Field(default=None, description="the device is a bin on a scale")
    alarms: dict[str, LimitConfig] = Field(default={}, description="limits by field, beyond which a value is an alarm")
    simulated: bool = Field(default=False, description="say in birth, page and report that this is no real device")


class MetricsConfig(_Model):
    """Where GET /metrics is answered, in the text format of Prometheus and without a login."""

    host: str = Field(default="127.0.0.1", description="address to listen on; beyond this machine only if you give it")
    port: Port = Field(description="TCP port", examples=[9464])


class PrivacyConfig(_Model):
    """What makes pseudonyms of the numbers of cards and persons."""

    key_file: str = Field(
        description="file with a secret of 16 characters or more, mode 600; the same on all gateways of a scheme"
    )


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
    health_every_s: Annotated[int, Field(ge=0, le=86_400)] = Field(
        default=300,
        description="how often the gateway reports on itself as the device `gateway`, in s: disk, spool, uplink, clock,"
        " temperature; each report is some 250 bytes on the way; 0 for never",
    )
    metrics: MetricsConfig | None = Field(default=None, description="figures of the agent for Prometheus")
    privacy: PrivacyConfig | None = Field(default=None, description="required where a profile reads personal fields")
    buses: dict[Id, BusConfig]
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
