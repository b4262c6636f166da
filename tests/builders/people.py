"""A sign-off desk over in-memory twins, with a key of its own, and acts that reach nothing outside the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builders.keys import signer
from modelmark.domain.people import Account, Permission, Principal, Role
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.governance.releases import Effects
from modelmark.governance.signoff import SignOff
from modelmark.seal.keys import Signer
from modelmark.testing.account_store import MemoryAccountStore
from modelmark.testing.ledger import MemoryLedger

PASSWORD = "a long enough secret"


def no_effects(**changes: Any) -> Effects:
    return Effects(**{"issue_mark": lambda *_: b"", "keep_mark": lambda *_: None, "publish": lambda _: None, **changes})


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
    """An account made now, signed in; its person chose the password, and somebody else confirmed it. The first made in a
    directory administers as well."""
    known: Account | None = next((a for a in of.accounts() if a.login == login), None)
    if known is None and not of.accounts():
        known = of.add(login, name=name, roles=roles, password=PASSWORD)
    elif known is None:
        invited(of, login, name, *roles)
        known = of.links.confirm(login, by=None)
    return signed_in(known)


def signed_in(account: Account) -> Principal:
    return Principal(account=account, permissions=account.permissions(), via="password", issued_by=account.issued_by)


def invited(of: People, login: str, name: str, *roles: Role, admin: bool = False) -> Account:
    """An account whose person redeemed the link of the first administrator, and whom nobody has confirmed."""
    boss = next(a for a in of.accounts() if Permission.ADMINISTER in a.permissions())
    _, token = of.invite(login, name=name, roles=roles, admin=admin, by=signed_in(boss))
    return of.links.redeem(token, PASSWORD)
