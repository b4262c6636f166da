"""KServe's protocol V1, where it was chosen: the list of models, whether one is ready, predict, explain.

It shares `/v1/models` with TensorFlow Serving, whose other addresses stay: one of them only can say what a model's own address
answers. Source: kserve, docs/concepts/architecture/data-plane/v1-protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from modelmark.contract.rows import RowCodec
from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.domain.predictions.explanations import METHODS
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import (
    Endpoint,
    Headers,
    Later,
    Parsed,
    Plain,
    Predict,
    Reply,
    errors,
    oip_tensors,
    provenance,
)
from modelmark.serving.wire.explained import explained
from modelmark.serving.wire.json_fields import entity_in, fields, text_of
from modelmark.serving.wire.json_rows import Readers

_FORM: Final = '{"instances": [...]} or {"inputs": ...}'
_encode: Final = msgspec.json.Encoder().encode


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """entity: ours."""

    instances: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    entity: Raw | UnsetType = UNSET


_body: Final = msgspec.json.Decoder(_Body).decode


class KServe:
    """chosen: it was; else only the list of models is answered, which TensorFlow Serving has not. pool: what explains; None:
    nobody does."""

    headers = frozenset({b"content-type", b"content-encoding", errors.FRAME})

    def __init__(self, *, chosen: bool = False, pool: Explanations | None = None) -> None:
        self._chosen, self._readers = chosen, Readers()
        self._explain = None if pool is None else _Explain(self, pool)

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        self._readers.forget()
        yield "GET", "/v1/models", Plain(self, _list)
        if self._chosen:
            yield "GET", "/", Plain(self, _alive)
        for model in routes if self._chosen else ():
            base = f"/v1/models/{model}"
            yield "GET", base, Plain(self, partial(_ready, model))
            yield "POST", f"{base}:predict", Predict(self, model)
            explains = Plain(self, _none) if self._explain is None else Predict(self._explain, model)
            yield "POST", f"{base}:explain", explains

    def unknown(self, path: str) -> str | None:
        parts = path.split("/")
        return parts[3].partition(":")[0] if len(parts) >= 4 and parts[1:3] == ["v1", "models"] else None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return entity_in(body)

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
        errors.require_json(headers)
        found = fields(body, _body, _FORM)
        entity = found.get("entity", b"null")
        named = "" if entity == b"null" else oip_tensors.entity_of(text_of(entity, "entity"))
        return Parsed(self._readers.of(codec).instances_or_inputs(found)[0], named, _render)

    def refusal(self, error: ModelmarkError) -> Reply:
        facts = {name: value for name, value in error.facts().items() if name != "message"}
        return Reply(errors.plain_status(error), _encode({"error": errors.sentence(error), **facts}))


class _Explain:
    """`:explain`: the same request, of one row, and the same answer with what each column added beside it."""

    def __init__(self, wire: KServe, pool: Explanations) -> None:
        self._wire, self._pool = wire, pool
        self.headers, self.endpoints, self.unknown = wire.headers, wire.endpoints, wire.unknown
        self.entity, self.refusal = wire.entity, wire.refusal

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises as `KServe.parse`, and Overloaded before anything is answered that could not be explained."""
        found = self._wire.parse(body, headers, codec)
        if found.rows.count != 1:
            raise Rejected("one row is explained at a time", code="TOO_MANY_ROWS", field="instances", limit="1 row")
        self._pool.require_room()
        return Parsed(found.rows, found.entity, self._render)

    def _render(self, answer: Answer) -> Later:
        return explained(self._pool, answer, METHODS[0], partial(_with_explanation, answer))


def _with_explanation(answer: Answer, found: bytes | ModelmarkError) -> Reply:
    """null, and why, where there is none: the prediction stands."""
    told: dict[str, Any] = {"predictions": _told(answer)}
    if isinstance(found, bytes):
        told["explanations"] = [Raw(found)]
    else:
        told |= {"explanations": [None], "explanation_refused": found.facts()}
    return Reply(200, _encode(told), extra=provenance.headers(answer))


def _render(answer: Answer) -> Reply:
    return Reply(200, _encode({"predictions": _told(answer)}), extra=provenance.headers(answer))


def _told(answer: Answer) -> list[Any]:
    """Labels, as KServe's server of scikit-learn gives them, or values; null where a person will answer."""
    version, found = answer.version, [None] * answer.rows.count
    told: list[Any] = found
    if answer.served_by is not ServedBy.REVIEW:
        classes = version.contract.outputs.classes
        told = answer.scores if version.decide.regression else [classes[at] for at in answer.decided]
    return told


def _alive(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    return Reply(200, _encode({"status": "alive"}))


def _list(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    runtime.require_release()
    return Reply(200, _encode({"models": sorted(runtime.routes)}))


def _ready(model: str, runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    ready = runtime.answers(model)
    return Reply(200 if ready else 503, _encode({"name": model, "ready": ready}))


def _none(runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    raise errors.Unimplemented("explanations are not given here", limit="predict")
