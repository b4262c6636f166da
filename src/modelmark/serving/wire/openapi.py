"""GET /openapi.json: what this endpoint takes and answers, as OpenAPI 3.1, for the models served now. Made when first asked for.

A row's schema is what the champion's codec takes without refusing it, so a client made from it sends nothing that is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial

import msgspec

from modelmark import __version__
from modelmark.contract.rows import RowCodec
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.explanations import METHODS
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Endpoint, Headers, Parsed, Plain, Reply, errors, openapi_protocols
from modelmark.serving.wire import openapi_parts as parts
from modelmark.serving.wire.labels import MAX_LABELS, MAX_SOURCE
from modelmark.serving.wire.native import MAX_ENTITY
from modelmark.serving.wire.openapi_parts import Schema


class OpenApi:
    """Implements `Wire`; it answers no prediction. kserve, mlflow_model: what was chosen of those protocols."""

    headers: frozenset[bytes] = frozenset()

    def __init__(self, *, kserve: bool = False, mlflow_model: str | None = None) -> None:
        self._kserve, self._mlflow_model = kserve, mlflow_model

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        made = partial(document, routes, kserve=self._kserve, mlflow_model=self._mlflow_model)
        yield "GET", "/openapi.json", Plain(self, partial(_tell, cache(lambda: msgspec.json.encode(made()))))

    def unknown(self, path: str) -> str | None:
        return None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return None

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        raise TypeError("no prediction is asked for here")

    def refusal(self, error: ModelmarkError) -> Reply:
        return errors.refusal(error)


def _tell(document: Callable[[], bytes], runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    return Reply(200, document())


def document(routes: Mapping[str, LiveRoute], *, kserve: bool = False, mlflow_model: str | None = None) -> Schema:
    """The whole description, as JSON values."""
    paths: dict[str, Schema] = {
        "/models": {"get": parts.get("listModels", "The models that are served.", {"type": "object"})},
        "/openapi.json": {"get": parts.get("describe", "This description.", {"type": "object"})},
        "/metrics": {"get": _metrics()},
        **openapi_protocols.common(kserve=kserve),
    }
    schemas: dict[str, Schema] = {
        "Error": parts.ERROR,
        "Explanation": parts.EXPLANATION,
        "MlflowError": openapi_protocols.MLFLOW_ERROR,
    }
    for model, route in routes.items():
        version = route.champion
        schemas[f"{model}.Row"] = parts.row_schema(version.codec)
        schemas |= openapi_protocols.schemas(model, version.codec)
        schemas[f"{model}.Answer"] = _answer(version.contract)
        about = {"type": "object", "required": ["name", "task", "versions", "inputs", "outputs", "limits"]}
        paths[f"/models/{model}"] = {"get": parts.get(f"describe.{model}", f"What {model} takes and answers.", about)}
        paths[f"/models/{model}/predict"] = {"post": _predict(model, version.contract)}
        paths[f"/models/{model}/explain"] = {"post": _explain(model)}
        labels = _labels(model, version.contract)
        paths[f"/models/{model}/labels"] = {"post": labels}
        paths[f"/v2/models/{model}/labels"] = {"post": {**labels, "operationId": f"v2.label.{model}"}}
        paths |= openapi_protocols.of_model(route, kserve=kserve)
    answering = mlflow_model or (next(iter(routes)) if len(routes) == 1 else None)
    paths |= openapi_protocols.mlflow(routes.get(answering or ""))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Modelmark endpoint",
            "version": __version__,
            "description": "Predictions of released models, and labels of them: at the native addresses, and in the "
            "protocols of others. docs/serving.md says what is meant.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


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
            "id": parts.ID,
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
    at, most = parts.AT, contract.serving.max_rows
    several = {"rows": {"type": "array", "minItems": 1, "maxItems": most, "items": row}, "entity": entity, "at": at}
    body = {"oneOf": [parts.record(several, "rows"), parts.record({"row": row, "entity": entity, "at": at}, "row")]}
    answer = {"$ref": f"#/components/schemas/{model}.Answer"}
    return parts.post(
        f"predict.{model}", f"Predictions of {model}: {contract.purpose}".strip(": "), body, answer, parts.PREDICT
    )


def _explain(model: str) -> Schema:
    row = {"$ref": f"#/components/schemas/{model}.Row"}
    entity = {"type": ["string", "null"], "maxLength": MAX_ENTITY}
    body = parts.record({"row": row, "method": {"enum": [*METHODS]}, "entity": entity, "at": parts.AT}, "row")
    more = {"explanation": {"$ref": "#/components/schemas/Explanation"}, "explanation_refused": {"type": "object"}}
    answer = {"allOf": [{"$ref": f"#/components/schemas/{model}.Answer"}, {"type": "object", "properties": more}]}
    return parts.post(
        f"explain.{model}",
        f"A prediction of one row by {model}, and what each column added.",
        body,
        answer,
        parts.PREDICT,
    )


def _labels(model: str, contract: Contract) -> Schema:
    label: Schema = (
        {"type": "number"} if contract.model.task is Task.REGRESSION else {"enum": list(contract.outputs.classes)}
    )
    at = {**parts.AT, "description": "when it became true"}
    said = {"label": label, "source": {"type": "string", "maxLength": MAX_SOURCE}}
    one = {**said, "id": parts.ID, "row": {"type": ["integer", "null"], "minimum": 0}, "at": at}
    entity = {"type": "string", "minLength": 1, "maxLength": MAX_ENTITY}
    of_entity = {**said, "entity": entity, "at": {**at, "type": "string"}}
    each = {"oneOf": [parts.record(one, "id", "label"), parts.record(of_entity, "entity", "label", "at")]}
    body = parts.record({"labels": {"type": "array", "minItems": 1, "maxItems": MAX_LABELS, "items": each}}, "labels")
    taken = {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "integer"}}}
    return parts.post(
        f"label.{model}", f"What turned out to be true of predictions of {model}.", body, taken, (404, 422)
    )


def _metrics() -> Schema:
    told = parts.get("metrics", "Counters and gauges in Prometheus' text format.", {"type": "object"})
    told["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return told
