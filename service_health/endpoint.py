"""`/metrics` over HTTP, in the event loop of the program itself: where that hangs, no answer is the right answer.

prometheus-client gives the figures their form; the few lines of HTTP here have a bound on everything that comes in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service_health.metric import Metric

log = logging.getLogger("loopgauge.metrics")

REQUEST_BYTES_MAX = 8192
REQUEST_S_MAX = 5.0
CONNECTIONS_MAX = 8
"""More at a time are closed at once."""


class _Figures(Collector):
    """What a program says of itself, as prometheus-client wants it."""

    def __init__(self, read: Callable[[], Sequence[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric in self._read():
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            labels = list(metric.samples[0].labels) if metric.samples else []
            family = make(metric.name, metric.help, labels=labels)
            for sample in metric.samples:
                family.add_metric([sample.labels[label] for label in labels], sample.value)
            yield family


def renderer(read: Callable[[], Sequence[Metric]]) -> Callable[[], bytes]:
    """A function that gives `read()` and this process's memory, CPU time and files as Prometheus text 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(read))
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)


class MetricsEndpoint:
    """Serves GET /metrics. Without a login: bind it to loopback, or to a network that only operators reach."""

    def __init__(self, *, host: str, port: int, read: Callable[[], Sequence[Metric]]) -> None:
        self._host = host
        self._port = port
        self._text = renderer(read)
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Listen. Raises OSError where the address cannot be had."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=REQUEST_BYTES_MAX)

    @property
    def port(self) -> int:
        """The port that is listened on; after `start`."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening. Harmless where it never did."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S_MAX):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Closing alone would keep an answer until the other side takes it, which it need never do.
            writer.transport.abort()
        except Exception:
            log.exception("the metrics could not be made")
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].partition(b"?")[0]
        if target != b"/metrics":
            return _response("404 Not Found", b"GET /metrics\n")
        if method != b"GET":
            return _response("405 Method Not Allowed", b"GET /metrics\n")
        return _response("200 OK", self._text())


def _response(status: str, body: bytes) -> bytes:
    head = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {CONTENT_TYPE_PLAIN_0_0_4}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
