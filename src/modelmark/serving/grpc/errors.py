"""Errors as gRPC statuses: one table. INTERNAL is a fault of ours or of the model, never of what the caller sent."""

from __future__ import annotations

import json
from typing import Final

import grpc

from modelmark.domain import errors

#: First match counts. An oversized message is what gRPC itself calls it.
STATUS: Final[tuple[tuple[type[errors.ModelmarkError], grpc.StatusCode], ...]] = (
    (errors.TooLarge, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Rejected, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.Missing, grpc.StatusCode.NOT_FOUND),
    (errors.NotPermitted, grpc.StatusCode.PERMISSION_DENIED),
    (errors.Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.NotYet, grpc.StatusCode.UNAVAILABLE),
    (errors.TimedOut, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.ModelmarkError, grpc.StatusCode.INTERNAL),
)

#: Trailing metadata with the error's facts (code, field, row, limit, hint) as JSON in ASCII.
FACTS: Final = "modelmark-error"


def status_of(error: errors.ModelmarkError) -> grpc.StatusCode:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def details_of(error: errors.ModelmarkError) -> str:
    """One line for people: the message, and where and within what it would have been right."""
    where = [f"{name} {value}" for name, value in error.facts().items() if name in ("field", "row", "limit")]
    return f"{error.message} ({'; '.join(where)})" if where else error.message


def metadata_of(error: errors.ModelmarkError) -> tuple[tuple[str, str], ...]:
    """Trailing metadata; for an overloaded server also when to come back, as gRPC's own retries read it."""
    facts = json.dumps({name: value for name, value in error.facts().items() if name != "message"})
    found = ((FACTS, facts),)
    if isinstance(error, errors.Overloaded):
        return (*found, ("grpc-retry-pushback-ms", str(1000 * error.retry_after)))
    return found
