"""The list of experiments, the page of one, and ending it."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from modelmark.domain.errors import Rejected
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.people import Principal
from modelmark.web.actions import StopExperiment
from modelmark.web.experiments.views import SIGNS, ExperimentView, experiment_views, facts, view_of
from modelmark.web.forms import posted
from modelmark.web.queries import Queries
from modelmark.web.refused import NOTHING, Refused
from modelmark.web.templating import Templates


class ExperimentPages:
    """Reads what the steward kept; nothing here waits for the journal."""

    def __init__(self, queries: Queries, stop: StopExperiment, templates: Templates) -> None:
        self._queries, self._stop, self._render = queries, stop, templates.render

    async def every(self, request: Request) -> Response:
        model = request.query_params.get("model")
        if model is not None:
            self._queries.require_model(model)
        views = await run_in_threadpool(self._views, model)
        return await self._render(request, "experiments.html", page="experiments", views=views, model=model)

    async def every_data(self, request: Request) -> Response:
        views = await run_in_threadpool(self._views, request.query_params.get("model"))
        return JSONResponse({"experiments": [facts(view) for view in views]})

    async def show(self, request: Request, *, refused: Refused = NOTHING) -> Response:
        view = await run_in_threadpool(self._view, request)
        about: dict[str, Any] = {
            "view": view,
            "one": view.experiment,
            "plan": view.experiment.plan,
            "data": view.data(),
        }
        return await self._render(request, "experiment.html", page="experiments", refused=refused, signs=SIGNS, **about)

    async def data(self, request: Request) -> Response:
        view = await run_in_threadpool(self._view, request)
        return JSONResponse({**facts(view), **view.data()})

    async def stop(self, request: Request) -> Response:
        form, name = await posted(request), request.path_params["name"]
        reason, event = form.get("reason", "").strip(), form.get("event", "")
        if not reason:
            raise Rejected("ending an experiment needs a reason", code="NO_REASON", field="reason", limit="a sentence")
        if not (event.isascii() and event.isdigit() and len(event) < 16):
            raise Rejected(
                "which act was seen last is not said", code="BAD_NUMBER", field="event", limit="a whole number"
            )
        by = request.state.principal
        await run_in_threadpool(self._end, name, reason, by, int(event))
        if "authorization" in request.headers:
            return JSONResponse({"done": True, "experiment": name})
        return RedirectResponse(f"/experiments/{name}", 303)

    def _end(self, name: str, reason: str, by: Principal | None, event: int) -> Experiment:
        return self._stop(name, reason=reason, by=by, event=event)

    def _views(self, model: str | None) -> list[ExperimentView]:
        """Raises Missing for a model that there is not: a misspelt name is no empty answer."""
        if model is not None:
            self._queries.require_model(model)
        return experiment_views(
            self._queries.experiments.all(model), self._queries.ledger, self._queries.monitoring_store
        )

    def _view(self, request: Request) -> ExperimentView:
        one = self._queries.experiments.named(request.path_params["name"])
        return view_of(one, self._queries.ledger, self._queries.monitoring_store)
