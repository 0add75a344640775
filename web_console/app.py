"""The page's server: a few read-only routes, and files that need nothing from anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections import Counter
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
from service_health import watchdog
from service_health.metric import Metric, Sample, by_label, counter, gauge
from service_health.notify import Notifier
from service_health.promises import Promises
from web_console.language import LANGUAGES, preferred
from web_console.look import HISTORY_MS_MAX, SERIES_MS_MAX, Look

STATIC = Path(__file__).parent / "static"
OVERVIEW_S = 1.0
"""An overview this young is given again, so that many open pages cost the store no more than one."""
GZIP_BYTES_MIN = 1000
"""Shorter answers are not worth compressing. Nothing here is secret, so that their length may tell of their content."""
CONNECTIONS_MAX = 64
"""More at a time are answered with 503."""
BEAT_S = 5.0
"""How often the server's own loop says that it gets on."""
LOOP_S_MAX = 60.0
"""A page that is made takes a few ms of it; whoever does not come round in this time hangs."""
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

_P = "loopgauge_console_"

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


class CountsAnswers:
    """Counts every response by its status."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], *, answers: Counter[int]) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answers[message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counting)


class OwnFiles(StaticFiles):
    """Files that a browser keeps, but asks about each time, so that an update shows at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Pages:
    """The routes over one store."""

    def __init__(self, *, look: Look, version: str = "0") -> None:
        self._look = look
        self._version = version
        self.answers: Counter[int] = Counter()
        """Responses by status since the start."""
        self._looks = 0
        self._look_s = 0.0
        self._render: Callable[[], bytes] | None = None
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

    async def metrics(self, request: Request) -> Response:
        """Figures of this program for Prometheus: to this machine alone, and to nobody behind a proxy on it."""
        if not _from_here(request):
            return PlainTextResponse("only for this machine\n", 403)
        from service_health.endpoint import renderer

        self._render = self._render or renderer(self._figures)
        return Response(self._render(), media_type="text/plain; version=0.0.4", headers={"Cache-Control": "no-store"})

    def _figures(self) -> list[Metric]:
        by_status = {str(status): float(count) for status, count in self.answers.items()}
        return [
            Metric(f"{_P}info", "Version of this program", "gauge", (Sample(1.0, {"version": self._version}),)),
            by_label(f"{_P}responses_total", "Responses", "counter", "status", by_status),
            counter(f"{_P}overviews_total", "Overviews made from the store", self._looks),
            counter(f"{_P}overview_seconds_total", "Time that they took", self._look_s),
            gauge(f"{_P}store_away", "1 while the store does not answer", float(self._away)),
        ]

    def status(self) -> str:
        """One line, as `systemctl status` shows it."""
        return f"{'store away; ' if self._away else ''}{sum(self.answers.values())} answers"

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
                began_s = now_s()
                self._overview = await self._look.overview()
                self._made_s = now_s()
                self._looks += 1
                self._look_s += self._made_s - began_s
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


def _from_here(request: Request) -> bool:
    """Whether a client on this machine asks for itself, by an address of this machine."""
    passed_on = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    if request.client is None or passed_on or request.url.hostname not in LOOPBACK:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def create_app(*, look: Look, hosts: tuple[str, ...] = LOOPBACK, pages: Pages | None = None) -> Starlette:
    """The application; requests for a host that is not in `hosts` are refused, so that no foreign name leads here."""
    pages = pages or Pages(look=look)
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/healthz", pages.healthz),
            Route("/metrics", pages.metrics),
            Route("/api/overview", pages.overview),
            Route("/api/series", pages.series),
            Route("/api/history", pages.history),
            Mount("/static", OwnFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(CountsAnswers, answers=pages.answers),
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


async def run(
    *,
    look: Look,
    listener: socket.socket,
    stop: asyncio.Event,
    hosts: tuple[str, ...] = LOOPBACK,
    version: str = "0",
    notifier: Notifier | None = None,
) -> None:
    """Serve the page until `stop` is set. The listener is the caller's. The store need not be there."""
    notifier = notifier or Notifier()
    pages = Pages(look=look, version=version)
    config = uvicorn.Config(
        create_app(look=look, hosts=hosts, pages=pages),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=2,
        lifespan="off",
    )
    server = _Server(config)
    promises = Promises(asyncio.get_running_loop().time)

    async def wait_for_stop() -> None:
        await stop.wait()
        notifier.stopping()
        server.should_exit = True

    async def beat() -> None:
        while not server.started:
            promises.within("start", LOOP_S_MAX)
            await asyncio.sleep(0.05)
        promises.done("start")
        notifier.ready()
        while True:
            promises.within("page", LOOP_S_MAX)
            notifier.status(pages.status())
            await asyncio.sleep(BEAT_S)

    async with asyncio.TaskGroup() as group:
        beside = [
            group.create_task(wait_for_stop(), name="web_console stop"),
            group.create_task(beat(), name="web_console beat"),
            group.create_task(watchdog.keep(promises, notifier), name="web_console watchdog"),
        ]
        await server.serve(sockets=[listener])
        for each in beside:
            each.cancel()
