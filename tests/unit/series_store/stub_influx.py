"""A server that answers as it is told, with the statuses and bodies that InfluxDB 1.6 and 2.9 were seen to give."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

HANG_S = 60.0
"""Longer than the time-outs of the tests, and than a machine may halt before it sees that one is over."""


@dataclass
class Reply:
    """What to answer: `hang` says nothing for a while, `cut` closes the connection halfway, `raw` is sent as it is."""

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False
    raw: bytes | None = None


@dataclass
class Request:
    """What was asked."""

    path: str
    body: bytes
    authorization: str

    @property
    def lines(self) -> list[bytes]:
        return self.body.splitlines()


class StubInflux:
    """Listens on loopback while it is entered; `behave` gives the reply to each request."""

    def __init__(self, behave: Callable[[Request], Reply]) -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Listener(ThreadingHTTPServer):
    stub: StubInflux
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        self.server.stub.connections += 1
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.path, body, self.headers.get("Authorization", ""))
        self.server.stub.requests.append(request)
        reply = self.server.stub.behave(request)
        if reply.hang:
            time.sleep(HANG_S)
        if reply.hang or reply.cut:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" if reply.cut else b"")
            self.close_connection = True
            return
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence on the terminal."""


@dataclass
class Picky:
    """A server that never takes lines which hold `bad`, and tells so as its version does."""

    bad: bytes
    status: int
    keeps_the_rest: bool
    text: str
    kept: set[bytes] = field(default_factory=set)

    def __call__(self, request: Request) -> Reply:
        refused = [line for line in request.lines if self.bad in line]
        if not refused:
            self.kept |= set(request.lines)
            return Reply(204)
        if self.keeps_the_rest:
            self.kept |= set(request.lines) - set(refused)
        text = self.text.format(n=len(refused), line=refused[0].decode())
        code = {"code": "invalid", "message": text} if self.status == 422 else {"error": text}
        return Reply(self.status, json.dumps(code).encode(), {"Content-Type": "application/json"})


def body(**said: str) -> bytes:
    """A JSON body."""
    return json.dumps(said).encode()
