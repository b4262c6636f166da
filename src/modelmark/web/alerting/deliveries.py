"""The page of what leaves: webhooks, what waits, and dead letters."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from modelmark.web.actions import Actions
from modelmark.web.forms import posted
from modelmark.web.queries import Queries
from modelmark.web.refused import NOTHING, Refused
from modelmark.web.templating import Templates


class DeliveriesPage:
    """Everything that was to be told and has not arrived, for whoever may look."""

    def __init__(self, queries: Queries, actions: Actions, templates: Templates) -> None:
        self._queries, self._actions, self._render = queries, actions, templates.render

    async def show(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        found = await run_in_threadpool(self._read)
        return await self._render(request, "deliveries.html", page="overview", refused=refused, found=found)

    def _read(self) -> Any:
        return self._queries.documents.deliveries()

    async def data(self, request: Request) -> Response:
        found = await run_in_threadpool(self._read)
        messages = [
            {
                "key": one.key, "title": one.title, "to": one.to, "tries": one.tries, "due": one.due_at.isoformat(),
                "dead": one.dead, "error": one.error,
            }
            for one in found.messages
        ]  # fmt: skip
        hooks = [{"id": one.id, "place": one.place, "waiting": one.waiting, "dead": one.dead} for one in found.webhooks]
        return JSONResponse({"dead": found.dead, "webhooks": hooks, "messages": messages})

    async def again(self, request: Request) -> Response:
        key = (await posted(request)).get("key", "")
        count = await run_in_threadpool(self._actions.send_again, (key,) if key else (), by=request.state.principal)
        if "authorization" in request.headers:
            return JSONResponse({"done": True, "count": count})
        return RedirectResponse("/deliveries", 303)
