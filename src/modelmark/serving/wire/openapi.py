"""GET /openapi.json: what this endpoint takes and answers, as OpenAPI 3.1, for the models served now.

A row's schema is what the champion's codec takes without refusing it, so a client made from it sends nothing that is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from modelmark import __version__
from modelmark.contract.columns import EXACT, Numeric, Text
from modelmark.contract.rows import RowCodec
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract, DataType, Policy
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.metrics import Task
from modelmark.domain.prediction import ServedBy
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Endpoint, Headers, Parsed, Plain, Reply, errors
from modelmark.serving.wire.labels import MAX_LABELS, MAX_SOURCE
from modelmark.serving.wire.native import MAX_ENTITY

Schema = dict[str, Any]
_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "field": {"type": "string"},
        "row": {"type": "integer", "minimum": 0},
        "limit": {"type": "string"},
        "hint": {"type": "string"},
    },
}
#: What any address may answer beside its own; docs/serving.md says when.
_ANY: Final = (400, 405, 408, 413, 414, 415, 421, 429, 431, 501, 503, 505)
_PREDICT: Final = (404, 422, 500, 502, 504)


class OpenApi:
    """Implements `Wire`; it answers no prediction."""

    headers: frozenset[bytes] = frozenset()

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        body = msgspec.json.encode(document(routes))
        yield "GET", "/openapi.json", Plain(self, partial(_tell, body))

    def unknown(self, path: str) -> str | None:
        return None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return None

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        raise TypeError("no prediction is asked for here")

    def refusal(self, error: ModelmarkError) -> Reply:
        return errors.refusal(error)


def _tell(document: bytes, runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    return Reply(200, document)


def document(routes: Mapping[str, LiveRoute]) -> Schema:
    """The whole description, as JSON values."""
    paths: dict[str, Schema] = {
        "/models": {"get": _get("listModels", "The models that are served.", {"type": "object"})},
        "/v2/health/live": {"get": _get("live", "Whether the process lives.", {"type": "object"})},
        "/v2/health/ready": {"get": _get("ready", "Whether it answers for what was released.", {"type": "object"})},
        "/metrics": {"get": _metrics()},
    }
    schemas: dict[str, Schema] = {"Error": _ERROR}
    for model, route in routes.items():
        version = route.champion
        schemas[f"{model}.Row"] = row_schema(version.codec)
        schemas[f"{model}.Answer"] = _answer(version.contract)
        about = {"type": "object", "required": ["name", "task", "versions", "inputs", "outputs", "limits"]}
        paths[f"/models/{model}"] = {"get": _get(f"describe.{model}", f"What {model} takes and answers.", about)}
        paths[f"/models/{model}/predict"] = {"post": _predict(model, version.contract)}
        paths[f"/models/{model}/labels"] = {"post": _labels(model, version.contract)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Modelmark endpoint",
            "version": __version__,
            "description": "Predictions of released models, and labels of them. The Open Inference Protocol v2 is spoken "
            "under /v2/models as well; its own description holds there.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def row_schema(codec: RowCodec) -> Schema:
    """Every row that is not refused, and no other."""
    return {
        "type": "object",
        "required": [*codec.names],
        "additionalProperties": False,
        "properties": {
            **{column.name: _number(column) for column in codec.numeric},
            **{column.name: _text(column) for column in codec.textual},
        },
    }


def _number(column: Numeric) -> Schema:
    if column.type is DataType.BOOLEAN:
        return _nullable({"type": "boolean"}, column.nullable)
    hard = min(column.hard, EXACT - 1) if column.whole else column.hard
    judged = column.policy is Policy.REJECT
    found: Schema = {"type": "integer" if column.whole else "number", "minimum": -hard, "maximum": hard}
    if judged:
        found |= {"minimum": column.low, "maximum": column.high}
    if column.whole:
        found |= {name: int(found[name]) for name in ("minimum", "maximum") if float(found[name]).is_integer()}
    if judged and column.codes is not None:
        found["enum"] = [*sorted(map(int, column.codes)), *([None] if column.nullable else [])]
    return _nullable(found, column.nullable)


def _text(column: Text) -> Schema:
    found: Schema = {"type": "string"}
    if column.categories is not None and column.policy is Policy.REJECT:
        found["enum"] = [*column.categories, *([None] if column.nullable else [])]
    return _nullable(found, column.nullable)


def _nullable(schema: Schema, nullable: bool) -> Schema:
    return {**schema, "type": [schema["type"], "null"]} if nullable else schema


def _answer(contract: Contract) -> Schema:
    if contract.model.task is Task.REGRESSION:
        each: Schema = {"type": "object", "properties": {"value": {"type": "number"}}}
    else:
        classes = list(contract.outputs.classes)
        share = {"type": "number", "minimum": 0, "maximum": 1}
        names = [class_text(one) for one in classes]
        each = {
            "type": "object",
            "properties": {
                "label": {"enum": classes},
                "score": share,
                "probabilities": {"type": "object", "required": names, "properties": dict.fromkeys(names, share)},
            },
        }
    flag = {
        "type": "object",
        "required": ["row", "field", "flag"],
        "properties": {"row": {"type": "integer"}, "field": {"type": "string"}, "flag": {"type": "string"}},
    }
    return {
        "type": "object",
        "required": ["id", "model", "version", "arm", "served_by", "predictions", "flags"],
        "properties": {
            "id": _ID,
            "model": {"const": contract.name},
            "version": {"type": "string"},
            "arm": {"type": "string"},
            "served_by": {"enum": [one.value for one in ServedBy]},
            "predictions": {"type": "array", "minItems": 1, "items": each},
            "flags": {"type": "array", "items": flag},
        },
    }


def _predict(model: str, contract: Contract) -> Schema:
    row = {"$ref": f"#/components/schemas/{model}.Row"}
    entity = {"type": ["string", "null"], "maxLength": MAX_ENTITY, "description": "whom the rows are about"}
    most = contract.serving.max_rows
    several = {"rows": {"type": "array", "minItems": 1, "maxItems": most, "items": row}, "entity": entity}
    body = {"oneOf": [_object(several, "rows"), _object({"row": row, "entity": entity}, "row")]}
    answer = {"$ref": f"#/components/schemas/{model}.Answer"}
    return _post(f"predict.{model}", f"Predictions of {model}: {contract.purpose}".strip(": "), body, answer, _PREDICT)


def _labels(model: str, contract: Contract) -> Schema:
    label: Schema = (
        {"type": "number"} if contract.model.task is Task.REGRESSION else {"enum": list(contract.outputs.classes)}
    )
    one = {
        "id": _ID,
        "label": label,
        "row": {"type": ["integer", "null"], "minimum": 0},
        "source": {"type": "string", "maxLength": MAX_SOURCE},
    }
    each = _object(one, "id", "label")
    body = _object({"labels": {"type": "array", "minItems": 1, "maxItems": MAX_LABELS, "items": each}}, "labels")
    taken = {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "integer"}}}
    return _post(f"label.{model}", f"What turned out to be true of predictions of {model}.", body, taken, (404, 422))


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


def _get(id: str, summary: str, schema: Schema) -> Schema:
    return {"operationId": id, "summary": summary, "responses": _responses(schema, (404,))}


def _post(id: str, summary: str, body: Schema, answer: Schema, others: Iterable[int]) -> Schema:
    content = {"application/json": {"schema": body}}
    return {
        "operationId": id,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answer, others),
    }


def _responses(schema: Schema, others: Iterable[int]) -> Schema:
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "as asked", "content": {"application/json": {"schema": schema}}},
        **{str(status): {"description": "refused", "content": refused} for status in sorted({*_ANY, *others})},
    }


def _metrics() -> Schema:
    told = _get("metrics", "Counters and gauges in Prometheus' text format.", {"type": "object"})
    told["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return told
