"""HTTP to one server and no other: no redirects, no proxies, one deadline for all of an answer, a bound on its size."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from modelmark.domain.errors import NotYet, Rejected
from modelmark.upstream.settings import Settings

#: Bytes of one answer.
MOST: Final = 16 << 20
_JSON: Final = "application/json"


class _Ends:
    """A socket that is read until a moment, however slowly its bytes come. ends: by `monotonic`."""

    ends = 0.0

    def recv_into(self, *arguments: Any) -> int:
        left = self.ends - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)  # type: ignore[attr-defined]
        return super().recv_into(*arguments)  # type: ignore[misc,no-any-return]


class _Plain(_Ends, socket.socket):
    pass


class _Tls(_Ends, ssl.SSLSocket):
    pass


class Link:
    """Keeps a connection for each thread. Implements nothing of any protocol."""

    def __init__(self, settings: Settings) -> None:
        address = urlsplit(settings.url)
        self._host, self._tls, self._base = str(address.hostname), address.scheme == "https", address.path.rstrip("/")
        self._port = address.port or (443 if self._tls else 80)
        self._token = settings.token
        self._kept = threading.local()

    def ask(self, path: str, body: bytes | None, seconds: float) -> bytes:
        """The answer to a GET, or to a POST of JSON. Raises NotYet (UPSTREAM_DOWN) for whatever is no answer of 200 in time, and
        Rejected (UPSTREAM_REFUSES) for one of 400 or 422."""
        ends = monotonic() + seconds
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        try:
            if kept is not None:
                try:
                    return self._exchanged(kept, path, body, ends)
                except (http.client.RemoteDisconnected, ConnectionError):  # it was kept for too long
                    kept.close()
            self._kept.connection = self._connected(ends)
            return self._exchanged(self._kept.connection, path, body, ends)
        except (OSError, http.client.HTTPException, NotYet) as error:
            if (connection := getattr(self._kept, "connection", None)) is not None:
                connection.close()
            self._kept.connection = None
            raise error if isinstance(error, NotYet) else _down(type(error).__name__) from None

    def _connected(self, ends: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port)
        plain = socket.create_connection((self._host, self._port), max(ends - monotonic(), 0.001))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            context = ssl.create_default_context()
            context.sslsocket_class = _Tls
            connection.sock = context.wrap_socket(plain, server_hostname=self._host)
        else:
            connection.sock = _Plain(fileno=plain.detach())
        return connection

    def _exchanged(self, connection: http.client.HTTPConnection, path: str, body: bytes | None, ends: float) -> bytes:
        bounded: Any = connection.sock
        bounded.ends = ends
        bounded.settimeout(max(ends - monotonic(), 0.001))
        headers = {"Accept": _JSON, **({"Content-Type": _JSON} if body is not None else {})}
        if self._token:
            headers["Authorization"] = f"Bearer {os.environ.get(self._token, '')}"
        connection.request("GET" if body is None else "POST", self._base + path, body, headers)
        response = connection.getresponse()
        data = response.read(MOST + 1)
        if response.will_close:
            connection.close()
            self._kept.connection = None
        if response.status in (400, 422):
            raise Rejected(
                "the upstream refuses these rows", code="UPSTREAM_REFUSES", hint="look at what its model takes"
            )
        if response.status != 200:  # a redirect leads elsewhere than was signed
            raise _down(f"it answers {response.status}")
        if len(data) > MOST:
            raise _down(f"it answers more than {MOST >> 20} MiB")
        return data


def _down(why: str) -> NotYet:
    return NotYet(f"the upstream does not answer: {why}", code="UPSTREAM_DOWN", hint="look at that server")
