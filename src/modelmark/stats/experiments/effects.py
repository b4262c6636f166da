"""How much better one arm does than another: differences of means and of ratios of means, adjusted, with their variance.

Ratios by the delta method (Deng, Knoblich & Lu 2018, KDD); what was known before by regression on it, CUPED (Deng, Xu, Kohavi
& Walker 2013, WSDM); strata after the fact (Miratrix, Sekhon & Yu 2013, J. R. Stat. Soc. B 75(2)). Bounds that hold at every
look: asymptotic confidence sequences (`sequences.mean_radius`; Waudby-Smith et al. 2024, Ann. Statist. 52(6)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from modelmark.stats.experiments.moments import FEWEST, C, Moments, X, Y, merged
from modelmark.stats.sequences import mean_radius

#: A single unit with more than this share of an arm's sum of squares decides alone what the arm's mean is.
SPIKE: Final = 0.25
_NOTHING: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """control, treated: each arm's own ratio, as it is. estimate: the difference, adjusted. variance: of the estimate.

    cut: the share of the variance that strata and covariate took away, 0 where there are none. n: units of both.
    """

    control: float
    treated: float
    estimate: float
    variance: float
    n: int
    cut: float = 0.0


@dataclass(frozen=True, slots=True)
class NotComputable:
    """why: one sentence."""

    why: str


def effect(
    control: Sequence[Moments], treated: Sequence[Moments], largest: tuple[float, float] | None = None
) -> Effect | NotComputable:
    """The treated arm's ratio of means less the control's. control, treated: one `Moments` a stratum, in the same order.

    largest: of each arm, the largest (x - R y)^2 of a unit, R being the arm's ratio; None where it is not known.
    """
    whole = [merged(control), merged(treated)]
    few = min(arm.n for arm in whole)
    if few < FEWEST:
        return NotComputable(f"it takes {FEWEST} units of each arm, and one has {few}.")
    if any(arm.mean[Y] <= _NOTHING for arm in whole):
        return NotComputable("there is nothing to divide by: no unit of an arm has the denominator.")
    ratios = [float(arm.mean[X] / arm.mean[Y]) for arm in whole]
    spread = [_variance(_gradient(arm, ratio, 0.0), arm) for arm, ratio in zip(whole, ratios, strict=True)]
    if not all(np.isfinite(spread)):
        return NotComputable("a variance is missing or not finite.")
    if sum(spread) <= 0:
        return NotComputable("nothing varies: every unit has the same value, so there is no variance to judge by.")
    for arm, ratio, top in zip(whole, ratios, largest or (), strict=largest is not None):
        total = _variance(np.array([1.0, -ratio, 0.0]), arm) * (arm.n - 1)
        if total > 0 and top > SPIKE * total:
            return NotComputable(
                f"a single unit holds {min(top / total, 1):.0%} of an arm's sum of squares; at most {SPIKE:.0%} may be one's."
            )
    return _adjusted(control, treated, whole, ratios, sum(v / arm.n for v, arm in zip(spread, whole, strict=True)))


def _adjusted(
    control: Sequence[Moments],
    treated: Sequence[Moments],
    whole: Sequence[Moments],
    ratios: Sequence[float],
    plain: float,
) -> Effect | NotComputable:
    n = sum(arm.n for arm in whole)
    weights = [(a.n + b.n) / n for a, b in zip(control, treated, strict=True)]
    variance, parts, slopes = 0.0, [], []
    for weight, *pair in zip(weights, control, treated, strict=True):
        theta = _theta(pair, whole, ratios)
        slopes.append(theta)
        means = []
        for part, arm, ratio in zip(pair, whole, ratios, strict=True):
            slope = _gradient(arm, ratio, theta)
            means.append(ratio + float(slope @ part.mean))
            variance += weight**2 * _variance(slope, part) / part.n
        parts.append(means[1] - means[0])
    estimate = float(np.dot(weights, parts))
    variance += (
        float(np.dot(weights, (np.asarray(parts) - estimate) ** 2)) / n
    )  # the strata's own shares are drawn, too
    if not np.isfinite(variance) or variance <= 0:
        return NotComputable("a variance is missing or not finite.")
    return Effect(
        control=ratios[0], treated=ratios[1], estimate=estimate, variance=variance, n=n,
        cut=1 - variance / plain if plain > 0 and (any(slopes) or len(weights) > 1) else 0.0,
    )  # fmt: skip


def _gradient(arm: Moments, ratio: float, theta: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of an arm's adjusted ratio by the three means."""
    return np.array([1 / arm.mean[Y], -ratio / arm.mean[Y], -theta])


def _variance(slope: np.ndarray[tuple[int], np.dtype[np.float64]], part: Moments) -> float:
    return float(slope @ part.covariance @ slope)


def _theta(pair: Sequence[Moments], whole: Sequence[Moments], ratios: Sequence[float]) -> float:
    """A stratum's slope on the covariate that leaves the least variance; 0 where the covariate does not vary."""
    joint = own = 0.0
    for part, arm, ratio in zip(pair, whole, ratios, strict=True):
        joint += float(_gradient(arm, ratio, 0.0) @ part.covariance[:, C]) / part.n
        own += float(part.covariance[C, C]) / part.n
    return joint / own if own > _NOTHING else 0.0


def bounds(found: Effect, *, alpha: float, aim: float) -> tuple[float, float]:
    """(lower, upper) of the difference, each with its own chance alpha ever to be wrong, over all looks. aim: the difference
    that is worth telling apart, agreed beforehand."""
    radius = mean_radius(found.variance, alpha=alpha, aim=aim)
    return found.estimate - radius, found.estimate + radius
