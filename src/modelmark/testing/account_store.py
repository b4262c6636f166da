"""An in-memory twin of `domain.ports.AccountStore`, for tests that do not need SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modelmark.domain.people import Account, ApiKey, Session
from modelmark.testing.transactional import Transactional


class MemoryAccountStore(Transactional):
    """Behaves as the SQL directory does, transactions included."""

    def __init__(self) -> None:
        super().__init__()
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, ApiKey] = {}
        self._sessions: dict[str, Session] = {}
        self._failures: list[tuple[str, datetime]] = []

    def put_account(self, account: Account) -> None:
        self._accounts[account.login] = account

    def account(self, login: str) -> Account | None:
        return self._accounts.get(login)

    def accounts(self) -> Sequence[Account]:
        return sorted(self._accounts.values(), key=lambda account: account.login)

    def put_key(self, key: ApiKey) -> None:
        self._keys[key.id] = key

    def key(self, digest: str) -> ApiKey | None:
        return next((key for key in self._keys.values() if key.digest == digest), None)

    def api_keys(self, login: str | None = None) -> Sequence[ApiKey]:
        found = [key for key in self._keys.values() if login in (None, key.login)]
        return sorted(found, key=lambda key: (key.login, key.id))

    def add_session(self, session: Session) -> None:
        self._sessions[session.digest] = session

    def session(self, digest: str) -> Session | None:
        return self._sessions.get(digest)

    def end_sessions(self, *, login: str | None = None, digest: str | None = None) -> None:
        def ends(session: Session) -> bool:
            return session.login == login if login is not None else session.digest == digest

        self._sessions = {key: session for key, session in self._sessions.items() if not ends(session)}

    def note_failure(self, key: str, at: datetime) -> None:
        self._failures.append((key, at))

    def failures(self, key: str, since: datetime) -> int:
        return sum(1 for name, at in self._failures if name == key and at >= since)

    def forget_failure(self, key: str, at: datetime) -> None:
        self._failures = [item for item in self._failures if item != (key, at)]
