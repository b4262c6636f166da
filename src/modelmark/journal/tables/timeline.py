"""What a dashboard asks of the predictions table: traffic, latency and scores over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.schema import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One time bucket. micros are times in the server, None where nobody waited; refused counts requests, rows and requests
    answered ones. Each row of a table that was answered whole is a request."""

    at: datetime
    requests: int
    rows: int
    fallbacks: int
    p50_micros: float | None
    p99_micros: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """All answered predictions of one model in one span of time.

    counts: rows per bin of equal width of the score (regression: of the value); what lies outside the range counts in
    the outermost bins. decided: rows per predicted class. values: 5%, 50% and 95% of the values, for regression.
    """

    rows: int = 0
    requests: int = 0
    p50_micros: float | None = None
    p99_micros: float | None = None
    fallbacks: int = 0
    counts: tuple[int, ...] = ()
    decided: Mapping[str, int] | None = None
    mean_score: float | None = None
    values: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A span of time: in buckets that hold at least one prediction, oldest first, and as a whole."""

    slots: tuple[Slot, ...] = ()
    span: Span = Span()


def timeline(
    workspace: Workspace,
    model: str,
    start: datetime,
    end: datetime,
    *,
    seconds: int,
    low: float = 0.0,
    high: float = 1.0,
    bins: int = 20,
) -> Timeline:
    """One scan of [start, end). seconds: length of a bucket. low, high: the range that `counts` bins."""
    with connected(workspace, threads=1, found=table_of(model)) as connection:
        if connection is None:
            return Timeline()
        connection.execute(
            """CREATE TEMP TABLE seen AS
            SELECT "at", "row", path <> 'model' AS fallback, micros, score, value, prediction
            FROM found WHERE "at" >= ? AND "at" < ?""",
            [start, end],
        )
        slots = _rows(
            connection,
            """SELECT epoch_us("at") // ? AS slot, count(*) FILTER ("row" = 0 OR micros = 0), count(*), count(*) FILTER (fallback),
                   quantile_cont(micros, [0.5, 0.99]) FILTER (micros > 0)
            FROM seen GROUP BY slot ORDER BY slot""",
            [seconds * 1_000_000],
        )
        return Timeline(
            slots=tuple(
                Slot(
                    at=datetime.fromtimestamp(slot * seconds, UTC),
                    requests=requests,
                    rows=n,
                    fallbacks=fallbacks,
                    p50_micros=took and took[0],
                    p99_micros=took and took[1],
                )
                for slot, requests, n, fallbacks, took in slots
            ),
            span=_span(connection, low, high, bins),
        )


def _span(connection: Any, low: float, high: float, bins: int) -> Span:
    ((rows, requests, micros, fallbacks, mean, values),) = _rows(
        connection,
        """SELECT count(*), count(*) FILTER ("row" = 0 OR micros = 0), quantile_cont(micros, [0.5, 0.99]) FILTER (micros > 0),
               count(*) FILTER (fallback), avg(score), quantile_cont(value, [0.05, 0.5, 0.95])
        FROM seen""",
        [],
    )
    if not rows:
        return Span()
    counted = dict(
        _rows(
            connection,
            """SELECT greatest(0, least(floor((coalesce(score, value) - ?) * ?), ? - 1))::INTEGER AS bin, count(*)
            FROM seen WHERE coalesce(score, value) IS NOT NULL GROUP BY bin""",
            [low, bins / (high - low), bins],
        )
    )
    decided = "SELECT prediction, count(*) FROM seen WHERE prediction IS NOT NULL GROUP BY prediction"
    return Span(
        rows=rows,
        requests=requests,
        p50_micros=micros and micros[0],
        p99_micros=micros and micros[1],
        fallbacks=fallbacks,
        counts=tuple(counted.get(i, 0) for i in range(bins)) if counted else (),
        decided=dict(_rows(connection, decided, [])),
        mean_score=mean,
        values=tuple(values) if values else None,
    )


def _rows(connection: Any, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    found = connection.sql(query, params=list(values)).to_arrow_table()  # Arrow keeps times' zones
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))
