"""The read API as OpenAPI 3.1: what a script may ask of the dashboard, and what it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from modelmark import __version__
from modelmark.domain.alerts.events import ALERT_EVENTS, TRIAL_EVENT, VERSION_EVENTS, event_schema
from modelmark.domain.predictions.explanations import METHODS
from modelmark.web.periods import SPANS
from modelmark.web.row_filters import LONGEST

Schema = dict[str, Any]
_TEXT: Final[Schema] = {"type": "string", "maxLength": LONGEST}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_YES: Final[Schema] = {"enum": ["yes", "no"]}
_NUMBER: Final[Schema] = {"type": "number"}
_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "code"],
            "properties": {name: {"type": "string"} for name in ("message", "code", "field", "limit", "hint")},
        }
    },
}
_STATUS: Final = (400, 401, 403, 404, 405, 408, 413, 414, 421, 431, 500, 503)
_ROW_FIELDS: Final[dict[str, Schema]] = {
    "from": _TIME, "to": _TIME, "version": _TEXT, "path": _TEXT, "answer": _TEXT, "label": _TEXT, "wrong": _YES,
    "source": _TEXT, "score_from": _NUMBER, "score_below": _NUMBER, "flag": _TEXT,
    "input": _TEXT, "low": _NUMBER, "high": _NUMBER, "value": _TEXT, "gap": _YES, "after": _TEXT,
}  # fmt: skip


def document(models: Sequence[str]) -> Schema:
    """The whole description, as JSON values. models: that there are."""
    span: Schema = {"span": {"enum": list(SPANS)}, "from": _TIME, "to": _TIME}
    model = ("model", {"enum": [*models]} if models else {"type": "string"})
    rows = {"type": "array", "items": _object("id", "row", "at", "version", "label", "flags")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Modelmark dashboard, read API",
            "version": __version__,
            "description": "With accounts: `Authorization: Bearer KEY`, a key whose scope is view.",
        },
        "paths": {
            "/api/openapi.json": _get("describe", "This description.", _object("openapi", "paths")),
            "/api/overview": _get("overview", "Is anything wrong?", _object("at", "sentence", "models", "open")),
            "/api/models/{model}": _get(
                "model", "What one model is doing.", _object("at", "alerts", "sentences", "traffic", "seen"),
                path=[model], query=span,
            ),
            "/api/models/{model}/input": _get(
                "input", "One input over time, and how its values lie beside those of training.",
                _object("at", "sentences", "drift", "quality", "values"), path=[model], query={"name": _TEXT, **span},
            ),
            "/api/models/{model}/refusals": _get(
                "model.refusals", "What callers were told and how often, the newest first.", _object("refusals"),
                path=[model], query={"code": _TEXT, "field": _TEXT, "version": _TEXT, **span},
            ),
            "/api/models/{model}/rows": _get(
                "rows", "Predictions, newest first. next: the address of the next page's web page, with its `after`.",
                _object("rows", "next", properties={"rows": rows, "next": {"type": ["string", "null"]}}),
                path=[model], query=_ROW_FIELDS,
            ),
            "/api/models/{model}/predictions/{id}": _get(
                "prediction", "One prediction; replay: the same version is asked the same again; why: what each column added.",
                _object("id", "model", "rows", "replayed", "explained", "unexplained"),
                path=[model, ("id", {"type": "string", "minLength": 1})],
                query={"replay": _YES, "why": {"enum": [*METHODS]}, "row": {"type": "integer", "minimum": 0, "maximum": 99_999}},
            ),
            "/api/experiments": _get(
                "experiments", "Every experiment, those that run first.", _object("experiments"), query={"model": _TEXT},
            ),
            "/api/experiments/{name}": _get(
                "experiment", "One experiment: what was agreed, and how it stands.", _object("effects", "sentences"),
                path=[("name", {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"})],
            ),
            **_of_alerts(),
            "/api/charts": _get("charts", "The charts' specifications in Vega-Lite.", _object()),
        },
        "webhooks": _webhooks(),
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }  # fmt: skip


def _of_alerts() -> Schema:
    alert = _object("id", "model", "monitor", "subject", "about", "sentence", "opened", "count", "closed", "severity")
    return {
        "/api/alerts": _get(
            "alerts", "What needs somebody, the most harmful first.",
                _object("alerts", properties={"alerts": {"type": "array", "items": alert}}),
            ),
            "/api/alerts/precision": _get(
                "alerts.precision", "How many alerts of the last 90 days people called useful, with exact 95% intervals.",
                _object("since", "until", "sentence", "total", "monitors", "models"),
            ),
            "/api/deliveries": _get(
                "deliveries", "What people and webhooks were to be told and has not arrived, dead letters first.",
                _object("dead", "webhooks", "messages"),
            ),
            "/api/alerts/{alert}": _get(
                "alert", "One alert, its next step and the rows behind it.", _object("id", "sentence", "next", "behind"),
                path=[("alert", {"type": "integer", "minimum": 0})],
            ),
    }  # fmt: skip


def _webhooks() -> Schema:
    """What the webhooks of MODELMARK_WEBHOOKS are sent: by POST, signed as Standard Webhooks has it."""
    texts = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = [{"in": "header", "name": name, "required": True, "schema": {"type": "string"}} for name in texts]
    told = {**ALERT_EVENTS, **VERSION_EVENTS, TRIAL_EVENT: "Nothing: somebody tries whether it arrives."}
    return {
        type: {
            "post": {
                "operationId": f"webhook.{type}", "summary": summary, "parameters": headers,
                "requestBody": {"required": True, "content": {"application/json": {"schema": event_schema(type)}}},
                "responses": {"2XX": {"description": "taken; anything else is sent again later, by the same webhook-id"}},
            }
        }
        for type, summary in told.items()
    }  # fmt: skip


def _object(*required: str, properties: Schema | None = None) -> Schema:
    return {"type": "object", "required": [*required]} | ({"properties": properties} if properties else {})


def _get(
    id: str, summary: str, schema: Schema, *, path: list[tuple[str, Schema]] | None = None, query: Schema | None = None
) -> Schema:
    given = [{"in": "path", "name": name, "required": True, "schema": each} for name, each in path or []]
    given += [{"in": "query", "name": name, "schema": each} for name, each in (query or {}).items()]
    refused = {"description": "refused", "content": {"application/json": {"schema": _ERROR}}}
    answers = {"200": {"description": "as asked", "content": {"application/json": {"schema": schema}}}}
    return {
        "get": {
            "operationId": id,
            "summary": summary,
            "parameters": given,
            "responses": answers | {str(status): refused for status in _STATUS},
        }
    }
