"""What each protocol asks with and answers: columns become its JSON, its JSON becomes scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from modelmark.domain.errors import OutputInvalid
from modelmark.upstream.settings import Protocol, Settings


@dataclass(frozen=True, slots=True)
class Column:
    """values: numbers, booleans or texts; None for null. dtype: as of `domain.version.Feed`."""

    name: str
    dtype: str
    values: list[Any]


#: What a server says of its model: by tensor its type. inputs is empty where it says nothing.
Described = Mapping[str, Any]
_V2_TYPES: Final = {"string": "BYTES", "bool": "BOOL", "int64": "INT64"}


@dataclass(frozen=True, slots=True)
class Form:
    """describe: the path and what becomes of its answer; None where the protocol has no such question."""

    path: Callable[[Settings], str]
    body: Callable[[Settings, Described, Sequence[Column]], Any]
    outputs: Callable[[Any], Mapping[str, Any]]
    described: tuple[Callable[[Settings], str], Callable[[Any], Described]] | None


def _model(settings: Settings, root: str) -> str:
    version = f"/versions/{quote(settings.version, safe='')}" if settings.version else ""
    return f"{root}/models/{quote(settings.model, safe='')}{version}"


def _matrix(settings: Settings, described: Described, columns: Sequence[Column]) -> str | None:
    """The input that was named; else the only one, where it takes all columns together."""
    if settings.input:
        return settings.input
    inputs = list(described.get("inputs", {}))
    return inputs[0] if len(inputs) == 1 and len(columns) > 1 else None


def _rows(columns: Sequence[Column]) -> list[list[Any]]:
    return [list(row) for row in zip(*(column.values for column in columns), strict=True)]


def _v2_body(settings: Settings, described: Described, columns: Sequence[Column]) -> Any:
    types, count = described.get("inputs", {}), len(columns[0].values)
    wanted = {"outputs": [{"name": settings.output}]} if settings.output else {}
    matrix = _matrix(settings, described, columns)
    if matrix is not None:
        kind = types.get(matrix, "FP64")
        tensor = {"name": matrix, "shape": [count, len(columns)], "datatype": kind, "data": _rows(columns)}
        return {"inputs": [tensor], **wanted}
    return {
        **wanted,
        "inputs": [
            {
                "name": column.name,
                "shape": [count, 1],
                "datatype": types.get(column.name) or _V2_TYPES.get(column.dtype, "FP64"),
                "data": column.values,
            }
            for column in columns
        ],
    }


def _v2_outputs(found: Any) -> Mapping[str, Any]:
    return {
        tensor["name"]: _shaped(tensor["data"], tensor["shape"])
        for tensor in found["outputs"]
        if tensor["datatype"].startswith("FP")
    }


def _shaped(data: Any, shape: Sequence[int]) -> Any:
    """Flat, as v2 may send it, or nested: rows of numbers."""
    if len(shape) < 2 or (data and isinstance(data[0], list)):
        return data
    width = shape[-1]
    return [data[at : at + width] for at in range(0, len(data), width)]


def _v2_described(found: Any) -> Described:
    named = {kind: {t["name"]: t["datatype"] for t in found[kind]} for kind in ("inputs", "outputs")}
    return {**named, "versions": list(found.get("versions", []))}


def _tf_body(settings: Settings, described: Described, columns: Sequence[Column]) -> Any:
    matrix = _matrix(settings, described, columns)
    if matrix is not None:
        return {"inputs": {matrix: _rows(columns)}}
    return {"inputs": {column.name: [[value] for value in column.values] for column in columns}}


def _tf_outputs(found: Any) -> Mapping[str, Any]:
    outputs = found["outputs"]
    return outputs if isinstance(outputs, dict) else {"outputs": outputs}


def _tf_described(found: Any) -> Described:
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    named = {kind: {name: info["dtype"] for name, info in signature[kind].items()} for kind in ("inputs", "outputs")}
    return {**named, "versions": [str(found["model_spec"]["version"])]}


def _mlflow_body(settings: Settings, described: Described, columns: Sequence[Column]) -> Any:
    table = {"columns": [column.name for column in columns], "data": _rows(columns)}
    return {"dataframe_split": table, **({"params": dict(settings.params)} if settings.params else {})}


def _mlflow_outputs(found: Any) -> Mapping[str, Any]:
    predictions = found["predictions"]
    if predictions and isinstance(predictions[0], dict):
        predictions = [list(row.values()) for row in predictions]
    return {"predictions": predictions}


FORMS: Final[Mapping[Protocol, Form]] = {
    Protocol.V2: Form(
        lambda s: f"{_model(s, '/v2')}/infer", _v2_body, _v2_outputs, (lambda s: _model(s, "/v2"), _v2_described)
    ),
    Protocol.TENSORFLOW_SERVING: Form(
        lambda s: f"{_model(s, '/v1')}:predict",
        _tf_body,
        _tf_outputs,
        (lambda s: f"{_model(s, '/v1')}/metadata", _tf_described),
    ),
    Protocol.MLFLOW: Form(lambda _: "/invocations", _mlflow_body, _mlflow_outputs, None),
}


def decoded(data: bytes, make: Callable[[Any], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Raises OutputInvalid (UPSTREAM_ANSWER) for what has not the protocol's form."""
    try:
        return make(msgspec.json.decode(data))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        raise unusable("it has not the protocol's form") from None


def unusable(why: str) -> OutputInvalid:
    return OutputInvalid(
        f"the upstream's answer cannot be used: {why}", code="UPSTREAM_ANSWER", hint="see docs/flavours/upstream.md"
    )
