"""Open Inference Protocol v2 over REST: JSON, with the binary tensor extension."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any, Final

import msgspec

from modelmark.contract import jsontext, row_errors
from modelmark.contract.rows import RowCodec
from modelmark.domain.errors import Malformed, ModelmarkError, Rejected
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import (
    Endpoint,
    Headers,
    Parsed,
    Plain,
    Predict,
    Reply,
    errors,
    labels,
    oip_binary,
    oip_repository,
    oip_tensors,
)

_FAILED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: What the typed decoder says of a number beyond float64, and where it stands.
_TOO_LARGE: Final = re.compile(r"out of range - at `\$\[(\d+)\](\[\d+\])?`")
_Parameters = dict[str, str | float | bool]
_flat: Final[Mapping[str, Any]] = {
    kind: msgspec.json.Decoder(list[typ | None]).decode  # type: ignore[valid-type]
    for kind, typ in (("float", float), ("int", int), ("bool", bool), ("text", str))
}
_nested: Final[Mapping[str, Any]] = {
    kind: msgspec.json.Decoder(list[list[typ | None]]).decode  # type: ignore[valid-type]
    for kind, typ in (("float", float), ("int", int), ("bool", bool), ("text", str))
}


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """Implements `oip_tensors.Tensor`."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: _Parameters | None = None

    def values(self, count: int, width: int) -> list[Any]:
        field = jsontext.shown(self.name)
        if not self.data:
            raise oip_tensors.no_data(
                field, "data, or binary_data_size with the header Inference-Header-Content-Length"
            )
        kind = oip_tensors.kind_of(self.datatype, field)
        if kind != "text" and bytes(self.data).count(b",") >= max(count * width, 1):
            raise oip_tensors.unfilled(field, count * width)
        try:
            found: list[Any] = _flat[kind](self.data)
        except _FAILED as error:
            found = _flattened(self, kind, field, width, str(error))
        oip_tensors.require_fit(self.datatype, found, field, count, width)
        return found


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: _Parameters | None = None


class _Infer(msgspec.Struct, forbid_unknown_fields=True):
    """model_name, model_version: KServe's own client says them again; the address is what counts."""

    inputs: list[_Tensor]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_Wanted] | None = None
    model_name: str | None = None
    model_version: str | None = None


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    ready: bool = False


class _Peek(msgspec.Struct):
    parameters: dict[str, Any] | None = None


_infer = msgspec.json.Decoder(_Infer).decode
_wish = msgspec.json.Decoder(_Wish).decode
_peek = msgspec.json.Decoder(_Peek).decode
_encode = msgspec.json.Encoder().encode


class Oip:
    """Health, metadata and inference under /v2."""

    headers = frozenset({b"content-type", b"content-encoding", errors.FRAME})

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        def plain(act: Callable[[Runtime], tuple[int, Any]]) -> Plain:
            return Plain(self, partial(_tell, act))

        yield "GET", "/v2", plain(_server)
        yield "GET", "/v2/health/live", plain(lambda runtime: (200, {"live": True}))
        yield "GET", "/v2/health/ready", plain(_server_ready)
        yield "GET", "/v2/models", plain(_models)
        yield "POST", "/v2/repository/index", Plain(self, _index)
        yield "GET", "/v2/models/stats", plain(lambda runtime: _statistics(runtime, oip_repository.everything(runtime)))
        for model, route in routes.items():
            yield from self._about(route)
            yield "GET", f"/v2/models/{model}", plain(partial(_metadata, route, route.champion))
            yield "GET", f"/v2/models/{model}/ready", plain(partial(_model_ready, model))
            yield "POST", f"/v2/models/{model}/infer", Predict(self, model)
            yield "POST", f"/v2/models/{model}/labels", Plain(self, partial(labels.take_json, route))
            for index, arm in enumerate(route.arms):
                for name in arm.version.names:
                    base = f"/v2/models/{model}/versions/{name}"
                    yield "GET", base, plain(partial(_metadata, route, arm.version))
                    yield "GET", f"{base}/ready", plain(partial(_model_ready, model))
                    yield "POST", f"{base}/infer", Predict(self, model, index)

    def _about(self, route: LiveRoute) -> Iterable[tuple[str, str, Endpoint]]:
        """Statistics and configuration of a model, and of each version; what would change it is refused."""
        base, whole = f"/v2/models/{route.model}", oip_repository.of_model(route)
        named = [(f"{base}/versions/{name}", arm.version) for arm in route.arms for name in arm.version.names]
        for path, version in [(base, route.champion), *named]:
            chosen = whole if path == base else [(route, version)]
            told = partial(oip_repository.config, route, version)
            yield "GET", f"{path}/config", Plain(self, partial(_tell, lambda _, told=told: (200, told())))  # type: ignore[misc]
            yield "GET", f"{path}/stats", Plain(self, partial(_tell, partial(_statistics, chosen=chosen)))
        for act in ("load", "unload"):
            yield "POST", f"/v2/repository/models/{route.model}/{act}", Plain(self, _change)

    def unknown(self, path: str) -> str | None:
        parts = path.split("/")
        if parts[1:4] == ["v2", "repository", "models"]:
            return parts[4] if len(parts) >= 5 else None
        return parts[3] if len(parts) >= 4 and parts[1:3] == ["v2", "models"] else None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        try:
            found = (_peek(_split(body, headers)[0]).parameters or {}).get("entity")
        except (*_FAILED, Rejected):
            return None
        return found if isinstance(found, str) else None

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
        head, raw = _split(body, headers)
        message = _read(head)
        if raw is not None:
            oip_tensors.require_rows(message.inputs, codec)
            oip_binary.fill(message.inputs, raw)
        else:
            oip_binary.require_none(message.inputs)
        wanted = [output.name for output in message.outputs or ()] or None
        oip_tensors.require_outputs(wanted or (), codec.task)
        _require_parameters(message)
        counts = oip_tensors.class_counts(
            (o.name, (o.parameters or {}).get("classification")) for o in message.outputs or ()
        )
        entity = oip_tensors.entity_of((message.parameters or {}).get("entity", ""))
        binary = oip_binary.chosen(message.parameters, message.outputs)
        rows = oip_tensors.rows(message.inputs, codec)
        return Parsed(rows, entity, partial(_render, message.id, wanted, counts, binary))

    def refusal(self, error: ModelmarkError) -> Reply:
        return errors.refusal(error)


def _split(body: bytes, headers: Headers) -> tuple[bytes, bytes | None]:
    """(the JSON, the tensors behind it), as the headers describe the body; None when it is JSON alone."""
    length = headers.get(errors.FRAME)
    if length is None:
        errors.require_json(
            headers, also=b"application/octet-stream"
        )  # what aiohttp, under Triton's client, calls any bytes
        return body, None
    errors.require_uncompressed(headers)
    if len(length) > 18 or not length.isdigit():
        raise Malformed("the JSON's length is no number", code="BAD_BINARY", limit="digits")
    return oip_binary.split(body, int(length))


def _require_parameters(message: _Infer) -> None:
    oip_tensors.require_parameters(message.parameters, oip_tensors.REQUEST_PARAMETERS)
    for tensor in message.inputs:
        oip_tensors.require_parameters(tensor.parameters, oip_tensors.INPUT_PARAMETERS)
    for output in message.outputs or ():
        oip_tensors.require_parameters(output.parameters, oip_tensors.OUTPUT_PARAMETERS)


def _read(body: bytes) -> _Infer:
    try:
        return _infer(body)
    except _FAILED:
        raise _diagnose(body) from None


def _tell(act: Callable[[Runtime], tuple[int, Any]], runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    if body:
        errors.require_json(headers)
    status, value = act(runtime)
    return Reply(status, _encode(value))


def _server(runtime: Runtime) -> tuple[int, Any]:
    extensions = [oip_binary.EXTENSION, *oip_tensors.EXTENSIONS]
    return 200, {"name": oip_tensors.NAME, "version": oip_tensors.RELEASE, "extensions": extensions}


def _index(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    """Every version, as Triton's repository lists its own; `{"ready": true}` asks for what answers alone."""
    runtime.require_release()
    ready = False
    if body:
        errors.require_json(headers, also=b"application/octet-stream")
        try:
            ready = _wish(body).ready
        except _FAILED:
            raise Malformed(
                "the request is not of the protocol's form", code="BAD_REQUEST", limit='{"ready"?: true}'
            ) from None
    return Reply(200, _encode(oip_repository.index(runtime, ready=ready)))


def _statistics(runtime: Runtime, chosen: Iterable[tuple[LiveRoute, LoadedModel]]) -> tuple[int, Any]:
    return 200, {"model_stats": oip_repository.statistics(runtime, chosen)}


def _change(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    raise oip_repository.refuse_change()


def _models(runtime: Runtime) -> tuple[int, Any]:
    runtime.require_release()
    return 200, {"models": sorted(runtime.routes)}


def _server_ready(runtime: Runtime) -> tuple[int, Any]:
    ready, problems = runtime.ready()
    return (200 if ready else 503), {"ready": ready, "snapshot": runtime.health.sequence, "problems": problems}


def _model_ready(model: str, runtime: Runtime) -> tuple[int, Any]:
    ready = runtime.answers(model)
    return (200 if ready else 503), {"name": model, "ready": ready}


def _metadata(route: LiveRoute, version: LoadedModel, runtime: Runtime) -> tuple[int, Any]:
    return 200, oip_tensors.metadata(route, version)


def _flattened(tensor: _Tensor, kind: str, field: str | None, width: int, said: str) -> list[Any]:
    """Of data in nested lists. said: why it is no flat list."""
    try:
        nested: list[list[Any]] = _nested[kind](tensor.data)
    except _FAILED as error:
        raise _no_values(tensor, field, width, f"{said}\n{error}") from None
    if any(len(row) != width for row in nested):
        raise Malformed("the data is ragged", code="BAD_SHAPE", field=field, limit=f"{width} in each row")
    return [value for row in nested for value in row]


def _no_values(tensor: _Tensor, field: str | None, width: int, said: str) -> Rejected:
    """What is wrong with data that the typed decoder refused, saying so."""
    data = bytes(tensor.data)
    if len(data) > jsontext.SMALL:
        place = _TOO_LARGE.search(said)
        if place is not None:
            return row_errors.not_finite(field, int(place[1]) if place[2] else int(place[1]) // width)
        found = jsontext.unreadable(data)
        if found is not None:
            return found
    else:
        for index, value in enumerate(_listed(jsontext.read(data))):
            nests = isinstance(value, list)
            if any(isinstance(cell, float) and not isfinite(cell) for cell in (value if nests else [value])):
                return row_errors.not_finite(field, index if nests else index // width)
    return Malformed(f"the data is not {tensor.datatype}", code="WRONG_TYPE", field=field, limit=tensor.datatype)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _render(
    id: str | None,
    wanted: Sequence[str] | None,
    counts: Mapping[str, int],
    binary: Callable[[str], bool],
    answer: Answer,
) -> Reply:
    reply: dict[str, Any] = {
        "model_name": answer.version.model,
        "model_version": answer.version.label,
        "outputs": [output._asdict() for output in oip_tensors.told(answer, wanted, counts)],
        "parameters": oip_tensors.parameters(answer),
    }
    if id is not None:
        reply["id"] = id
    return oip_binary.framed(reply, binary)


def _diagnose(body: bytes) -> Rejected:
    try:
        if len(body) <= jsontext.SMALL:
            jsontext.read(body)
        elif (fault := jsontext.unreadable(body)) is not None:
            return fault
    except Malformed as error:
        return error
    limit = '{"inputs": [{"name", "shape", "datatype", "data"}], "id"?, "parameters"?, "outputs"?}'
    return Malformed("the request is not of the protocol's form", code="BAD_REQUEST", limit=limit)
