"""Open Inference Protocol v2 over REST, JSON, with the binary tensor extension.

Inputs: one tensor per column, shape [n] or [n, 1]; or, when every input is numeric, one tensor of shape [n, columns]
under any name that is no column. Answers: `label` and `probabilities`, or `value`; `parameters` has the id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import isfinite
from typing import Any, Final

import msgspec

from modelmark import __version__
from modelmark.contract import blame, jsontext
from modelmark.contract.columns import FLOAT32_MAX
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.contract import Kind
from modelmark.domain.errors import Malformed, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.prediction import Path
from modelmark.serving.answers import Answer, Framed
from modelmark.serving.models import LiveRoute, Loaded
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Endpoint, Parsed, Predict, oip_binary

_FAILED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Parameters = dict[str, str | float | bool]
_FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})
#: Datatype -> smallest and largest value.
_INTEGERS: Final[Mapping[str, tuple[int, int]]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
_DATATYPE: Final[Mapping[Kind, str]] = {
    Kind.NUMBER: "FP64",
    Kind.INTEGER: "INT64",
    Kind.BOOLEAN: "BOOL",
    Kind.CATEGORY: "BYTES",
    Kind.STRING: "BYTES",
}


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: _Parameters | None = None


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: _Parameters | None = None


class _Infer(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_Wanted] | None = None


class _Peek(msgspec.Struct):
    parameters: dict[str, Any] | None = None


_infer = msgspec.json.Decoder(_Infer).decode
_peek = msgspec.json.Decoder(_Peek).decode
_flat: Final[Mapping[str, Any]] = {
    kind: msgspec.json.Decoder(list[typ | None]).decode  # type: ignore[valid-type]
    for kind, typ in (("float", float), ("int", int), ("bool", bool), ("text", str))
}
_nested: Final[Mapping[str, Any]] = {
    kind: msgspec.json.Decoder(list[list[typ | None]]).decode  # type: ignore[valid-type]
    for kind, typ in (("float", float), ("int", int), ("bool", bool), ("text", str))
}


class Oip:
    """Health, metadata and inference under /v2."""

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        yield (
            "GET",
            "/v2",
            lambda runtime, body: (
                200,
                {"name": "modelmark", "version": __version__, "extensions": [oip_binary.EXTENSION]},
            ),
        )
        yield "GET", "/v2/health/live", lambda runtime, body: (200, {"live": True})
        yield "GET", "/v2/health/ready", _server_ready
        yield "GET", "/v2/models", lambda runtime, body: (200, {"models": sorted(runtime.routes)})
        for model, route in routes.items():
            yield "GET", f"/v2/models/{model}", partial(_metadata, route, route.champion)
            yield "GET", f"/v2/models/{model}/ready", partial(_model_ready, model)
            yield "POST", f"/v2/models/{model}/infer", Predict(model, self, None, Framing)
            for index, arm in enumerate(route.arms):
                for name in arm.version.names:
                    base = f"/v2/models/{model}/versions/{name}"
                    yield "GET", base, partial(_metadata, route, arm.version)
                    yield "GET", f"{base}/ready", partial(_model_ready, model)
                    yield "POST", f"{base}/infer", Predict(model, self, index, Framing)

    def unknown(self, path: str) -> str | None:
        parts = path.split("/")
        return parts[3] if len(parts) >= 4 and parts[1:3] == ["v2", "models"] else None

    def entity(self, body: bytes) -> str | None:
        try:
            found = (_peek(body).parameters or {}).get("entity")
        except _FAILED:
            return None
        return found if isinstance(found, str) else None

    def parse(self, body: bytes, codec: RowCodec) -> Parsed:
        """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
        return _parsed(_read(body), codec)


class Framing(Oip):
    """The same for a body with so many bytes of JSON and tensors behind it."""

    def __init__(self, head: int) -> None:
        self.head = head

    def entity(self, body: bytes) -> str | None:
        return super().entity(body[: self.head])

    def parse(self, body: bytes, codec: RowCodec) -> Parsed:
        head, raw = oip_binary.split(body, self.head)
        message = _read(head)
        oip_binary.fill(message.inputs, raw)
        return _parsed(message, codec)


def _read(body: bytes) -> _Infer:
    try:
        return _infer(body)
    except _FAILED:
        raise _diagnose(body) from None


def _parsed(message: _Infer, codec: RowCodec) -> Parsed:
    wanted = _wanted(message)
    entity = (message.parameters or {}).get("entity", "")
    if not isinstance(entity, str) or len(entity) > 256:
        raise Rejected("entity must be a short string", code="WRONG_TYPE", field="entity", limit="256 characters")
    binary = oip_binary.chosen(message.parameters, message.outputs)
    return Parsed(_rows(message.inputs, codec), entity, partial(_render, message.id, wanted, binary))


def _server_ready(runtime: Runtime, body: bytes) -> tuple[int, Any]:
    ready, problems = runtime.ready()
    return (200 if ready else 503), {"ready": ready, "snapshot": runtime.health.sequence, "problems": problems}


def _model_ready(model: str, runtime: Runtime, body: bytes) -> tuple[int, Any]:
    ready = runtime.ready()[0]
    return (200 if ready else 503), {"name": model, "ready": ready}


def _metadata(route: LiveRoute, version: Loaded, runtime: Runtime, body: bytes) -> tuple[int, Any]:
    contract = version.contract
    outputs: list[dict[str, Any]] = [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    if contract.model.task is not Task.REGRESSION:
        outputs = [
            {"name": "label", "datatype": _label_type(version), "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(version.classes)]},
        ]
    return 200, {
        "name": route.model,
        "versions": [arm.version.label for arm in route.arms],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": i.name, "datatype": _DATATYPE[i.type], "shape": [-1, 1]} for i in contract.inputs],
        "outputs": outputs,
    }


def _wanted(message: _Infer) -> list[str] | None:
    if message.outputs is None or not message.outputs:
        return None
    names = [output.name for output in message.outputs]
    if len(set(names)) < len(names):
        raise Malformed("an output is asked for twice", code="DUPLICATE_OUTPUT", field="outputs")
    for name in names:
        if name not in ("label", "probabilities", "value"):
            raise Malformed(
                "an output of that name does not exist",
                code="UNKNOWN_OUTPUT",
                field=jsontext.shown(name),
                limit="label and probabilities, or value",
            )
    return names


def _rows(inputs: list[_Tensor], codec: RowCodec) -> Rows:
    if not inputs:
        raise Malformed("there are no inputs", code="NO_INPUTS", field="inputs")
    names = [tensor.name for tensor in inputs]
    if len(set(names)) < len(names):
        raise Malformed("an input came twice", code="DUPLICATE_COLUMN", field="inputs")
    if len(inputs) == 1 and names[0] not in codec.names and not codec.textual:
        return _matrix(inputs[0], codec)
    blame.columns(names, codec.names)
    count = inputs[0].shape[0] if inputs[0].shape else 0
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        if tensor.shape not in ([count], [count, 1]):
            limit = f"[{max(count, 1)}] or [{max(count, 1)}, 1]"
            raise Malformed(f"{tensor.name} has another shape", code="BAD_SHAPE", field=tensor.name, limit=limit)
        columns[tensor.name] = _values(tensor, count, 1)
    return codec.from_columns(count, columns)


def _matrix(tensor: _Tensor, codec: RowCodec) -> Rows:
    width = len(codec.numeric)
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise Malformed(
            "the tensor has another shape",
            code="BAD_SHAPE",
            field=jsontext.shown(tensor.name),
            limit=f"[rows, {width}]",
        )
    if not 0 < tensor.shape[0] <= codec.max_rows:
        raise blame.row_count(max(tensor.shape[0], 0), codec.max_rows)
    if any(column.type is Kind.BOOLEAN for column in codec.numeric):
        raise Malformed("inputs of several types need a tensor each", code="BAD_SHAPE", field="inputs")
    values = _values(tensor, tensor.shape[0], width)
    columns = {column.name: values[j::width] for j, column in enumerate(codec.numeric)}
    return codec.from_columns(tensor.shape[0], columns)


def _values(tensor: _Tensor, count: int, width: int) -> list[Any]:
    """The tensor's elements, flat and row-major, checked against its datatype and shape."""
    field = jsontext.shown(tensor.name)
    if not tensor.data:
        raise Malformed(
            "a tensor has no data",
            code="NO_DATA",
            field=field,
            limit="data, or binary_data_size with the header Inference-Header-Content-Length",
        )
    kind = _kind(tensor.datatype, field)
    try:
        values: list[Any] = _flat[kind](tensor.data)
    except _FAILED:
        values = _flattened(tensor, kind, field, width)
    if len(values) != count * width:
        raise Malformed(
            "the data does not fill the shape", code="BAD_SHAPE", field=field, limit=f"{count * width} elements"
        )
    _hold_datatype(tensor.datatype, values, field, width)
    return values


def _kind(datatype: str, field: str | None) -> str:
    if datatype in _FLOATS:
        return "float"
    if datatype in _INTEGERS:
        return "int"
    if datatype in ("BOOL", "BYTES"):
        return "bool" if datatype == "BOOL" else "text"
    raise Malformed(
        "the datatype is not known",
        code="BAD_DATATYPE",
        field=field,
        limit="BOOL, INT8..64, UINT8..64, FP16..64, BYTES",
    )


def _flattened(tensor: _Tensor, kind: str, field: str | None, width: int) -> list[Any]:
    try:
        nested: list[list[Any]] = _nested[kind](tensor.data)
    except _FAILED:
        found = jsontext.read(bytes(tensor.data))
        for index, value in enumerate(found if isinstance(found, list) else ()):
            nests = isinstance(value, list)
            if any(isinstance(cell, float) and not isfinite(cell) for cell in (value if nests else [value])):
                raise blame.not_finite(field, index if nests else index // width) from None
        raise Malformed(
            f"the data is not {tensor.datatype}", code="WRONG_TYPE", field=field, limit=tensor.datatype
        ) from None
    if any(len(row) != width for row in nested):
        raise Malformed("the data is ragged", code="BAD_SHAPE", field=field, limit=f"{width} in each row")
    return [value for row in nested for value in row]


def _hold_datatype(datatype: str, values: list[Any], field: str | None, width: int) -> None:
    low, high = _INTEGERS.get(datatype, (-FLOAT32_MAX, FLOAT32_MAX) if datatype in ("FP32", "FP16") else (0, 0))
    if datatype == "FP16":
        low, high = -65504.0, 65504.0
    if low == high:
        return
    for index, value in enumerate(values):
        if value is not None and not low <= value <= high:
            raise Rejected(
                "a value does not fit its datatype",
                code="OUT_OF_RANGE",
                field=field,
                row=index // width,
                limit=datatype,
            )


def _label_type(version: Loaded) -> str:
    kinds = {type(name) for name in version.contract.outputs.classes}
    return {bool: "BOOL", int: "INT64"}.get(kinds.pop(), "BYTES") if len(kinds) == 1 else "BYTES"


def _render(id: str | None, wanted: list[str] | None, binary: Callable[[str], bool], answer: Answer) -> bytes | Framed:
    version, decisions = answer.version, answer.decisions
    n = len(decisions)
    outputs: list[dict[str, Any]] = []
    if answer.path is not Path.REVIEW:
        if version.contract.model.task is Task.REGRESSION:
            outputs.append({"name": "value", "shape": [n], "datatype": "FP64", "data": [d.value for d in decisions]})
        else:
            datatype = _label_type(version)
            labels = [d.label if datatype != "BYTES" else str(d.label) for d in decisions]
            outputs.append({"name": "label", "shape": [n], "datatype": datatype, "data": labels})
            if answer.path is not Path.CONSTANT:
                flat = [p for d in decisions for p in d.probabilities or ()]
                shape = [n, len(version.classes)]
                outputs.append({"name": "probabilities", "shape": shape, "datatype": "FP64", "data": flat})
    reply: dict[str, Any] = {
        "model_name": version.model,
        "model_version": version.label,
        "outputs": [o for o in outputs if wanted is None or o["name"] in wanted],
        "parameters": {"prediction_id": answer.id, "arm": answer.arm, "served_by": str(answer.path)},
    }
    if id is not None:
        reply["id"] = id
    if answer.flags:
        reply["parameters"]["flags"] = ";".join(f"{row}:{name}:{flag}" for row, name, flag in answer.flags)
    return oip_binary.framed(reply, binary)


def _diagnose(body: bytes) -> Rejected:
    try:
        jsontext.read(body)
    except Malformed as error:
        return error
    limit = '{"inputs": [{"name", "shape", "datatype", "data"}], "id"?, "parameters"?, "outputs"?}'
    return Malformed("the request is not of the protocol's form", code="BAD_REQUEST", limit=limit)
