"""Accounts and keys: who somebody is, and whether they may. Every change of them is an act in the audit chain."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Final

from modelmark.domain.audit import Act
from modelmark.domain.errors import Missing, NotPermitted, Rejected
from modelmark.domain.people import PEOPLE_ONLY, Account, ApiKey, Permission, Principal, Role, Session, credential
from modelmark.domain.ports import AccountStore, Clock
from modelmark.governance.account_rules import accounted, actor_of, require_new, require_password
from modelmark.governance.attempts import COMMAND_LINE, Attempts
from modelmark.governance.audit import Audit
from modelmark.governance.links import Links
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
        self.links = Links(directory=directory, audit=audit, clock=clock)

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
            raise _refusal(by, permission)

    def add(self, login: str, *, name: str, roles: Collection[Role], password: str, email: str = "") -> Account:
        """The first account, by the workspace's owner for themselves: it administers. Everybody else is invited.

        Raises NotPermitted (INVITE) where there is an account: nobody chooses another's password.
        """
        require_password(password, login, name)
        with self._directory.transaction():
            known = self._directory.accounts()
            if known:
                raise NotPermitted(
                    "the others are invited by an administrator, and choose their own passwords",
                    code="INVITE",
                    hint="modelmark account add LOGIN, with an administrator's MODELMARK_KEY, prints a link",
                )
            require_new(login, name, email, known)
            account = Account(
                login=login, name=name, roles=tuple(sorted(set(roles))), admin=True, email=email,
                password=passwords.hash_password(password), created_at=self._clock(), issued_by="",
            )  # fmt: skip
            self._directory.put_account(account)
            self._tell(None, Act.ADDED_ACCOUNT, account)
        return account

    def invite(
        self,
        login: str,
        *,
        name: str,
        roles: Collection[Role],
        admin: bool = False,
        machine: bool = False,
        email: str = "",
        by: Principal | None,
    ) -> tuple[Account, str]:
        """As `Links.invite`, by an administrator."""
        administrator = self._administrator(by)
        return self.links.invite(
            login, name=name, roles=roles, admin=admin, machine=machine, email=email, by=administrator
        )

    def reset(self, login: str, *, by: Principal | None) -> str:
        """As `Links.reset`, by an administrator."""
        administrator = self._administrator(by)
        return self.links.reset(self._known(login), by=administrator)

    def _administrator(self, by: Principal | None) -> Principal:
        self.permit(by, Permission.ADMINISTER)
        if by is None:
            raise NotPermitted(
                "this workspace has no account yet, so nobody administers it",
                code="NO_ACCOUNTS",
                hint="make your own first: modelmark account add LOGIN --help",
            )
        return by

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
            if admin and account.machine:
                raise Rejected("a machine administers nothing", code="MACHINE_ADMIN", field="admin", limit="people")
            changed = replace(
                account,
                roles=account.roles if roles is None else tuple(sorted(set(roles))),
                admin=account.admin if admin is None else admin,
                disabled_at=None if enable else account.disabled_at,
            )
            self._directory.put_account(changed)
            self._tell(by, Act.CHANGED_ACCOUNT, changed)
        return changed

    def _require_admin(self, account: Account) -> None:
        """Raises NotPermitted where nobody would be left who can make accounts."""
        others = [
            a
            for a in self._directory.accounts()
            if Permission.ADMINISTER in a.permissions() and a.login != account.login
        ]
        if account.admin and not others:
            raise NotPermitted(
                f"{account.login} is the last administrator",
                code="LAST_ADMIN",
                hint="make another one first, whom somebody confirms: modelmark account change LOGIN --admin",
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
            self._tell(by, Act.DISABLED_ACCOUNT, ended)
        return ended

    def change_password(self, login: str, password: str, *, by: Principal) -> None:
        """One's own, by whoever has just given the present one. Ends that account's sessions.

        Raises NotPermitted (NOT_YOURS) for everybody else: an administrator resets it, and its person chooses.
        """
        if by.login != login or by.by_key:
            raise NotPermitted(
                f"only {login} changes this password, with the present one",
                code="NOT_YOURS",
                hint="an administrator can make a link for it: modelmark account reset LOGIN",
            )
        with self._directory.transaction():
            account = self._known(login)
            require_password(password, login, account.name)
            changed = replace(account, password=passwords.hash_password(password), link=None)
            self._directory.put_account(changed)
            self._directory.end_sessions(login=login)
            self._tell(by, Act.CHANGED_PASSWORD, changed)

    def by_password(self, login: str, password: str, *, source: str = COMMAND_LINE) -> Principal:
        """Raises NotPermitted for a wrong pair (the same words and the same work for either), Overloaded after too many
        failures from that source in a minute, or while others are looked at."""
        begun = self._attempts.begin(login, source)
        account = self._directory.account(login)
        kept = account.password if account else None
        good = passwords.verify_password(kept or None, password[: passwords.LONGEST])
        if account is None or not good or account.disabled_at is not None:
            self._attempts.failed(account.login if account else None, source)
            raise NotPermitted("login and password do not belong together", code="BAD_LOGIN")
        self._attempts.succeeded(login, source, begun)
        return _person(account, "password")

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
        return _person(account, "session")

    def close_session(self, token: str) -> None:
        """Sign out; of a token that opens nothing, nothing is told."""
        digest = passwords.digest_secret(token)
        with self._directory.transaction():
            session = self._directory.session(digest)
            if session is not None:
                self._directory.end_sessions(digest=digest)
                self._audit.append(session.login, Act.SIGNED_OUT, session.login)

    def issue_key(
        self, login: str, *, scopes: Collection[Permission], days: int = KEY_DAYS, by: Principal | None
    ) -> tuple[ApiKey, str]:
        """A key for a script, and its secret, which is shown this once: one's own, or as an administrator a machine's."""
        if not 1 <= days <= 366:
            raise Rejected("a key's life is outside its range", code="BAD_DAYS", field="days", limit="1 to 366 days")
        with self._directory.transaction():
            account, by = self._key_holder(login, by)
            may = by.permissions if by.login == login else account.permissions()
            if by.by_key:
                may -= PEOPLE_ONLY  # what a key makes is less than its person
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
                id=secrets.token_hex(6), login=login, digest=passwords.digest_secret(secret),
                scopes=tuple(sorted(set(scopes))), created_at=now, expires_at=now + timedelta(days=days),
                issued_by=by.login,
            )  # fmt: skip
            self._directory.put_key(key)
            self._audit.append(
                by.login, Act.ISSUED_KEY, login, key=key.id, scopes=key.scopes, expires_at=key.expires_at,
                **credential(by),
            )  # fmt: skip
        return key, secret

    def _key_holder(self, login: str, by: Principal | None) -> tuple[Account, Principal]:
        """Whose key it will be and who makes it. Raises NotPermitted for anybody else's than a machine's."""
        if by is None or by.login != login or by.by_key:
            by = self._administrator(by)
        account = self._known(login)
        if by.login != login and not account.machine:
            raise NotPermitted(
                f"only {login} makes keys of {login}, signed in",
                code="NOT_YOURS",
                limit="your own keys, and those of machines",
                hint="a script gets an account of its own: modelmark account add LOGIN --machine",
            )
        return account, by

    def revoke_key(self, id: str, *, by: Principal | None = None) -> ApiKey:
        with self._directory.transaction():
            found = next((key for key in self._directory.api_keys() if key.id == id), None)
            if found is None:
                raise Missing(f"there is no key {id!r}", code="NO_KEY", field="key")
            if by is None or by.login != found.login:
                self.permit(by, Permission.ADMINISTER)
            ended = replace(found, revoked_at=self._clock())
            self._directory.put_key(ended)
            self._audit.append(actor_of(by), Act.REVOKED_KEY, found.login, key=id, **credential(by))
        return ended

    def by_key(self, secret: str) -> Principal:
        """Raises NotPermitted for a key that is unknown, revoked, expired, or of a disabled account."""
        key = self._directory.key(passwords.digest_secret(secret))
        account = self._directory.account(key.login) if key else None
        now = self._clock()
        if key is None or account is None or key.revoked_at or key.expires_at <= now or account.disabled_at:
            raise NotPermitted("this key opens nothing", code="BAD_KEY", hint="modelmark account keys lists yours")
        may = frozenset(key.scopes) & account.permissions()
        if key.issued_by != key.login:  # a machine's, or from before it was recorded who made it
            may -= PEOPLE_ONLY
        issued_by = key.issued_by if key.issued_by != key.login else account.issued_by
        return Principal(account=account, permissions=may, via=f"key {key.id}", issued_by=issued_by)

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

    def _tell(self, by: Principal | None, act: Act, account: Account) -> None:
        self._audit.append(actor_of(by), act, account.login, **accounted(account), via=credential(by)["via"])


def _person(account: Account, via: str) -> Principal:
    return Principal(account=account, permissions=account.permissions(), via=via, issued_by=account.issued_by)


def _refusal(by: Principal, permission: Permission) -> NotPermitted:
    """Why not, where there is more to say than that nobody gave it."""
    held = ", ".join(sorted(by.permissions)) or "nothing"
    said, limit = f"{by.name} may not {permission}", f"{by.login} may: {held}"
    if permission not in PEOPLE_ONLY or by.account.machine or by.account.disabled_at is not None:
        return NotPermitted(said, code="NOT_ALLOWED", limit=limit)
    if not by.account.confirmed:
        return NotPermitted(
            f"{said}: {by.account.issued_by or 'somebody'} made the way to the password of {by.login}, and nobody else has "
            "confirmed who holds it",
            code="NOT_CONFIRMED",
            limit=limit,
            hint=f"another person says so: modelmark account confirm {by.login} --by LOGIN",
        )
    hint = "only a key that its own person made, signed in, can: modelmark account key" if by.by_key else None
    return NotPermitted(said, code="NOT_ALLOWED", limit=limit, hint=hint)
