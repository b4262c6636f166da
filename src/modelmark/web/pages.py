"""The pages: fetch what a page is about, render it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from modelmark.domain import errors
from modelmark.domain.alerts.harm import severity_of
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.errors import NotPermitted
from modelmark.domain.people import Permission, Role
from modelmark.domain.theme import CONFIG
from modelmark.domain.until import moment
from modelmark.domain.version import Version
from modelmark.governance import card_forms
from modelmark.governance.difference import balance, difference
from modelmark.governance.links import awaits
from modelmark.governance.people import People
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.score import band
from modelmark.governance.tasks import decisions, tasks
from modelmark.seal.digests import plain
from modelmark.seal.mark import evidence_digest
from modelmark.web import charts, rollouts, searching, series
from modelmark.web.authenticator import next_of
from modelmark.web.events import EventRow, event_rows
from modelmark.web.inputs import one_input
from modelmark.web.openapi import document
from modelmark.web.periods import Period, period_of
from modelmark.web.queries import Queries
from modelmark.web.readers import parts
from modelmark.web.refused import NOTHING, Refused
from modelmark.web.templating import Templates

#: Between two beats: what is in the tables is on a page within a second.
LIVE_SECONDS: Final = 0.5
SHOWN_EVENTS: Final = 500


class Pages:
    """One method per address: fetch, render."""

    def __init__(self, queries: Queries, people: People, templates: Templates) -> None:
        self._queries = queries
        self._people = people
        self._render = templates.render

    async def overview(self, request: Request) -> Response:
        return await self._render(
            request, "overview.html", page="overview", data=await self._off(series.overview, self._queries)
        )

    async def overview_data(self, request: Request) -> Response:
        return JSONResponse(await self._off(series.overview, self._queries))

    async def refusals(self, request: Request) -> Response:
        about = await self._off(self._refusals, request)
        return await self._render(request, "refusals.html", page="overview", **about)

    async def refusals_data(self, request: Request) -> Response:
        return JSONResponse({"refusals": plain((await self._off(self._refusals, request))["refusals"])})

    def _refusals(self, request: Request) -> dict[str, Any]:
        name = self._model(request)[0]
        period = period_of(request.query_params, self._queries.clock(), whole=False)
        asked = {each: request.query_params.get(each) or None for each in ("code", "field", "version")}
        found = self._queries.refusal_records(name, period, **asked)
        return {"name": name, "period": period, **asked, "refusals": found}

    async def input(self, request: Request) -> Response:
        name, period = self._model(request)
        which = request.query_params.get("name", "")
        data = await self._off(one_input, self._queries, name, which, period)
        return await self._render(
            request, "input.html", page="overview", name=name, which=which, period=period, data=data
        )

    async def input_data(self, request: Request) -> Response:
        name, period = self._model(request)
        return JSONResponse(
            await self._off(one_input, self._queries, name, request.query_params.get("name", ""), period)
        )

    async def described(self, request: Request) -> Response:
        return JSONResponse(document(await self._off(self._queries.models)))

    async def model(self, request: Request) -> Response:
        name, period = self._model(request)
        data = await self._off(series.model, self._queries, name, period)
        seen, route = self._queries.releases.routes.seen(name), self._queries.route(name)
        arms = [(arm, self._queries.version(arm.version)) for arm in route.answering] if route else []
        back = self._queries.version(route.previous) if route and route.previous else None
        found = await self._off(self._queries.rollout_views, name)
        running = await self._off(self._queries.running_experiments, name)
        about = {
            "arms": arms, "back": back, "seen": seen, "rollouts": found, "signs": rollouts.SIGNS, "experiments": running,
        }  # fmt: skip
        return await self._render(request, "model.html", page="overview", name=name, period=period, data=data, **about)

    async def model_data(self, request: Request) -> Response:
        name, period = self._model(request)
        data = await self._off(series.model, self._queries, name, period)
        found = await self._off(self._queries.rollout_views, name)
        more = {"seen": self._queries.releases.routes.seen(name), "rollouts": [rollouts.facts(view) for view in found]}
        return JSONResponse({**data, **more})

    async def alerts(self, request: Request) -> Response:
        found, now = await self._off(self._queries.alerts), self._queries.clock()
        precision = await self._off(self._queries.documents.alert_precision)
        return await self._render(
            request, "alerts.html", page="overview", alerts=found, now=now, precision=precision, severity=severity_of
        )

    async def precision_data(self, request: Request) -> Response:
        """Of the last 90 days."""
        return JSONResponse(series.precision(await self._off(self._queries.documents.alert_precision)))

    async def alerts_data(self, request: Request) -> Response:
        found = await self._off(self._queries.alerts)
        return JSONResponse({"alerts": [series.alert(alert, self._queries.clock()) for alert in found]})

    async def alert(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        alert = await self._off(self._queries.alert, request.path_params["alert"])
        behind = await self._off(self._queries.documents.rows_behind, alert)
        known = await self._off(self._queries.input_columns, alert.model)
        about = {
            "alert": alert,
            "behind": behind,
            "next": next_step(alert),
            "now": self._queries.clock(),
            "known": known,
            "severity": severity_of(alert),
            "response": await self._off(self._queries.response, alert),
        }
        return await self._render(request, "alert.html", page="overview", refused=refused, **about)

    async def alert_data(self, request: Request) -> Response:
        alert = await self._off(self._queries.alert, request.path_params["alert"])
        behind = await self._off(self._queries.documents.rows_behind, alert)
        rows = [{**row, "at": row["at"].isoformat()} for row in behind.rows]
        told = {"sentence": behind.sentence, "refused": behind.refused, "rows": rows}
        response = await self._off(self._queries.response, alert)
        agreed = {"owner": response.owner, "runbook": response.runbook}
        said = series.alert(alert, self._queries.clock())
        return JSONResponse({**said, **agreed, "next": next_step(alert), "behind": told})

    async def releases(self, request: Request) -> Response:
        found, lost = await self._off(self._statuses)
        names = await self._off(lambda: {s.version.id: self._queries.documents.signatures(s).names for s in found})
        asked = request.query_params
        about = {"lost": lost, "names": names, "asked": asked, "all": found, "orders": list(searching.VERSION_ORDERS)}
        kept = searching.versions(found, asked, names)
        return await self._render(request, "releases.html", page="releases", statuses=kept, **about)

    async def version(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        version = self._queries.known(request.path_params["id"])
        about = await self._off(self._about, request, version)
        return await self._render(request, "version.html", page="releases", refused=refused, **about)

    def _about(self, request: Request, version: Version) -> dict[str, Any]:
        """What the version's page shows, with a ticket for each part that this reader may sign."""
        releases, by = self._queries.releases, request.state.principal
        seen = releases.routes.seen(version.model)  # before anything that is shown: acts name what was read, or older
        status, side = releases.status(version), self._queries.documents.describe(version)
        signed = self._queries.documents.signatures(status)
        read = parts(side, signed.approvals)
        tickets, refusals = {}, {}
        for part in read:
            own = by is not None and by.name == part.person.name and part.person.role in by.account.roles
            if own and not part.signed:
                try:
                    tickets[part.person.role] = releases.ticket(
                        version, role=part.person.role, name=part.person.name, by=by
                    )
                except NotPermitted as error:
                    refusals[part.person.role] = error.message
        champion = releases.champion(version.model)
        return {
            "status": status,
            "signed": signed,
            "evidence": side.evidence,
            "contract": side.contract,
            "has_report": self._queries.workspace.report(version.id).exists(),
            "parts": read,
            "tickets": tickets,
            "refusals": refusals,
            "comments": self._queries.ledger.comments(version.id),
            "champion": champion,
            "seen": seen,
            "read_evidence": evidence_digest(side.evidence),
            "environment": self._queries.environment,
            "retrained": self._queries.retrained(version),
        }

    async def report(self, request: Request) -> Response:
        version = self._queries.known(request.path_params["id"])
        path = self._queries.workspace.report(version.id)
        if not path.exists():
            raise errors.Missing(
                "this version has no report yet", code="NO_REPORT", hint=f"modelmark check {version.argument} writes it"
            )
        # The report is one offline file with its style inside; it runs no script.
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": policy})

    async def audit(self, request: Request) -> Response:
        rows, count, fault = await self._off(self._events)
        actors = sorted({row.event.actor for row in rows})
        rows = searching.events(rows, request.query_params)
        asked, then = request.query_params.get("at"), None
        if asked is not None:
            at = moment(asked, now=self._queries.clock(), field="at")
            then = await self._off(self._queries.documents.audit_at, at)
        return await self._render(
            request,
            "audit.html",
            page="audit",
            rows=rows[:SHOWN_EVENTS],
            found=len(rows),
            count=count,
            fault=fault,
            asked=asked or "",
            then=then,
            actors=actors,
            search=request.query_params,
        )

    def _events(self) -> tuple[list[EventRow], int, str | None]:
        """The events, newest first, how many there are, and what breaks their chain."""
        events = self._queries.ledger.events()
        try:
            fault, count = None, self._queries.verify_audit(events)
        except errors.ModelmarkError as error:
            fault, count = error.message, len(events)
        return event_rows(list(reversed(events)), self._queries.versions()), count, fault

    async def chart_specs(self, request: Request) -> Response:
        return JSONResponse({"config": CONFIG, "specs": charts.ALL})

    async def health(self, request: Request) -> Response:
        await self._off(self._queries.ledger.snapshot)
        return JSONResponse({"ready": True})

    async def live(self, request: Request) -> Response:
        """Beats that say how far the journal's tables are; a page fetches its own data again when that changed."""
        return StreamingResponse(self._beats(request), media_type="text/event-stream")

    async def _beats(self, request: Request) -> AsyncIterator[bytes]:
        while not await request.is_disconnected():
            progress = await self._off(self._queries.progress)
            yield f"event: beat\ndata: {progress}\n\n".encode()
            await asyncio.sleep(LIVE_SECONDS)

    async def tasks(self, request: Request) -> Response:
        """What waits for whoever looks: signatures, change requests, releases that nothing holds up."""
        by = request.state.principal
        found, lost = await self._off(self._statuses)
        views = await self._off(self._queries.rollout_views)
        asked = decisions([(view.version, view.next_sentence) for view in views if view.asks], by)
        mine = sorted([*asked, *tasks(found, by)], key=lambda task: not task.mine)
        return await self._render(request, "tasks.html", page="tasks", tasks=mine, lost=lost)

    async def diff(self, request: Request) -> Response:
        given = [request.query_params.get(name, "") for name in ("before", "after")]
        versions = [self._queries.known(id) if id else None for id in given]
        sections: tuple[Any, ...] = ()
        before, after = versions
        if before is not None and after is not None:
            sections = await self._off(
                lambda: difference(self._queries.documents.describe(before), self._queries.documents.describe(after))
            )
        known = await self._off(self._queries.versions)
        return await self._render(
            request,
            "diff.html",
            page="releases",
            before=before,
            after=after,
            sections=sections,
            known=known,
            balance=balance(sections, after.label) if after is not None else "",
        )

    async def card(self, request: Request) -> Response:
        made = await self._off(self._queries.documents.card, self._queries.known(request.path_params["id"]))
        form = request.query_params.get("form", "html")
        if form == "html":
            policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
            return HTMLResponse(await self._off(card_forms.html, made), headers={"content-security-policy": policy})
        if form == "md":
            return PlainTextResponse(await self._off(card_forms.markdown, made))
        if form == "pdf":
            name = f"{made.version.model}-{made.version.label}.pdf"
            data = await self._off(card_forms.pdf, made)
            return Response(
                data, media_type="application/pdf", headers={"content-disposition": f'inline; filename="{name}"'}
            )
        raise errors.Rejected("there is no such form", code="NO_FORM", field="form", limit=", ".join(card_forms.FORMS))

    async def notes(self, request: Request) -> Response:
        version = self._queries.known(request.path_params["id"])
        try:
            audience = Role(request.query_params.get("audience", Role.PRODUCT))
        except ValueError:
            raise errors.Rejected(
                "there is no such audience", code="NO_AUDIENCE", field="audience", limit=", ".join(Role)
            ) from None
        text = await self._off(self._queries.documents.notes, version, audience)
        return await self._render(
            request, "notes.html", page="releases", version=version, audience=audience, lines=text.splitlines()
        )

    async def scorecard(self, request: Request) -> Response:
        name, _ = self._model(request)
        version = self._queries.champion(name) or self._queries.versions(name)[-1]
        boards = await self._off(self._queries.documents.scorecards, version)
        return await self._render(
            request, "scorecard.html", page="scorecard", version=version, boards=boards, band=band(boards[1].minimum)
        )

    async def scorecards(self, request: Request) -> Response:
        """The only model's scorecard, or a choice."""
        models = await self._off(self._queries.models)
        if len(models) == 1:
            return RedirectResponse(f"/scorecards/{models[0]}", 303)
        return await self._render(request, "scorecards.html", page="scorecard", models=models)

    async def people(
        self, request: Request, shown: Mapping[str, Any] | None = None, *, refused: Refused = NOTHING
    ) -> Response:
        """Everybody for an administrator; one's own account and keys for everybody else, and whom they can confirm. shown: a
        key or a link made just now."""
        by, people = request.state.principal, self._people
        everybody = by is not None and by.may(Permission.ADMINISTER)
        known = await self._off(people.accounts)
        accounts = [a for a in known if everybody or (by is not None and a.login == by.login)]
        sure = by is not None and by.account.confirmed and not by.by_key
        waiting = [a for a in known if sure and awaits(a) and by.login not in (a.login, a.issued_by)]
        keys = await self._off(people.keys, None if everybody or by is None else by.login)
        return await self._render(
            request, "people.html", page="people", accounts=accounts, keys=keys, shown=shown or {}, everybody=everybody,
            refused=refused, waiting=waiting, origin=f"{request.url.scheme}://{request.headers.get('host', '')}",
        )  # fmt: skip

    async def redeem(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        """Where a link leads: its person chooses a password. The token stays in the form, whatever is refused."""
        token = refused.was("redeem", "link", request.query_params.get("link", ""))
        account = await self._off(self._people.links.behind, token)
        return await self._render(request, "redeem.html", page="", account=account, token=token, refused=refused)

    async def sign_in(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        given = refused.was("sign-in", "next", request.query_params.get("next", "/"))
        return await self._render(request, "sign_in.html", page="", following=next_of(given), refused=refused)

    def _model(self, request: Request) -> tuple[str, Period]:
        name = request.path_params["model"]
        self._queries.require_model(name)
        return name, period_of(request.query_params, self._queries.clock())

    def _statuses(self) -> tuple[list[ReleaseStatus], list[errors.ModelmarkError]]:
        return self._queries.releases.statuses(reversed(self._queries.versions()))

    async def _off(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Off the event loop: these read databases and files."""
        return await run_in_threadpool(call, *arguments)
