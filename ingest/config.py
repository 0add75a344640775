"""The worker's file: broker, store, folders. This model is also the documentation and the sample."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from yaml_models.loopback import is_loopback


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsConfig(_Model):
    """How the broker proves who it is, and how this worker does."""

    ca_file: str = Field(description="certificate authority of the broker, PEM")
    cert_file: str | None = Field(
        default=None, description="this worker's certificate, PEM; omit when it uses a password"
    )
    key_file: str | None = Field(
        default=None, description="private key of cert_file, PEM, readable by the worker alone"
    )


class BrokerConfig(_Model):
    """The MQTT broker."""

    host: str = Field(description="name or address of the broker")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8883, description="port of the broker")
    tls: TlsConfig | None = Field(default=None, description="required unless the broker is on this machine")
    username: str | None = Field(default=None, description="user name")
    password_file: str | None = Field(default=None, description="file with the password, mode 600")
    shared: bool = Field(
        default=True,
        description="share the work with equal workers by $share; false for a broker that has no shared subscriptions",
    )
    share_file: str | None = Field(
        default=None,
        description="file with the name of the shared subscription, mode 600, the same for equal workers: to a broker"
        " that lets anybody subscribe, whoever knows the name takes messages out of it",
    )

    @model_validator(mode="after")
    def _protected(self) -> BrokerConfig:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError(f"tls is missing and {self.host} is not this machine: add tls with ca_file")
        return self


class StoreConfig(_Model):
    """Where readings are kept."""

    url: str = Field(
        description="sqlite:FOLDER, influx1+https://user@host:port/database or influx2+https://org@host:port/bucket"
    )
    secret_file: str | None = Field(default=None, description="file with the password or token, mode 600")
    ca_file: str | None = Field(
        default=None, description="certificate authority of the store, PEM; for +https, by default this machine's"
    )


class MetricsConfig(_Model):
    """Where GET /metrics is answered, in the text format of Prometheus and without a login."""

    host: str = Field(default="127.0.0.1", description="address to listen on; beyond this machine only if you give it")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(description="TCP port", examples=[9465])


class IngestConfig(_Model):
    """An ingest worker."""

    worker: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = Field(
        description="name of this worker, unique among its equals"
    )
    broker: BrokerConfig
    store: StoreConfig
    gateways_file: str = Field(description="which gateways and boards are allowed; all workers share it")
    dead_letters: str = Field(description="folder for what can never be stored; this worker's own")
    dead_letters_bytes_max: Annotated[int, Field(ge=100_000)] = Field(
        default=256_000_000, description="size at which nothing that would add to it is acknowledged any more"
    )
    devices_per_gateway_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000,
        description="names of devices that one gateway may bring into the store, which indexes each of them for good",
    )
    kinds_per_gateway_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=100,
        description="kinds of devices and of records that one gateway may bring into the store; an agent has under 20",
    )
    fields_per_gateway_max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=20_000,
        description="fields that one gateway may bring into the store, those of each device counted for themselves",
    )
    metrics: MetricsConfig | None = Field(default=None, description="figures of the worker for Prometheus")


SAMPLE: dict[str, object] = {
    "worker": "worker-1",
    "broker": {"host": "localhost"},
    "store": {"url": "influx1://loopgauge@localhost:8086/loopgauge", "secret_file": "/etc/loopgauge/store.secret"},
    "gateways_file": "/var/lib/loopgauge/gateways.json",
    "dead_letters": "/var/lib/loopgauge/dead-letters/worker-1",
}
"""A worker beside its broker: what `loopgauge ingest sample` shows."""
