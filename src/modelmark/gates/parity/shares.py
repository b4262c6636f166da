"""A share of rows that part, held against what is allowed: it fails when it is surely more."""

from __future__ import annotations

from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.stats.rates import clopper_pearson


def share_check(name: str, count: int, n: int, limit: float, said: str, more: str = "") -> Check:
    """said: the sentence up to the share, which follows with its exact interval at 95% and the limit; more: what comes after."""
    low, high = clopper_pearson(count, n)
    return Check(
        name=name,
        measured=low,
        estimate=count / n,
        low=low,
        high=high,
        n=n,
        confidence=0.95,
        limit=Limit(bound=Bound.AT_MOST, value=limit),
        sentence=f"{said} ({count / n:.2%} [{low:.2%}, {high:.2%}]); up to {limit:.2%} is allowed.{more}",
    )
