"""Rates of groups, their differences and ratios with simultaneous intervals, and published indices of unfairness."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.simultaneous import TIMES, band, drawn_cells, drawn_units

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]

#: In the order of the last axis of `group_rates`. gap: mean score minus share of truths, how far calibration is off.
RATES: Final = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision", "calibration", "base_rate")
_ABOVE: Final = (1, 3, 4, 3, 5, 2)  # numerators among the sums below; sums: rows, said, real, both, alarms, gap
_GAP: Final = RATES.index("calibration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Decisions about rows of known truth. group: 0..k-1. said, real: for the favourable class; score: its score."""

    group: Codes
    said: Mask
    real: Mask
    score: Array
    units: Codes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two groups and one rate: difference and ratio (first to second), with simultaneous intervals; NaN: undefined.

    The ratio's interval comes from rates with half a success added, so that none is zero (Walter 1975).
    """

    rate: str
    first: int
    second: int
    difference: float
    difference_low: float
    difference_high: float
    ratio: float
    ratio_low: float
    ratio_high: float


def group_sums(decided: Decided, groups: int, weights: NDArray[Any]) -> Array:
    """Weighted sums of shape (resamples, groups, 6) for weights of shape (resamples, rows)."""
    terms = _terms(decided)
    found = np.empty((len(weights), groups, terms.shape[1]))
    for group in range(groups):
        rows = np.flatnonzero(decided.group == group)
        found[:, group] = weights[:, rows] @ terms[rows]
    return found


def _terms(decided: Decided) -> Array:
    """What each row adds to its group's sums, shape (rows, 6)."""
    said, real = decided.said.astype(np.float64), decided.real.astype(np.float64)
    return np.column_stack([np.ones_like(said), said, real, said * real, said * (1 - real), decided.score - real])


def resampled(decided: Decided, groups: int, seed: int) -> Array:
    """Sums of shape (resamples, groups, 6): of units, where rows hang together, else of the cells rows fall into."""
    if decided.units is not None:
        return np.concatenate(list(drawn_units(decided.units, decided.group, _terms(decided), groups, seed)))
    cell = decided.group * 4 + decided.said * 2 + decided.real
    gap = decided.score - decided.real
    counts = np.bincount(cell, minlength=4 * groups)
    below = np.maximum(counts, 1)
    mean = np.bincount(cell, gap, 4 * groups) / below
    variance = np.bincount(cell, (gap - mean[cell]) ** 2, 4 * groups) / below
    rows, total = (part.reshape(-1, groups, 4) for part in drawn_cells(counts, mean, variance, seed))
    said, real, both, alarms = rows[..., 2:].sum(-1), rows[..., 1] + rows[..., 3], rows[..., 3], rows[..., 2]
    return np.stack([rows.sum(-1), said, real, both, alarms, total.sum(-1)], axis=-1)


def _below(sums: Array) -> Array:
    """Denominators of RATES, shape (..., 6)."""
    rows, said, real = sums[..., 0], sums[..., 1], sums[..., 2]
    return np.stack([rows, real, rows - real, said, rows, rows], axis=-1)


def group_rates(sums: Array) -> Array:
    """RATES of each group, shape (..., 6); NaN where nobody could be counted."""
    below = _below(sums)
    found: Array = np.divide(sums[..., _ABOVE], below, out=np.full(below.shape, np.nan), where=below > 0)
    return found


def contrasts(decided: Decided, groups: int, *, confidence: float = 0.95, seed: int = 0) -> tuple[Contrast, ...]:
    """Every pair of groups in every rate; all differences and ratios of the result hold together at `confidence`.

    Raises NotEnoughData for fewer than two groups.
    """
    if groups < 2:
        raise NotEnoughData("fewer than two groups are large enough to compare")
    pairs = np.array(list(combinations(range(groups), 2)))
    once = group_sums(decided, groups, np.ones((1, len(decided.group))))
    many = _compare(resampled(decided, groups, seed), pairs)
    estimates = _compare(once, pairs)[0]
    low, high = band(estimates, many, _least(once[0], pairs), confidence)
    shape = (2, len(pairs), len(RATES))
    middle, low, high = estimates.reshape(shape), low.reshape(shape), high.reshape(shape)
    rates = group_rates(once[0])
    plain = np.divide(rates[pairs[:, 0]], rates[pairs[:, 1]], out=np.zeros(shape[1:]), where=rates[pairs[:, 1]] > 0)
    ratio = np.where(plain > 0, plain, np.exp(middle[1]))  # a rate of zero has no ratio but the smoothed one
    return tuple(
        Contrast(
            rate=rate,
            first=int(i),
            second=int(j),
            difference=float(middle[0, p, r]),
            difference_low=float(low[0, p, r]),
            difference_high=float(high[0, p, r]),
            ratio=float(ratio[p, r]),
            ratio_low=float(np.exp(low[1, p, r])),
            ratio_high=float(np.exp(high[1, p, r])),
        )
        for p, (i, j) in enumerate(pairs)
        for r, rate in enumerate(RATES)
    )


def _compare(sums: Array, pairs: Codes) -> Array:
    """Differences then log ratios of all pairs and rates, flat: (resamples, 2 * pairs * rates)."""
    rates = group_rates(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log((sums[..., _ABOVE] + 0.5) / (_below(sums) + 0.5))
    logs[~np.isfinite(rates)] = np.nan
    logs[..., _GAP] = np.nan  # a difference of means has no ratio
    both = np.stack(
        [rates[:, pairs[:, 0]] - rates[:, pairs[:, 1]], logs[:, pairs[:, 0]] - logs[:, pairs[:, 1]]], axis=1
    )
    return np.asarray(both.reshape(len(sums), -1))


def _least(sums: Array, pairs: Codes) -> Array:
    """Binomial standard errors of the same, with half a success added: what a rate of 0 or 1 cannot show."""
    n = np.maximum(_below(sums), 0.5)
    p = np.clip((sums[..., _ABOVE] + 0.5) / (n + 1), 0.5 / (n + 1), 1 - 0.5 / (n + 1))
    plain, logs = p * (1 - p) / (n + 1), (1 - p) / (p * (n + 1))
    plain[..., _GAP] = 0.0
    each = [np.sqrt(v[pairs[:, 0]] + v[pairs[:, 1]]) for v in (plain, logs)]
    return np.stack(each).reshape(-1)


def mean_gaps(values: Array, group: Codes, groups: int, *, confidence: float, units: Codes | None = None) -> Array:
    """Differences of group means of every pair, shape (pairs, 3): estimate, low, high; intervals hold together.

    Means of independent rows are drawn as the normals they tend to; units are resampled.
    """
    if groups < 2:
        raise NotEnoughData("fewer than two groups are large enough to compare")
    pairs = np.array(list(combinations(range(groups), 2)))
    counts = np.maximum(np.bincount(group, minlength=groups), 1)
    mean = np.bincount(group, values, groups) / counts
    if units is None:
        variance = np.bincount(group, (values - mean[group]) ** 2, groups) / counts
        many = mean + np.sqrt(variance / counts) * np.random.default_rng(0).normal(size=(TIMES, groups))
    else:
        terms = np.column_stack([np.ones_like(values), values])
        sums = np.concatenate(list(drawn_units(units, group, terms, groups, 0)))
        many = sums[..., 1] / np.maximum(sums[..., 0], 1e-9)
    once, each = (np.asarray(m[..., pairs[:, 0]] - m[..., pairs[:, 1]]) for m in (mean, many))
    low, high = band(once, each, np.zeros(len(pairs)), confidence)
    return np.column_stack([once, low, high])


def disparate_impact(favourable: Mask, unprivileged: Mask) -> float:
    """P(favourable | unprivileged) / P(favourable | privileged): the four-fifths rule asks for 0.8."""
    return float(favourable[unprivileged].mean() / favourable[~unprivileged].mean())


def generalized_entropy(y_true: Mask, said: Mask, alpha: float = 2.0) -> float:
    """Inequality of benefits b = said - truth + 1; alpha 1 is Theil's index. Source: Speicher et al. 2018, KDD."""
    benefit = said.astype(np.float64) - y_true + 1
    share = benefit / benefit.mean()
    if alpha == 1:
        return float(np.mean(np.where(share > 0, share * np.log(np.where(share > 0, share, 1.0)), 0.0)))
    return float(np.mean(share**alpha - 1) / (alpha * (alpha - 1)))


def differential_fairness(favourable: Mask, group: Codes, concentration: float = 1.0) -> float:
    """Smallest epsilon with exp(-epsilon) <= ratio of any two groups' smoothed outcome rates <= exp(epsilon).

    Source: Foulds et al. 2020, ICDE; smoothing by a symmetric Dirichlet of that concentration over two outcomes.
    """
    counts = np.bincount(group).astype(np.float64)
    hits = np.bincount(group, favourable.astype(np.float64))[counts > 0]
    rate = (hits + concentration / 2) / (counts[counts > 0] + concentration)
    return float(max(np.ptp(np.log(rate)), np.ptp(np.log1p(-rate))))


def shrunk(hits: Codes, n: Codes) -> tuple[Array, float]:
    """(posterior mean rate of each cell, prior strength in rows), by a beta-binomial fitted to all cells.

    The prior is the maximum of the marginal likelihood (Casella 1985, Am. Stat. 39:83): cells alike shrink together.
    """
    from scipy.optimize import minimize
    from scipy.special import betaln, expit

    mean = (hits.sum() + 0.5) / (n.sum() + 1)

    def loss(at: Array) -> float:
        m, strength = expit(at[0]), np.exp(np.clip(at[1], -5, 12))
        a, b = m * strength, (1 - m) * strength
        return -float(np.sum(betaln(hits + a, n - hits + b) - betaln(a, b)))

    best = minimize(loss, np.array([np.log(mean / (1 - mean)), 3.0]), method="Nelder-Mead")
    m, strength = float(expit(best.x[0])), float(np.exp(np.clip(best.x[1], -5, 12)))
    return (hits + m * strength) / (n + strength), strength


def implied_false_positive_rate(base: float, precision: float, recall: float) -> float:
    """The false positive rate that base rate, precision and recall leave no choice about.

    Source: Chouldechova 2017, Big Data 5:153, equation 2.6.

    >>> round(implied_false_positive_rate(0.3, 0.7, 0.7), 4)
    0.1286
    """
    return base / (1 - base) * (1 - precision) / precision * recall
