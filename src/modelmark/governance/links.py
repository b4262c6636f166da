"""How a person comes to a password that nobody else chose: a link that works once, and somebody else's word for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.errors import Missing, NotPermitted, Rejected
from modelmark.domain.people import UNKNOWN, Account, Link, Principal, Role, credential
from modelmark.domain.ports import AccountStore, Clock
from modelmark.governance.account_rules import accounted, actor_of, require_new, require_password
from modelmark.governance.audit import Audit
from modelmark.seal import passwords

#: How long a link works.
LINK: Final = timedelta(hours=24)


def awaits(account: Account) -> bool:
    """Whether somebody's word is wanted that only its person holds the account's password."""
    return not account.machine and bool(account.password) and not account.confirmed and account.disabled_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Whoever issues a link could redeem it. So the account it leads to approves, waives and administers nothing until
    somebody else, who is confirmed, says that its person holds it."""

    directory: AccountStore
    audit: Audit
    clock: Clock

    def invite(
        self,
        login: str,
        *,
        name: str,
        roles: Collection[Role],
        admin: bool = False,
        machine: bool = False,
        email: str = "",
        by: Principal,
    ) -> tuple[Account, str]:
        """A new account without a password, and the token that sets one, once. A machine has no password and no token."""
        if machine and admin:
            raise Rejected("a machine administers nothing", code="MACHINE_ADMIN", field="admin", limit="people")
        with self.directory.transaction():
            require_new(login, name, email, self.directory.accounts())
            token = "" if machine else passwords.new_secret()
            account = Account(
                login=login, name=name, roles=tuple(sorted(set(roles))), admin=admin, email=email, password="",
                created_at=self.clock(), machine=machine, issued_by=by.login,
                link=None if machine else self._link(token, by),
            )  # fmt: skip
            self.directory.put_account(account)
            self._tell(Act.ADDED_ACCOUNT, account, by)
        return account, token

    def reset(self, account: Account, *, by: Principal) -> str:
        """The token with which its person sets a new password. The present one works until then."""
        if account.machine:
            raise NotPermitted(f"{account.login} is a machine and has no password", code="NO_PASSWORD")
        if account.login == by.login:
            raise NotPermitted(
                "nobody resets their own password", code="OWN_RESET", hint="change it: modelmark account password"
            )
        token = passwords.new_secret()
        with self.directory.transaction():
            linked = replace(account, link=self._link(token, by))
            self.directory.put_account(linked)
            self._tell(Act.ISSUED_LINK, linked, by)
        return token

    def behind(self, token: str) -> Account:
        """Whose link this is. Raises NotPermitted (BAD_LINK) for one that is unknown, used, replaced or over."""
        digest = passwords.digest_secret(token)
        for account in self.directory.accounts():
            link, ended = account.link, account.disabled_at is not None
            if link and passwords.same(link.digest, digest) and self.clock() < link.expires_at and not ended:
                return account
        raise NotPermitted(
            "this link opens nothing: it works once, for a day",
            code="BAD_LINK",
            field="link",
            hint="ask an administrator for another one",
        )

    def redeem(self, token: str, password: str) -> Account:
        """Set the password, by whoever holds the link. Ends the account's sessions and keys, and its confirmation."""
        with self.directory.transaction():
            account = self.behind(token)
            require_password(password, account.login, account.name)
            assert account.link is not None  # `behind` found it by its link
            changed = replace(
                account,
                password=passwords.hash_password(password),
                issued_by=account.link.issued_by,
                confirmed_by="",
                link=None,
            )
            self.directory.put_account(changed)
            self._end_all(account.login)
            self._tell(Act.REDEEMED_LINK, changed, None, via="link", by_whom=account.login)
        return changed

    def confirm(self, login: str, *, by: Principal | None) -> Account:
        """Say that its person, and nobody else, holds the account's password.

        by: somebody confirmed, signed in, who is not the account's own person and did not issue its link. None: the owner
        of the workspace, for an account of earlier days, or as long as nobody has done anything with an account yet.
        """
        with self.directory.transaction():
            account = self.directory.account(login)
            if account is None:
                raise Missing(f"there is no account {login!r}", code="NO_ACCOUNT", field="login")
            self._require_confirmable(account)
            self._require_another(account, by)
            confirmed = replace(account, confirmed_by=actor_of(by))
            self.directory.put_account(confirmed)
            self._tell(Act.CONFIRMED_ACCOUNT, confirmed, by)
        return confirmed

    def _require_confirmable(self, account: Account) -> None:
        if account.machine or not account.password:
            what = "is a machine" if account.machine else "has not redeemed the link yet"
            raise NotPermitted(f"{account.login} {what}, so there is nothing to confirm", code="NOTHING_TO_CONFIRM")
        if account.confirmed:
            raise NotPermitted(f"{account.login} is confirmed already", code="CONFIRMED_ALREADY")

    def _require_another(self, account: Account, by: Principal | None) -> None:
        if by is None:
            if account.issued_by == UNKNOWN or self._founding(self.audit.events()):
                return
            raise NotPermitted(
                "the workspace's owner confirms accounts at its set-up alone",
                code="SIGN_IN",
                hint=f"somebody else says so: modelmark account confirm {account.login} --by LOGIN, or the page People",
            )
        now = self.directory.account(by.login)
        known = now is not None and now.confirmed and now.disabled_at is None
        if by.by_key or not known or by.login in (account.login, account.issued_by):
            raise NotPermitted(
                f"{by.login} cannot confirm {account.login}",
                code="NOT_ANOTHER",
                limit="somebody who is signed in and confirmed, is another person, and did not issue the link",
            )

    @staticmethod
    def _founding(events: Collection[Event]) -> bool:
        """Nobody has taken a version anywhere since there are accounts: whoever sets the workspace up is still alone."""
        begun = False
        for event in events:
            begun = begun or event.act == Act.ADDED_ACCOUNT
            if begun and event.act in _GOVERNED:
                return False
        return True

    def _link(self, token: str, by: Principal) -> Link:
        return Link(digest=passwords.digest_secret(token), issued_by=by.login, expires_at=self.clock() + LINK)

    def _end_all(self, login: str) -> None:
        self.directory.end_sessions(login=login)
        for key in self.directory.api_keys(login):
            if key.revoked_at is None:
                self.directory.put_key(replace(key, revoked_at=self.clock()))
                self.audit.append(login, Act.REVOKED_KEY, login, key=key.id, via="link")

    def _tell(self, act: Act, account: Account, by: Principal | None, *, via: str = "", by_whom: str = "") -> None:
        how = {"via": via} if via else _how(by)
        self.audit.append(by_whom or actor_of(by), act, account.login, **accounted(account), **how)


def _how(by: Principal | None) -> dict[str, str]:
    """The actor's credential, beside facts of an account that are called alike."""
    return {"via": credential(by)["via"]}


#: The acts that take a version somewhere. From the first of them by an account on, the set-up is over.
_GOVERNED: Final = frozenset({Act.REGISTERED, Act.MEASURED, Act.APPROVED, Act.WAIVED, Act.RELEASED,
                              Act.RELEASED_AS_CANARY, Act.ROLLED_BACK, Act.STAGED, Act.SHADOWED, Act.WITHDRAWN,
                              Act.HELD_ROLLOUT, Act.RESUMED_ROLLOUT, Act.PREREGISTERED,
                              Act.BEGAN_EXPERIMENT, Act.ENDED_EXPERIMENT})  # fmt: skip
