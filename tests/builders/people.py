"""A sign-off desk over in-memory twins, with a key of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builders.keys import signer
from modelmark.domain.people import Account, Principal, Role
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.governance.signoff import SignOff
from modelmark.seal.keys import Signer
from modelmark.testing.account_store import MemoryAccountStore
from modelmark.testing.ledger import MemoryLedger

PASSWORD = "a long enough secret"


def people(ledger: MemoryLedger | None = None, clock: Callable[[], datetime] | None = None) -> People:
    from builders.domain import NOON

    clock = clock or (lambda: NOON)
    return People(MemoryAccountStore(), Audit(ledger or MemoryLedger(), clock, signer), clock)


def sign_off(ledger: MemoryLedger, clock: Callable[[], datetime], **changes: Any) -> SignOff:
    key = Signer(Ed25519PrivateKey.generate())
    usual = {
        "people": people(ledger, clock),
        "clock": clock,
        "environment": "production",
        "signer": lambda: key,
        "verifier": key.verifier,
    }
    return SignOff(**{**usual, **changes})


def principal(of: People, login: str, name: str, *roles: Role) -> Principal:
    """An account made now, signed in. The first made in a directory administers as well."""
    known: Account | None = next((a for a in of.accounts() if a.login == login), None)
    if known is None:
        admins = [a for a in of.accounts() if a.admin]
        boss = Principal(account=admins[0], permissions=admins[0].permissions(), via="password") if admins else None
        known = of.add(login, name=name, roles=roles, password=PASSWORD, by=boss)
    return Principal(account=known, permissions=known.permissions(), via="password")
