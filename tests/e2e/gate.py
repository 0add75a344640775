"""An HTTP gate before InfluxDB that answers in its place for as long as a test wants, and else passes requests on."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.e2e.servers import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; status 0: the connection is closed without a word."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Rule = Callable[[bytes, Callable[[bytes], Answer]], Answer]
"""(lines, how to pass lines on) → what goes back."""


def passed(lines: bytes, through: Callable[[bytes], Answer]) -> Answer:
    """No trouble."""
    return through(lines)


class Gate:
    """Serves on a free port of loopback; `rule` decides over each write, and may be changed at any time."""

    def __init__(self, *, target: str) -> None:
        self.rule: Rule = passed
        self.writes = 0
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.startswith("/write"):
                    gate.writes += 1
                    answer = gate.rule(body, lambda lines: _post(target + self.path, lines))
                else:
                    answer = _post(target + self.path, body, self.headers["Content-Type"])
                if answer.status == 0:
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                """The test looks at the worker's log instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"gate {self.port}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _post(url: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> Answer:
    asked = urllib.request.Request(url, data=body, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())
