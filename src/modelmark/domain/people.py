"""Who may do what: accounts, the keys of machines, and the permissions of roles. Default: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from modelmark.domain.later import later
from modelmark.domain.strict import part


class Role(StrEnum):
    """Who somebody is in a release."""

    DATA_SCIENCE = "data_science"
    ENGINEERING = "engineering"
    PRODUCT = "product"
    RISK = "risk"
    OPERATIONS = "operations"


@part
class Person:
    """Somebody with a say."""

    role: Role
    """The part this person plays."""
    name: str = ""
    """Full name. Only a person can fill this."""
    email: str = ""
    """Where to reach them."""
    signs: bool = False
    """True: no release without this person's approval."""


class Permission(StrEnum):
    """One kind of act. Everything that changes anything asks for exactly one of these."""

    VIEW = "view"
    COMMENT = "comment"
    APPROVE = "approve"
    WAIVE = "waive"
    REGISTER = "register"
    RELEASE = "release"
    ADMINISTER = "administer"


_SIGNER: Final = frozenset({Permission.VIEW, Permission.COMMENT, Permission.APPROVE, Permission.WAIVE})
#: What each role may do. Whether somebody's approval counts is the contract's to say: it names the signers.
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.DATA_SCIENCE: _SIGNER | {Permission.REGISTER},
    Role.ENGINEERING: _SIGNER | {Permission.REGISTER, Permission.RELEASE},
    Role.PRODUCT: _SIGNER,
    Role.RISK: _SIGNER,
    Role.OPERATIONS: _SIGNER | {Permission.RELEASE},
}


#: What takes a person: agreeing in a name, and making accounts. No machine may, nor anybody whose password somebody else
#: could hold as well.
PEOPLE_ONLY: Final = frozenset({Permission.APPROVE, Permission.WAIVE, Permission.ADMINISTER})
#: Who issued the password of an account that was made before links were.
UNKNOWN: Final = "whoever administered then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One way, once, to set the password of one account. digest: SHA-256 of its token. issued_by: an administrator's login."""

    digest: str
    issued_by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person who can sign in, or a machine that only has keys. name: the full name by which contracts know this person.
    password: an Argon2 hash; empty until a link is redeemed.

    issued_by: whose link set the password, or who made the machine's last key; empty where the workspace's owner set the
    account up, UNKNOWN for earlier ones. confirmed_by: somebody else who says that its person alone holds it.
    """

    login: str
    name: str
    roles: tuple[Role, ...]
    admin: bool
    email: str
    password: str
    created_at: datetime
    disabled_at: datetime | None = None
    machine: bool = later(default=False)
    issued_by: str = later(default=UNKNOWN)
    confirmed_by: str = later(default="")
    link: Link | None = later(default=None)

    @property
    def confirmed(self) -> bool:
        """Nobody but its person holds its password, as far as two people can say."""
        return bool(self.password) and (not self.issued_by or bool(self.confirmed_by))

    def permissions(self) -> frozenset[Permission]:
        """Those of every role held; administration apart from them all. None for a disabled account."""
        if self.disabled_at is not None:
            return frozenset()
        own = frozenset[Permission]().union(*(PERMISSIONS[role] for role in self.roles))
        held = own | {Permission.VIEW} | ({Permission.ADMINISTER} if self.admin else frozenset())
        return held if self.confirmed and not self.machine else held - PEOPLE_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A script's way in. digest: SHA-256 of the secret, which is shown once. scopes: at most the account's own.
    issued_by: the login of whoever made it; empty for earlier ones."""

    id: str
    login: str
    digest: str
    scopes: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    issued_by: str = later(default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser. digest: SHA-256 of the token in its cookie."""

    digest: str
    login: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated account and what it may do here: all of its permissions, or a key's scopes of them.

    issued_by: who made the key or the link behind the password, where that is somebody else.
    """

    account: Account
    permissions: frozenset[Permission]
    via: str  # session, password, or `key ID`
    issued_by: str = ""

    @property
    def login(self) -> str:
        return self.account.login

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def by_key(self) -> bool:
        return self.via.startswith("key ")

    @property
    def also(self) -> str:
        """The login of whoever else may hold this credential; empty when somebody confirmed that nobody does."""
        return "" if self.account.confirmed and not self.account.machine else self.issued_by

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


def credential(by: Principal | None) -> dict[str, str]:
    """How somebody came in, for an audit event, an approval or a waiver: via, and where it is not their own making, by
    whom it was issued and confirmed."""
    if by is None:
        return {"via": "owner"}
    found = {"via": by.via, "issued_by": by.issued_by, "confirmed_by": by.account.confirmed_by if by.issued_by else ""}
    return {name: value for name, value in found.items() if value}


def credential_told(via: str, issued_by: str, confirmed_by: str) -> str:
    """One phrase for people.

    >>> credential_told("session", "ada", "cy")
    'by session; credential issued by ada, confirmed by cy'
    """
    if not via:
        return "how they signed in was not recorded then"
    issued = f"; credential issued by {issued_by}" if issued_by else ""
    return f"by {via}{issued}" + (f", confirmed by {confirmed_by}" if confirmed_by else "")
