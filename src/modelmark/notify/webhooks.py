"""Signed messages to webhooks, which cannot be turned against the house they come from.

The host is resolved once, every address it has is judged, and the connection goes to the very address that was judged, so that
a name which answers otherwise a moment later gains nothing. No redirect is followed, no proxy of the environment is asked, no
byte of an answer's body is read or repeated. Signed as Standard Webhooks 1.0.0 has it (symmetric, `v1,`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import httpcore2 as httpcore

from modelmark import __version__
from modelmark.domain.alerts.webhooks import Network, Webhook
from modelmark.domain.errors import NotPermitted, NotYet

#: Seconds that a delivery may take as a whole, however slowly the other side sends.
SECONDS: Final = 10.0
#: Never called, whatever is allowed: link-local addresses, and those where clouds keep the credentials of a machine.
_METADATA: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200", "192.0.0.192")
)
#: Carry an address of version 4 inside, which may be any (NAT64, 6to4, Teredo, compatible), and count as public or not by chance.
_CARRYING: Final = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)
#: Statuses by which the receiver as a whole is unwell, and not this message unwelcome.
_UNWELL: Final = (408, 425, 429)

Resolver = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a host, as the system finds them. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def sign(secret: bytes, id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers. id: of the message, the same whenever it is sent again; at: of this try."""
    seconds = str(int(at.timestamp()))
    signed = hmac.new(secret, b".".join((id.encode(), seconds.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


class WebhookSender:
    """allowed: networks inside the house that may be called, by plain http too; all else must be a public address, by https."""

    def __init__(
        self, allowed: Sequence[Network] = (), *, resolver: Resolver = resolve, seconds: float = SECONDS
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolver
        self._seconds = seconds

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def send(self, hook: Webhook, id: str, at: datetime, body: bytes) -> None:
        """Raises NotYet (NOT_DELIVERED: the receiver is unwell or away; NOT_TAKEN: it would not have this message) and
        NotPermitted (ADDRESS_REFUSED). No message holds an address beyond its host, or a byte of an answer."""
        deadline = time.monotonic() + self._seconds
        place = _Place(self._judged(hook), deadline)
        headers = {
            "host": hook.host if hook.port in (80, 443) else f"{_bracketed(hook.host)}:{hook.port}",
            "content-type": "application/json",
            "user-agent": f"modelmark/{__version__}",
            "connection": "close",
            **sign(hook.secret, id, at, body),
        }
        status = self._post(hook, place, list(headers.items()), body)
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise NotYet(
                f"webhook {hook.place} sends elsewhere ({status}), and no redirect is followed", code="NOT_TAKEN"
            )
        code = "NOT_DELIVERED" if status >= 500 or status in _UNWELL else "NOT_TAKEN"
        raise NotYet(f"webhook {hook.place} answered {status}", code=code)

    def _post(self, hook: Webhook, place: _Place, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        url = httpcore.URL(scheme=hook.scheme, host=hook.host, port=hook.port, target=hook.target)
        waits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)}
        try:
            with (
                closing(httpcore.ConnectionPool(ssl_context=self._tls, network_backend=place, retries=0)) as pool,
                pool.stream("POST", url, headers=headers, content=body, extensions=waits) as response,
            ):
                return int(response.status)
        except (OSError, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise NotYet(f"webhook {hook.place} is not reached: {_why(error)}", code="NOT_DELIVERED") from None

    def _judged(self, hook: Webhook) -> Sequence[str]:
        try:
            found = self._resolve(hook.host, hook.port)
        except (OSError, UnicodeError):
            raise NotYet(f"webhook {hook.place} is not reached: its host is not known", code="NOT_DELIVERED") from None
        for text in found:
            why = self._refused(text, hook.scheme)
            if why:
                raise NotPermitted(
                    f"webhook {hook.place} is not called: {why}", code="ADDRESS_REFUSED", field="MODELMARK_WEBHOOKS",
                    limit="public addresses by https; others where MODELMARK_WEBHOOK_ALLOW names them",
                )  # fmt: skip
        return found

    def _refused(self, text: str, scheme: str) -> str:
        """Why such an address is not called; empty where it may be."""
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_link_local or address.is_multicast or address.is_unspecified or _within(address, _METADATA):
            return "its host is at an address that no webhook has"
        if _within(address, self._allowed):
            return ""
        if not address.is_global or _within(address, _CARRYING):
            return "its host is at an address inside the house"
        return "" if scheme == "https" else "it is public, and not https"


class _Place(httpcore.NetworkBackend):
    """Connects to addresses that were judged, whatever the name says by now, and only until the deadline."""

    def __init__(self, addresses: Sequence[str], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._system = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """host is the name that TLS asks for; it is not resolved again."""
        failed: Exception = httpcore.ConnectError("it has no address")
        for address in dict.fromkeys(self._addresses):
            try:
                stream = self._system.connect_tcp(address, port, timeout=_left(self._deadline))
                return _Timed(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class _Timed(httpcore.NetworkStream):
    """A stream whose every wait ends by one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname=server_hostname, timeout=_left(self._deadline))
        return _Timed(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("out of time")
    return left


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: Exception) -> str:
    """The kind of fault alone: what the other side wrote may be anything."""
    if isinstance(error, httpcore.TimeoutException | TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLError) or "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
        return "its certificate or its TLS is not in order"
    return "it refused the connection" if isinstance(error, httpcore.ConnectError) else "the connection broke"
