"""What a dashboard asks of the predictions table: traffic, latency and scores over time, and the latest rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelmark.domain.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One time bucket. micros are times in the server; refused counts requests, rows and requests answered ones."""

    at: datetime
    requests: int
    rows: int
    fallbacks: int
    p50_micros: float
    p99_micros: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """All answered predictions of one model in one span of time.

    counts: rows per score bin of equal width over [0, 1]; empty for regression.
    """

    rows: int
    requests: int
    p50_micros: float | None
    p99_micros: float | None
    fallbacks: int
    counts: tuple[int, ...]


def slots(workspace: Workspace, model: str, start: datetime, end: datetime, seconds: int) -> list[Slot]:
    """Buckets of `seconds` that hold at least one prediction, oldest first."""
    query = """
        SELECT time_bucket(to_seconds(?), at) AS slot, count(DISTINCT id), count(*), count(*) FILTER (path <> 'model'),
               quantile_cont(micros, 0.5), quantile_cont(micros, 0.99)
        FROM predictions WHERE at >= ? AND at < ? GROUP BY slot ORDER BY slot"""
    rows = _ask(workspace, model, query, (seconds, start, end))
    return [
        Slot(at=at, requests=requests, rows=n, fallbacks=fallbacks, p50_micros=p50, p99_micros=p99)
        for at, requests, n, fallbacks, p50, p99 in rows
    ]


def span(workspace: Workspace, model: str, start: datetime, end: datetime, bins: int = 20) -> Span:
    totals = """
        SELECT count(*), count(DISTINCT id), quantile_cont(micros, 0.5), quantile_cont(micros, 0.99),
               count(*) FILTER (path <> 'model')
        FROM predictions WHERE at >= ? AND at < ?"""
    shares = """
        SELECT least(floor(score * ?), ? - 1)::INTEGER AS bin, count(*)
        FROM predictions WHERE at >= ? AND at < ? AND score IS NOT NULL GROUP BY bin"""
    ((rows, requests, p50, p99, fallbacks),) = _ask(workspace, model, totals, (start, end)) or [(0, 0, None, None, 0)]
    found = dict(_ask(workspace, model, shares, (bins, bins, start, end)))
    counts = tuple(found.get(i, 0) for i in range(bins)) if found else ()
    return Span(rows=rows, requests=requests, p50_micros=p50, p99_micros=p99, fallbacks=fallbacks, counts=counts)


def refusals(workspace: Workspace, model: str, start: datetime, end: datetime) -> list[tuple[str, str, int]]:
    """(code, field, how many) of refused requests, most first."""
    query = """
        SELECT code, field, sum(count)::BIGINT AS n FROM predictions
        WHERE model = ? AND at >= ? AND at < ? GROUP BY code, field ORDER BY n DESC, code"""
    return [(c, f, n) for c, f, n in _query(workspace.tables / "refusals", query, (model, start, end))]


def latest(workspace: Workspace, model: str, limit: int = 100) -> list[dict[str, Any]]:
    """The newest predicted rows, newest first."""
    query = """
        SELECT id, row, at, version, arm, path, score, prediction, value, flags, micros FROM predictions
        ORDER BY at DESC, id DESC, row LIMIT ?"""
    names = ("id", "row", "at", "version", "arm", "path", "score", "prediction", "value", "flags", "micros")
    return [dict(zip(names, row, strict=True)) for row in _ask(workspace, model, query, (limit,))]


def _ask(workspace: Workspace, model: str, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    return _query(workspace.tables / "predictions" / model, query, values)


def _query(table: Path, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """No rows where the table does not exist yet."""
    if not (table / "_delta_log").is_dir():
        return []
    import duckdb
    from deltalake import DeltaTable

    with duckdb.connect(config={"autoinstall_known_extensions": False, "threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("predictions", DeltaTable(str(table)).to_pyarrow_dataset())
        rows: list[tuple[Any, ...]] = connection.execute(query, list(values)).fetchall()
        return rows
