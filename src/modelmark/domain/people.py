"""Who may do what: accounts, the keys of machines, and the permissions of roles. Default: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person who can sign in. name: the full name by which contracts know this person. password: an Argon2 hash."""

    login: str
    name: str
    roles: tuple[Role, ...]
    admin: bool
    email: str
    password: str
    created_at: datetime
    disabled_at: datetime | None = None

    def permissions(self) -> frozenset[Permission]:
        """Those of every role held; administration apart from them all. None for a disabled account."""
        if self.disabled_at is not None:
            return frozenset()
        own = frozenset[Permission]().union(*(PERMISSIONS[role] for role in self.roles))
        return own | {Permission.VIEW} | ({Permission.ADMINISTER} if self.admin else frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A machine's way in. digest: SHA-256 of the secret, which is shown once. scopes: at most the account's own."""

    id: str
    login: str
    digest: str
    scopes: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser. digest: SHA-256 of the token in its cookie."""

    digest: str
    login: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated account and what it may do here: all of its permissions, or a key's scopes of them."""

    account: Account
    permissions: frozenset[Permission]
    via: str  # session, password, or `key ID`

    @property
    def login(self) -> str:
        return self.account.login

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def by_key(self) -> bool:
        return self.via.startswith("key ")

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions
