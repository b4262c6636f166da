"""Heads: where a chain stands, under the workspace's signature, so that a chain recomputed without the key is not ours."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from modelmark.domain.errors import Tampered
from modelmark.seal.envelope import pae, strict_base64, unwrap, wrap
from modelmark.seal.keys import Signer, Verifier

#: What a signature under a receipt's link is a signature of.
RECEIPT_TYPE: Final = "application/vnd.modelmark.receipt"
HEAD_TYPE: Final = "application/vnd.modelmark.head+json"


def seal_head(name: str, value: Mapping[str, Any], signer: Signer) -> str:
    """An envelope as text. name: of which chain; a head of one is none of another."""
    return wrap({"chain": name, **value}, HEAD_TYPE, signer).decode()


def open_head(name: str, envelope: str | None, verifier: Verifier) -> Mapping[str, Any]:
    """Raises Tampered where there is none, where it is not signed by this key, or is about another chain."""
    if envelope is None:
        raise Tampered(f"the signed head of the {name} is gone", code="HEAD_GONE", field=name)
    value = unwrap(envelope.encode("utf-8", "surrogatepass"), HEAD_TYPE, verifier, what=f"the head of the {name}")
    if not isinstance(value, dict) or value.get("chain") != name:
        raise Tampered(f"the head of the {name} is about another chain", code="BAD_HEAD", field=name)
    return value


def sign_receipt(signer: Signer, link: bytes) -> str:
    """The signature of a receipt's link, base64."""
    return base64.b64encode(signer.sign(pae(RECEIPT_TYPE, link))).decode()


def check_receipt(verifier: Verifier, link: bytes, signature: str) -> None:
    """Raises Tampered unless `sign_receipt` gave it with this key."""
    try:
        raw = strict_base64(signature)
    except (ValueError, TypeError):
        raise Tampered("a receipt's signature cannot be read", code="BAD_SIGNATURE", field="receipts.jsonl") from None
    verifier.check(raw, pae(RECEIPT_TYPE, link))
