"""Rates of groups, their differences and ratios with simultaneous intervals, and published indices of unfairness."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats import two_shares
from modelmark.stats.calibration import design_effect
from modelmark.stats.simultaneous import drawn_cells, drawn_units, pairs_multiplier

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
    """Two groups and one rate: difference and ratio (first to second), with simultaneous intervals; NaN: undefined."""

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


def contrasts(decided: Decided, groups: int, *, confidence: float = 0.95) -> tuple[Contrast, ...]:
    """Every pair of groups in every rate. All differences of one rate hold together at `confidence`, and all its ratios.

    Rows that hang together count as fewer (Rao & Scott 1992, Biometrics 48:577), and Student's t takes the number of units.
    Raises NotEnoughData for fewer than two groups.
    """
    if groups < 2:
        raise NotEnoughData("fewer than two groups are large enough to compare")
    pairs = np.array(list(combinations(range(groups), 2)))
    found = {}
    for place, rate in enumerate(RATES):
        if place == _GAP:
            gaps = mean_gaps(
                decided.score - decided.real, decided.group, groups, confidence=confidence, units=decided.units
            )
            found[rate] = np.column_stack([gaps, np.full_like(gaps, np.nan)])
        else:
            found[rate] = _shares_compared(_worth(decided, groups, rate), pairs, confidence)
    return tuple(
        Contrast(
            rate=rate,
            first=int(i),
            second=int(j),
            difference=float(difference[0]),
            difference_low=float(difference[1]),
            difference_high=float(difference[2]),
            ratio=float(difference[3]),
            ratio_low=float(difference[4]),
            ratio_high=float(difference[5]),
        )
        for p, (i, j) in enumerate(pairs)
        for rate, compared in found.items()
        for difference in (compared[p],)
    )


def _worth(decided: Decided, groups: int, rate: str) -> Array:
    """(hits, rows, units) of each group in one rate, shape (groups, 3): hits and rows as many as they are worth, units
    infinite for independent rows."""
    inside, hit = {
        "selection_rate": (np.ones_like(decided.said), decided.said),
        "true_positive_rate": (decided.real, decided.said),
        "false_positive_rate": (~decided.real, decided.said),
        "precision": (decided.said, decided.real),
        "base_rate": (np.ones_like(decided.said), decided.real),
    }[rate]
    found = np.empty((groups, 3))
    for group in range(groups):
        rows = np.flatnonzero(inside & (decided.group == group))
        hits, effect, units = hit[rows].astype(np.float64), 1.0, np.inf
        if decided.units is not None and len(rows):
            mine = np.unique(decided.units[rows], return_inverse=True)[1]
            units = mine.max() + 1.0
            alike = bool((hits == hits[0]).all())  # no spread to see an effect in: each unit counts once
            effect = len(rows) / units if alike else design_effect(hits, mine)
        found[group] = hits.sum() / effect, len(rows) / effect, units
    return found


def _shares_compared(worth: Array, pairs: Codes, confidence: float) -> Array:
    """Estimate, low and high of the difference, then of the ratio, of each pair, shape (pairs, 6); NaN where a group has
    no rows."""
    hits, rows, units = worth.T
    share = (hits + 0.5) / (rows + 1)
    known = rows > 0
    z = pairs_multiplier((share * (1 - share) / (rows + 1))[known], confidence) if known.sum() > 1 else 0.0
    i, j = pairs.T
    first, second = (hits[i], np.maximum(rows[i], 1e-9)), (hits[j], np.maximum(rows[j], 1e-9))
    wide = _student(z, units[i] + units[j] - 2)
    once = hits[i] / first[1], hits[j] / second[1]
    # A rate of nought has no ratio but one with half a success added (Walter 1975).
    ratio = np.where((hits[i] > 0) & (hits[j] > 0), once[0] / np.where(once[1] > 0, once[1], 1.0), share[i] / share[j])
    ratio_low, ratio_high = two_shares.ratio(first, second, wide)
    low, high = two_shares.difference(first, second, wide)
    ends = (np.minimum(ratio_low, ratio), np.maximum(ratio_high, ratio))
    found = np.column_stack([once[0] - once[1], low, high, ratio, *ends])
    found[~(known[i] & known[j])] = np.nan
    return found


def _student(z: float, freedom: Array) -> Array:
    """Student's quantiles at the level of a normal one; freedom: degrees of it, infinite for the normal itself."""
    from scipy.special import ndtr, stdtrit

    few = np.isfinite(freedom)
    return np.where(few, stdtrit(np.where(few, np.maximum(freedom, 1), 1e9), ndtr(z)), z)


def mean_gaps(values: Array, group: Codes, groups: int, *, confidence: float, units: Codes | None = None) -> Array:
    """Differences of group means of every pair, shape (pairs, 3): estimate, low, high; intervals hold together.

    Welch's (1947, Biometrika 34:28) t at the level of all pairs together. Each group gets one row's worth of the whole's
    spread, since few equal values are not certainty. units: positions of rows that depend on each other.
    """
    if groups < 2:
        raise NotEnoughData("fewer than two groups are large enough to compare")
    whole = float(values.var())
    mean, error, freedom = (np.empty(groups) for _ in range(3))
    for k in range(groups):
        mine = values[group == k]
        of = np.arange(len(mine)) if units is None else np.unique(units[group == k], return_inverse=True)[1]
        count = int(of.max(initial=-1)) + 1
        mean[k] = mine.mean() if len(mine) else np.nan
        within = float((np.bincount(of, mine - mean[k]) ** 2).sum()) if len(mine) else 0.0
        freedom[k] = max(count - 1, 1)
        error[k] = (within + whole) * max(count, 2) / freedom[k] / max(len(mine), 1) ** 2
    i, j = np.array(list(combinations(range(groups), 2))).T
    both = error[i] + error[j]
    degrees = np.divide(
        both**2, error[i] ** 2 / freedom[i] + error[j] ** 2 / freedom[j], where=both > 0, out=np.ones(len(i))
    )
    reach = _student(pairs_multiplier(np.maximum(error, 1e-300), confidence), degrees) * np.sqrt(both)
    gap = mean[i] - mean[j]
    return np.column_stack([gap, gap - reach, gap + reach])


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
