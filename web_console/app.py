"""The page's server: a few read-only routes, and files that need nothing from anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from series_store.port import Unavailable
from web_console.language import LANGUAGES, preferred
from web_console.look import HISTORY_MS_MAX, SERIES_MS_MAX, Look

STATIC = Path(__file__).parent / "static"
OVERVIEW_S = 1.0
"""An overview this young is given again, so that many open pages cost the store no more than one."""
GZIP_BYTES_MIN = 1000
"""Shorter answers are not worth compressing. Nothing here is secret, so that their length may tell of their content."""
CONNECTIONS_MAX = 64
"""More at a time are answered with 503."""
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Course = Callable[[str, str, str, int], Awaitable[dict[str, Any] | None]]


class SecurityHeaders:
    """Adds HEADERS to every response."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)


class OwnFiles(StaticFiles):
    """Files that a browser keeps, but asks about each time, so that an update shows at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Pages:
    """The routes over one store."""

    def __init__(self, *, look: Look) -> None:
        self._look = look
        self._lock = asyncio.Lock()
        self._made_s = float("-inf")
        self._overview: dict[str, Any] = {}
        self._away = False
        text = (STATIC / "index.html").read_text("utf-8")
        self._index = {
            language: text.replace('<html lang="en">', f'<html lang="{language}">') for language in LANGUAGES
        }

    async def index(self, request: Request) -> Response:
        """The page, in the language that the browser asks for."""
        language = preferred(request.headers.get("accept-language", ""))
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Language", "Content-Language": language}
        return HTMLResponse(self._index[language], headers=headers)

    async def healthz(self, request: Request) -> Response:
        """Whether this program answers; the store is not asked."""
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    async def overview(self, request: Request) -> Response:
        """Everything on the page as JSON, at most OVERVIEW_S old."""
        return await self._answer(self._fresh)

    async def series(self, request: Request) -> Response:
        """The readings of the last hours of one field: gateway, device, field, hours (1)."""
        return await self._course(request, "1", SERIES_MS_MAX, self._look.line)

    async def history(self, request: Request) -> Response:
        """The last hours of one field, hour by hour: gateway, device, field, hours (336)."""
        return await self._course(request, "336", HISTORY_MS_MAX, self._look.history)

    async def _course(self, request: Request, hours: str, span_ms_max: int, ask: Course) -> Response:
        asked = request.query_params
        try:
            span_ms = round(float(asked.get("hours", hours)) * 3_600_000)
            gateway, device, field = asked["gateway"], asked["device"], asked["field"]
        except (KeyError, ValueError, OverflowError):
            return _json({"error": "give gateway, device, field, and hours as a number"}, 400)
        if not 0 < span_ms <= span_ms_max:
            return _json({"error": f"hours must lie above 0 and be at most {span_ms_max // 3_600_000}"}, 400)
        return await self._answer(lambda: ask(gateway, device, field, span_ms))

    async def _fresh(self) -> dict[str, Any]:
        now_s = asyncio.get_running_loop().time
        async with self._lock:
            if now_s() - self._made_s > OVERVIEW_S:
                self._overview = await self._look.overview()
                self._made_s = now_s()
            return self._overview

    async def _answer(self, ask: Callable[[], Awaitable[dict[str, Any] | None]]) -> Response:
        try:
            found = await ask()
        except Unavailable as error:
            if not self._away:
                log.warning("the store does not answer: %s", error)
            self._away = True
            return _json({"error": f"the store does not answer: {error}"}, 503)
        if self._away:
            log.warning("the store is back")
            self._away = False
        return _json({"error": "no such series"}, 404) if found is None else _json(found, 200)


def _json(content: Any, status: int) -> Response:
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


def create_app(*, look: Look, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """The application; requests for a host that is not in `hosts` are refused, so that no foreign name leads here."""
    pages = Pages(look=look)
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/healthz", pages.healthz),
            Route("/api/overview", pages.overview),
            Route("/api/series", pages.series),
            Route("/api/history", pages.history),
            Mount("/static", OwnFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN),
        ],
    )


class _Server(uvicorn.Server):
    """A server in somebody else's event loop: signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. OSError says why the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


async def run(*, look: Look, listener: socket.socket, stop: asyncio.Event, hosts: tuple[str, ...] = LOOPBACK) -> None:
    """Serve the page until `stop` is set. The listener is the caller's."""
    config = uvicorn.Config(
        create_app(look=look, hosts=hosts),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=2,
        lifespan="off",
    )
    server = _Server(config)

    async def wait_for_stop() -> None:
        await stop.wait()
        server.should_exit = True

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(wait_for_stop(), name="web_console stop")
        await server.serve(sockets=[listener])
        waiting.cancel()
