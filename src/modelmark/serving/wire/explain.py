"""A prediction of one row, and why: the native answer with an explanation beside it.

    POST /models/NAME/explain  {"row": {...}, "method"?: "shap" | "lime" | "glass_box", "entity"?: "...", "at"?: "..."}

The prediction is one like any other, journaled before the explanation is begun. Where none can be given the answer says why in
`explanation_refused`, and stands all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

import msgspec

from modelmark.contract.rows import RowCodec
from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.domain.predictions.explanations import METHODS
from modelmark.serving.answers import Answer
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.models import LiveRoute
from modelmark.serving.wire import Endpoint, Headers, Later, Parsed, Predict, Reply, errors
from modelmark.serving.wire.event import happened
from modelmark.serving.wire.explained import explained
from modelmark.serving.wire.json_fields import entity_in, strict_object
from modelmark.serving.wire.native_answers import Form

_FIELDS: Final = ("row", "method", "entity", "at")
_FAILED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode: Final = msgspec.json.Encoder().encode
MAX_ENTITY: Final = 256


class Explain:
    """pool: what explains; None: nobody does."""

    headers = frozenset({b"content-type", b"content-encoding", errors.FRAME})

    def __init__(self, *, pool: Explanations | None = None) -> None:
        self._pool = pool

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        for model in routes if self._pool else ():
            yield "POST", f"/models/{model}/explain", Predict(self, model)

    def unknown(self, path: str) -> str | None:
        return None

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return entity_in(body)

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises Rejected, and Overloaded before anything is answered that could not be explained."""
        errors.require_json(headers)
        found = strict_object(body, _FIELDS)
        method, entity = found.get("method", METHODS[0]), found.get("entity")
        if method not in METHODS:
            raise Rejected("there is no such method", code="NO_METHOD", field="method", limit=", ".join(METHODS))
        if entity is not None and not (isinstance(entity, str) and len(entity) <= MAX_ENTITY):
            raise Rejected(
                "this is no entity", code="WRONG_TYPE", field="entity", limit=f"text of {MAX_ENTITY} characters at most"
            )
        if not isinstance(found.get("row"), dict):
            raise Rejected("one row is explained at a time", code="MISSING_FIELD", field="row", limit="one object")
        event = happened(found["at"]) if found.get("at") is not None else b""
        rows = codec.from_mappings([found["row"]])
        assert self._pool is not None  # else it has no address
        self._pool.require_room()
        return Parsed(rows, entity or "", partial(self._render, method), event)

    def refusal(self, error: ModelmarkError) -> Reply:
        return errors.refusal(error)

    def _render(self, method: str, answer: Answer) -> Later:
        assert self._pool is not None
        return explained(self._pool, answer, method, partial(_reply, answer))


def _reply(answer: Answer, found: bytes | ModelmarkError) -> Reply:
    body = Form(answer.version).body(answer)[:-1]
    if isinstance(found, bytes):
        return Reply(200, body + b',"explanation":' + found + b"}")
    return Reply(200, body + b',"explanation_refused":' + _encode(found.facts()) + b"}")
