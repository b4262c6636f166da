"""What a verdict rests on: for each arm counts and sums of one stage, an observation a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelmark.stats.sequences import NO_SUMS, Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Requests, and those of them that ended in an error or a fallback."""

    requests: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """n: requests that somebody waited for. quantile: the milliseconds that such a share of them took at most."""

    n: int
    quantile: Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Sums of one metric for both arms; in a shadow, `paired` holds the differences within requests instead.

    reason: why it could not be measured; empty where it could.
    """

    champion: Sums = NO_SUMS
    candidate: Sums = NO_SUMS
    paired: Sums | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEvidence:
    """Everything that came since a stage began. seconds: how long ago that is.

    champion, candidate: failures. score_unit: what a shift of the score is divided by. matured: the candidate's requests whose
    labels should have come. quality_unit: what losses are divided by; None where it is not known. fairness: by group. A part
    that is None was not asked for.
    """

    seconds: float
    champion: Failures
    candidate: Failures
    latency: tuple[Latency, Latency] | None = None
    disagreement: Sums | None = None
    score: Pair | None = None
    score_unit: float = 1.0
    quality: Pair | None = None
    quality_unit: float | None = 1.0
    matured: int = 0
    fairness: Mapping[str, Pair] = field(default_factory=dict)
