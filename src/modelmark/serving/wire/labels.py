"""Labels by prediction id, however they travel: all of a request or none, in the journal before the answer leaves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from modelmark.contract import jsontext
from modelmark.domain.classes import parse_label
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected
from modelmark.domain.labels import GivenLabel, read_label, settle
from modelmark.domain.predictions.event_time import event_time
from modelmark.domain.predictions.prediction_ids import may_be_given
from modelmark.journal.wal.records import Labelled, Observed
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Headers, Reply, errors
from modelmark.serving.wire.json_fields import strict_object

MAX_LABELS: Final = 10_000
MAX_SOURCE: Final = 64
MAX_ENTITY: Final = 256
_FAILED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FORM: Final = '{"labels": [{"id" or "entity": "...", "label": ..., "row"?: 0, "source"?: "...", "at"?: "..."}]}'


class Label(msgspec.Struct, forbid_unknown_fields=True):
    """What turned out to be true: of one row of a prediction, or of an entity at a moment, which means its last prediction before
    it. row: None where the prediction has one alone. at: when it became true."""

    label: bool | int | float | str
    id: str | None = None
    entity: str | None = None
    row: int | None = None
    source: str = "api"
    at: str | None = None


class _Labels(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[Label]


_encode: Final = msgspec.json.Encoder().encode
_labels: Final = msgspec.json.Decoder(_Labels).decode


def take(route: LiveRoute, runtime: Runtime, labels: Sequence[Label]) -> dict[str, int]:
    """Counts: accepted, and duplicates, conflicting, unknown and by_entity where there are any; unknown are kept aside, for no
    prediction can have such an id yet; which predictions those by entity are about is found out in seconds. Raises Rejected,
    having taken none; NotYet."""
    if not 0 < len(labels) <= MAX_LABELS:
        raise Rejected(
            "the number of labels is out of range",
            code="TOO_MANY_LABELS" if labels else "NO_LABELS",
            field="labels",
            limit=f"1 to {MAX_LABELS}",
        )
    contract, at = route.champion.contract, time.time_ns()
    observed = [_observed(route, index, item, at) for index, item in enumerate(labels) if item.entity is not None]
    settled = settle(_given(contract, index, item) for index, item in enumerate(labels) if item.entity is None)
    since = [event_time(item.at, at, row=index) if item.at is not None else 0 for index, item in enumerate(labels)]
    runtime.label(
        [
            Labelled(one.id, one.row, at, route.model, one.label, labels[one.place].source, since[one.place])
            for one in settled.kept
        ],
        observed,
    )
    unknown = sum(not may_be_given(one.id, at) for one in settled.accepted)
    counts = {"duplicates": settled.duplicates, "conflicting": len(settled.conflicting), "unknown": unknown}
    counts["by_entity"] = len(observed)
    return {"accepted": len(settled.accepted) - unknown, **{name: n for name, n in counts.items() if n}}


def take_json(route: LiveRoute, runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    """Of a JSON body. Raises as `take`."""
    if body:
        errors.require_json(headers)
    try:
        labels = _labels(body).labels
    except _FAILED:
        raise _fault(body) from None
    return Reply(200, _encode(take(route, runtime, labels)))


def _observed(route: LiveRoute, index: int, item: Label, now: int) -> Observed:
    """Raises Rejected."""
    _require_source(index, item)
    if item.id is not None or item.row is not None:
        field = "id" if item.id is not None else "row"
        raise Rejected(
            "an entity needs no such thing", code="UNKNOWN_FIELD", field=field, row=index, limit="id or entity"
        )
    if not 0 < len(item.entity or "") <= MAX_ENTITY:
        limit = f"1 to {MAX_ENTITY} characters"
        raise Rejected("this is no entity", code="BAD_ENTITY", field="entity", row=index, limit=limit)
    if item.at is None:
        raise Rejected(
            "what is true of an entity is true at a moment",
            code="MISSING_FIELD",
            field="at",
            row=index,
            limit="a moment",
        )
    event = event_time(item.at, now, row=index)
    try:
        label = parse_label(route.champion.contract, item.label)
    except Rejected as error:
        raise Rejected(error.message, code=error.code, field="label", row=index, limit=error.limit) from None
    return Observed(route.model, item.entity or "", event, now, label, item.source)


def _require_source(index: int, item: Label) -> None:
    if len(item.source) > MAX_SOURCE:
        limit = f"{MAX_SOURCE} characters"
        raise Rejected("the source is too long", code="TOO_LONG", field="source", row=index, limit=limit)


def _given(contract: Contract, index: int, item: Label) -> GivenLabel:
    _require_source(index, item)
    if item.id is None:
        raise Rejected("of what is it true?", code="MISSING_FIELD", field="id", row=index, limit="id or entity")
    return read_label(contract, place=index, id=item.id, row=item.row, label=item.label)


def _fault(body: bytes) -> Rejected:
    try:
        if len(body) <= jsontext.SMALL:
            strict_object(body, ("labels",))
        elif (fault := jsontext.unreadable(body)) is not None:
            return fault
    except Rejected as error:
        return error
    return Rejected("the labels are not of the known form", code="WRONG_TYPE", field="labels", limit=_FORM)
