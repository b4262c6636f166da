"""Accounts and keys: who somebody is, and whether they may. Every change of them is an act in the audit chain."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from modelmark.domain.audit import Act
from modelmark.domain.errors import Conflict, Missing, NotPermitted, Rejected
from modelmark.domain.people import Account, ApiKey, Permission, Principal, Role, Session
from modelmark.domain.ports import AccountStore, Clock
from modelmark.domain.printable import one_line
from modelmark.governance.attempts import COMMAND_LINE, Attempts
from modelmark.governance.audit import Audit
from modelmark.seal import passwords

SESSION: Final = timedelta(hours=12)
KEY_DAYS: Final = 90


class People:
    """The directory behind its rules. by: who acts; None for the owner of the workspace, at the command line."""

    def __init__(self, directory: AccountStore, audit: Audit, clock: Clock) -> None:
        self._directory = directory
        self._audit = audit
        self._clock = clock
        self._attempts = Attempts(directory, audit, clock)

    def permit(self, by: Principal | None, permission: Permission) -> None:
        """Raises NotPermitted unless `by` may. Until the first account exists, the workspace's owner may everything."""
        if by is None:
            if self._directory.accounts():
                raise NotPermitted(
                    "this workspace has accounts, so an act needs one",
                    code="SIGN_IN",
                    hint="sign in on the dashboard, or set MODELMARK_KEY to a key of yours",
                )
            return
        if not by.may(permission):
            held = ", ".join(sorted(by.permissions)) or "nothing"
            raise NotPermitted(f"{by.name} may not {permission}", code="NOT_ALLOWED", limit=f"{by.login} may: {held}")

    def add(
        self,
        login: str,
        *,
        name: str,
        roles: Collection[Role],
        password: str,
        admin: bool = False,
        email: str = "",
        by: Principal | None = None,
    ) -> Account:
        """A new account. The first one administers, so that there is somebody who can make the next."""
        self.permit(by, Permission.ADMINISTER)
        _require_login(login)
        _require_password(password, login, name)
        _require_name(name, email)
        with self._directory.transaction():
            known = self._directory.accounts()
            if any(account.login == login for account in known):
                raise Conflict(f"there is an account {login!r} already", code="ACCOUNT_EXISTS", field="login")
            if any(account.name == name for account in known):
                raise Conflict(f"{name} has an account already", code="NAME_EXISTS", field="name")
            account = Account(
                login=login,
                name=name,
                roles=tuple(sorted(set(roles))),
                admin=admin or not known,
                email=email,
                password=passwords.hash_password(password),
                created_at=self._clock(),
            )
            self._directory.put_account(account)
            self._audit.append(_actor(by), Act.ADDED_ACCOUNT, login, **accounted(account))
        return account

    def change(
        self,
        login: str,
        *,
        roles: Collection[Role] | None = None,
        admin: bool | None = None,
        enable: bool = False,
        by: Principal | None = None,
    ) -> Account:
        """Other roles, administration or not, or open again what was ended. None leaves a thing as it is."""
        self.permit(by, Permission.ADMINISTER)
        with self._directory.transaction():
            account = self._known(login)
            if admin is False:
                self._require_admin(account)
            changed = replace(
                account,
                roles=account.roles if roles is None else tuple(sorted(set(roles))),
                admin=account.admin if admin is None else admin,
                disabled_at=None if enable else account.disabled_at,
            )
            self._directory.put_account(changed)
            self._audit.append(_actor(by), Act.CHANGED_ACCOUNT, login, **accounted(changed))
        return changed

    def _require_admin(self, account: Account) -> None:
        """Raises NotPermitted where nobody would be left who can make accounts."""
        others = [
            a for a in self._directory.accounts() if a.admin and a.disabled_at is None and a.login != account.login
        ]
        if account.admin and not others:
            raise NotPermitted(
                f"{account.login} is the last administrator",
                code="LAST_ADMIN",
                hint="make another one first: modelmark account change LOGIN --admin",
            )

    def disable(self, login: str, *, by: Principal | None = None) -> Account:
        """End an account: its sessions and keys are void at once. The last administrator stays."""
        self.permit(by, Permission.ADMINISTER)
        with self._directory.transaction():
            account = self._known(login)
            self._require_admin(account)
            ended = replace(account, disabled_at=self._clock())
            self._directory.put_account(ended)
            self._directory.end_sessions(login=login)
            self._audit.append(_actor(by), Act.DISABLED_ACCOUNT, login, **accounted(ended))
        return ended

    def change_password(self, login: str, password: str, *, by: Principal) -> None:
        """One's own, or as an administrator anybody's. Ends that account's sessions."""
        self._permit_own(login, by)
        with self._directory.transaction():
            account = self._known(login)
            _require_password(password, login, account.name)
            changed = replace(account, password=passwords.hash_password(password))
            self._directory.put_account(changed)
            self._directory.end_sessions(login=login)
            self._audit.append(_actor(by), Act.CHANGED_PASSWORD, login, **accounted(changed))

    def by_password(self, login: str, password: str, *, source: str = COMMAND_LINE) -> Principal:
        """Raises NotPermitted for a wrong pair (the same words and the same work for either), Overloaded after too many
        failures from that source in a minute, or while others are looked at."""
        begun = self._attempts.begin(login, source)
        account = self._directory.account(login)
        good = passwords.verify_password(account.password if account else None, password[: passwords.LONGEST])
        if account is None or not good or account.disabled_at is not None:
            self._attempts.failed(account.login if account else None, source)
            raise NotPermitted("login and password do not belong together", code="BAD_LOGIN")
        self._attempts.succeeded(login, source, begun)
        return Principal(account=account, permissions=account.permissions(), via="password")

    def open_session(self, principal: Principal, *, source: str = COMMAND_LINE) -> str:
        """The token for the browser's cookie."""
        token, now = passwords.new_secret(), self._clock()
        session = Session(
            digest=passwords.digest_secret(token), login=principal.login, created_at=now, expires_at=now + SESSION
        )
        with self._directory.transaction():
            self._directory.add_session(session)
            self._audit.append(principal.login, Act.SIGNED_IN, principal.login, source=source)
        return token

    def by_session(self, token: str) -> Principal | None:
        """None for a session that is unknown, over, or of a disabled account."""
        session = self._directory.session(passwords.digest_secret(token))
        if session is None or session.expires_at <= self._clock():
            return None
        account = self._directory.account(session.login)
        if account is None or account.disabled_at is not None:
            return None
        return Principal(account=account, permissions=account.permissions(), via="session")

    def close_session(self, token: str) -> None:
        """Sign out; of a token that opens nothing, nothing is told."""
        digest = passwords.digest_secret(token)
        with self._directory.transaction():
            session = self._directory.session(digest)
            if session is not None:
                self._directory.end_sessions(digest=digest)
                self._audit.append(session.login, Act.SIGNED_OUT, session.login)

    def issue_key(
        self, login: str, *, scopes: Collection[Permission], days: int = KEY_DAYS, by: Principal | None = None
    ) -> tuple[ApiKey, str]:
        """A key for a machine, and its secret, which is shown this once. Own keys, or as an administrator anybody's."""
        self._permit_own(login, by)
        if not 1 <= days <= 366:
            raise Rejected("a key's life is outside its range", code="BAD_DAYS", field="days", limit="1 to 366 days")
        with self._directory.transaction():
            account = self._known(login)
            may = by.permissions if by and by.login == login else account.permissions()
            beyond = sorted(set(scopes) - may)
            if beyond or not scopes:
                raise Rejected(
                    f"{login} cannot give a key what it does not have itself: {', '.join(beyond) or 'nothing was asked'}",
                    code="BAD_SCOPES",
                    field="scopes",
                    limit=", ".join(sorted(may)) or "nothing",
                )
            secret, now = "mm_" + passwords.new_secret(), self._clock()
            key = ApiKey(
                id=secrets.token_hex(6),
                login=login,
                digest=passwords.digest_secret(secret),
                scopes=tuple(sorted(set(scopes))),
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
            self._directory.put_key(key)
            self._audit.append(
                _actor(by), Act.ISSUED_KEY, login, key=key.id, scopes=key.scopes, expires_at=key.expires_at
            )
        return key, secret

    def revoke_key(self, id: str, *, by: Principal | None = None) -> ApiKey:
        with self._directory.transaction():
            found = next((key for key in self._directory.api_keys() if key.id == id), None)
            if found is None:
                raise Missing(f"there is no key {id!r}", code="NO_KEY", field="key")
            if by is None or by.login != found.login:
                self.permit(by, Permission.ADMINISTER)
            ended = replace(found, revoked_at=self._clock())
            self._directory.put_key(ended)
            self._audit.append(_actor(by), Act.REVOKED_KEY, found.login, key=id)
        return ended

    def by_key(self, secret: str) -> Principal:
        """Raises NotPermitted for a key that is unknown, revoked, expired, or of a disabled account."""
        key = self._directory.key(passwords.digest_secret(secret))
        account = self._directory.account(key.login) if key else None
        now = self._clock()
        if key is None or account is None or key.revoked_at or key.expires_at <= now or account.disabled_at:
            raise NotPermitted("this key opens nothing", code="BAD_KEY", hint="modelmark account keys lists yours")
        return Principal(
            account=account, permissions=frozenset(key.scopes) & account.permissions(), via=f"key {key.id}"
        )

    def _permit_own(self, login: str, by: Principal | None) -> None:
        """Whoever signed in, for their own account; a key only where it administers, for it is not the person."""
        if by is None or by.login != login or by.by_key:
            self.permit(by, Permission.ADMINISTER)

    def accounts(self) -> tuple[Account, ...]:
        return tuple(self._directory.accounts())

    def keys(self, login: str | None = None) -> tuple[ApiKey, ...]:
        return tuple(self._directory.api_keys(login))

    def _known(self, login: str) -> Account:
        account = self._directory.account(login)
        if account is None:
            known = ", ".join(a.login for a in self._directory.accounts()) or "none"
            raise Missing(f"there is no account {login!r}", code="NO_ACCOUNT", field="login", limit=f"known: {known}")
        return account


def accounted(account: Account) -> dict[str, Any]:
    """What the audit tells of an account at each change, so that one edited past the acts is found."""
    return {
        "name": account.name,
        "roles": account.roles,
        "admin": account.admin,
        "disabled": account.disabled_at is not None,
        "password": passwords.digest_secret(account.password),  # of the salted hash
    }


def _actor(by: Principal | None) -> str:
    return by.login if by else "the workspace's owner"


def _require_login(login: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,62}", login):
        raise Rejected(
            "this is no login", code="BAD_NAME", field="login", limit="1 to 63 of a-z 0-9 . _ -, a letter first"
        )


def _require_name(name: str, email: str) -> None:
    if not name.strip():
        raise Rejected("an account needs the person's full name", code="NO_NAME", field="name", limit="as in contracts")
    for field, text in (("name", name), ("email", email)):
        if len(text) > 255 or one_line(text) != text:
            raise Rejected(
                f"this is no {field}", code="BAD_NAME", field=field, limit="one line of at most 255 characters"
            )


def _require_password(password: str, login: str, name: str) -> None:
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
