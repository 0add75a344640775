"""The cloud side alone: a real worker with its store, and messages made by hand, as the wire format says."""

from __future__ import annotations

import json
import queue
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.e2e import compare
from tests.e2e.mqtt import Client
from tests.e2e.programs import Program, run
from tests.e2e.servers import wait_until

BOARD = "board1"
SEAL_MS = 10_000
LONG_AGO_MS = 60_000
"""Batches are dated a minute before the test, so that none lies in the future."""


def run_id(gateway: str) -> str:
    """The id of the one run of a gateway in these tests."""
    return f"{zlib.crc32(gateway.encode()):032x}"


def line(seq: int, devices: Mapping[str, Mapping[str, Any]], *, base_ms: int) -> bytes:
    """One batch of one reading per field; `devices`: device → field → value."""
    body = {
        "from": seq * SEAL_MS,
        "to": (seq + 1) * SEAL_MS,
        "devices": {
            device: {
                "kind": "energy_meter",
                "counts": {"main": [len(fields), len(fields), {}]},
                "blocks": [{"t": [1000], "values": {field: [value] for field, value in fields.items()}}],
            }
            for device, fields in devices.items()
        },
    }
    return json.dumps([seq, base_ms, body]).encode() + b"\n"


def message(
    gateway: str,
    first: int,
    last: int,
    body: bytes,
    *,
    packing: str = "plain",
    version: str = "lg1",
    board: str = BOARD,
    crc: int | None = None,
) -> bytes:
    """Header and body as sent."""
    crc = zlib.crc32(body) if crc is None else crc
    head = f"{version} {gateway} {board} {run_id(gateway)} {first}-{last} {crc:08x} {packing}\n"
    return head.encode() + body


class Cloud:
    """One worker that writes to `store`, and a client of its broker that may say and hear everything.

    `direct` is another address of the same store, past whatever stands before it.
    """

    def __init__(
        self,
        *,
        folder: Path,
        port: int,
        store: str,
        direct: str = "",
        secret: str | None = None,
        ca_file: Path | None = None,
        more: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`more`: further sections of the worker's file; `env`: of its environment."""
        self.folder = folder
        self.store = direct or store
        self.gateways_file = folder / "gateways.json"
        self.dead_file = folder / "dead" / "dead.jsonl"
        self.base_ms = int(time.time() * 1000) - LONG_AGO_MS
        self.config = folder / "w1.yaml"
        self._client = Client(port=port).connected()
        self._acks: dict[str, list[dict[str, Any]]] = {}
        self._secret = secret
        self._ca_file = ca_file
        where: dict[str, Any] = {"url": store}
        if secret is not None:
            where["secret_file"] = str(folder / "secret")
        if ca_file is not None:
            where["ca_file"] = str(ca_file)
        folder.mkdir(parents=True, exist_ok=True)
        if secret is not None:
            (folder / "secret").write_text(secret + "\n", encoding="utf-8")
            (folder / "secret").chmod(0o600)
        self.config.write_text(
            yaml.safe_dump(
                {
                    "worker": "w1",
                    "broker": {"host": "127.0.0.1", "port": port},
                    "store": where,
                    "gateways_file": str(self.gateways_file),
                    "dead_letters": str(folder / "dead"),
                    **(more or {}),
                }
            ),
            encoding="utf-8",
        )
        self.worker = Program(folder=folder / "w1", words=["ingest", "run", str(self.config)], env=env or {})

    def __enter__(self) -> Self:
        secret = [] if self._secret is None else ["--secret-file", str(self.folder / "secret")]
        authority = [] if self._ca_file is None else ["--ca-file", str(self._ca_file)]
        made = run("store", "init", "--store", self.store, *secret, *authority)
        assert made.returncode == 0, made.stderr
        self._client.subscribe("lg/v1/ready")
        self.worker.start()
        assert self._client.hear()[0] == "lg/v1/ready"
        self._client.subscribe("lg/v1/+/ack")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._client.close()
        runs = self.worker.runs
        self.worker.stop()
        log = self.worker.log()
        if error is not None:
            print(f"--- w1\n{log[-4000:]}")
            return
        assert runs and self.worker.exit_code == 0, f"the worker ended with {self.worker.exit_code}: {log}"
        assert "Traceback" not in log and "never retrieved" not in log, log

    def send(self, gateway: str, payload: bytes) -> None:
        """Publish on the data topic of a gateway."""
        self._client.publish(f"lg/v1/{gateway}/data", payload)

    def send_good(self, gateway: str, seq: int, value: float | None = None) -> None:
        """A sound batch of one reading, by default of the value `seq`."""
        body = line(seq, {"meter": {"power_w": seq if value is None else value}}, base_ms=self.base_ms)
        self.send(gateway, message(gateway, seq, seq, body))

    def acked(self, gateway: str, seq: int) -> dict[str, Any]:
        """The ack that names a batch, stored or rejected. AssertionError where none comes."""
        assert wait_until(lambda: self._ack_of(gateway, seq) is not None), f"no ack of {seq}"
        ack = self._ack_of(gateway, seq)
        assert ack is not None
        return ack

    def is_acked(self, gateway: str, seq: int) -> bool:
        """Whether an ack that has arrived by now names a batch."""
        return self._ack_of(gateway, seq) is not None

    def _ack_of(self, gateway: str, seq: int) -> dict[str, Any] | None:
        while True:
            try:
                topic, payload = self._client.heard.get_nowait()
            except queue.Empty:
                break
            if topic.endswith("/ack"):
                self._acks.setdefault(topic.split("/")[2], []).append(json.loads(payload))
        for ack in self._acks.get(gateway, []):
            if any(a <= seq <= b for a, b in ack.get("stored", [])) or _reason(ack, seq):
                return ack
        return None

    def reason(self, gateway: str, seq: int) -> str:
        """Why a batch was rejected, as its ack says; "" where it was stored."""
        return _reason(self.acked(gateway, seq), seq)

    def values(self, gateway: str) -> dict[tuple[str, str], list[float]]:
        """(device, field) → what the store holds, in order of time."""
        return compare.values(self.store, gateway, self._secret, self._ca_file)

    def dead(self, gateway: str) -> list[dict[str, Any]]:
        """The dead letters of a gateway."""
        if not self.dead_file.exists():
            return []
        letters = [json.loads(text) for text in self.dead_file.read_text(encoding="utf-8").splitlines()]
        return [letter for letter in letters if letter["gateway"] == gateway]

    def log_lines(self, *words: str) -> Sequence[str]:
        """The worker's log lines that hold all words."""
        return [text for text in self.worker.log().splitlines() if all(word in text for word in words)]


def _reason(ack: Mapping[str, Any], seq: int) -> str:
    return next((str(each["reason"]) for each in ack.get("rejected", []) if each["seq"] == seq), "")
