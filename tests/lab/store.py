"""The lab's database as an operator's reader sees it: over TLS, with the reader's password."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from loopgauge.judge import judge_gateway
from series_store.open import open_reader
from series_store.port import Reader
from series_store.table import Receipt
from simulators.truth.record import Record
from tests.lab.place import PYTHON, ROOT
from tests.lab.shell import Failed, run, tail
from yaml_models.files import read_secret
from yaml_models.tls import trust

T = TypeVar("T")

FLEET = Path.home() / ".loopgauge" / "make-lab"
"""Authority and secrets, outside the repository; as `fleet_name` in the lab's inventory says."""
CA_FILE = FLEET / "pki" / "ca.crt"
SECRETS = FLEET / "secrets"
READER_SECRET = SECRETS / "influxdb-reader"
URL = "influx1+https://reader@cloud:8086/loopgauge"
HTTPS = "https://cloud:8086"
ANSWER_S_MAX = 20
ALWAYS_MS = 2**42
RECEIPTS_MAX = 1_000_000
TOLERANCE_MS = 1_000
"""Between the meter's note of its answer and the agent's stamp of its request: less than half a sampling interval."""


def ask(question: Callable[[Reader], Awaitable[T]]) -> T:
    """What a reader of its own answers."""

    async def asked() -> T:
        reader = open_reader(URL, read_secret(READER_SECRET), trust(str(CA_FILE)))
        try:
            return await question(reader)
        finally:
            await reader.close()

    return asyncio.run(asked())


def readings(gateway: str) -> int:
    """How many readings of a gateway's meters the database holds."""

    async def count(reader: Reader) -> int:
        keys = [key for key in await reader.series() if key.gateway == gateway]
        return await reader.count(keys, 0, ALWAYS_MS)

    return ask(count)


def receipts(gateway: str) -> list[Receipt]:
    """Every receipt of a gateway, in order of time."""
    found = ask(lambda reader: reader.receipts(0, RECEIPTS_MAX))
    return [receipt for receipt in found if receipt.gateway == gateway]


def query(statement: str) -> list[dict[str, Any]]:
    """The series that InfluxDB answers with, asked without any code of ours."""
    login = base64.b64encode(f"reader:{read_secret(READER_SECRET)}".encode()).decode()
    body = urllib.parse.urlencode({"q": statement, "db": "loopgauge", "epoch": "ms"}).encode()
    request = urllib.request.Request(f"{HTTPS}/query", data=body, headers={"Authorization": f"Basic {login}"})
    context = ssl.create_default_context(cafile=str(CA_FILE))
    with urllib.request.urlopen(request, timeout=ANSWER_S_MAX, context=context) as answer:
        result = json.load(answer)["results"][0]
    if "error" in result:
        raise Failed(f"{statement}: {result['error']}")
    series: list[dict[str, Any]] = result.get("series", [])
    return series


def audit(*words: str) -> dict[str, Any]:
    """What `loopgauge audit --json` prints for the whole fleet."""
    done = loopgauge("audit", "--json", *_address(), *words, check=False)
    try:
        found: dict[str, Any] = json.loads(done)
    except ValueError:
        raise Failed(f"loopgauge audit: {tail(done)}") from None
    return found


def report(*words: str) -> str:
    """What `loopgauge report` prints."""
    return loopgauge("report", *_address(), *words)


def loopgauge(*words: str, check: bool = True) -> str:
    """Run this checkout's command; what it printed, with its errors where nothing else came."""
    done = run(PYTHON, "-m", "loopgauge.cli.main", *words, check=check, cwd=ROOT)
    return done.stdout or done.stderr


def _address() -> tuple[str, ...]:
    return ("--store", URL, "--secret-file", str(READER_SECRET), "--ca-file", str(CA_FILE))


def judged(record: Path, gateway: str, now_ms: int) -> dict[str, Any]:
    """The record of the meters against the store, value by value. The gateway's agent must have stopped."""
    truth = Record.open_readonly(record)
    try:
        return ask(lambda reader: judge_gateway(truth, reader, gateway, now_ms=now_ms, tolerance_ms=TOLERANCE_MS))
    finally:
        truth.close()
