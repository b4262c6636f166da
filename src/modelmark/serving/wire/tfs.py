"""TensorFlow Serving's REST API: predict by rows or columns, classify, regress, status and metadata.

Tensors are named as over v2: an input for each column of the contract, `label` and `probabilities`, or `value`. Version 3 is
v3, 0 the server's choice; a label is the name of an arm, and `stable` the champion. Sources: tensorflow/serving,
g3doc/api_rest.md and util/json_tensor.cc.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from modelmark.contract.rows import RowCodec
from modelmark.domain.errors import Malformed, ModelmarkError
from modelmark.domain.predictions.prediction import ServedBy
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
    oip_tensors,
    provenance,
    tfs_model,
)
from modelmark.serving.wire.json_fields import entity_in, fields, text_of
from modelmark.serving.wire.json_rows import Readers

_encode: Final = msgspec.json.Encoder().encode


class _Predict(msgspec.Struct, forbid_unknown_fields=True):
    """entity: ours; TensorFlow Serving ignores what it does not know."""

    instances: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    signature_name: Raw | UnsetType = UNSET
    entity: Raw | UnsetType = UNSET


class _Examples(msgspec.Struct, forbid_unknown_fields=True):
    examples: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    signature_name: Raw | UnsetType = UNSET
    entity: Raw | UnsetType = UNSET


_FORMS: Final = {
    "predict": (msgspec.json.Decoder(_Predict).decode, '{"instances": [...]} or {"inputs": ...}, "signature_name"?'),
    "classify": (msgspec.json.Decoder(_Examples).decode, '{"examples": [{...}], "signature_name"?}'),
    "regress": (msgspec.json.Decoder(_Examples).decode, '{"examples": [{...}], "signature_name"?}'),
}


class Tfs:
    """Everything under /v1/models that predicts; status and metadata."""

    def __init__(self) -> None:
        self._readers = Readers()
        self._verbs = {verb: _Verb(verb, self._readers) for verb in _FORMS}

    @property
    def headers(self) -> frozenset[bytes]:
        return _Verb.headers

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        self._readers.forget()
        for model, route in routes.items():
            for place, arm in tfs_model.places(route):
                base = f"/v1/models/{model}{place}"
                shown = range(len(route.arms)) if arm is None else (arm,)
                yield "GET", base, Plain(self, partial(_status, route, shown))
                yield "GET", f"{base}/metadata", Plain(self, partial(_metadata, route, route.arms[arm or 0].version))
                for verb, wire in self._verbs.items():
                    yield "POST", f"{base}:{verb}", Predict(wire, model, arm)

    def unknown(self, path: str) -> str | None:
        return name_in(path)

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return None

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        raise TypeError("its verbs read bodies")

    def refusal(self, error: ModelmarkError) -> Reply:
        return refusal(error)


class _Verb:
    """`:predict`, `:classify` or `:regress`."""

    headers = frozenset({b"content-type", b"content-encoding", b"origin", errors.FRAME})

    def __init__(self, verb: str, readers: Readers) -> None:
        self._verb, self._readers = verb, readers
        self._decode, self._form = _FORMS[verb]

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        return ()

    def unknown(self, path: str) -> str | None:
        return name_in(path)

    def refusal(self, error: ModelmarkError) -> Reply:
        return refusal(error)

    def entity(self, body: bytes, headers: Headers) -> str | None:
        return entity_in(body)

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
        require_readable(headers)
        found = fields(body, self._decode, self._form)
        tfs_model.require_signature(
            text_of(found["signature_name"], "signature_name") if "signature_name" in found else tfs_model.SIGNATURE
        )
        entity = found.get("entity", b"null")
        named = "" if entity == b"null" else oip_tensors.entity_of(text_of(entity, "entity"))
        if self._verb == "predict":
            rows, by_row = self._readers.of(codec).instances_or_inputs(found)
            return Parsed(rows, named, partial(_predictions, by_row))
        tfs_model.require_task(self._verb, codec.task)
        if found.get("context", b"{}").strip() not in (b"{}", b"null"):
            limit = "each feature in each example"
            raise Malformed("a context is not taken", code="UNSUPPORTED_PARAMETER", field="context", limit=limit)
        if "examples" not in found:
            raise Malformed("there are no examples", code="MISSING_FIELD", field="examples", limit=self._form)
        rows = self._readers.of(codec).objects(found["examples"])
        return Parsed(rows, named, _classified if self._verb == "classify" else _regressed)


def name_in(path: str) -> str | None:
    """The model in an address of this protocol, None when it is none."""
    parts = path.split("/")
    return parts[3].partition(":")[0] if len(parts) >= 4 and parts[1:3] == ["v1", "models"] else None


def require_readable(headers: Headers) -> None:
    """Any media type that a program sends, since curl's own is no JSON; of a browser's page JSON alone, for which it has to
    ask first. Raises Unsupported."""
    if b"origin" in headers:
        return errors.require_json(headers)
    if errors.FRAME in headers:
        raise Malformed("binary tensors are not taken", code="BINARY_NOT_SUPPORTED", limit="JSON")
    return errors.require_uncompressed(headers)


def refusal(error: ModelmarkError) -> Reply:
    facts = {name: value for name, value in error.facts().items() if name != "message"}
    return Reply(errors.plain_status(error), _encode({"error": errors.sentence(error), **facts}))


def _predictions(by_row: bool, answer: Answer) -> Reply:
    """Row by row an object of the outputs, or the only output bare; by columns the outputs whole."""
    found = {output.name: output for output in oip_tensors.outputs(answer, None)}
    regression, count = answer.version.decide.regression, answer.rows.count
    columns: dict[str, list[Any]] = {}
    for name, output in found.items():
        width = output.shape[1] if len(output.shape) == 2 else 0
        columns[name] = (
            [output.data[at : at + width] for at in range(0, len(output.data), width)] if width else output.data
        )
    if not by_row:
        return _told({"outputs": columns.get("value", [None] * count) if regression else columns}, answer)
    if regression:
        return _told({"predictions": columns.get("value", [None] * count)}, answer)
    rows = [{name: column[at] for name, column in columns.items()} for at in range(count)]
    return _told({"predictions": rows}, answer)


def _classified(answer: Answer) -> Reply:
    """Pairs of class and probability, the class that is decided for first; nothing where a person will answer."""
    return _told(
        {"results": [[[label, score] for label, score in row] for row in tfs_model.classified(answer)]}, answer
    )


def _regressed(answer: Answer) -> Reply:
    values: list[Any] = answer.scores if answer.served_by is not ServedBy.REVIEW else [None] * answer.rows.count
    return _told({"results": values}, answer)


def _told(value: Any, answer: Answer) -> Reply:
    return Reply(200, _encode(value), extra=provenance.headers(answer))


def _status(route: LiveRoute, shown: Iterable[int], runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    state = "AVAILABLE" if not runtime.health.draining else "UNLOADING"
    fine = {"error_code": "OK", "error_message": ""}
    versions = dict.fromkeys(str(tfs_model.number(route.arms[at].version)) for at in shown)
    told = [{"version": version, "state": state, "status": fine} for version in versions]
    return Reply(200, _encode({"model_version_status": told}))


def _metadata(route: LiveRoute, version: LoadedModel, runtime: Runtime, body: bytes, headers: Headers) -> Reply:
    about = oip_tensors.metadata(route, version)
    signature = {kind: {one["name"]: _tensor_info(one) for one in about[kind]} for kind in ("inputs", "outputs")}
    signatures = {"signature_def": {tfs_model.SIGNATURE: {**signature, "method_name": tfs_model.METHOD}}}
    told = {
        "model_spec": {"name": route.model, "signature_name": "", "version": str(tfs_model.number(version))},
        "metadata": {"signature_def": signatures},
    }
    return Reply(200, _encode(told))


def _tensor_info(tensor: Mapping[str, Any]) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in tensor["shape"]]
    return {
        "dtype": tfs_model.TYPE[tensor["datatype"]],
        "tensor_shape": {"dim": dims, "unknown_rank": False},
        "name": tensor["name"],
    }
