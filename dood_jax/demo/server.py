"""The server of the page: sends a few fixed files and the answers of the models, and reads nothing else."""

import asyncio
import contextlib
import functools
import importlib.resources
import logging
import os
import re
import secrets
import socket
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dood_jax.demo import images
from dood_jax.demo.service import PAGE, Answer, Busy, JobQueue, Service, Shown, Warmup
from dood_jax.errors import BadInput, first_line, require_seed
from dood_jax.vectorize.drawing import InkDrawing
from dood_jax.vectorize.formats import WRITERS

_FILES = {  # address -> file of the page, type
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/engine.js": ("server_engine.js", "text/javascript"),
    "/sheet.js": ("sheet.js", "text/javascript"),
    "/player.js": ("player.js", "text/javascript"),
    "/shapes.json": ("shapes.json", "application/json"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_TYPES = {
    "svg": "image/svg+xml",
    "animated-svg": "image/svg+xml",
    "gif": "image/gif",
    "json": "application/json",
}
_CLIENT = "x-dood-client"  # header by which the page names itself; pages of other servers cannot send it
_MOST_KEPT = 400  # drawings that can be downloaded
_LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")


class TooLarge(BadInput):
    """More bytes than are read."""


class Server:
    """Answers requests, and keeps the latest drawings for download."""

    def __init__(self, service: Service, warmup: Warmup) -> None:
        """Starts a queue for the jobs of a service."""
        self._service, self._warmup, self._queue = service, warmup, JobQueue()
        self._kept: OrderedDict[str, InkDrawing] = OrderedDict()

    def routes(self) -> list[Route]:
        """All addresses that are answered."""
        files = importlib.resources.files("dood_jax.demo") / "static"
        fixed = [
            Route(address, functools.partial(_file, (files / name).read_bytes(), kind))
            for address, (name, kind) in _FILES.items()
        ]
        return [
            *fixed,
            Route("/api/status", self.status),
            Route("/api/examples", self.examples),
            Route("/api/sheet", self.sheet, methods=["POST"]),
            Route("/api/drawings", self.draw, methods=["POST"]),
            Route("/api/drawings/{name}", self.download),
        ]

    async def warm(self) -> None:
        """Compiles what the page needs, one job at a time, so that those who draw come in between."""
        for job in self._warmup.jobs(self._service):
            while True:
                try:
                    await self._queue.run("warmup", job)
                except Busy:
                    await asyncio.sleep(1)
                    continue
                except Exception as error:  # whoever asks for the same is told
                    logging.warning("getting ready: %s", first_line(error))
                break
            self._warmup.job_done()

    async def status(self, request: Request) -> Response:
        """The models, the progress of the warmup, and how many jobs come before that of the client."""
        ahead = self._queue.ahead(_client(request))
        said = {"models": self._service.names, "ahead": ahead, **self._warmup.progress()}
        return JSONResponse(said, headers=_HEADERS)

    async def examples(self, request: Request) -> Response:
        """Images of the five sets, others for every seed."""
        seed = _seed(request)
        job = lambda: [one.record() for one in images.all_examples(seed, self._service.generator)]
        sets = await self._queue.run(_client(request) + "/examples", job)
        return JSONResponse({"sets": sets}, headers=_HEADERS)

    async def sheet(self, request: Request) -> Response:
        """Puts what is drawn in an image file on a square sheet, and returns that as PNG."""
        client, data = _client(request), await _body(request)
        job = lambda: images.to_png(images.on_sheet(images.read(data)))
        return Response(await self._queue.run(client, job), media_type="image/png", headers=_HEADERS)

    async def draw(self, request: Request) -> Response:
        """Answers with what a model makes of the image in the body, by parameters `kind`, `model`, `seed`."""
        asked = request.query_params
        kind, name = asked.get("kind", "redraw"), asked.get("model", self._service.names[0])
        client, seed = _client(request), _seed(request)
        data = await _body(request)
        job = lambda: self._service.answer(kind, name, images.read(data), seed)
        answer = await self._queue.run(client, job)
        return JSONResponse({"model": name, "kind": kind, **self._record(answer)}, headers=_HEADERS)

    async def download(self, request: Request) -> Response:
        """Sends one of the latest drawings as a file in one of the formats of `vectorize.formats`."""
        ident, _, kind = request.path_params["name"].partition(".")
        if ident not in self._kept or kind not in WRITERS:
            return _refusal(404, "this drawing is gone; draw it again")
        suffix, encode = WRITERS[kind]
        whole = await asyncio.to_thread(encode, self._kept[ident])
        name = f"drawing-{ident[:6].strip('-_')}{suffix}"
        headers = _HEADERS | {"content-disposition": f'attachment; filename="{name}"'}
        return Response(whole, media_type=_TYPES.get(kind, "application/octet-stream"), headers=headers)

    def _record(self, answer: Answer) -> dict[str, Any]:
        """An answer as JSON; its drawings are kept for download."""
        drawings = [{"id": self._keep(one.ink), **_drawing_record(one)} for one in answer.drawings]
        numbers = {"seconds": round(answer.seconds, 3), "nats": answer.nats, "l1": answer.l1}
        return {"page": PAGE, "drawings": drawings, **numbers}

    def _keep(self, drawing: InkDrawing) -> str:
        ident = secrets.token_urlsafe(12)
        self._kept[ident] = drawing
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return ident


def make_app(service: Service, warmup: Warmup, hosts: tuple[str, ...] = _LOCAL) -> Starlette:
    """The web application; `hosts` are the host names for which it answers."""
    server = Server(service, warmup)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        start = asyncio.create_task(server.warm())
        yield
        start.cancel()

    return Starlette(
        routes=server.routes(),
        lifespan=lifespan,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={
            TooLarge: lambda _, error: _refusal(413, str(error)),
            BadInput: lambda _, error: _refusal(400, str(error)),
            Busy: lambda _, error: _refusal(429, str(error)),
            404: lambda *_: _refusal(404, "there is no such page"),
            500: lambda *_: _refusal(500, "this failed; the terminal says why"),
        },
    )


def serve(host: str, port: int, names: tuple[str, ...]) -> None:
    """Serves until it is interrupted.

    Raises BadInput if a model is not there, or if the address cannot be used.
    """
    if not host:
        raise BadInput("--host= is empty; give 127.0.0.1, or 0.0.0.0 for all addresses of this machine")
    service = Service(names)
    for name in names:
        service.require(name)
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise BadInput(
            f"--host={host} --port={port} cannot be had ({error.strerror}); give others"
        ) from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Draw on http://{shown}:{listening.getsockname()[1]} (Ctrl-C ends)\n")
        sys.stdout.flush()
        everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - asked for by the flag
        app = make_app(service, Warmup(names), ("*",) if everywhere else (*_LOCAL, host, shown))
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", timeout_graceful_shutdown=1, server_header=False
        )
        try:
            uvicorn.Server(config).run([listening])
        except KeyboardInterrupt:
            os._exit(130)  # at once: a compiler at work in the other thread would end in an abort


async def _file(data: bytes, kind: str, _: Request) -> Response:
    return Response(data, media_type=kind, headers=_HEADERS)


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status, _HEADERS)


def _client(request: Request) -> str:
    """A name for who asks, from the address and the header that only our page can send."""
    name = request.headers.get(_CLIENT, "")
    if not re.fullmatch(r"[\w-]{1,40}", name):
        raise BadInput(f"the header {_CLIENT} is missing; give letters and digits of your choice")
    return f"{request.client.host if request.client else ''}/{name}"


def _seed(request: Request) -> int:
    value = request.query_params.get("seed", "0")
    if not re.fullmatch(r"\d{1,10}", value):
        raise BadInput(f"seed={value[:20]!r} is no seed; give a whole number from 0")
    return require_seed("seed", int(value))


async def _body(request: Request) -> bytes:
    """The whole body; raises TooLarge as soon as it is more than is allowed."""
    size = request.headers.get("content-length", "")
    if size.isdecimal() and int(size) > images.MOST_BYTES:
        raise TooLarge(f"{int(size) / 2**20:.1f} MB are too many; give an image of up to {_megabytes()}")
    parts, total = [], 0
    async for part in request.stream():
        total += len(part)
        if total > images.MOST_BYTES:
            raise TooLarge(f"this is more than {_megabytes()}; make the image smaller")
        parts.append(part)
    return b"".join(parts)


def _megabytes() -> str:
    return f"{images.MOST_BYTES // 2**20} MB"


def _drawing_record(shown: Shown) -> dict[str, Any]:
    """A drawing as JSON, with lengths on a page of 1000 x 1000."""
    ink = shown.ink
    scale = PAGE / max(ink.width, ink.height)
    corners = [None] * len(ink.strokes) if shown.windows is None else shown.windows.round(1).tolist()
    strokes = [
        {
            "points": (scale * stroke.control_points).round(1).tolist(),
            "width": round(scale * stroke.width, 1),
            "closed": stroke.is_closed,
            "window": window,
            "kept": index < shown.kept,
        }
        for index, (stroke, window) in enumerate(zip(ink.strokes, corners, strict=True))
    ]
    return {"strokes": strokes}
