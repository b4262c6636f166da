"""What a version answered, whether or not a label has come."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.schema import table_of


def answered_scores(
    workspace: Workspace,
    model: str,
    version: str,
    start: datetime,
    end: datetime,
    *,
    paths: Collection[str],
    most: int,
) -> Any:
    """A pyarrow table of score, value and probabilities of what a version (digest hex) answered in [start, end) in one of these
    ways; where there are more rows, so many of them, drawn by a hash of id and row."""
    import pyarrow as pa

    query = f"""SELECT score, value, probabilities FROM predictions WHERE "at" >= ? AND "at" < ? AND version = ?
        AND list_contains(?, path) ORDER BY hash(id, "row") LIMIT {int(most)}"""
    with connected(workspace, threads=1, predictions=table_of(model)) as connection:
        if connection is None:
            return pa.table({})
        return connection.sql(query, params=[start, end, version, sorted(paths)]).to_arrow_table()
