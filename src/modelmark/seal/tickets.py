"""Tickets and approvals under this workspace's signature."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Final

from modelmark.domain.errors import NotPermitted, Tampered
from modelmark.domain.release import Approval, Ticket
from modelmark.seal.digests import canonical
from modelmark.seal.envelope import pae, unwrap, wrap
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.values import restore

TICKET_TYPE: Final = "application/vnd.modelmark.ticket+json"
APPROVAL_TYPE: Final = "application/vnd.modelmark.approval+json"


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


def sign_approval(approval: Approval, signer: Signer) -> Approval:
    signature = signer.sign(pae(APPROVAL_TYPE, _unsigned(approval)))
    return replace(approval, signature=base64.b64encode(signature).decode())


def authentic(approval: Approval, verifier: Verifier) -> bool:
    """Whether this workspace signed exactly this approval."""
    try:
        verifier.check(base64.b64decode(approval.signature, validate=True), pae(APPROVAL_TYPE, _unsigned(approval)))
    except (Tampered, binascii.Error, ValueError):
        return False
    return True


def _unsigned(approval: Approval) -> bytes:
    return canonical(replace(approval, signature=""))
