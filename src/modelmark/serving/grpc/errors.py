"""Errors as gRPC statuses: one table. INTERNAL is a fault of ours or of the model, never of what the caller sent."""

from __future__ import annotations

import json
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration

from modelmark.domain import errors
from modelmark.serving.wire.errors import sentence

#: First match counts. An oversized message is what gRPC itself calls it.
STATUS: Final[tuple[tuple[type[errors.ModelmarkError], grpc.StatusCode], ...]] = (
    (errors.TooLarge, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Rejected, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.Missing, grpc.StatusCode.NOT_FOUND),
    (errors.NoKey, grpc.StatusCode.UNAUTHENTICATED),
    (errors.NotPermitted, grpc.StatusCode.PERMISSION_DENIED),
    (errors.Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.NotYet, grpc.StatusCode.UNAVAILABLE),
    (errors.TimedOut, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.ModelmarkError, grpc.StatusCode.INTERNAL),
)

#: Trailing metadata with the error's facts (code, field, row, limit, hint) as JSON in ASCII.
FACTS: Final = "modelmark-error"
#: Where gRPC's own libraries look for a `google.rpc.Status`.
DETAILS: Final = "grpc-status-details-bin"


def status_of(error: errors.ModelmarkError) -> grpc.StatusCode:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def metadata_of(error: errors.ModelmarkError) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata; for an overloaded server also when to come back, as gRPC's own retries read it and as
    `google.rpc.RetryInfo` says it."""
    facts = json.dumps({name: value for name, value in error.facts().items() if name != "message"})
    found: tuple[tuple[str, str | bytes], ...] = ((FACTS, facts),)
    if isinstance(error, errors.Overloaded):
        found += (("grpc-retry-pushback-ms", str(1000 * error.retry_after)), (DETAILS, _rich(error)))
    return found


def _rich(error: errors.Overloaded) -> bytes:
    """A `google.rpc.Status` with one detail, written field by field: its own package would be one more dependency."""
    info = _field(1, Duration(seconds=error.retry_after).SerializeToString())
    detail = Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info)
    code: int = status_of(error).value[0]
    message = sentence(error).encode()
    return bytes((1 << 3, code)) + _field(2, message) + _field(3, detail.SerializeToString())


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    length, size = len(data), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((number << 3 | 2, *size, length)) + data
