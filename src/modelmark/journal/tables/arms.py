"""What each version answered in one span of time, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Each row of a table that was answered whole is a request that nobody waited for.
REQUESTS: Final = """count(*) FILTER ("row" = 0 OR micros = 0)"""
#: Half and 99 of 100 of those for which somebody waited took at most so long.
MICROS: Final = "coalesce(quantile_cont(micros, [0.5, 0.99]) FILTER (micros > 0), [NULL, NULL])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """micros: in the server, of requests that somebody waited for, half and 99 of 100. mean_score: of scores, or of values."""

    requests: int
    rows: int
    fallbacks: int
    p50_micros: float | None
    p99_micros: float | None
    mean_score: float | None


def arms_in(connection: Any, seen: str) -> Mapping[str, Answered]:
    """By the version's digest hex; those that answered nothing are left out. seen: the rows, by name."""
    found = connection.execute(
        f"""SELECT version, {REQUESTS}, count(*), count(*) FILTER (fallback),
            {MICROS}, avg(coalesce(score, value)) FROM {seen} GROUP BY version"""
    ).fetchall()
    return {
        version: Answered(
            requests=requests, rows=rows, fallbacks=fallbacks, p50_micros=p50, p99_micros=p99, mean_score=mean
        )
        for version, requests, rows, fallbacks, (p50, p99), mean in found
    }
