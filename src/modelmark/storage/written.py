"""What a transaction wrote, row by row, for the audit to tell of; and every such row as it stands, for verification."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BigInteger, Connection, Table, select, type_coerce
from sqlalchemy.sql import ColumnElement

from modelmark.domain.stored import Row
from modelmark.seal.digests import digest_value
from modelmark.storage.tables import Instant


class Written(threading.local):
    """Of this thread's open transaction. Emptied when it begins and when it is told of."""

    def __init__(self) -> None:
        self.digests: dict[str, str | None] = {}

    def note(self, connection: Connection, table: Table, key: Any) -> None:
        """Look at a row that was just written, or is about to go, as the database has it."""
        (column,) = table.primary_key.columns
        for row in _selected(connection, table, column == key):
            self.digests[row.name] = digest_value(row.columns).hex

    def note_gone(self, table: Table, key: Any) -> None:
        self.digests[f"{table.name}/{key}"] = None

    def take(self) -> Mapping[str, str | None]:
        taken, self.digests = self.digests, {}
        return taken


def raw_rows(connection: Connection, table: Table, where: ColumnElement[bool] | None = None) -> Iterator[Row]:
    """Every row of a table, or those that are found, in the order of the key, bytes that are no text included."""
    with any_text(connection):
        yield from _selected(connection, table, where)


def _selected(connection: Connection, table: Table, where: ColumnElement[bool] | None = None) -> Iterator[Row]:
    (key,) = table.primary_key.columns
    columns = [type_coerce(c, BigInteger).label(c.name) if isinstance(c.type, Instant) else c for c in table.columns]
    query = select(*columns).order_by(key)
    for found in connection.execute(query if where is None else query.where(where)).mappings():
        yield Row(table=table.name, key=str(found[key.name]), columns=dict(found))


@contextmanager
def any_text(connection: Connection) -> Iterator[None]:
    """SQLite refuses text that is not UTF-8, and with it the rest of a table."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    before, raw.text_factory = raw.text_factory, lambda data: data.decode("utf-8", "replace")
    try:
        yield
    finally:
        raw.text_factory = before
