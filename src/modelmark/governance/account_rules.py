"""What every account must have, and what the audit tells of one at each change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from modelmark.domain.errors import Conflict, Rejected
from modelmark.domain.people import Account, Principal
from modelmark.domain.printable import one_line
from modelmark.seal import passwords

OWNER = "the workspace's owner"


def accounted(account: Account) -> dict[str, Any]:
    """What the audit tells of an account at each change, so that one edited past the acts is found."""
    return {
        "name": account.name,
        "roles": account.roles,
        "admin": account.admin,
        "machine": account.machine,
        "disabled": account.disabled_at is not None,
        "password": passwords.digest_secret(account.password),  # of the salted hash
        "issued_by": account.issued_by,
        "confirmed_by": account.confirmed_by,
        "link": account.link.digest if account.link else "",
    }


def actor_of(by: Principal | None) -> str:
    return by.login if by else OWNER


def require_new(login: str, name: str, email: str, known: Iterable[Account]) -> None:
    """Raises Rejected for a login or name that cannot be, Conflict for one that is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,62}", login):
        raise Rejected(
            "this is no login", code="BAD_NAME", field="login", limit="1 to 63 of a-z 0-9 . _ -, a letter first"
        )
    if not name.strip():
        raise Rejected("an account needs the person's full name", code="NO_NAME", field="name", limit="as in contracts")
    for field, text in (("name", name), ("email", email)):
        if len(text) > 255 or one_line(text) != text:
            raise Rejected(
                f"this is no {field}", code="BAD_NAME", field=field, limit="one line of at most 255 characters"
            )
    for account in known:
        if account.login == login:
            raise Conflict(f"there is an account {login!r} already", code="ACCOUNT_EXISTS", field="login")
        if account.name == name:
            raise Conflict(f"{name} has an account already", code="NAME_EXISTS", field="name")


def require_password(password: str, login: str, name: str) -> None:
    if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
        raise Rejected(
            "the password is too short or too long",
            code="WEAK_PASSWORD",
            field="password",
            limit=f"{passwords.SHORTEST} to {passwords.LONGEST} characters",
        )
    known = password.lower()
    if (
        len(set(known)) < 5
        or known in (login.lower() * 12, name.lower())
        or login.lower() == known.strip("0123456789!")
    ):
        raise Rejected(
            "the password is too easy to guess",
            code="WEAK_PASSWORD",
            field="password",
            limit="five different characters at least, and not the login or the name",
        )
