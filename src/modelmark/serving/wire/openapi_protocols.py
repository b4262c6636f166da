"""The protocols of others in OpenAPI: v2, TensorFlow Serving's, KServe's V1 and MLflow's.

What the parts of a request have to do with each other (as many values as a shape says, columns of one length) no schema says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from modelmark.contract.columns import Numeric, Text
from modelmark.contract.rows import RowCodec
from modelmark.domain.metrics import Task
from modelmark.serving.models import LiveRoute
from modelmark.serving.wire import oip_tensors, tfs_model
from modelmark.serving.wire import openapi_parts as parts
from modelmark.serving.wire.native import MAX_ENTITY
from modelmark.serving.wire.openapi_parts import Schema

_ANYTHING: Final[Schema] = {"type": "object"}
MLFLOW_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error_code", "message", "code"],
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        **{name: one for name, one in parts.ERROR["properties"].items() if name != "error"},
    },
}
_ENTITY: Final[Schema] = {"type": ["string", "null"], "maxLength": MAX_ENTITY}
_DATATYPES: Final = (
    *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    "FP16",
    "FP32",
    "FP64",
    "BOOL",
    "BYTES",
)
_TOLD: Final = {
    "": "Inputs and outputs.",
    "/ready": "Whether it answers.",
    "/config": "As Triton's configuration.",
    "/stats": "What was counted.",
}
_WORD: Final[Schema] = {"type": ["string", "number", "boolean"]}


def common(*, kserve: bool) -> dict[str, Schema]:
    """Addresses that name no model."""
    alive = {"/": {"get": parts.get("v1.live", "Whether the process lives.", _ANYTHING)}} if kserve else {}
    index = parts.post(
        "repository",
        "Every version that takes traffic.",
        parts.record({"ready": {"type": "boolean"}}),
        {"type": "array"},
        (),
    )
    index["requestBody"]["required"] = False
    return {
        **alive,
        "/v2": {"get": parts.get("v2", "The server.", _ANYTHING)},
        "/v2/health/live": {"get": parts.get("live", "Whether the process lives.", _ANYTHING)},
        "/v2/health/ready": {"get": parts.get("ready", "Whether it answers for what was released.", _ANYTHING)},
        "/v2/models": {"get": parts.get("v2.models", "The models that are served.", _ANYTHING)},
        "/v2/models/stats": {"get": parts.get("v2.stats", "What was counted, by version.", _ANYTHING)},
        "/v2/repository/index": {"post": index},
        "/v1/models": {"get": parts.get("v1.models", "The models that are served.", _ANYTHING)},
        "/ping": {"get": _text(parts.get("ping", "Whether it is ready.", {}))},
        "/health": {"get": _text(parts.get("health", "Whether it is ready.", {}))},
        "/version": {"get": _text(parts.get("version", "The release of this server.", {}))},
    }


def schemas(model: str, codec: RowCodec) -> dict[str, Schema]:
    """A version's rows in the forms that these protocols have, by name: each stands once, however many addresses take it."""
    forms = {"Rows": _objects(codec), "Values": _values(model, codec), "Inputs": _inputs(model, codec)}
    return {f"{model}.{name}": form for name, form in forms.items()}


def of_model(route: LiveRoute, *, kserve: bool) -> dict[str, Schema]:
    """Addresses of one model over v2 and V1."""
    return {**_v2(route), **_tensorflow(route), **(_kserve(route) if kserve else {})}


def mlflow(route: LiveRoute | None) -> dict[str, Schema]:
    """route: who answers at /invocations; None where nobody was chosen."""
    if route is None:
        told = parts.post("invocations", "Says which models could be chosen for this address.", {}, _ANYTHING, (404,))
        return {"/invocations": {"post": _in_form(_bodiless(told), "MlflowError")}}
    codec = route.champion.codec
    methods = ["predict"] if codec.task is Task.REGRESSION else ["predict", "predict_proba"]
    params = {"params": {"anyOf": [{"type": "null"}, parts.record({"predict_method": {"enum": methods}})]}}
    more = {**params, "signature_name": {}, "entity": _ENTITY}
    split = parts.record(
        {"columns": {"type": ["array", "null"], "items": {"enum": [*codec.names]}}, "data": _lists(codec), "index": {}},
        "data",
    )
    shapes = {
        "dataframe_split": split,
        "dataframe_records": _ref(route.model, "Rows"),
        "instances": _ref(route.model, "Values"),
        "inputs": _ref(route.model, "Inputs"),
    }
    body = {"oneOf": [parts.record({name: shape, **more}, name) for name, shape in shapes.items()]}
    about = f"Predictions of {route.model}; CSV and Parquet are taken, too."
    told = parts.post("invocations", about, body, _predictions(), parts.PREDICT)
    return {"/invocations": {"post": _in_form(told, "MlflowError")}}


def _v2(route: LiveRoute) -> dict[str, Schema]:
    model, base = route.model, f"/v2/models/{route.model}"
    infer = _infer(route.champion.codec)
    found: dict[str, Schema] = {}
    names = list(dict.fromkeys(name for arm in route.arms for name in arm.version.names))
    for place, chosen in (("", None), ("/versions/{version}", names)):
        mark = "version." if place else ""
        for tail, about in _TOLD.items():
            id = f"v2{tail.replace('/', '.')}.{mark}{model}"
            found[f"{base}{place}{tail}"] = {"get": _at(parts.get(id, about, _ANYTHING), chosen)}
        told = parts.post(f"v2.infer.{mark}{model}", f"Predictions of {model}.", infer, _ANYTHING, parts.PREDICT)
        found[f"{base}{place}/infer"] = {"post": _at(told, chosen)}
    for act in ("load", "unload"):
        told = parts.post(f"v2.{act}.{model}", "Refused: releases decide what serves.", {}, _ANYTHING, (403, 404))
        found[f"/v2/repository/models/{model}/{act}"] = {"post": _bodiless(told)}
    return found


def _infer(codec: RowCodec) -> Schema:
    tensor = parts.record(
        {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"enum": [*_DATATYPES]},
            "data": {"type": "array"},
            "parameters": {"type": ["object", "null"], "additionalProperties": _WORD},
        },
        "name", "shape", "datatype",
    )  # fmt: skip
    output = parts.record(
        {
            "name": {"enum": [*oip_tensors.output_names(codec.task)]},
            "parameters": {"type": ["object", "null"], "additionalProperties": _WORD},
        },
        "name",
    )
    return parts.record(
        {
            "inputs": {"type": "array", "minItems": 1, "items": tensor},
            "outputs": {"type": ["array", "null"], "items": output},
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "additionalProperties": _WORD},
            "model_name": {"type": ["string", "null"]},
            "model_version": {"type": ["string", "null"]},
        },
        "inputs",
    )


def _tensorflow(route: LiveRoute) -> dict[str, Schema]:
    model, codec, found = route.model, route.champion.codec, dict[str, Schema]()
    more = {"signature_name": {"const": tfs_model.SIGNATURE}, "entity": _ENTITY}
    shapes = {"instances": _ref(route.model, "Values"), "inputs": _ref(route.model, "Inputs")}
    predict: Schema = {"oneOf": [parts.record({name: shape, **more}, name) for name, shape in shapes.items()]}
    examples = parts.record(
        {"examples": _ref(model, "Rows"), "context": {"type": ["object", "null"], "maxProperties": 0}, **more},
        "examples",
    )
    verb = "regress" if codec.task is Task.REGRESSION else "classify"
    other = "classify" if verb == "regress" else "regress"
    listed: dict[str, list[str]] = {}
    for place, _ in tfs_model.places(route):
        if place:
            listed.setdefault(place.split("/")[1], []).append(place.split("/")[2])
    for place, chosen in (("", None), *((f"/{kind}/{{version}}", names) for kind, names in listed.items())):
        base, mark = f"/v1/models/{model}{place}", f"{place.split('/')[1]}." if place else ""
        found[base] = {"get": _at(parts.get(f"tfs.status.{mark}{model}", "Which versions serve.", _ANYTHING), chosen)}
        found[f"{base}/metadata"] = {
            "get": _at(parts.get(f"tfs.metadata.{mark}{model}", "The signature.", _ANYTHING), chosen)
        }
        for name, body, others in (
            ("predict", predict, parts.PREDICT),
            (verb, examples, parts.PREDICT),
            (other, examples, (404,)),
        ):
            told = parts.post(f"tfs.{name}.{mark}{model}", f"{name} of {model}.", body, _ANYTHING, others)
            found[f"{base}:{name}"] = {"post": _at(told if name != other else _refusing(told), chosen)}
    return found


def _kserve(route: LiveRoute) -> dict[str, Schema]:
    base = f"/v1/models/{route.model}"
    shapes = {"instances": _ref(route.model, "Values"), "inputs": _ref(route.model, "Inputs")}
    body: Schema = {"oneOf": [parts.record({name: shape, "entity": _ENTITY}, name) for name, shape in shapes.items()]}
    told = {**_predictions(), "required": ["predictions", "explanations"]}
    told["properties"] = {
        **told["properties"],
        "explanations": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {"anyOf": [{"$ref": "#/components/schemas/Explanation"}, {"type": "null"}]},
        },
        "explanation_refused": {"type": "object"},
    }
    explain = parts.post(
        f"v1.explain.{route.model}", f"A prediction of one row by {route.model}, and why.", body, told, parts.PREDICT
    )
    return {
        base: {"get": parts.get(f"v1.ready.{route.model}", "Whether it answers.", _ANYTHING)},
        f"{base}:predict": {
            "post": parts.post(
                f"v1.predict.{route.model}", f"Predictions of {route.model}.", body, _predictions(), parts.PREDICT
            )
        },
        f"{base}:explain": {"post": explain},
    }


def _objects(codec: RowCodec) -> Schema:
    """Rows as objects, all with bare values or all with each in a list."""
    flat = {c.name: _cell(c) for c in codec.columns}
    return {
        "anyOf": [
            _many(codec, parts.record(kind, *codec.names)) for kind in (flat, {n: _alone(c) for n, c in flat.items()})
        ]
    }


def _lists(codec: RowCodec) -> Schema:
    return _many(codec, {"type": "array", "items": {}, "minItems": len(codec.names), "maxItems": len(codec.names)})


def _values(model: str, codec: RowCodec) -> Schema:
    """A bare list: of objects, of lists where there is no text, of values where there is one column."""
    found = [_ref(model, "Rows")]
    if not codec.textual:
        found.append(_lists(codec))
    if len(codec.columns) == 1:
        found += [_many(codec, _cell(codec.columns[0])), _many(codec, _alone(_cell(codec.columns[0])))]
    return {"anyOf": found}


def _inputs(model: str, codec: RowCodec) -> Schema:
    """Columns, one matrix under another name, or a bare list."""
    columns = {c.name: {"anyOf": [_many(codec, _cell(c)), _many(codec, _alone(_cell(c)))]} for c in codec.columns}
    found = [parts.record(columns, *codec.names), _ref(model, "Values")]
    if not codec.textual:
        found.append({"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": _lists(codec)})
    return {"anyOf": found}


def _ref(model: str, name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{model}.{name}"}


def _cell(column: Numeric | Text) -> Schema:
    if isinstance(column, Numeric):
        return parts.cell_schema(column)
    return {"anyOf": [parts.cell_schema(column), parts.record({"b64": {"type": "string"}}, "b64")]}


def _alone(cell: Schema) -> Schema:
    return {"type": "array", "items": cell, "minItems": 1, "maxItems": 1}


def _many(codec: RowCodec, each: Schema) -> Schema:
    return {"type": "array", "items": each, "minItems": 1, "maxItems": codec.max_rows}


def _predictions() -> Schema:
    return {"type": "object", "required": ["predictions"], "properties": {"predictions": {"type": "array"}}}


def _at(operation: Schema, chosen: Iterable[Any] | None) -> Schema:
    """The operation, for the versions or labels that its address may name."""
    if chosen is None:
        return operation
    version = {"name": "version", "in": "path", "required": True, "schema": {"enum": [*chosen]}}
    return {**operation, "parameters": [version]}


def _refusing(operation: Schema) -> Schema:
    """An operation that is never done."""
    others = {status: told for status, told in operation["responses"].items() if status != "200"}
    return {**operation, "responses": others}


def _in_form(operation: Schema, name: str) -> Schema:
    """An operation whose refusals have another form."""
    form = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    told = {s: one if s == "200" else {**one, "content": form} for s, one in operation["responses"].items()}
    return {**operation, "responses": told}


def _bodiless(operation: Schema) -> Schema:
    """An operation that refuses whatever is sent."""
    return {name: part for name, part in _refusing(operation).items() if name != "requestBody"}


def _text(operation: Schema) -> Schema:
    operation["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return operation
