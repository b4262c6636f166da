"""The dashboard: its doors and who may use them, its errors, its headers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelmark.domain import errors
from modelmark.domain.people import Permission
from modelmark.domain.printable import one_line
from modelmark.web.actions import Actions
from modelmark.web.acts import Acts
from modelmark.web.alerting.deliveries import DeliveriesPage
from modelmark.web.assets import Assets
from modelmark.web.authenticator import PUBLIC, Authenticator, ProtectedRoute
from modelmark.web.bounds import Bounded
from modelmark.web.endpoint import EndpointPage
from modelmark.web.experiments.pages import ExperimentPages
from modelmark.web.pages import Pages
from modelmark.web.predictions import Predictions
from modelmark.web.queries import Queries
from modelmark.web.refused import RETRY_SECONDS, kept, status_of
from modelmark.web.templating import Templates

_log = logging.getLogger(__name__)
HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_HOST: Final = re.compile(rb"(?i:127\.0\.0\.1|localhost|\[::1\])(?::([1-9][0-9]{0,4}))?")

#: What `build` gives: an ASGI application, for whoever serves it without knowing the framework.
Application = Starlette


def build(queries: Queries, actions: Actions) -> Application:
    """The ASGI application over one workspace. Every door names who may use it."""
    assets = Assets(queries.workspace.cache)
    templates = Templates(assets.address)
    pages, acts, problems = Pages(queries, actions.people, templates), Acts(queries, actions), _Problems(templates)
    rows = Predictions(queries, templates)
    protected = Authenticator(actions.people).protected
    view, own, version = Permission.VIEW, Permission, pages.version
    routes = [
        protected("/sign-in", pages.sign_in, PUBLIC),
        protected("/sign-in", kept(acts.sign_in, pages.sign_in), PUBLIC, post=True),
        protected("/redeem", pages.redeem, PUBLIC),
        protected("/redeem", kept(acts.redeem_link, pages.redeem), PUBLIC, post=True),
        protected("/sign-out", acts.sign_out, view, post=True),
        protected("/", pages.overview, view),
        protected("/tasks", pages.tasks, view),
        protected("/models/{model}", pages.model, view),
        protected("/models/{model}/input", pages.input, view),
        protected("/models/{model}/refusals", pages.refusals, view),
        protected("/models/{model}/rows", rows.rows, view),
        protected("/models/{model}/rows.{form}", rows.file, view),
        protected("/models/{model}/predictions/{id}", rows.prediction, view),
        protected("/models/{model}/rollback", acts.rollback, own.RELEASE, post=True),
        *_alerts(protected, pages, acts, DeliveriesPage(queries, actions, templates)),
        *_experiments(protected, ExperimentPages(queries, actions.stop_experiment, templates)),
        protected("/releases", pages.releases, view),
        protected("/diff", pages.diff, view),
        protected("/versions/{id}", pages.version, view),
        protected("/versions/{id}/report", pages.report, view),
        protected("/versions/{id}/card", pages.card, view),
        protected("/versions/{id}/notes", pages.notes, view),
        protected("/versions/{id}/ticket", acts.ticket, own.APPROVE, post=True),
        protected("/versions/{id}/approve", kept(acts.approve, version), own.APPROVE, post=True),
        protected("/versions/{id}/comment", kept(acts.comment, version), own.COMMENT, post=True),
        protected("/versions/{id}/waive", kept(acts.waive, version), own.WAIVE, post=True),
        protected("/versions/{id}/rollout/{act}", acts.rollout, own.RELEASE, post=True),
        protected("/versions/{id}/release", kept(acts.release, version), own.RELEASE, post=True),
        protected("/scorecards", pages.scorecards, view),
        protected("/scorecards/{model}", pages.scorecard, view),
        *_people(protected, pages, acts),
        *_endpoint(protected, EndpointPage(queries, actions.endpoint_keys, templates)),
        protected("/audit", pages.audit, view),
        protected("/api/openapi.json", pages.described, view),
        protected("/api/overview", pages.overview_data, view),
        protected("/api/models/{model}", pages.model_data, view),
        protected("/api/models/{model}/input", pages.input_data, view),
        protected("/api/models/{model}/refusals", pages.refusals_data, view),
        protected("/api/models/{model}/rows", rows.rows_data, view),
        protected("/api/models/{model}/predictions/{id}", rows.prediction_data, view),
        protected("/api/charts", pages.chart_specs, view),
        protected("/live", pages.live, view),
        protected("/health", pages.health, PUBLIC),
        protected("/static/{name}", assets.serve, PUBLIC),
    ]
    for route in routes:
        if not isinstance(route, ProtectedRoute):
            raise TypeError(f"{route} has no rule, so nobody may use it")
    handlers: dict[Any, Any] = {errors.ModelmarkError: problems.failed, 404: problems.not_found, 500: problems.broken}
    return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(_Guard), Middleware(Bounded)])


def _alerts(
    protected: Callable[..., ProtectedRoute], pages: Pages, acts: Acts, deliveries: DeliveriesPage
) -> list[ProtectedRoute]:
    """One alert, by its number, and taking it in hand; what was told of it and has not arrived."""
    view, comment = Permission.VIEW, Permission.COMMENT
    return [
        protected("/alerts", pages.alerts, view),
        protected("/alerts/{alert}", pages.alert, view),
        protected("/alerts/{alert}/acknowledge", kept(acts.acknowledge, pages.alert), comment, post=True),
        protected("/alerts/{alert}/assign", kept(acts.assign, pages.alert), comment, post=True),
        protected("/alerts/{alert}/snooze", kept(acts.snooze, pages.alert), comment, post=True),
        protected("/alerts/{alert}/close", kept(acts.close_alert, pages.alert), comment, post=True),
        protected("/alerts/{alert}/rate", kept(acts.rate_alert, pages.alert), comment, post=True),
        protected("/api/alerts/precision", pages.precision_data, view),
        protected("/api/alerts", pages.alerts_data, view),
        protected("/api/alerts/{alert}", pages.alert_data, view),
        protected("/deliveries", deliveries.show, view),
        protected("/deliveries/send-again", kept(deliveries.again, deliveries.show), comment, post=True),
        protected("/api/deliveries", deliveries.data, view),
    ]


def _people(protected: Callable[..., ProtectedRoute], pages: Pages, acts: Acts) -> list[ProtectedRoute]:
    """Accounts, links and keys. Some acts answer with the page, for what they show is shown once."""
    people, view, administer = pages.people, Permission.VIEW, Permission.ADMINISTER

    async def show_key(request: Request) -> Response:
        return await pages.people(request, await acts.issue_key(request))

    async def show_invitation(request: Request) -> Response:
        return await pages.people(request, await acts.add_account(request))

    async def show_reset(request: Request) -> Response:
        return await pages.people(request, await acts.reset_password(request))

    return [
        protected("/people", pages.people, view),
        protected("/people/add", kept(show_invitation, people), administer, post=True),
        protected("/people/reset", kept(show_reset, people), administer, post=True),
        protected("/people/confirm", kept(acts.confirm_account, people), view, post=True),
        protected("/people/disable", kept(acts.disable_account, people), administer, post=True),
        protected("/people/change", kept(acts.change_account, people), administer, post=True),
        protected("/people/password", kept(acts.change_password, people), view, post=True),
        protected("/people/key", kept(show_key, people), view, post=True),
        protected("/people/revoke", kept(acts.revoke_key, people), view, post=True),
    ]


def _experiments(protected: Callable[..., ProtectedRoute], page: ExperimentPages) -> list[ProtectedRoute]:
    """All of them, one, and ending it."""
    view = Permission.VIEW
    return [
        protected("/experiments", page.every, view),
        protected("/experiments/{name}", page.show, view),
        protected("/experiments/{name}/stop", kept(page.stop, page.show), Permission.RELEASE, post=True),
        protected("/api/experiments", page.every_data, view),
        protected("/api/experiments/{name}", page.data, view),
    ]


def _endpoint(protected: Callable[..., ProtectedRoute], page: EndpointPage) -> list[ProtectedRoute]:
    """Workers and keys, and ending one of these."""
    return [
        protected("/endpoint", page.show, Permission.VIEW),
        protected("/endpoint/revoke", kept(page.revoke, page.show), Permission.ADMINISTER, post=True),
    ]


class _Guard:
    """Answers only to loopback names (a page elsewhere cannot rebind DNS onto us) and sets security headers on all."""

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

        if not _is_ours(scope):
            answer = PlainTextResponse("This address answers only to 127.0.0.1 and localhost, under its port.\n", 421)
            await answer(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)


def _is_ours(scope: Scope) -> bool:
    """Whether the one Host header names loopback and the port that was reached, and says nothing else: no user, no dot at
    the end, no second port, no other spelling of an address."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None:
        return False
    default = 443 if scope.get("scheme") == "https" else 80
    reached = (scope.get("server") or (None, None))[1]
    return reached is None or int(found[1] or default) == reached


class _Problems:
    """Errors as pages, or as JSON for machines."""

    def __init__(self, templates: Templates) -> None:
        self._render = templates.render

    async def failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.ModelmarkError)
        return await self._problem(request, status_of(error), error)

    async def not_found(self, request: Request, error: Exception) -> Response:
        known = errors.Missing("there is no such page", code="NO_PAGE", hint="start at the overview")
        return await self._problem(request, 404, known)

    async def broken(self, request: Request, error: Exception) -> Response:
        _log.error("the page %s failed", one_line(request.url.path), exc_info=error)
        return await self._problem(
            request, 500, errors.ModelmarkError("This page failed; the server's log has the reason")
        )

    async def _problem(self, request: Request, status: int, error: errors.ModelmarkError) -> Response:
        if request.url.path.startswith("/api/") or "authorization" in request.headers:
            answer: Response = JSONResponse({"error": error.facts()}, status)
        else:
            answer = await self._render(
                request,
                "problem.html",
                http_status=status,
                page="",
                error=error,
                back=_back(request),
            )
        if isinstance(error, errors.NotYet):
            answer.headers["retry-after"] = str(getattr(error, "retry_after", RETRY_SECONDS))
        return answer


def _back(request: Request) -> str:
    """The page that an act was sent from; what was only looked at leads to the overview."""
    if request.method != "POST":
        return "/"
    return request.url.path.rsplit("/", 1)[0] or "/"
