"""Who is asking, and whether they may. Every route has a rule; what has none is refused, and a test fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from modelmark.domain.errors import NotPermitted
from modelmark.domain.people import Permission, Principal
from modelmark.governance.people import SESSION, People
from modelmark.seal import passwords
from modelmark.web.bounds import require_bounded
from modelmark.web.forms import posted

COOKIE: Final = "modelmark"
#: Anybody may ask: the way in, and what says that we live.
PUBLIC: Final = "public"
Rule = Permission | str
Endpoint = Callable[[Request], Awaitable[Response]]


class ProtectedRoute(Route):
    """A route that carries its rule, so that a test can look at every one of them."""

    def __init__(self, path: str, endpoint: Endpoint, rule: Rule, *, methods: tuple[str, ...] = ("GET",)) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Authenticates each request, then asks the rule of its route."""

    people: People

    def protected(self, path: str, endpoint: Endpoint, rule: Rule, *, post: bool = False) -> ProtectedRoute:
        async def guarded(request: Request) -> Response:
            request.state.principal = None
            require_bounded(request)
            request.state.principal = await run_in_threadpool(self.principal, request)
            if rule is not PUBLIC:
                refused = await run_in_threadpool(self._refusal, request, rule)
                if refused is not None:
                    return refused
            if post:
                await self._require_form(request, rule)
            return await endpoint(request)

        return ProtectedRoute(path, guarded, rule, methods=("POST",) if post else ("GET",))

    def principal(self, request: Request) -> Principal | None:
        """By `Authorization: Bearer KEY`, else by the session's cookie. Raises NotPermitted for a key of nobody."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.people.by_key(key.strip())
        token = request.cookies.get(COOKIE)
        return self.people.by_session(token) if token else None

    def _refusal(self, request: Request, rule: Rule) -> Response | None:
        """None to go on. A browser that has not signed in is led to the way in; everything else is an error.

        A workspace without any account may be looked at, and nothing more.
        """
        principal: Principal | None = request.state.principal
        if principal is None and not self.people.accounts():
            if rule is Permission.VIEW and request.method in ("GET", "HEAD"):
                return None
            raise NotPermitted(
                "nobody has an account here yet, so nobody can act on these pages",
                code="NO_ACCOUNTS",
                hint="make one at the command line: modelmark account add --help",
            )
        if principal is None and request.method == "GET" and not request.url.path.startswith(("/api/", "/live")):
            return RedirectResponse(f"/sign-in?next={quote(_here(request), safe='')}", 303)
        self.people.permit(principal, Permission(rule))
        return None

    async def _require_form(self, request: Request, rule: Rule) -> None:
        """A change comes from a page of ours, sent by whoever holds the session; a key needs no form. Signing in has no
        session yet that could be abused."""
        principal: Principal | None = request.state.principal
        if principal is not None and principal.by_key:
            return
        own = f"{request.url.scheme}://{request.headers.get('host', '')}"
        if not _from_here(request, own):
            raise NotPermitted(
                "this was sent from another page",
                code="FOREIGN_ORIGIN",
                limit=own,
                hint="open the page and send it again",
            )
        if rule is PUBLIC:
            return
        token = request.cookies.get(COOKIE)
        given = (await posted(request)).get("form", "")
        if token is None or not passwords.same(given, passwords.form_token(token)):
            raise NotPermitted("the form is not of this session", code="BAD_FORM", hint="open the page again")


def _from_here(request: Request, own: str) -> bool:
    """Whether a page of ours sent this. Browsers say so in Sec-Fetch-Site, which no script can set; they blank Origin
    because our pages send no referrer. Older ones are asked for Origin."""
    sites, origins = request.headers.getlist("sec-fetch-site"), request.headers.getlist("origin")
    return sites == ["same-origin"] if sites else origins == [own]


def form_of(request: Request) -> str:
    """What every form on the page must carry; empty for whoever has no session."""
    token = request.cookies.get(COOKIE)
    return passwords.form_token(token) if token and request.state.principal else ""


def with_session(response: Response, token: str) -> Response:
    response.set_cookie(COOKIE, token, max_age=int(SESSION.total_seconds()), httponly=True, samesite="strict", path="/")
    return response


def without_session(response: Response) -> Response:
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def next_of(given: str) -> str:
    """Where to go after signing in: an address of ours, or the overview."""
    return given if given.startswith("/") and not given.startswith(("//", "/\\")) and "\n" not in given else "/"


def _here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
