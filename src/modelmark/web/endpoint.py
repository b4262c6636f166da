"""The page of the endpoint: which workers answer, and which keys open it."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from modelmark.domain.endpoint.workers_now import workers_now
from modelmark.domain.endpoint.workers_seen import EndpointSeen, endpoint_seen
from modelmark.domain.people import Permission
from modelmark.governance.endpoint_keys import EndpointKeys
from modelmark.web.forms import posted
from modelmark.web.queries import Queries
from modelmark.web.refused import NOTHING, Refused
from modelmark.web.templating import Templates


class EndpointPage:
    """Workers for whoever may look; keys for administrators, and for whoever owns a workspace without accounts."""

    def __init__(self, queries: Queries, keys: EndpointKeys, templates: Templates) -> None:
        self._queries, self._keys, self._render = queries, keys, templates.render

    async def show(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        by = request.state.principal
        administers = by is None or by.may(Permission.ADMINISTER)
        facts = await run_in_threadpool(self._facts, administers)
        return await self._render(request, "endpoint.html", page="endpoint", refused=refused, **facts)

    async def revoke(self, request: Request) -> Response:
        form = await posted(request)
        await run_in_threadpool(self._keys.revoke, form.get("key", ""), by=request.state.principal)
        return RedirectResponse("/endpoint", 303)

    def _facts(self, administers: bool) -> dict[str, Any]:
        seen, now = endpoint_seen(self._queries.workspace), self._queries.clock()
        keys = self._keys.list() if administers else ()
        return {
            "seen": seen,
            "said": sentence(seen),
            "bounds": workers_now(self._queries.workspace),
            "keys": keys,
            "expired": {key.id for key in keys if key.expires_at <= now},
            "administers": administers,
        }


def sentence(seen: EndpointSeen) -> str:
    """What is so, in one line."""
    workers, able = len(seen.workers), sum(one.ready and not one.hangs for one in seen.workers)
    if not workers:
        return "No worker answers on this machine"
    of = f"{workers} worker{'s' if workers != 1 else ''}"
    return f"{of} answer{'s' if workers == 1 else ''}" if able == workers else f"{able} of {of} answer"
