"""Errors as HTTP: one table, and the JSON form that our own protocols share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from modelmark.domain import errors
from modelmark.serving.wire import Headers, Parsed, Reply

#: The binary tensor extension of the Open Inference Protocol: how many bytes of the body are JSON.
FRAME: Final = b"inference-header-content-length"
_COMPRESSION: Final = frozenset({b"", b"identity"})


class Unsupported(errors.Malformed):
    """The body comes in a form that is not read here."""

    default_code = "UNSUPPORTED_MEDIA_TYPE"


class Doubtful(errors.Malformed):
    """A large body was refused by the typed decoder; what exactly is wrong takes a moment to find: never on the loop."""

    def __init__(self, diagnose: Callable[[], errors.Rejected]) -> None:
        super().__init__("the body is not what the contract describes")
        self.diagnose = diagnose


class Heavy(errors.ModelmarkError):
    """A body that takes a heavy library to read: never on the loop. read: does it, and raises Rejected."""

    def __init__(self, read: Callable[[], Parsed]) -> None:
        super().__init__("the body is read elsewhere")
        self.read = read


class Unimplemented(errors.Missing):
    """The protocol has it, this server does not."""

    default_code = "UNIMPLEMENTED"


class MethodNotAllowed(errors.Malformed):
    """The address takes other methods; limit names them."""

    default_code = "METHOD_NOT_ALLOWED"


#: First match counts. 400: it could not be read; 422: it was read, and the contract refuses it.
STATUS: Final[tuple[tuple[type[errors.ModelmarkError], int], ...]] = (
    (errors.TooLarge, 413),
    (Unsupported, 415),
    (MethodNotAllowed, 405),
    (errors.Malformed, 400),
    (errors.Rejected, 422),
    (Unimplemented, 501),
    (errors.Missing, 404),
    (errors.NoKey, 401),
    (errors.NotPermitted, 403),
    (errors.Conflict, 409),
    (errors.Overloaded, 429),
    (errors.NotYet, 503),
    (errors.TimedOut, 504),
    (errors.OutputInvalid, 502),
    (errors.ModelmarkError, 500),
)
#: Protocols that are older than these statuses, and their clients, have others for the same.
_PLAIN: Final = {422: 400, 502: 500}
_known: Final[dict[type[errors.ModelmarkError], int]] = {}


def status_of(error: errors.ModelmarkError) -> int:
    kind = type(error)
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = next(status for base, status in STATUS if issubclass(kind, base))
    return found


def plain_status(error: errors.ModelmarkError) -> int:
    """For protocols that know no 422 and no 502."""
    status = status_of(error)
    return _PLAIN.get(status, status)


def refusal(error: errors.ModelmarkError) -> Reply:
    """`error` is a string, as the Open Inference Protocol and its clients want it; the facts stand beside it."""
    facts: dict[str, Any] = error.facts()
    return Reply(status_of(error), msgspec.json.encode({"error": facts.pop("message"), **facts}))


def sentence(error: errors.ModelmarkError) -> str:
    """One line for people: the message, and where and within what it would have been right."""
    where = [f"{name} {value}" for name, value in error.facts().items() if name in ("field", "row", "limit")]
    return f"{error.message} ({'; '.join(where)})" if where else error.message


def require_uncompressed(headers: Headers) -> None:
    """Raises Unsupported."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in _COMPRESSION:
        raise Unsupported("compressed bodies are not taken", code="UNSUPPORTED_ENCODING", limit="identity")


def require_json(headers: Headers, also: bytes = b"application/json") -> None:
    """The body is plain JSON, or nothing is said of it. also: another media type it may go by. Raises Malformed,
    Unsupported."""
    if FRAME in headers:
        raise errors.Malformed("binary tensors are not taken", code="BINARY_NOT_SUPPORTED", limit="JSON")
    require_uncompressed(headers)
    kind = headers.get(b"content-type")
    if kind is None or kind in (b"application/json", also):
        return
    media, _, parameters = kind.partition(b";")
    charset = parameters.strip().lower().removeprefix(b"charset=").strip(b'"')
    if media.strip().lower() != b"application/json" or charset not in (b"", b"utf-8"):
        raise Unsupported("send JSON", limit="application/json, UTF-8")
