"""What a dashboard asks of the predictions table: traffic, latency and scores over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.arms import MICROS, REQUESTS, Answered, arms_in
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.schema import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One time bucket. micros are times in the server, None where nobody waited; refused counts requests, rows and requests
    answered ones."""

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
    """A span of time: in buckets that hold at least one prediction, oldest first, as a whole, and by the hexadecimal digest
    of the version that answered."""

    slots: tuple[Slot, ...] = ()
    span: Span = Span()
    arms: Mapping[str, Answered] = field(default_factory=dict)


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
            SELECT "at", "row", version, path <> 'model' AS fallback, micros, score, value, prediction
            FROM found WHERE "at" >= ? AND "at" < ?""",
            [start, end],
        )
        arms = arms_in(connection, "seen")
        slots = _rows(
            connection,
            f"""SELECT epoch_us("at") // ? AS slot, {REQUESTS}, count(*), count(*) FILTER (fallback), {MICROS}
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
                    p50_micros=p50,
                    p99_micros=p99,
                )
                for slot, requests, n, fallbacks, (p50, p99) in slots
            ),
            span=_span(connection, arms, low, high, bins),
            arms=arms,
        )


def _span(connection: Any, arms: Mapping[str, Answered], low: float, high: float, bins: int) -> Span:
    if not arms:
        return Span()
    ((mean, values),) = _rows(connection, "SELECT avg(score), quantile_cont(value, [0.05, 0.5, 0.95]) FROM seen", [])
    counted: dict[int | None, int] = defaultdict(int)
    decided: dict[str | None, int] = defaultdict(int)
    for bin, prediction, n in _rows(
        connection,
        """SELECT greatest(0, least(floor((coalesce(score, value) - ?) * ?), ? - 1))::INTEGER AS bin, prediction, count(*)
        FROM seen GROUP BY bin, prediction""",
        [low, bins / (high - low), bins],
    ):
        counted[bin] += n
        decided[prediction] += n
    p50, p99 = _micros(connection, list(arms.values()))
    known = any(bin is not None for bin in counted)
    return Span(
        rows=sum(arm.rows for arm in arms.values()),
        requests=sum(arm.requests for arm in arms.values()),
        p50_micros=p50,
        p99_micros=p99,
        fallbacks=sum(arm.fallbacks for arm in arms.values()),
        counts=tuple(counted[i] for i in range(bins)) if known else (),
        decided={prediction: n for prediction, n in sorted(decided.items(), key=str) if prediction is not None},
        mean_score=mean,
        values=tuple(values) if values else None,
    )


def _micros(connection: Any, arms: Sequence[Answered]) -> tuple[float | None, float | None]:
    """Half and 99 of 100; what a lone version answered is all there is."""
    if len(arms) == 1:
        return arms[0].p50_micros, arms[0].p99_micros
    (((p50, p99),),) = _rows(connection, f"SELECT {MICROS} FROM seen", [])
    return p50, p99


def _rows(connection: Any, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    found = connection.sql(query, params=list(values)).to_arrow_table()  # Arrow keeps times' zones
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))
