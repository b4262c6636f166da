"""Rows and single predictions: the pages, their files, and the same as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelmark.domain import errors
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.predictions.explanations import METHODS, Method
from modelmark.journal.tables.query import ANSWER
from modelmark.journal.tables.rows import Cursor
from modelmark.seal.digests import plain
from modelmark.web.queries import Queries
from modelmark.web.row_files import FORMS, MOST, named
from modelmark.web.row_filters import AskedRows, asked_rows
from modelmark.web.templating import Templates

#: Rows of a page.
PAGE: Final = 100
#: Inputs that a page of rows shows; a prediction's own page and the files have all.
_SHOWN: Final = 6
_OF_LABELS: Final = ("label", "label_source", "labelled_at", "conflicting")


class Predictions:
    """One method per address: fetch, render."""

    def __init__(self, queries: Queries, templates: Templates) -> None:
        self._queries = queries
        self._render = templates.render

    async def rows(self, request: Request) -> Response:
        about = await run_in_threadpool(self._rows, request)
        return await self._render(request, "rows.html", page="overview", **about)

    async def rows_data(self, request: Request) -> Response:
        about = await run_in_threadpool(self._rows, request)
        return JSONResponse({"rows": plain(about["rows"]), "next": about["next"]})

    async def file(self, request: Request) -> Response:
        form = request.path_params["form"]
        if form not in FORMS:
            raise errors.Missing("there is no such file", code="NO_FORM", field="form", limit=", ".join(FORMS))
        media, write = FORMS[form]
        data = await run_in_threadpool(lambda: write(self._table(request, limit=MOST)[0]))
        name = f'attachment; filename="{request.path_params["model"]}-rows.{form}"'
        return Response(data, media_type=media, headers={"content-disposition": name})

    async def prediction(self, request: Request) -> Response:
        about = await run_in_threadpool(self._prediction, request)
        return await self._render(request, "prediction.html", page="overview", **about)

    async def prediction_data(self, request: Request) -> Response:
        about = await run_in_threadpool(self._prediction, request)
        told = {name: plain(about[name]) for name in ("id", "model", "rows", "replayed", "explained")}
        fault = about["unexplained"]
        return JSONResponse({**told, "unexplained": fault and fault.facts()})

    def _asked(self, request: Request) -> AskedRows:
        name = request.path_params["model"]
        self._queries.require_model(name)
        return asked_rows(
            request.query_params,
            versions=self._queries.versions(name),
            columns=self._queries.input_columns(name),
            now=self._queries.clock(),
        )

    def _table(self, request: Request, *, limit: int) -> tuple[Any, AskedRows]:
        asked, name = self._asked(request), request.path_params["model"]
        after = request.query_params.get("after")
        table = self._queries.rows(name, asked.wanted, limit=limit, after=None if not after else Cursor.read(after))
        return named(table, self._queries.input_columns(name)), asked

    def _rows(self, request: Request) -> dict[str, Any]:
        name = request.path_params["model"]
        table, asked = self._table(request, limit=PAGE + 1)
        rows = table.to_pylist()
        last, labels = rows[PAGE - 1] if len(rows) > PAGE else None, self._labels(name)
        cursor = None if last is None else str(Cursor(last["at"], last["id"], last["row"]))
        path = f"/models/{name}/rows"
        whole = not asked.asked and "after" not in request.query_params and not request.url.path.startswith("/api/")
        inputs = [column for column in table.column_names if column not in (*ANSWER, *_OF_LABELS)]
        chosen = asked.asked.get("input")
        shown = list(dict.fromkeys([*([chosen] if chosen in inputs else []), *inputs]))[:_SHOWN]
        return {
            "name": name,
            "rows": [self._row(row, labels) for row in rows[:PAGE]],
            "asked": asked.asked,
            "inputs": shown,
            "all_inputs": [*self._queries.input_columns(name)],
            "versions": list(labels.values())[::-1],
            "first": asked.address(path),
            "next": None if cursor is None else asked.address(path, after=cursor),
            "files": [(form, asked.address(f"{path}.{form}")) for form in FORMS],
            "most": MOST,
            "beyond": "after" in request.query_params,
            "sources": self._queries.label_sources(name) if whole else [],
        }

    def _labels(self, model: str) -> dict[str, str]:
        return {version.id.hex: version.label for version in self._queries.versions(model)}

    def _row(self, row: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
        """right: whether the label is the answer; None where either is not known."""
        known = row.get("label") is not None and row["prediction"] is not None
        version = row["version"].removeprefix("sha256:")
        return {
            **row,
            "version": version,
            "version_label": labels.get(version, version[:12]),
            "right": row["label"] == row["prediction"] if known else None,
        }

    def _prediction(self, request: Request) -> dict[str, Any]:
        name, id = request.path_params["model"], request.path_params["id"]
        self._queries.require_model(name)
        names = {column: input for input, column in self._queries.input_columns(name).items()}
        labels = self._labels(name)
        rows = []
        for row in self._queries.prediction(name, id):
            known: dict[str, Any] = {key: row[key] for key in (*ANSWER, *_OF_LABELS) if key in row}
            inputs = {names.get(key, key): value for key, value in row.items() if key not in known}
            rows.append({**self._row(known, labels), "inputs": inputs})
        again = request.query_params.get("replay") == "yes"
        replayed, fault = self._replayed(id) if again else (None, None)
        explained, unexplained = self._explained(id, request.query_params)
        return {
            "name": name, "model": name, "id": id, "rows": rows, "replayed": replayed, "fault": fault,
            "explained": explained, "unexplained": unexplained, "methods": METHODS,
            "quoted": {name: quote(name, safe="") for name in (rows[0]["inputs"] if rows else ())},
        }  # fmt: skip

    def _explained(self, id: str, asked: Mapping[str, str]) -> tuple[Any, ModelmarkError | None]:
        """why: the method; row: of which row."""
        method, row = asked.get("why"), asked.get("row", "0")
        if method is None:
            return None, None
        if method not in METHODS:
            raise errors.Rejected("there is no such method", code="NO_METHOD", field="why", limit=", ".join(METHODS))
        if not (row.isascii() and row.isdigit() and len(row) < 6):
            raise errors.Rejected("this is no row", code="OUT_OF_RANGE", field="row", limit="0 to 99999")
        try:
            return self._queries.documents.explain(id, int(row), Method(method)), None
        except ModelmarkError as error:
            return None, error

    def _replayed(self, id: str) -> tuple[Any, ModelmarkError | None]:
        try:
            return self._queries.documents.replay(id), None
        except ModelmarkError as error:
            return None, error
