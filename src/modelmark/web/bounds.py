"""What a request may send, held while it arrives: address, headers, body and time."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelmark.domain.errors import Malformed, TimedOut, TooLarge

#: Bytes of an address with its query.
TARGET: Final = 8_192
#: How many headers, and how many bytes all of them.
HEADERS: Final = 100
HEAD: Final = 16_384
#: Bytes of a body: of the routes that need another limit than the rest.
BODY: Final = 65_536
BODIES: Final = {"/sign-in": 16_384}
#: Seconds from when a body is asked for until the whole of it is there.
SECONDS: Final = 10.0


def body_limit(path: str) -> int:
    return BODIES.get(path, BODY)


def require_bounded(request: Request) -> None:
    """Before anything else is asked of a request. Raises TooLarge, Malformed."""
    scope = request.scope
    if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > TARGET:
        raise TooLarge("the address is too long", code="ADDRESS_TOO_LONG", field="address", limit=f"{TARGET} bytes")
    found = scope["headers"]
    if len(found) > HEADERS or sum(len(name) + len(value) for name, value in found) > HEAD:
        raise TooLarge(
            "the headers are too many or too long", code="HEADERS_TOO_LARGE", field="headers",
            limit=f"{HEADERS} headers, {HEAD} bytes",
        )  # fmt: skip
    declared = request.headers.getlist("content-length")
    if len(declared) > 1 or any(not (text.isascii() and text.isdigit()) for text in declared):
        raise Malformed("content-length is no number", code="BAD_LENGTH", field="content-length")
    if declared and (len(declared[0]) > 18 or int(declared[0]) > body_limit(scope["path"])):
        raise _too_large(scope["path"])


def _too_large(path: str) -> TooLarge:
    return TooLarge(
        "the body is too large", code="BODY_TOO_LARGE", field="body", limit=f"{body_limit(path)} bytes"
    )  # fmt: skip


class Bounded:
    """Counts a body as it comes, and gives it a deadline. What of it is left unread ends with the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, scope["path"])

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and body.announced(scope) and not body.whole:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self.app(scope, body.receive, sent)


class _Body:
    """One request's body. whole: nothing of it is to come."""

    def __init__(self, receive: Receive, path: str) -> None:
        self._receive, self._path = receive, path
        self._limit = body_limit(path)
        self._ends: float | None = None
        self._count = 0
        self.whole = False

    @staticmethod
    def announced(scope: Scope) -> bool:
        names = dict(scope["headers"])
        return b"transfer-encoding" in names or names.get(b"content-length", b"0") != b"0"

    async def receive(self) -> Message:
        """Raises TooLarge beyond the limit, TimedOut past the deadline."""
        if self.whole:
            return await self._receive()
        if self._ends is None:
            self._ends = asyncio.get_running_loop().time() + SECONDS
        try:
            async with asyncio.timeout_at(self._ends):
                message = await self._receive()
        except TimeoutError:
            raise TimedOut(
                "the body came too slowly", code="BODY_TOO_SLOW", field="body", limit=f"{SECONDS:g} s"
            ) from None
        self._count += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self._count > self._limit:
            raise _too_large(self._path)
        return message
