"""Accounts, keys and sessions in SQL. Only hashes and digests of secrets are ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Table, delete, func, insert, select, update

from modelmark.domain.people import Account, ApiKey, Session
from modelmark.seal.digests import canonical
from modelmark.seal.values import decode
from modelmark.storage import tables
from modelmark.storage.database import Database

T = TypeVar("T")
#: How long a failed sign-in is remembered.
KEPT: Final = timedelta(hours=1)


class SqlAccountStore:
    """Implements `domain.ports.AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    def put_account(self, account: Account) -> None:
        self._put(tables.accounts, {"login": account.login}, account, {})

    def account(self, login: str) -> Account | None:
        return self._first(select(tables.accounts.c.body).where(tables.accounts.c.login == login), Account)

    def accounts(self) -> Sequence[Account]:
        return self._all(select(tables.accounts.c.body).order_by(tables.accounts.c.login), Account)

    def put_key(self, key: ApiKey) -> None:
        self._put(tables.api_keys, {"id": key.id}, key, {"login": key.login, "digest": key.digest})

    def key(self, digest: str) -> ApiKey | None:
        return self._first(select(tables.api_keys.c.body).where(tables.api_keys.c.digest == digest), ApiKey)

    def api_keys(self, login: str | None = None) -> Sequence[ApiKey]:
        query = select(tables.api_keys.c.body).order_by(tables.api_keys.c.login, tables.api_keys.c.id)
        return self._all(query if login is None else query.where(tables.api_keys.c.login == login), ApiKey)

    def add_session(self, session: Session) -> None:
        query = select(tables.sessions.c.body).where(tables.sessions.c.login == session.login)
        for known in self._all(query, Session):
            if known.expires_at <= session.created_at:
                self.end_sessions(digest=known.digest)
        self._put(tables.sessions, {"digest": session.digest}, session, {"login": session.login})

    def session(self, digest: str) -> Session | None:
        return self._first(select(tables.sessions.c.body).where(tables.sessions.c.digest == digest), Session)

    def end_sessions(self, *, login: str | None = None, digest: str | None = None) -> None:
        table = tables.sessions
        which = table.c.login == login if login is not None else table.c.digest == digest
        with self._database.writing() as connection:
            ended = connection.execute(select(table.c.digest).where(which)).scalars().all()
            connection.execute(delete(table).where(which))
            for key in ended:
                self._database.written.note_gone(table, key)

    def note_failure(self, key: str, at: datetime) -> None:
        table = tables.failures
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.at < at - KEPT))
            connection.execute(insert(table).values(login=key, at=at))

    def failures(self, key: str, since: datetime) -> int:
        table = tables.failures
        query = select(func.count()).where(table.c.login == key, table.c.at >= since)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def forget_failure(self, key: str, at: datetime) -> None:
        table = tables.failures
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.login == key, table.c.at == at))

    def _put(self, table: Table, key: dict[str, str], value: Any, more: dict[str, str]) -> None:
        """Update the row of this key, or insert it. The writer's lock makes the two one act."""
        ((name, wanted),) = key.items()
        row = {**more, "body": canonical(value).decode()}
        with self._database.writing() as connection:
            if not connection.execute(update(table).where(table.c[name] == wanted).values(**row)).rowcount:
                connection.execute(insert(table).values(**key, **row))
            self._database.written.note(connection, table, wanted)

    def _first(self, query: Any, kind: type[T]) -> T | None:
        return next(iter(self._all(query, kind)), None)

    def _all(self, query: Any, kind: type[T]) -> list[T]:
        with self._database.reading() as connection:
            return [decode(kind, body.encode()) for (body,) in connection.execute(query)]
