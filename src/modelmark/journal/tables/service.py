"""How a model was served in a span of time: how many requests, how slow, and when anybody was last heard of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, received
from modelmark.journal.tables.schema import REFUSALS, table_of


def answered(
    workspace: Workspace, model: str, version: str, start: datetime, end: datetime, *, slower_than: float
) -> tuple[int, int]:
    """Requests that a version (digest hex) answered in [start, end), and those that took longer than so many milliseconds in
    the server. Rows of tables, for which nobody waited, are none."""
    with connected(workspace, threads=1, found=table_of(model)) as connection:
        if connection is None:
            return 0, 0
        at = received(connection, "found")
        query = f"""SELECT count(*), count(*) FILTER (micros > ?) FROM found
            WHERE {at} >= ? AND {at} < ? AND version = ? AND "row" = 0 AND micros > 0"""
        ((n, slow),) = connection.execute(query, [slower_than * 1000, start, end, version]).fetchall()
    return int(n), int(slow)


def heard(
    workspace: Workspace, model: str, start: datetime, end: datetime
) -> tuple[int, datetime | None, datetime | None]:
    """Requests of a model that were answered in [start, end), and when the first and the last were; one that was refused
    counts as the last, too, for somebody asked."""
    asked = [start, end, model]
    n, first, last = _seen(workspace, table_of(model), asked, 'AND "row" = 0 AND micros > 0')
    _, _, refused = _seen(workspace, REFUSALS, asked)
    return n, first, max((at for at in (last, refused) if at is not None), default=None)


def _seen(
    workspace: Workspace, table: str, asked: list[Any], waited: str = ""
) -> tuple[int, datetime | None, datetime | None]:
    with connected(workspace, threads=1, found=table) as connection:
        if connection is None:
            return 0, None, None
        at = received(connection, "found")
        query = f"""SELECT count(*) AS n, min({at}) AS first, max({at}) AS last FROM found
            WHERE {at} >= ? AND {at} < ? AND model = ? {waited}"""
        (row,) = connection.sql(query, params=asked).to_arrow_table().to_pylist()  # Arrow keeps times' zones
    return row["n"], row["first"], row["last"]
