"""Bounds that hold at every moment at once, so whoever looks again and again, and stops when they like, errs no oftener.

`alpha` is the chance that a bound is ever wrong, over all looks together, however many there are. Every bound here is
one-sided; two of them at half of it make an interval. Sources: Howard, Ramdas, McAuliffe & Sekhon 2021, Ann. Statist. 49(2)
(uniform boundaries); Howard & Ramdas 2022, Bernoulli 28(3) (quantiles); Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024,
Ann. Statist. 52(6) (means, asymptotically).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Final

#: Fewer values than this say nothing of a mean's variance, and so nothing of the mean.
FEWEST: Final = 50
_TOLERANCE: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What a mean's bounds need of its values: how many, their sum, the sum of their squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """nan of nothing."""
        return self.total / self.n if self.n else float("nan")

    @property
    def variance(self) -> float:
        """Unbiased; nan of fewer than two."""
        if self.n < 2:
            return float("nan")
        return max(0.0, (self.squares - self.total * self.total / self.n) / (self.n - 1))


NO_SUMS: Final = Sums()


def best_rho(v: float, alpha: float, *, one_sided: bool = False) -> float:
    """The mixture's precision with which its boundary is about tightest at intrinsic time v."""
    a = 2 * alpha if one_sided else alpha
    spread = 2 * log(1 / a)
    return v / (spread + log(1 + spread))


def log_normal_mixture(s: float, v: float, *, rho: float, one_sided: bool = False) -> float:
    """The log of the wealth of a normal mixture, for a sum s that is sub-Gaussian with variance process v."""
    from scipy.special import log_ndtr

    wealth = 0.5 * log(rho / (v + rho)) + s * s / (2 * (v + rho))
    return wealth + log(2.0) + float(log_ndtr(s / sqrt(v + rho))) if one_sided else wealth


def normal_mixture(v: float, *, rho: float, alpha: float, one_sided: bool = False) -> float:
    """How far such a sum ever goes, but with chance alpha."""
    if not one_sided:
        return sqrt((v + rho) * log((v + rho) / (rho * alpha * alpha)))
    top = sqrt((v + rho) * log((v + rho) / (rho * alpha * alpha)))
    return _crossing(lambda s: log_normal_mixture(s, v, rho=rho, one_sided=True), 0.0, top, alpha)


def log_beta_binomial(s: float, v: float, *, g: float, h: float, r: float, one_sided: bool = False) -> float:
    """The log of the wealth of a beta-binomial mixture, for a sum s of values in [-g, h] with mean 0 and v = g h n."""
    upper = h / (g + h) if one_sided else 1.0
    after = _log_incomplete_beta((r + v - g * s) / (g * (g + h)), (r + v + h * s) / (h * (g + h)), upper)
    before = _log_incomplete_beta(r / (g * (g + h)), r / (h * (g + h)), upper)
    scale = v / (g * h) * log(g + h) - (v + h * s) / (h * (g + h)) * log(g) - (v - g * s) / (g * (g + h)) * log(h)
    return scale + after - before


def beta_binomial(v: float, *, g: float, h: float, v_opt: float, alpha: float, one_sided: bool = False) -> float:
    """How far such a sum ever goes, but with chance alpha; inf where v is too small for anything to be said."""
    r = _precision(v_opt, alpha, g, h, one_sided=one_sided)
    most = v / g  # every value was h
    return _crossing(lambda s: log_beta_binomial(s, v, g=g, h=h, r=r, one_sided=one_sided), 0.0, most, alpha)


def bernoulli_interval(successes: float, n: int, *, alpha: float, n_opt: float) -> tuple[float, float]:
    """Two-sided bounds of a share, or of the mean of values in [0, 1] (`successes`: their sum). n_opt: where it is tightest.

    >>> [round(end, 4) for end in bernoulli_interval(700, 1000, alpha=0.05, n_opt=100)]
    [0.6516, 0.7459]
    """
    low, high = (
        _share_end(s, n, alpha=alpha, n_opt=n_opt, one_sided=False) if s > 0 else 0.0
        for s in (successes, n - successes)
    )
    return low, 1 - high


def share_at_least(successes: float, n: int, *, alpha: float, n_opt: float = 500.0) -> float:
    """A lower bound of a share, or of the mean of values in [0, 1]; 0 where nothing is known."""
    if n == 0 or successes <= 0:
        return 0.0
    return _share_end(successes, n, alpha=alpha, n_opt=n_opt, one_sided=True)


def share_at_most(successes: float, n: int, *, alpha: float, n_opt: float = 500.0) -> float:
    """An upper bound of a share, or of the mean of values in [0, 1]; 1 where nothing is known."""
    return 1.0 - share_at_least(n - successes, n, alpha=alpha, n_opt=n_opt)


def quantile_ranks(p: float, n: int, *, alpha: float, n_opt: float = 2000.0) -> tuple[float | None, float | None]:
    """The shares (low, high) whose empirical quantiles bound the p-quantile of what is drawn, each with chance alpha to ever
    be wrong. None: n values say nothing on that side yet."""
    if n == 0:
        return None, None
    v, v_opt = p * (1 - p) * n, p * (1 - p) * n_opt
    down = beta_binomial(v, g=1 - p, h=p, v_opt=v_opt, alpha=alpha, one_sided=True) / n
    up = beta_binomial(v, g=p, h=1 - p, v_opt=v_opt, alpha=alpha, one_sided=True) / n
    return (p - down if p - down > 0 else None), (p + up if p + up < 1 else None)


def mean_radius(variance: float, *, alpha: float, aim: float) -> float:
    """How far an estimate of this variance (of the mean, or of a difference of means) is ever from the truth, on one side.

    Asymptotically: for means of many values. aim: the difference that should be told apart; it says when the bound is
    tightest, and must not come from the data. 0 for what does not vary.
    """
    if variance <= 0:
        return 0.0
    information = 1.0 / variance
    wanted = (2.5 / aim) ** 2  # a fixed test of power 0.8 at one-sided 0.05 needs as much
    rho = best_rho(wanted, alpha, one_sided=True)
    return normal_mixture(information, rho=rho, alpha=alpha, one_sided=True) / information


def difference(first: Sums, second: Sums, *, alpha: float, aim: float) -> tuple[float, float, float] | None:
    """(estimate, lower bound, upper bound) of the mean of the second less that of the first; None with too few of either.

    Each bound has its own alpha.
    """
    if min(first.n, second.n) < FEWEST:
        return None
    estimate = second.mean - first.mean
    radius = mean_radius(first.variance / first.n + second.variance / second.n, alpha=alpha, aim=aim)
    return estimate, estimate - radius, estimate + radius


def paired(values: Sums, *, alpha: float, aim: float) -> tuple[float, float, float] | None:
    """(estimate, lower bound, upper bound) of the mean of differences within pairs; None with too few."""
    if values.n < FEWEST:
        return None
    radius = mean_radius(values.variance / values.n, alpha=alpha, aim=aim)
    return values.mean, values.mean - radius, values.mean + radius


def _precision(v_opt: float, alpha: float, g: float, h: float, *, one_sided: bool) -> float:
    return max(best_rho(v_opt, alpha, one_sided=one_sided) - g * h, 1e-3 * g * h)


def _share_end(successes: float, n: int, *, alpha: float, n_opt: float, one_sided: bool) -> float:
    """The least share that the mixture does not rule out."""
    from scipy.optimize import brentq

    def wealth(p: float) -> float:
        v = p * (1 - p)
        r = _precision(v * n_opt, alpha, p, 1 - p, one_sided=one_sided)
        return log_beta_binomial(successes - n * p, v * n, g=p, h=1 - p, r=r, one_sided=one_sided)

    observed = min(successes / n, 1 - 1e-9)
    if wealth(_TOLERANCE) < log(1 / alpha):
        return 0.0
    return float(brentq(lambda p: wealth(p) - log(1 / alpha), _TOLERANCE, observed, xtol=_TOLERANCE))


def _crossing(wealth: Callable[[float], float], low: float, high: float, alpha: float) -> float:
    from scipy.optimize import brentq

    if wealth(high) < log(1 / alpha):
        return inf
    return float(brentq(lambda s: wealth(s) - log(1 / alpha), low, high, xtol=1e-10))


def _log_incomplete_beta(a: float, b: float, upper: float) -> float:
    """Of the incomplete beta function up to `upper`, not divided by the complete one."""
    from scipy.special import betainc, betaln

    if upper >= 1:
        return float(betaln(a, b))
    share = float(betainc(a, b, upper))
    return float(betaln(a, b)) + log(share) if share > 0 else -inf
