"""Pieces of an OpenAPI 3.1 document: operations, responses, and a version's rows as JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from modelmark.contract.columns import EXACT, Numeric, Text
from modelmark.contract.rows import RowCodec
from modelmark.domain.contract import DataType, Policy
from modelmark.domain.predictions.explanations import METHODS

Schema = dict[str, Any]
ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
#: When it happened; how long ago it may be, errors say.
AT: Final[Schema] = {"type": ["string", "null"], "format": "date-time", "description": "when it happened"}
ERROR: Final[Schema] = {
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
_AMOUNT: Final[Schema] = {"type": ["number", "null"]}
EXPLANATION: Final[Schema] = {
    "type": "object",
    "required": ["method", "of", "scale", "base", "total", "score", "how", "exact", "parts", "reasons"],
    "properties": {
        "method": {"enum": [*METHODS]},
        "of": {"type": ["string", "null"], "description": "the class whose probability is explained"},
        "scale": {"enum": ["score", "log-odds"]},
        "base": _AMOUNT,
        "total": {**_AMOUNT, "description": "base and all that the parts add"},
        "score": {"type": "number"},
        "how": {"type": "string"},
        "exact": {"type": "boolean"},
        "parts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["column", "value", "adds", "error"],
                "properties": {
                    "column": {"type": "string"},
                    "value": {"type": ["number", "string", "null"]},
                    "adds": {"type": "number"},
                    "error": {"type": "number", "minimum": 0},
                },
            },
        },
        "reasons": {"type": "array", "items": {"type": "string"}},
    },
}
#: What any address may answer beside its own; docs/serving.md says when.
ANY: Final = (400, 405, 408, 413, 414, 415, 421, 429, 431, 501, 503, 505)
PREDICT: Final = (404, 422, 500, 502, 504)


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


def cell_schema(column: Numeric | Text) -> Schema:
    return _text(column) if isinstance(column, Text) else _number(column)


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


def record(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


def get(id: str, summary: str, schema: Schema) -> Schema:
    return {"operationId": id, "summary": summary, "responses": responses(schema, (404,))}


def post(id: str, summary: str, body: Schema, answer: Schema, others: Iterable[int]) -> Schema:
    content = {"application/json": {"schema": body}}
    return {
        "operationId": id,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": responses(answer, others),
    }


def responses(schema: Schema, others: Iterable[int]) -> Schema:
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "as asked", "content": {"application/json": {"schema": schema}}},
        **{str(status): {"description": "refused", "content": refused} for status in sorted({*ANY, *others})},
    }
