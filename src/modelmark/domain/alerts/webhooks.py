"""Where other systems hear of alerts and releases: their addresses, and the secret that signs what each is sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from modelmark.domain.errors import Rejected

PREFIX: Final = "whsec_"
#: Bytes of a secret, as Standard Webhooks asks.
LEAST_SECRET, MOST_SECRET = 24, 64
MOST_WEBHOOKS: Final = 16
_NEW: Final = "modelmark deliveries secret"
_FORM: Final = "https://HOST/PATH#whsec_SECRET"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One target. id: names it for ever, whatever its secret. place: which of the list, and its host; the path may be a secret.
    target: path and query as they are sent."""

    id: str
    place: str
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    secret: bytes = field(repr=False)


def new_secret() -> str:
    """Made of 32 bytes of the system's generator."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def read_webhooks(texts: Sequence[str]) -> tuple[Webhook, ...]:
    """Raises Rejected (BAD_WEBHOOK), naming the place in the list and never an address, for what is none."""
    if len(texts) > MOST_WEBHOOKS:
        raise _bad(f"{len(texts)} webhooks are too many", limit=f"at most {MOST_WEBHOOKS}")
    found = tuple(_read(i, text) for i, text in enumerate(texts, 1))
    if len({one.id for one in found}) < len(found):
        raise _bad("two webhooks have the same address", limit="each address once")
    return found


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks inside the house that may be called. Raises Rejected (BAD_NETWORK)."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError:
        raise Rejected(
            "MODELMARK_WEBHOOK_ALLOW names something that is no network", code="BAD_NETWORK",
            field="MODELMARK_WEBHOOK_ALLOW", limit="addresses and networks, such as 10.1.2.3 or 10.1.0.0/16",
        ) from None  # fmt: skip


def _read(i: int, text: str) -> Webhook:
    address, _, secret = text.partition("#")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad(f"webhook {i} is no address") from None
    if parts.scheme not in ("https", "http") or not host or not host.isascii() or "%" in host:
        raise _bad(f"webhook {i} is no address")
    if "@" in parts.netloc:
        raise _bad(f"webhook {i} has a name or a password in its address")
    if not text.isascii() or not text.isprintable() or any(mark in text for mark in ' "<>\\^`{|}'):
        raise _bad(f"webhook {i} has characters that no address has")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Webhook(
        id=hashlib.sha256(address.encode()).hexdigest()[:12],
        place=f"{i} ({parts.scheme}://{parts.netloc})",
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        target=target,
        secret=_secret(i, secret),
    )


def _secret(i: int, text: str) -> bytes:
    try:
        found = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except binascii.Error:
        found = b""
    if not LEAST_SECRET <= len(found) <= MOST_SECRET:
        raise _bad(f"webhook {i} has no secret that can sign", hint=f"make one: {_NEW}")
    return found


def _bad(message: str, *, limit: str = _FORM, hint: str | None = None) -> Rejected:
    return Rejected(message, code="BAD_WEBHOOK", field="MODELMARK_WEBHOOKS", limit=limit, hint=hint)
