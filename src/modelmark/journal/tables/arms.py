"""What each version answered in one span of time, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.schema import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """micros: in the server, of requests that somebody waited for, half and 99 of 100. mean_score: of scores, or of values."""

    requests: int
    rows: int
    fallbacks: int
    p50_micros: float | None
    p99_micros: float | None
    mean_score: float | None


def answered(workspace: Workspace, model: str, start: datetime, end: datetime) -> Mapping[str, Answered]:
    """By the version's digest hex; those that answered nothing in [start, end) are left out."""
    query = """SELECT version, count(*) FILTER ("row" = 0 OR micros = 0) AS requests, count(*) AS rows,
            count(*) FILTER (path <> 'model') AS fallbacks, quantile_cont(micros, 0.5) FILTER (micros > 0) AS p50_micros,
            quantile_cont(micros, 0.99) FILTER (micros > 0) AS p99_micros, avg(coalesce(score, value)) AS mean_score
        FROM found WHERE "at" >= ? AND "at" < ? AND model = ? GROUP BY version"""
    with connected(workspace, threads=1, found=table_of(model)) as connection:
        if connection is None:
            return {}
        rows = connection.sql(query, params=[start, end, model]).to_arrow_table().to_pylist()
    return {row.pop("version"): Answered(**row) for row in rows}
