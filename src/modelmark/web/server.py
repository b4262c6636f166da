"""The dashboard: server-rendered pages, their JSON, and live updates as server-sent events. It changes nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelmark.domain import errors
from modelmark.domain.evidence import Verdict
from modelmark.domain.theme import CONFIG
from modelmark.governance.audit import verify_chain
from modelmark.seal.digests import plain
from modelmark.web import charts, series
from modelmark.web.bundle import vega_bundle
from modelmark.web.glossary import GLOSSARY
from modelmark.web.source import SPANS, Source

_log = logging.getLogger(__name__)
LIVE_SECONDS: Final = 2.0
#: Which status each error has. The first kind that fits counts.
STATUS: Final[tuple[tuple[type[errors.ModelmarkError], int], ...]] = (
    (errors.Missing, 404),
    (errors.NotPermitted, 403),
    (errors.Conflict, 409),
    (errors.Rejected, 400),
    (errors.NotYet, 503),
    (errors.ModelmarkError, 500),
)
HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def build(source: Source) -> Starlette:
    """The ASGI application over one workspace."""
    pages = _Pages(source)
    routes = [
        Route("/", pages.overview),
        Route("/models/{model}", pages.model),
        Route("/models/{model}/rows", pages.rows),
        Route("/releases", pages.releases),
        Route("/versions/{id}", pages.version),
        Route("/versions/{id}/report", pages.report),
        Route("/audit", pages.audit),
        Route("/api/overview", pages.overview_data),
        Route("/api/models/{model}", pages.model_data),
        Route("/api/charts", pages.chart_specs),
        Route("/live", pages.live),
        Route("/health", pages.health),
        Route("/static/vega.js", pages.vega),
        Mount("/static", StaticFiles(packages=[("modelmark.web", "static")])),
    ]
    handlers: dict[Any, Any] = {errors.ModelmarkError: pages.failed, 404: pages.not_found, 500: pages.broken}
    return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(_Guard)])


class _Guard:
    """Answers only to loopback names (a page elsewhere cannot rebind DNS onto us) and sets security headers on all."""

    NAMES: Final = ("127.0.0.1", "localhost", "[::1]")

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}  # two policies would both hold
                message["headers"] = [*message["headers"], *(item for item in HEADERS if item[0] not in own)]
            await send(message)

        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        if host.rsplit(":", 1)[0] not in self.NAMES and host not in self.NAMES:
            answer = PlainTextResponse("This address answers only to 127.0.0.1 and localhost.\n", 421)
            await answer(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)


class _Pages:
    """One method per address: fetch, render."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._templates = Environment(
            loader=PackageLoader("modelmark.web", "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["utc"] = _utc
        self._templates.filters["tojson_plain"] = lambda value: json.dumps(plain(value))
        self._templates.globals.update(Verdict=Verdict, glossary=GLOSSARY, spans=list(SPANS))

    async def overview(self, request: Request) -> Response:
        return await self._render("overview.html", page="overview", data=await self._off(series.overview, self._source))

    async def overview_data(self, request: Request) -> Response:
        return JSONResponse(await self._off(series.overview, self._source))

    async def model(self, request: Request) -> Response:
        name, span = self._model(request)
        data = await self._off(series.model, self._source, name, span)
        route = self._source.route(name)
        arms = [(arm, self._source.version(arm.version)) for arm in route.arms] if route else []
        return await self._render("model.html", page="overview", name=name, span=span, data=data, arms=arms)

    async def model_data(self, request: Request) -> Response:
        name, span = self._model(request)
        return JSONResponse(await self._off(series.model, self._source, name, span))

    async def rows(self, request: Request) -> Response:
        name, _ = self._model(request)
        rows = await self._off(self._source.rows, name)
        labels = {version.id.hex: version.label for version in self._source.versions(name)}
        return await self._render("rows.html", page="overview", name=name, rows=rows, labels=labels)

    async def releases(self, request: Request) -> Response:
        standings = await self._off(self._standings)
        return await self._render("releases.html", page="releases", standings=standings)

    async def version(self, request: Request) -> Response:
        standing, evidence = await self._off(self._standing, request.path_params["id"])
        contract = self._source.contract_of(standing.version)
        has_report = self._source.workspace.report(standing.version.id).exists()
        return await self._render(
            "version.html",
            page="releases",
            standing=standing,
            evidence=evidence,
            contract=contract,
            has_report=has_report,
        )

    async def report(self, request: Request) -> Response:
        path = self._source.workspace.report(self._source.version(request.path_params["id"]).id)
        if not path.exists():
            raise errors.Missing("this version has no report yet", hint="modelmark check writes it")
        # The report is one offline file with its style inside; it runs no script.
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": policy})

    async def audit(self, request: Request) -> Response:
        events = await self._off(self._source.ledger.events)
        try:
            fault, count = None, verify_chain(events)
        except errors.Tampered as error:
            fault, count = error.message, len(events)
        newest = list(reversed(events))[:500]
        return await self._render("audit.html", page="audit", events=newest, count=count, fault=fault)

    async def chart_specs(self, request: Request) -> Response:
        return JSONResponse({"config": CONFIG, "specs": charts.ALL})

    async def vega(self, request: Request) -> Response:
        path: Path = await self._off(vega_bundle, self._source.workspace.cache)
        return FileResponse(path, media_type="text/javascript")

    async def health(self, request: Request) -> Response:
        await self._off(self._source.ledger.snapshot)
        return JSONResponse({"ready": True})

    async def live(self, request: Request) -> Response:
        """Beats that say how far the journal's tables are; a page fetches its own data again when that changed."""
        return StreamingResponse(self._beats(request), media_type="text/event-stream")

    async def _beats(self, request: Request) -> AsyncIterator[bytes]:
        while not await request.is_disconnected():
            yield f"event: beat\ndata: {self._source.progress()}\n\n".encode()
            await asyncio.sleep(LIVE_SECONDS)

    async def failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.ModelmarkError)
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        return await self._problem(request, status, error.message, error.hint, error.facts())

    async def not_found(self, request: Request, error: Exception) -> Response:
        return await self._problem(
            request, 404, "There is no such page.", "start at the overview", {"code": "NOT_FOUND"}
        )

    async def broken(self, request: Request, error: Exception) -> Response:
        _log.error("the page %s failed", request.url.path, exc_info=error)
        facts = {"code": "INTERNAL", "message": "the page failed"}
        return await self._problem(request, 500, "This page failed; the server's log has the reason.", None, facts)

    async def _problem(
        self, request: Request, status: int, message: str, hint: str | None, facts: dict[str, Any]
    ) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": facts}, status)
        return await self._render("problem.html", status=status, page="", message=message, hint=hint)

    def _model(self, request: Request) -> tuple[str, str]:
        name, span = request.path_params["model"], request.query_params.get("span", "1h")
        if name not in self._source.models():
            raise errors.Missing("there is no such model in this workspace", hint="start at the overview")
        if span not in SPANS:
            raise errors.Rejected("there is no such span", field="span", limit=", ".join(SPANS))
        return name, span

    def _standings(self) -> list[Any]:
        return [self._source.releases.standing(version) for version in reversed(self._source.versions())]

    def _standing(self, id: str) -> tuple[Any, Any]:
        try:
            version = self._source.version(id)
        except ValueError:
            raise errors.Missing("there is no such version", hint="the releases page lists them") from None
        return self._source.releases.standing(version), self._source.ledger.evidence(version.id)

    async def _off(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Off the event loop: these read databases and files."""
        return await run_in_threadpool(call, *arguments)

    async def _render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        body = await self._off(self._templates.get_template(template).render, values)
        return HTMLResponse(body, status)


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
