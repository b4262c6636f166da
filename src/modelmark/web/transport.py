"""How pages are served: one HTTP/1.1 server with limits for heads, for idle callers and for how many come at once."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from modelmark.web.bounds import HEAD

#: Seconds for the head of a request, from its first byte or from the connection's beginning.
HEAD_SECONDS: Final = 10.0
#: Seconds that an answer waits for a caller who reads nothing of it.
READ_SECONDS: Final = 10.0
CONNECTIONS: Final = 200


class PromptProtocol(H11Protocol):
    """uvicorn's own, that also closes a connection whose next head does not come in time, or whose caller does not read."""

    head_seconds = HEAD_SECONDS
    read_seconds = READ_SECONDS
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()
        self.resume_writing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _expect(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def server(app: ASGIApp, *, grace: int = 2) -> uvicorn.Server:
    """A server that has not begun. grace: seconds that answers under way get when it ends.

    What a header claims of an address or a scheme is not believed: whoever reaches loopback could claim anything.
    """
    config = uvicorn.Config(
        app, http=PromptProtocol, ws="none", h11_max_incomplete_event_size=HEAD, limit_concurrency=CONNECTIONS,
        proxy_headers=False, server_header=False, log_config=None, log_level="warning", access_log=False,
        timeout_graceful_shutdown=grace,
    )  # fmt: skip
    return uvicorn.Server(config)
