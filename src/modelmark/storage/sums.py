"""Signed sums over the tables that the steward writes: findings and alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Table, delete, insert, select
from sqlalchemy.sql import ColumnElement

from modelmark.domain.errors import Tampered
from modelmark.seal.heads import open_head, seal_head
from modelmark.seal.keys import Signer
from modelmark.seal.sums import RowSum
from modelmark.storage import tables
from modelmark.storage.written import raw_rows


class SignedSums:
    """signer: None keeps no sums, as tests without a key do."""

    def __init__(self, signer: Callable[[], Signer] | None) -> None:
        self._signer = signer

    @contextmanager
    def changing(self, connection: Connection, table: Table, where: ColumnElement[bool]) -> Iterator[None]:
        """Whatever happens inside to the rows that `where` finds, before or after, is in the sum. The caller holds the
        transaction. A sum that cannot be believed stays as it is: monitoring goes on, and verification tells."""
        before = self._sum(connection, table, where)
        yield
        after = self._sum(connection, table, where)
        if self._signer is None or before == after:
            return
        try:
            now = self._now(connection, table)
        except (Tampered, KeyError, TypeError, ValueError):
            return
        self._keep(connection, table, now.changed(before, after))

    def take_over(self, connection: Connection) -> None:
        """Sign the sums of what an earlier release left."""
        for table in tables.SUMMED:
            self._keep(connection, table, RowSum.of(row.columns for row in raw_rows(connection, table)))

    def _sum(self, connection: Connection, table: Table, where: ColumnElement[bool]) -> RowSum:
        return RowSum.of(row.columns for row in raw_rows(connection, table, where)) if self._signer else RowSum()

    def _now(self, connection: Connection, table: Table) -> RowSum:
        assert self._signer is not None
        query = select(tables.heads.c.body).where(tables.heads.c.name == table.name)
        body = connection.execute(query).scalar()
        if body is None:
            return RowSum()
        return RowSum.restored(open_head(table.name, body, self._signer().verifier()))

    def _keep(self, connection: Connection, table: Table, total: RowSum) -> None:
        assert self._signer is not None
        connection.execute(delete(tables.heads).where(tables.heads.c.name == table.name))
        body = seal_head(table.name, total.plain(), self._signer())
        connection.execute(insert(tables.heads).values(name=table.name, body=body))
