"""GET /metrics over real connections: what collectors send, and what others do to a port."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable, Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service_health import endpoint
from service_health.endpoint import CONNECTIONS_MAX, REQUEST_BYTES_MAX, MetricsEndpoint, renderer
from service_health.metric import Metric, Sample, by_label, counter, gauge
from tests.twins.steady import run_steady

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: gateway\r\nAccept: text/plain\r\n\r\n"


def figures() -> Sequence[Metric]:
    return [
        counter("loopgauge_x_sealed_total", "Batches.", 12),
        gauge("loopgauge_x_connected", "1 while connected.", True),
        by_label("loopgauge_x_silent", "By bus.", "gauge", "bus", {"line-1": 2, 'odd"\\\n': 1}),
        Metric("loopgauge_x_missing_total", "By device and cause.", "counter", ()),
    ]


def serve(script: Callable[[MetricsEndpoint], Awaitable[None]], read: Callable[[], Sequence[Metric]] = figures) -> None:
    async def main() -> None:
        server = MetricsEndpoint(host="127.0.0.1", port=0, read=read)
        await server.start()
        try:
            await script(server)
        finally:
            await server.close()

    run_steady(main())


async def ask(port: int, request: bytes) -> bytes:
    """All that is answered until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def values(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_collector_reads_what_the_program_says_of_itself_and_of_its_process() -> None:
    async def script(server: MetricsEndpoint) -> None:
        answer = await ask(server.port, REQUEST)
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert f"Content-Length: {len(body)}".encode() in head
        found = values(body.decode())
        assert found["loopgauge_x_sealed_total", ""] == 12
        assert found["loopgauge_x_connected", ""] == 1
        assert found["loopgauge_x_silent", "line-1"] == 2
        assert found["loopgauge_x_silent", 'odd"\\\n'] == 1
        assert found["process_resident_memory_bytes", ""] > 1e6

    serve(script)


def test_figures_that_are_no_number_are_rendered_and_break_nothing() -> None:
    text = renderer(lambda: [gauge("loopgauge_x", "x", math.inf), gauge("loopgauge_y", "y", math.nan)])().decode()
    assert values(text)["loopgauge_x", ""] == math.inf


@pytest.mark.parametrize(
    "request_, answer",
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", b"HTTP/1.1 404"),
        (b"GET /metrics?name[]=x HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405"),
        (b"\r\n\r\n", b"HTTP/1.1 404"),
        (bytes(range(256)) + b"\r\n\r\n", b"HTTP/1.1 404"),
        (b"x" * (REQUEST_BYTES_MAX * 2) + b"\r\n\r\n", b""),
    ],
)
def test_other_requests_and_garbage_get_a_short_answer_or_none(request_: bytes, answer: bytes) -> None:
    async def script(server: MetricsEndpoint) -> None:
        said = await ask(server.port, request_)
        assert said.startswith(answer)
        assert len(said) < 300 or answer.endswith(b"200")
        assert (await ask(server.port, REQUEST)).startswith(b"HTTP/1.1 200"), "it does not answer any more"

    serve(script)


def test_a_request_may_come_in_any_two_pieces_and_one_that_ends_half_way_breaks_nothing() -> None:
    async def script(server: MetricsEndpoint) -> None:
        for cut in range(1, len(REQUEST)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(REQUEST[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            if cut % 2:
                writer.write(REQUEST[cut:])
                assert (await reader.read()).startswith(b"HTTP/1.1 200")
            else:
                writer.write_eof()
                assert await reader.read() == b""
            writer.close()

    serve(script)


def test_a_client_that_says_nothing_is_let_go_and_many_of_them_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "REQUEST_S_MAX", 1.0)

    async def script(server: MetricsEndpoint) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS_MAX)]
        await asyncio.sleep(0.05)
        assert await ask(server.port, REQUEST) == b"", "more connections than the bound were served"
        ends = [await asyncio.wait_for(reader.read(), 60) for reader, _ in silent]
        assert set(ends) == {b""}
        assert (await ask(server.port, REQUEST)).startswith(b"HTTP/1.1 200")
        for _, writer in silent:
            writer.close()

    serve(script)


def test_a_client_that_never_reads_does_not_hold_a_place_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "REQUEST_S_MAX", 0.3)
    large = [Metric("loopgauge_x", "x", "gauge", [Sample(n, {"n": f"{n:0>200}"}) for n in range(50_000)])]

    async def script(server: MetricsEndpoint) -> None:
        deaf = []
        for _ in range(CONNECTIONS_MAX):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", server.port))
            await asyncio.get_running_loop().sock_sendall(one, REQUEST)
            deaf.append(one)
        await asyncio.sleep(3)
        monkeypatch.setattr(endpoint, "REQUEST_S_MAX", 60)  # so much text takes a busy machine longer than 0.3 s
        said = await ask(server.port, REQUEST)
        assert len(asyncio.all_tasks()) <= 2, "answers that nobody takes are kept"
        for one in deaf:
            one.close()
        assert said.startswith(b"HTTP/1.1 200")

    serve(script, lambda: large)


def test_figures_that_cannot_be_made_cost_the_collector_its_answer_and_the_program_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Sequence[Metric]:
        raise ZeroDivisionError

    async def script(server: MetricsEndpoint) -> None:
        assert b"200 OK" not in await ask(server.port, REQUEST)
        assert b"200 OK" not in await ask(server.port, REQUEST)

    serve(script, broken)
    assert "the metrics could not be made" in caplog.text


def test_a_taken_address_is_an_error_and_closing_what_never_listened_is_none() -> None:
    async def script(server: MetricsEndpoint) -> None:
        second = MetricsEndpoint(host="127.0.0.1", port=server.port, read=figures)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        await second.close()

    serve(script)
