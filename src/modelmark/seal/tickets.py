"""Tickets, approvals and waivers under this workspace's signature."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from modelmark.domain.errors import NotPermitted, Tampered
from modelmark.domain.release import Approval, Ticket, Waiver
from modelmark.seal.digests import canonical
from modelmark.seal.envelope import pae, strict_base64, unwrap, wrap
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.values import restore

TICKET_TYPE: Final = "application/vnd.modelmark.ticket+json"
#: What is signed as itself, and as what: one kind's signature is none of the other's.
TYPES: Final[Mapping[type, str]] = {
    Approval: "application/vnd.modelmark.approval+json",
    Waiver: "application/vnd.modelmark.waiver+json",
}
Act = TypeVar("Act", Approval, Waiver)


def issue_ticket(ticket: Ticket, signer: Signer) -> str:
    """The ticket as text that fits into a form."""
    return base64.urlsafe_b64encode(wrap(ticket, TICKET_TYPE, signer)).decode()


def open_ticket(text: str, verifier: Verifier) -> Ticket:
    """Raises NotPermitted (BAD_TICKET) for anything this workspace did not sign as a ticket."""
    try:
        envelope = base64.urlsafe_b64decode(text.encode("ascii"))
        return restore(Ticket, unwrap(envelope, TICKET_TYPE, verifier, what="the ticket"))
    except (Tampered, binascii.Error, UnicodeError, ValueError):
        raise NotPermitted(
            "this is not a ticket of this workspace", code="BAD_TICKET", field="ticket", hint="open the page again"
        ) from None


def signed(act: Act, signer: Signer) -> Act:
    """The same with this workspace's signature over all its other fields."""
    return replace(act, signature=base64.b64encode(signer.sign(_said(act))).decode())


def authentic(act: Approval | Waiver, verifier: Verifier) -> bool:
    """Whether this workspace signed exactly this."""
    try:
        verifier.check(strict_base64(act.signature), _said(act))
    except (Tampered, binascii.Error, ValueError):
        return False
    return True


def _said(act: Approval | Waiver) -> bytes:
    return pae(TYPES[type(act)], canonical(replace(act, signature="")))
