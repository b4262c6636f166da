"""MLflow's scoring protocol: POST /invocations in four forms of JSON, CSV and Parquet; /ping, /health and /version.

It has one address for all models, so one of them answers there: the one that was chosen, else the only one. A classifier
answers labels, as its `predict` does, and probabilities when `params` asks for `predict_proba`. Source: mlflow 3.17,
pyfunc/scoring_server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from modelmark import __version__
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain import errors as domain
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import (
    Endpoint,
    Headers,
    Parsed,
    Plain,
    Predict,
    Reply,
    csv_rows,
    errors,
    oip_tensors,
    parquet_rows,
    provenance,
)
from modelmark.serving.wire.json_fields import FAILED, entity_in, fields, text_of
from modelmark.serving.wire.json_rows import JsonRows, Readers

_SHAPES: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
_FORM: Final = f"exactly one of {', '.join(_SHAPES)}; params?"
_SPLIT: Final = '{"columns": [...], "data": [[...]], "index"?: [...]}'
_JSON: Final = b"application/json"
_CSV: Final = b"text/csv"
_PARQUET: Final = b"application/vnd.apache.parquet"
_MEDIA: Final = (_JSON, _CSV, _PARQUET)
#: First match counts: what MLflow calls it. Anything else is INTERNAL_ERROR.
_CODES: Final[tuple[tuple[type[domain.ModelmarkError], str], ...]] = (
    (domain.Malformed, "BAD_REQUEST"),
    (domain.Rejected, "INVALID_PARAMETER_VALUE"),
    (domain.Missing, "RESOURCE_DOES_NOT_EXIST"),
    (domain.NotPermitted, "PERMISSION_DENIED"),
    (domain.Conflict, "RESOURCE_CONFLICT"),
    (domain.Overloaded, "RESOURCE_EXHAUSTED"),
    (domain.NotYet, "TEMPORARILY_UNAVAILABLE"),
    (domain.TimedOut, "DEADLINE_EXCEEDED"),
    (domain.ModelmarkError, "INTERNAL_ERROR"),
)
_TEXT: Final = b"text/plain; charset=utf-8"
_METHODS: Final = ("predict", "predict_proba")
_encode: Final = msgspec.json.Encoder().encode


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """signature_name: MLflow takes it beside `instances`, and does nothing with it; entity: ours."""

    dataframe_split: Raw | UnsetType = UNSET
    dataframe_records: Raw | UnsetType = UNSET
    instances: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    signature_name: Raw | UnsetType = UNSET
    entity: Raw | UnsetType = UNSET


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    data: Raw | UnsetType = UNSET
    columns: Raw | UnsetType = UNSET
    index: Raw | UnsetType = UNSET


class _Params(msgspec.Struct, forbid_unknown_fields=True):
    predict_method: str = "predict"


_body: Final = msgspec.json.Decoder(_Body).decode
_split: Final = msgspec.json.Decoder(_Split).decode
_params: Final = msgspec.json.Decoder(_Params).decode


class Mlflow:
    """model: which one answers at /invocations; None for the only one there is."""

    headers = frozenset({b"content-type", b"content-encoding", errors.FRAME})

    def __init__(self, model: str | None = None) -> None:
        self._model, self._readers = model, Readers()

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        self._readers.forget()
        only = next(iter(routes)) if len(routes) == 1 else None
        answering = self._model or only
        if answering is not None and answering in routes:
            yield "POST", "/invocations", Predict(self, answering)
        else:
            yield "POST", "/invocations", Plain(self, partial(_nobody, answering))
        yield "GET", "/ping", Plain(self, _alive)
        yield "GET", "/health", Plain(self, _alive)
        yield "GET", "/version", Plain(self, _version)

    def unknown(self, path: str) -> str | None:
        return None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return entity_in(body)

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises Malformed for what the protocol forbids, Rejected for what the contract does, Heavy for Parquet."""
        media, render = _media(headers), partial(_render, "predict")
        if media == _CSV:
            return Parsed(csv_rows.rows(body, codec), "", render)
        if media == _PARQUET:
            raise errors.Heavy(lambda: Parsed(parquet_rows.rows(body, codec), "", render))
        found = fields(body, _body, _FORM)
        given = [shape for shape in _SHAPES if shape in found]
        if len(given) != 1:
            raise domain.Malformed("send one table", code="MISSING_FIELD", field=_SHAPES[0], limit=_FORM)
        entity = found.get("entity", b"null")
        named = "" if entity == b"null" else oip_tensors.entity_of(text_of(entity, "entity"))
        method = _method(found.get("params", b"null"), codec.task)
        rows = _rows(given[0], found[given[0]], self._readers.of(codec))
        return Parsed(rows, named, partial(_render, method))

    def refusal(self, error: domain.ModelmarkError) -> Reply:
        code = next(name for kind, name in _CODES if isinstance(error, kind))
        facts = {name: value for name, value in error.facts().items() if name != "message"}
        body = _encode({"error_code": code, "message": errors.sentence(error), **facts})
        return Reply(errors.plain_status(error), body)


def _media(headers: Headers) -> bytes:
    """The body's media type; JSON where nothing is said. Raises Unsupported."""
    errors.require_uncompressed(headers)
    if errors.FRAME in headers:
        raise domain.Malformed("binary tensors are not taken", code="BINARY_NOT_SUPPORTED", limit="JSON")
    media, _, parameters = headers.get(b"content-type", _JSON).partition(b";")
    media, charset = media.strip().lower(), parameters.strip().lower().removeprefix(b"charset=").strip(b'"')
    if media not in _MEDIA or charset not in (b"", b"utf-8"):
        raise errors.Unsupported("the media type is not known", limit=f"{b', '.join(_MEDIA).decode()}; charset=utf-8")
    return media


def _rows(shape: str, text: bytes, reader: JsonRows) -> Rows:
    if shape == "dataframe_records":
        return reader.objects(text)
    if shape == "dataframe_split":
        return _of_split(text, reader)
    return reader.inputs(text)


def _of_split(text: bytes, reader: JsonRows) -> Rows:
    found = fields(text, _split, _SPLIT)
    if "data" not in found:
        raise domain.Malformed("the table has no data", code="MISSING_FIELD", field="data", limit=_SPLIT)
    if found.get("columns", b"null") == b"null":
        return reader.matrix(found["data"])
    try:
        names = msgspec.json.decode(found["columns"], type=list[str])
    except FAILED:
        raise domain.Malformed(
            "columns must be a list of names", code="WRONG_TYPE", field="columns", limit=_SPLIT
        ) from None
    return reader.lists(found["data"], names)


def _method(text: bytes, task: Task) -> str:
    """What `params` asks for. Raises Rejected."""
    if text == b"null":
        return "predict"
    try:
        method = _params(text).predict_method
    except FAILED:
        limit = f'{{"predict_method": "{" | ".join(_METHODS)}"}}'
        raise domain.Rejected(
            "a param is not supported", code="UNSUPPORTED_PARAMETER", field="params", limit=limit
        ) from None
    known = _METHODS[:1] if task is Task.REGRESSION else _METHODS
    if method not in known:
        limit = ", ".join(known)
        raise domain.Rejected("this model has no such method", code="WRONG_VERB", field="predict_method", limit=limit)
    return method


def _render(method: str, answer: Answer) -> Reply:
    """Labels or values, or a list of probabilities in the order of the contract's classes; null where there is none."""
    version, count = answer.version, answer.rows.count
    found: list[Any] = [None] * count
    if answer.served_by is not ServedBy.REVIEW:
        if version.decide.regression:
            found = answer.scores
        elif method == "predict":
            found = [version.contract.outputs.classes[at] for at in answer.decided]
        elif answer.served_by is not ServedBy.CONSTANT:
            width = version.decide.width
            found = [answer.scores[at : at + width] for at in range(0, count * width, width)]
    return Reply(200, _encode({"predictions": found}), extra=provenance.headers(answer))


def _nobody(model: str | None, runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    """Says why nobody answers at /invocations."""
    if model is not None:
        error = runtime.missing(model)
        error.hint = error.hint or f"this server was started with --mlflow-model {model}"
        raise error
    runtime.require_release()
    served = ", ".join(sorted(runtime.routes))
    raise domain.Rejected(
        "several models are served, and none was chosen for this address" if served else "no model is served",
        code="WHICH_MODEL",
        limit=served or "a model that is released",
        hint="start with --mlflow-model NAME, or ask at an address that names the model",
    )


def _alive(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    return Reply(200 if runtime.ready()[0] else 503, b"\n", _TEXT)


def _version(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    return Reply(200, __version__.encode(), _TEXT)
