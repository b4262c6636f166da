"""When labels came, and since when anybody asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, received, said_by
from modelmark.journal.tables.schema import LABELS, table_of

_HOUR: Final = 3_600_000_000_000


def label_hours(workspace: Workspace, model: str, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """The beginnings of the hours of [start, end) in which labels of a model came, oldest first, and how many did."""
    query = "SELECT ns // ? AS hour, count(*) FROM labels WHERE model = ? AND ns >= ? AND ns < ? GROUP BY hour ORDER BY hour"
    with connected(workspace, threads=1, labels=LABELS) as connection:
        if connection is None:
            return []
        found = connection.execute(query, [_HOUR, model, said_by(start), said_by(end)]).fetchall()
    return [(datetime.fromtimestamp(int(hour) * 3600, UTC), int(n)) for hour, n in found]


def first_asked(workspace: Workspace, model: str) -> datetime | None:
    """When a model first answered; None while it never has."""
    with connected(workspace, threads=1, found=table_of(model)) as connection:
        if connection is None:
            return None
        query = f"SELECT min({received(connection, 'found')}) AS first FROM found WHERE model = ?"
        (row,) = connection.sql(query, params=[model]).to_arrow_table().to_pylist()  # Arrow keeps times' zones
    first: datetime | None = row["first"]
    return first
