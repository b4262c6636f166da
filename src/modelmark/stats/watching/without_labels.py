"""What a metric is to be expected to be on rows whose labels have not come, from what the holdout was at such scores.

Classes: confidence-based performance estimation (CBPE; Białek et al. 2024, arXiv:2401.08348). A row stands for itself once as
each class, weighted by that class's probability given its score, so a metric is what its own definition makes of these.
Numbers: the loss that answers of that size had on the holdout.

It holds while what is known of a score stays true: rows may change, what they mean may not. `support` and `disagreement` say
whether that can be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from modelmark.domain.errors import Unmeasured
from modelmark.domain.metrics import LOSSES, Metric, Task
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import Array, LabelledPredictions, losses_of, measure, statistic

#: Holdout rows of about the same score are kept as one of so many groups; of losses, which vary more, so few.
GROUPS: Final = 256
_LOSS_GROUPS: Final = 32
#: Rows of the holdout that are kept where there are several classes, to judge the holdout by the same rule.
SAMPLE: Final = 512
MOST_CLASSES: Final = 20
_TIMES: Final = 40
_COARSE: Final = 32


@dataclass(frozen=True, slots=True)
class Curve:
    """Holdout rows by score; arrays of shape (groups,), scores ascending. n: how many rows. total, squares: sums of the outcome
    (0 or 1) or the loss, and of its squares."""

    score: Array
    n: Array
    total: Array
    squares: Array

    @classmethod
    def of(cls, score: Array, outcome: Array, groups: int = GROUPS) -> Curve:
        """Equal scores stay together; of no more than `groups` different ones each is its own group."""
        values, place = np.unique(score, return_inverse=True)
        if len(values) > groups:
            edges = np.quantile(score, np.linspace(0, 1, groups + 1)[1:-1])
            place = np.unique(np.searchsorted(np.unique(edges), score), return_inverse=True)[1]
        n = np.bincount(place).astype(np.float64)
        sums = [np.bincount(place, values).astype(np.float64) for values in (score, outcome, outcome**2)]
        return cls(sums[0] / n, n, sums[1], sums[2])

    def rising(self) -> Callable[[Array], Array]:
        """The probability of the outcome at a score: isotonic regression, straight between groups, flat outside."""
        from scipy.optimize import isotonic_regression

        known = self.n > 0
        fitted = isotonic_regression(self.total[known] / self.n[known], weights=self.n[known]).x
        return lambda score: np.interp(score, self.score[known], fitted)

    def mean(self) -> Callable[[Array], Array]:
        """The mean loss at a score."""
        known = self.n > 0
        return lambda score: np.interp(score, self.score[known], self.total[known] / self.n[known])

    def drawn(self, rng: np.random.Generator, *, shares: bool) -> Curve:
        """As another holdout of this size would have been. shares: outcomes are 0 or 1."""
        n = rng.poisson(self.n).astype(np.float64)
        mean = self.total / self.n
        if shares:
            return replace(self, n=n, total=rng.binomial(n.astype(np.int64), np.clip(mean, 0, 1)).astype(np.float64))
        spread = np.sqrt(np.maximum(self.squares / self.n - mean**2, 0.0) * n)
        return replace(self, n=n, total=np.maximum(mean * n + spread * rng.normal(size=len(n)), 0.0))


@dataclass(frozen=True, slots=True)
class HoldoutScores:
    """What is kept of the holdout. curves: of the positive class; of each of several classes; of the loss, for numbers. scores,
    weights: rows that stand for the holdout, shapes (rows, classes) and (rows,)."""

    curves: tuple[Curve, ...]
    scores: Array
    weights: Array

    def plain(self) -> dict[str, Any]:
        """For JSON; `read` reads it."""
        curves = [[part.tolist() for part in (c.score, c.n, c.total, c.squares)] for c in self.curves]
        return {"curves": curves, "scores": self.scores.tolist(), "weights": self.weights.tolist()}

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> HoldoutScores:
        """Raises ValueError, KeyError or TypeError for what is none."""
        curves = tuple(Curve(*(np.array(part, dtype=np.float64) for part in curve)) for curve in item["curves"])
        scores, weights = (np.array(item[name], dtype=np.float64) for name in ("scores", "weights"))
        for curve in curves:
            if not len(curve.score) or len({p.shape for p in (curve.score, curve.n, curve.total, curve.squares)}) != 1:
                raise ValueError("what is kept of the holdout's scores has parts of several lengths")
            if (np.diff(curve.score) <= 0).any() or (curve.n <= 0).any():
                raise ValueError("what is kept of the holdout's scores does not stand in order")
        if not curves or scores.ndim != 2 or weights.shape != scores.shape[:1]:
            raise ValueError("what is kept of the holdout's scores does not fit together")
        return cls(curves, scores, weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """expected: on these rows. holdout: what the same rule says of the holdout's. worse: how much worse the first is, in units
    of the metric, above 0 for worse whichever way it goes."""

    expected: Interval
    holdout: float
    worse: Interval


def holdout_scores(metric: Metric, judged: LabelledPredictions, *, seed: int = 0) -> HoldoutScores | None:
    """None for what cannot be estimated: R², more than twenty classes, or no row."""
    y_true, scores = judged.y_true, judged.scores
    if not len(y_true) or (judged.task is not Task.REGRESSION and scores.shape[1] > MOST_CLASSES):
        return None
    if judged.task is Task.REGRESSION:
        losses = None if metric is Metric.R2 else losses_of(metric, judged)
        if losses is None:
            return None
        curve = Curve.of(scores[:, 0], losses, _LOSS_GROUPS)
        return HoldoutScores((curve,), curve.score[:, None], curve.n)
    if judged.task is Task.BINARY:
        curve = Curve.of(scores[:, judged.positive], (y_true == judged.positive).astype(np.float64))
        return HoldoutScores((curve,), _both(curve.score, judged.positive), curve.n)
    curves = tuple(Curve.of(scores[:, k], (y_true == k).astype(np.float64)) for k in range(scores.shape[1]))
    chosen = np.random.default_rng(seed).permutation(len(scores))[:SAMPLE]
    return HoldoutScores(curves, scores[chosen], np.full(len(chosen), len(scores) / len(chosen)))


def expected(
    metric: Metric, judged: LabelledPredictions, known: Sequence[Curve], weights: Array | None = None
) -> float:
    """The metric to be expected of these rows' scores; their `y_true` is not looked at. weights: of the rows."""
    w = np.ones(len(judged.scores)) if weights is None else weights
    if judged.task is Task.REGRESSION:
        loss = float(w @ known[0].mean()(judged.scores[:, 0]) / w.sum())
        return loss**0.5 if metric is Metric.RMSE else loss
    each, find = _as_each_class(metric, judged)
    return find((w[:, None] * probabilities(each, known)).ravel())


def probabilities(judged: LabelledPredictions, known: Sequence[Curve]) -> Array:
    """Of each class given the scores, shape (rows, classes)."""
    if judged.task is Task.BINARY:
        return _both(known[0].rising()(judged.scores[:, judged.positive]), judged.positive)
    found = np.stack([curve.rising()(judged.scores[:, k]) for k, curve in enumerate(known)], axis=1)
    total = found.sum(axis=1, keepdims=True)
    shares: Array = np.divide(found, total, out=np.full_like(found, 1 / found.shape[1]), where=total > 0)
    return shares


def estimate(
    metric: Metric, judged: LabelledPredictions, known: HoldoutScores, confidence: float, *, seed: int = 0
) -> Estimate:
    """With intervals that reckon with the rows that came and with the holdout's being one of many, by resamples of both.

    Raises Unmeasured for a metric that is not defined on such rows.
    """
    rng, sign = np.random.default_rng(seed), 1.0 if metric in LOSSES else -1.0
    theirs = replace(judged, scores=known.scores, y_true=np.zeros(len(known.scores), dtype=np.int64))
    here, there = _ready(metric, judged), _ready(metric, theirs)
    ones, shares = np.ones(len(judged.scores)), judged.task is not Task.REGRESSION
    point, holdout = here(ones, known.curves), there(known.weights, known.curves)
    drawn = []
    for _ in range(_TIMES):
        curves = [curve.drawn(rng, shares=shares) for curve in known.curves]
        mine = here(rng.poisson(ones).astype(np.float64), curves)
        drawn.append((mine, sign * (mine - there(rng.poisson(known.weights).astype(np.float64), curves))))
    if not np.isfinite([point, holdout]).all():
        raise Unmeasured(f"{metric.title} is not defined on these rows")
    spread = np.nanstd(np.array(drawn), axis=0, ddof=1) * NormalDist().inv_cdf((1 + confidence) / 2)
    return Estimate(
        expected=_interval(point, float(spread[0]), len(ones), confidence),
        holdout=holdout,
        worse=_interval(sign * (point - holdout), float(spread[1]), len(ones), confidence),
    )


def disagreement(
    metric: Metric, judged: LabelledPredictions, known: HoldoutScores, confidence: float, *, seed: int = 0
) -> Interval:
    """How much worse labelled rows were than is to be expected of their scores; surely other than 0 where scores no longer mean
    what they did, which is concept drift. Above 0 for worse."""
    rng, sign = np.random.default_rng(seed), 1.0 if metric in LOSSES else -1.0
    real, find = measure(metric, judged), _ready(metric, judged)
    ones, shares = np.ones(len(judged.scores)), judged.task is not Task.REGRESSION
    point, chance = find(ones, known.curves), []
    for _ in range(_TIMES):
        curves = [curve.drawn(rng, shares=shares) for curve in known.curves]
        if shares:
            p = probabilities(judged, curves)
            y_true = (rng.uniform(size=(len(p), 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
            chance.append(measure(metric, replace(judged, y_true=y_true)) - point)
        else:
            weights = rng.poisson(ones).astype(np.float64)
            chance.append(statistic(metric, judged)(weights) - find(weights, curves) - (real - point))
    if not np.isfinite([real, point]).all():
        raise Unmeasured(f"{metric.title} is not defined on these rows")
    spread = float(np.nanstd(chance, ddof=1)) * NormalDist().inv_cdf((1 + confidence) / 2)
    return _interval(sign * (real - point), spread, len(ones), confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """rows: as many of the holdout's speak for the window's (effective sample size). outside: share of the window's rows whose
    score no row of the holdout came near."""

    rows: float
    outside: float


def support(score: Array, curve: Curve) -> Support:
    """score: of the window's rows. Groups are taken together, so that chance alone does not look like a gap."""
    step = max(1, -(-len(curve.n) // _COARSE))
    held = np.add.reduceat(curve.n, np.arange(0, len(curve.n), step))
    starts = curve.score[::step][1:]
    here = np.bincount(np.searchsorted(starts, score, side="right"), minlength=len(held)) / len(score)
    there = held / held.sum()
    unequal = float(((here**2 - here / len(score)) / there).sum())
    pad = 0.05 * float(curve.score[-1] - curve.score[0])
    outside = float(np.mean((score < curve.score[0] - pad) | (score > curve.score[-1] + pad)))
    return Support(rows=float(held.sum()) / max(unequal, 1.0), outside=outside)


def _ready(metric: Metric, judged: LabelledPredictions) -> Callable[[Array, Sequence[Curve]], float]:
    """(weights, curves) -> the metric to be expected; what does not depend on them is done once."""
    if judged.task is Task.REGRESSION:
        return lambda weights, curves: expected(metric, judged, curves, weights)
    _, find = _as_each_class(metric, judged)
    return lambda weights, curves: find((weights[:, None] * probabilities(judged, curves)).ravel())


def _as_each_class(metric: Metric, judged: LabelledPredictions) -> tuple[LabelledPredictions, Callable[[Array], float]]:
    rows, classes = judged.scores.shape
    every = replace(
        judged, scores=np.repeat(judged.scores, classes, axis=0), y_true=np.tile(np.arange(classes), rows), units=None
    )
    return judged, statistic(metric, every)


def _both(p: Array, positive: int) -> Array:
    return np.stack([p, 1 - p] if positive == 0 else [1 - p, p], axis=1)


def _interval(point: float, spread: float, n: int, confidence: float) -> Interval:
    return Interval(estimate=point, low=point - spread, high=point + spread, n=n, confidence=confidence)
