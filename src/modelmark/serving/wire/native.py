"""The native protocol: rows of named columns in, decisions out; labels by prediction id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from modelmark.contract import jsontext, row_errors
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute, described
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Endpoint, Headers, Parsed, Plain, Predict, Reply, errors, labels
from modelmark.serving.wire.event import happened
from modelmark.serving.wire.json_fields import entity_in, strict_object
from modelmark.serving.wire.native_answers import Form

_FAILED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FIELDS = ("rows", "row", "entity", "at")
MAX_ENTITY = 256
MANY_BYTES = 4096


_encode = msgspec.json.Encoder().encode


class Native:
    """POST /models/NAME/predict and /labels, GET /models and /models/NAME."""

    headers = frozenset({b"content-type", b"content-encoding", errors.FRAME})

    def __init__(self) -> None:
        self._decoders: dict[int, tuple[RowCodec, Any]] = {}
        self._forms: dict[int, Form] = {}

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        self._decoders.clear()
        self._forms.clear()
        yield "GET", "/models", Plain(self, _list)
        for model, route in routes.items():
            yield "GET", f"/models/{model}", Plain(self, partial(_describe, route))
            yield "POST", f"/models/{model}/predict", Predict(self, model)
            yield "POST", f"/models/{model}/labels", Plain(self, partial(labels.take_json, route))

    def unknown(self, path: str) -> str | None:
        parts = path.split("/")
        return parts[2] if len(parts) >= 3 and parts[1] == "models" else None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return entity_in(body)

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """`{"rows": [{...}], "entity"?: "...", "at"?: "..."}`, or `row` with one object."""
        errors.require_json(headers)
        known = self._decoders.get(id(codec))
        if known is None:
            known = self._decoders[id(codec)] = (codec, _decoder(codec))
        try:
            message = known[1](body)
        except _FAILED:
            raise _diagnose(body, codec) from None
        rows, row, entity = message.rows, message.row, message.entity
        if (rows is UNSET) == (row is UNSET):
            raise _diagnose(body, codec)
        parsed: Rows = codec.rows(rows if row is UNSET else (row,))
        # Every key and text costs two quotation marks; more of them may mean that a key came twice.
        strings = parsed.count * len(codec.names) + len(parsed.texts) - parsed.texts.count(None) + 1
        if entity is not UNSET:
            strings += 1 if entity is None else 2
            if entity is not None and len(entity) > MAX_ENTITY:
                raise Rejected(
                    "the entity is too long", code="TOO_LONG", field="entity", limit=f"{MAX_ENTITY} characters"
                )
        event = b""
        if message.at is not UNSET:
            strings += 1 if message.at is None else 2
            event = happened(message.at) if message.at is not None else b""
        if _marks(body) != 2 * strings and _quotes(body) != 2 * strings:
            _refuse_duplicates(body, codec)
        return Parsed(parsed, entity or "" if entity is not UNSET else "", self._render, event)

    def _render(self, answer: Answer) -> Reply:
        form = self._forms.get(id(answer.version))  # which holds its version: no other has that address meanwhile
        if form is None:
            form = self._forms[id(answer.version)] = Form(answer.version)
        return Reply(200, form.body(answer))

    def refusal(self, error: ModelmarkError) -> Reply:
        return errors.refusal(error)


def _decoder(codec: RowCodec) -> Any:
    message = msgspec.defstruct(
        "PredictBody",
        [
            ("rows", list[codec.row_type] | UnsetType, UNSET),  # type: ignore[name-defined]
            ("row", codec.row_type | UnsetType, UNSET),
            ("entity", str | None | UnsetType, UNSET),
            ("at", str | None | UnsetType, UNSET),
        ],
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(message).decode


def _marks(body: bytes) -> int:
    """Quotation marks of any kind. NumPy counts what comes often in many bytes much quicker."""
    if len(body) < MANY_BYTES:
        return body.count(b'"')
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord('"')))


def _quotes(body: bytes) -> int:
    """Quotation marks that begin or end a string."""
    return body.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"')


def _diagnose(body: bytes, codec: RowCodec) -> Rejected:
    if len(body) > jsontext.SMALL:
        if jsontext.too_deep(body[: jsontext.BLOCK]):  # known at once, as most that are too deep
            return jsontext.nested_too_deep()
        return errors.Doubtful(partial(codec.first_fault, body, {"entity": _entity_fault, "at": _at_fault}))
    try:
        value = strict_object(body, _FIELDS)
    except Rejected as error:
        return error
    found = _entity_fault(value.get("entity")) or _at_fault(value.get("at"))
    if found is not None:
        return found
    if ("rows" in value) == ("row" in value):
        return Rejected("send either rows or row", code="MISSING_FIELD", field="rows", limit="exactly one of rows, row")
    return codec.diagnose(value["rows"] if "rows" in value else [value["row"]])


def _at_fault(at: object) -> Rejected | None:
    try:
        if at is not None:
            happened(at)
    except Rejected as error:
        return error
    return None


def _entity_fault(entity: object) -> Rejected | None:
    if entity is None or (isinstance(entity, str) and jsontext.well_formed(entity)):
        return None
    return Rejected("entity must be a string", code="WRONG_TYPE", field="entity", limit="a string")


def _refuse_duplicates(body: bytes, codec: RowCodec) -> None:
    """There are more strings than columns and fields that come once have."""
    if len(body) > jsontext.SMALL:
        raise errors.Doubtful(partial(codec.first_fault, body, {"entity": _entity_fault, "at": _at_fault}))
    value = strict_object(body, _FIELDS)
    for index, row in enumerate(value["rows"] if "rows" in value else [value["row"]]):
        found = row_errors.row(row, index, codec.numeric, codec.textual)
        if found is not None:
            raise found


def _brief(route: LiveRoute) -> dict[str, Any]:
    return {"name": route.model, "versions": [arm.version.label for arm in route.arms]}


def _list(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    _require_json(body, headers)
    runtime.require_release()
    return Reply(200, _encode({"models": [_brief(route) for route in runtime.routes.values()]}))


def _describe(route: LiveRoute, runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    _require_json(body, headers)
    return Reply(200, _encode(described(route)))


def _require_json(body: bytes, headers: Headers) -> None:
    if body:
        errors.require_json(headers)
