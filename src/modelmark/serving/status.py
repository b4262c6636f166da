"""Errors as HTTP: one table, one form."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from modelmark.domain import errors


class Unsupported(errors.Malformed):
    """The body comes in a form that is not read here."""

    default_code = "UNSUPPORTED_MEDIA_TYPE"


#: First match counts. 400: it could not be read; 422: it was read, and the contract refuses it.
STATUS: Final[tuple[tuple[type[errors.ModelmarkError], int], ...]] = (
    (errors.TooLarge, 413),
    (Unsupported, 415),
    (errors.Malformed, 400),
    (errors.Rejected, 422),
    (errors.Missing, 404),
    (errors.NotPermitted, 403),
    (errors.Conflict, 409),
    (errors.Overloaded, 429),
    (errors.NotYet, 503),
    (errors.TimedOut, 504),
    (errors.OutputInvalid, 502),
    (errors.ModelmarkError, 500),
)


def status_of(error: errors.ModelmarkError) -> int:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def body_of(error: errors.ModelmarkError) -> bytes:
    """`error` is a string, as the Open Inference Protocol and its clients want it; the facts stand beside it."""
    facts: dict[str, Any] = error.facts()
    return msgspec.json.encode({"error": facts.pop("message"), **facts})
