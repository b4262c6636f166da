"""DSSE: a signed envelope around any bytes, with their type inside what is signed.

Source: github.com/secure-systems-lab/dsse, protocol version 1.0 (PAE).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from modelmark.domain.errors import Tampered
from modelmark.seal.digests import canonical
from modelmark.seal.keys import Signer, Verifier


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def wrap(value: Any, payload_type: str, signer: Signer) -> bytes:
    """A JSON envelope around the canonical form of `value`."""
    payload = canonical(value)
    signature = signer.sign(pae(payload_type, payload))
    return canonical(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": signer.verifier().key_id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def unwrap(envelope: bytes, payload_type: str, verifier: Verifier, *, what: str) -> Any:
    """The value inside, after its signature was checked; parses nothing before. Raises Tampered, naming `what`."""
    try:
        return _opened(envelope, payload_type, verifier)
    except Tampered as error:
        said = f"{what} is not as it was signed: {error.message}"
        raise Tampered(said, code=error.code, field=error.field, limit=error.limit) from None


def strict_base64(text: str) -> bytes:
    """The bytes of the one text that base64 has for them. Raises ValueError or TypeError."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the base64 text of these bytes")
    return data


def _opened(envelope: bytes, payload_type: str, verifier: Verifier) -> Any:
    try:
        outer = json.loads(envelope)
        payload = strict_base64(outer["payload"])
        found_type = outer["payloadType"]
        signatures = [(s["keyid"], strict_base64(s["sig"])) for s in outer["signatures"]]
        said = [{"keyid": s["keyid"], "sig": s["sig"]} for s in outer["signatures"]]
        if canonical({"payload": outer["payload"], "payloadType": found_type, "signatures": said}) != envelope:
            raise ValueError("written in another form than ours, or it says more")
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise Tampered("this is not a DSSE envelope", code="BAD_ENVELOPE") from None
    if found_type != payload_type:
        raise Tampered(f"the envelope holds {found_type!r}", code="BAD_ENVELOPE", limit=f"expected {payload_type}")
    ours = [signature for key_id, signature in signatures if key_id == verifier.key_id]
    if not ours:
        raise Tampered(
            "the envelope is not signed by this workspace's key", code="WRONG_KEY", limit=f"expected {verifier.key_id}"
        )
    verifier.check(ours[0], pae(payload_type, payload))
    return json.loads(payload)
