"""The acts on pages: sign in and out, approve, comment, waive, release, roll back, accounts and keys. Each one redirects."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from modelmark.domain.alerts.handling import Acknowledge, Assign, Close, Handling, Rate, Snooze
from modelmark.domain.errors import Rejected
from modelmark.domain.finding import Rating
from modelmark.domain.people import Permission, Principal, Role
from modelmark.domain.release import CommentKind, WaiverRequest
from modelmark.domain.rollouts.report import RolloutAct
from modelmark.domain.until import later_on, until
from modelmark.domain.version import Version
from modelmark.web.actions import Actions
from modelmark.web.authenticator import COOKIE, next_of, with_session, without_session
from modelmark.web.forms import posted, read_form
from modelmark.web.queries import Queries, alert_number


class Acts:
    """One method per act: read the form, do it, say where to look next."""

    def __init__(self, queries: Queries, actions: Actions) -> None:
        self._queries = queries
        self._actions = actions

    async def sign_in(self, request: Request) -> Response:
        form = await posted(request)
        people = self._actions.people
        login, password, source = form.get("login", ""), form.get("password", ""), _source(request)
        principal = await run_in_threadpool(people.by_password, login, password, source=source)
        token = await run_in_threadpool(people.open_session, principal, source=source)
        return with_session(RedirectResponse(next_of(form.get("next", "/")), 303), token)

    async def sign_out(self, request: Request) -> Response:
        await run_in_threadpool(self._actions.people.close_session, request.cookies.get(COOKIE, ""))
        return without_session(RedirectResponse("/sign-in", 303))

    async def approve(self, request: Request) -> Response:
        form, version, by = await posted(request), self._version(request), _by(request)
        await run_in_threadpool(
            self._actions.releases.redeem, version, form.get("ticket", ""), comment=form.get("comment", ""),
            actor=by.login, by=by,
        )  # fmt: skip
        return self._seen(request, version, "approved")

    async def ticket(self, request: Request) -> Response:
        """For machines: what a page's form carries."""
        form, version, by = await posted(request), self._version(request), _by(request)
        role = _role(form.get("role", ""))
        text = await run_in_threadpool(self._actions.releases.ticket, version, role=role, name=by.name, by=by)
        return JSONResponse({"ticket": text})

    async def comment(self, request: Request) -> Response:
        form, version, by = await posted(request), self._version(request), _by(request)
        try:
            kind = CommentKind(form.get("kind", "comment"))
        except ValueError:
            raise Rejected(
                "there is no such kind of comment", code="NO_KIND", field="kind", limit=", ".join(CommentKind)
            ) from None
        await run_in_threadpool(
            self._actions.releases.comments.add, version, kind=kind, name=by.name, text=form.get("text", ""), by=by,
            about=form.get("about", ""),
        )  # fmt: skip
        return self._seen(request, version, "comments")

    async def waive(self, request: Request) -> Response:
        form, version, by = await posted(request), self._version(request), _by(request)
        excuse = WaiverRequest(
            gate=form.get("gate", ""), reason=form.get("reason", ""), owner=form.get("owner", ""),
            expires_at=until(form.get("expires", ""), now=self._queries.clock(), field="expires"),
            evidence=form.get("evidence", ""),
        )  # fmt: skip
        await run_in_threadpool(
            self._actions.waive, version, excuse, role=_role(form.get("role", "")), name=by.name, by=by,
            expected=_expected(form),
        )  # fmt: skip
        return self._seen(request, version, "way")

    async def release(self, request: Request) -> Response:
        form, version, by = await posted(request), self._version(request), _by(request)
        share = _number(form.get("share", "100"), "share", 1, 100) / 100
        await run_in_threadpool(self._actions.release, version, share=share, by=by, expected=_expected(form))
        return self._seen(request, version, "main")

    async def rollback(self, request: Request) -> Response:
        form, by, model = await posted(request), _by(request), request.path_params["model"]
        _, back, _ = await run_in_threadpool(
            self._actions.rollback, model, reason=form.get("reason", ""), by=by, expected=_expected(form)
        )
        return self._seen(request, back, "main")

    async def rollout(self, request: Request) -> Response:
        """On, held, on again, or out of it: by whoever says which rollout they saw, and what served."""
        form, version, by = await posted(request), self._version(request), _by(request)
        act, event = _rollout_act(request.path_params["act"]), int(_number(form.get("event", ""), "event", 1, 2**53))
        await run_in_threadpool(
            self._actions.move_rollout, act, version, reason=form.get("reason", ""), by=by, expected=_expected(form),
            event=event,
        )  # fmt: skip
        if "authorization" in request.headers:
            return JSONResponse({"done": True, "version": version.id})
        return RedirectResponse(f"/models/{version.model}#rollouts", 303)

    async def acknowledge(self, request: Request) -> Response:
        await posted(request)
        return await self._handle(request, Acknowledge())

    async def assign(self, request: Request) -> Response:
        return await self._handle(request, Assign(to=(await posted(request)).get("to", "")))

    async def snooze(self, request: Request) -> Response:
        until = (await posted(request)).get("until", "")
        return await self._handle(request, Snooze(until=later_on(until, now=self._queries.clock(), field="until")))

    async def rate_alert(self, request: Request) -> Response:
        said = (await posted(request)).get("rating", "")
        if said not in set(Rating):
            raise Rejected("there is no such rating", code="NO_RATING", field="rating", limit=", ".join(Rating))
        return await self._handle(request, Rate(rating=Rating(said)))

    async def close_alert(self, request: Request) -> Response:
        return await self._handle(request, Close(reason=(await posted(request)).get("reason", "")))

    async def _handle(self, request: Request, handling: Handling) -> Response:
        id = alert_number(request.path_params["alert"])
        await run_in_threadpool(self._actions.handle_alert, id, handling, by=_by(request))
        if "authorization" in request.headers:
            return JSONResponse({"done": True, "alert": id})
        return RedirectResponse(f"/alerts/{id}", 303)

    async def add_account(self, request: Request) -> dict[str, Any]:
        """The account, and the token of its link, for the page that shows it this once."""
        form, by = await read_form(request), _by(request)
        roles = [_role(str(value)) for value in form.getlist("role")]
        account, token = await run_in_threadpool(
            self._actions.people.invite, str(form.get("login", "")), name=str(form.get("name", "")), roles=roles,
            admin=form.get("admin") == "yes", machine=form.get("machine") == "yes", email=str(form.get("email", "")),
            by=by,
        )  # fmt: skip
        return {"link_of": account, "token": token} if token else {}

    async def reset_password(self, request: Request) -> dict[str, Any]:
        form, by, people = await posted(request), _by(request), self._actions.people
        token = await run_in_threadpool(people.reset, form.get("login", ""), by=by)
        return {"link_of": await run_in_threadpool(people.links.behind, token), "token": token}

    async def redeem_link(self, request: Request) -> Response:
        form = await posted(request)
        await run_in_threadpool(self._actions.people.links.redeem, form.get("link", ""), form.get("password", ""))
        return RedirectResponse("/sign-in", 303)

    async def confirm_account(self, request: Request) -> Response:
        form, by = await posted(request), _by(request)
        await run_in_threadpool(self._actions.people.links.confirm, form.get("login", ""), by=by)
        return RedirectResponse("/people", 303)

    async def disable_account(self, request: Request) -> Response:
        form, by = await posted(request), _by(request)
        await run_in_threadpool(self._actions.people.disable, form.get("login", ""), by=by)
        return RedirectResponse("/people", 303)

    async def change_account(self, request: Request) -> Response:
        """Open it again, or give it exactly the roles that are ticked."""
        form, by = await read_form(request), _by(request)
        whole = form.get("whole") == "yes"
        await run_in_threadpool(
            self._actions.people.change, str(form.get("login", "")), enable=form.get("enable") == "yes", by=by,
            roles=[_role(str(value)) for value in form.getlist("role")] if whole else None,
            admin=form.get("admin") == "yes" if whole else None,
        )  # fmt: skip
        return RedirectResponse("/people", 303)

    async def change_password(self, request: Request) -> Response:
        """One's own, by whoever knows the present one: a browser left open is not enough."""
        form, people, by = await posted(request), self._actions.people, _by(request)
        now, source = form.get("now", ""), _source(request)
        proven = await run_in_threadpool(people.by_password, by.login, now, source=source)
        await run_in_threadpool(people.change_password, by.login, form.get("password", ""), by=proven)
        return without_session(RedirectResponse("/sign-in", 303))

    async def issue_key(self, request: Request) -> dict[str, Any]:
        """The key and its secret, for the page that shows it this once."""
        form, by = await read_form(request), _by(request)
        try:
            scopes = [Permission(str(value)) for value in form.getlist("scope")]
        except ValueError:
            raise Rejected(
                "there is no such scope", code="NO_SCOPE", field="scope", limit=", ".join(Permission)
            ) from None
        days = int(_number(str(form.get("days", "90")), "days", 1, 366))
        login = str(form.get("login", "")) or by.login
        key, secret = await run_in_threadpool(self._actions.people.issue_key, login, scopes=scopes, days=days, by=by)
        return {"key": key, "secret": secret}

    async def revoke_key(self, request: Request) -> Response:
        form, by = await posted(request), _by(request)
        await run_in_threadpool(self._actions.people.revoke_key, form.get("key", ""), by=by)
        return RedirectResponse("/people", 303)

    def _version(self, request: Request) -> Version:
        return self._queries.known(request.path_params["id"])

    @staticmethod
    def _seen(request: Request, version: Version, place: str) -> Response:
        if "authorization" in request.headers:
            return JSONResponse({"done": True, "version": version.id})
        return RedirectResponse(f"/versions/{version.id.hex}#{place}", 303)


def _by(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


def _source(request: Request) -> str:
    """Where somebody signs in from: the address that reached us, never one that a header claims."""
    return request.client.host if request.client else "nowhere"


def _expected(form: dict[str, str]) -> str:
    """What served when whoever sends this decided. Raises Rejected where it is not said: nobody acts on what they did not
    see."""
    if not form.get("expected"):
        raise Rejected(
            "say what served when this was decided",
            code="NO_EXPECTED",
            field="expected",
            limit="such as v4; v4+v5 beside a canary; nothing before the first release",
            hint="GET /api/models/NAME tells it as `seen`",
        )
    return form["expected"]


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Rejected("there is no such role", code="NO_ROLE", field="role", limit=", ".join(Role)) from None


def _rollout_act(text: str) -> RolloutAct:
    allowed = (RolloutAct.ADVANCE, RolloutAct.HOLD, RolloutAct.RESUME, RolloutAct.ABORT)
    found = next((act for act in allowed if act.value == text), None)
    if found is None:
        raise Rejected("there is no such act", code="NO_ACT", field="act", limit=", ".join(allowed))
    return found


def _number(text: str, field: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise Rejected(
            f"{field} is not a number in its range", code="BAD_NUMBER", field=field, limit=f"{low:g} to {high:g}"
        )
    return value
