"""Did units come to the arms in the shares that were agreed? If not, arms are no longer alike and no result counts."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Final

#: How closely the alternative's prior stands about the agreed shares: as of so many units.
CONCENTRATION: Final = 1_000.0


def log_e_value(counts: Sequence[int], shares: Sequence[float], *, concentration: float = CONCENTRATION) -> float:
    """The log of the evidence against the agreed shares; at least log(1 / alpha), at any look, with chance alpha at most.

    counts: units of each arm. shares: agreed, adding up to 1, none of them 0. Source: Lindon & Malek 2022, NeurIPS
    (anytime-valid inference for multinomial count data): Dirichlet-multinomial against multinomial.
    """
    from scipy.special import gammaln

    prior = [concentration * share for share in shares]
    n, total = sum(counts), sum(prior)
    found = float(gammaln(total) - gammaln(total + n))
    for count, own, share in zip(counts, prior, shares, strict=True):
        found += float(gammaln(own + count) - gammaln(own)) - count * log(share)
    return found


def sequential_p(
    counts: Sequence[int], shares: Sequence[float], *, before: float = 1.0, concentration: float = CONCENTRATION
) -> float:
    """before: the last look's; what was once seen is not forgotten.

    >>> f"{sequential_p([800, 200], [0.5, 0.5], concentration=10_000):.4g}"
    '8.126e-08'
    """
    return min(before, exp(-max(log_e_value(counts, shares, concentration=concentration), 0.0)))


def fixed_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Of a test that is made once, at an end that was agreed: chi-square."""
    from scipy.stats import chisquare

    n = sum(counts)
    return float(chisquare(counts, [n * share for share in shares]).pvalue)
