"""Bounds that hold at every look: against published values, and against their own law."""

from __future__ import annotations

import numpy as np
import pytest

from modelmark.stats.sequences import (
    Sums,
    bernoulli_interval,
    best_rho,
    beta_binomial,
    difference,
    log_normal_mixture,
    mean_radius,
    normal_mixture,
    paired,
    quantile_ranks,
    share_at_least,
    share_at_most,
)


def test_boundaries_are_those_of_confseq():
    """Howard's confseq, test/uniform_boundaries_unittest.cpp: v_opt 100, alpha 0.05."""
    rho = best_rho(100, 0.05)
    assert rho == pytest.approx(12.60056, abs=1e-5)
    assert log_normal_mixture(10, 100, rho=rho) == pytest.approx(-0.6510052, abs=1e-5)
    assert normal_mixture(100, rho=rho, alpha=0.05) == pytest.approx(30.35209, abs=1e-5)
    one = best_rho(100, 0.05, one_sided=True)
    assert log_normal_mixture(10, 100, rho=one, one_sided=True) == pytest.approx(-0.06502391, abs=1e-5)
    assert normal_mixture(100, rho=one, alpha=0.05, one_sided=True) == pytest.approx(27.66071, abs=1e-5)
    of = {"g": 0.2, "h": 0.8, "v_opt": 100, "alpha": 0.05}
    assert beta_binomial(100, **of) == pytest.approx(31.4308, abs=1e-4)
    assert beta_binomial(100, **of, one_sided=True) == pytest.approx(28.41238, abs=1e-5)


@pytest.mark.parametrize(
    ("successes", "n", "n_opt", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (100, 200, 1, 0.328923, 0.671076),
    ],
)
def test_shares_are_those_of_confseq(successes: int, n: int, n_opt: float, low: float, high: float):
    assert bernoulli_interval(successes, n, alpha=0.05, n_opt=n_opt) == pytest.approx((low, high), abs=2e-6)


def test_one_sided_bounds_of_shares_mirror_each_other_and_say_nothing_of_nothing():
    assert share_at_least(0, 0, alpha=0.01) == 0.0
    assert share_at_most(0, 0, alpha=0.01) == 1.0
    assert share_at_least(30, 100, alpha=0.01) == pytest.approx(1 - share_at_most(70, 100, alpha=0.01))
    assert 0.3 < share_at_least(20, 20, alpha=0.005) < 1.0
    assert share_at_most(0, 1000, alpha=0.05) < 0.02


LOOKS = np.unique(np.geomspace(20, 4000, 40).astype(int))


def ever_wrong(truth: float, draws: np.ndarray, alpha: float) -> tuple[float, float]:
    """Of so many lives (rows), in how many the lower bound of the mean, and the upper one, is wrong at any look."""
    low = high = 0
    for life in draws:
        total = np.cumsum(life)
        low += any(share_at_least(total[n - 1], int(n), alpha=alpha) > truth for n in LOOKS)
        high += any(share_at_most(total[n - 1], int(n), alpha=alpha) < truth for n in LOOKS)
    return low / len(draws), high / len(draws)


@pytest.mark.parametrize("truth", [0.02, 0.5])
def test_bounds_of_a_share_are_wrong_at_any_of_forty_looks_no_oftener_than_asked(truth: float):
    """A fixed test read so often errs in a quarter of all lives (Armitage, McPherson & Rowe 1969: .248 at twenty looks)."""
    draws = (np.random.default_rng(1).random((150, 4000)) < truth) * 1.0
    low, high = ever_wrong(truth, draws, 0.1)
    assert max(low, high) <= 0.1 + 3 * (0.1 * 0.9 / 150) ** 0.5


def test_a_difference_of_means_is_seldom_wrong_however_often_it_is_read_and_a_fixed_test_often():
    rng, lives, alpha = np.random.default_rng(2), 1000, 0.05
    first, second = (rng.random((lives, 4000)) for _ in range(2))
    sums = [(np.cumsum(x, axis=1), np.cumsum(x * x, axis=1)) for x in (first, second)]
    ours = fixed = 0
    for life in range(lives):
        wrong, naive = False, False
        for n in LOOKS[LOOKS >= 50]:
            arms = [Sums(n=int(n), total=t[life, n - 1], squares=s[life, n - 1]) for t, s in sums]
            found = difference(*arms, alpha=alpha, aim=0.05)
            assert found is not None
            wrong |= found[1] > 0
            deviation = (sum(arm.variance / arm.n for arm in arms)) ** 0.5
            naive |= found[0] > 1.645 * deviation
        ours, fixed = ours + wrong, fixed + naive
    assert ours / lives <= alpha + 3 * (alpha * (1 - alpha) / lives) ** 0.5
    assert fixed / lives > 2.5 * alpha, "what the law is there for"


def test_a_quantiles_bounds_hold_at_every_look():
    rng, lives, alpha, missed = np.random.default_rng(3), 150, 0.1, [0, 0]
    ranks = {int(n): quantile_ranks(0.9, int(n), alpha=alpha, n_opt=500) for n in LOOKS}
    for _ in range(lives):
        life, low_wrong, high_wrong = rng.random(4000), False, False
        for n, (low, high) in ranks.items():
            seen = np.sort(life[:n])
            low_wrong |= low is not None and seen[max(int(np.ceil(low * n)) - 1, 0)] > 0.9
            high_wrong |= high is not None and seen[int(np.ceil(high * n)) - 1] < 0.9
        missed = [missed[0] + low_wrong, missed[1] + high_wrong]
    assert max(missed) / lives <= alpha + 3 * (alpha * (1 - alpha) / lives) ** 0.5


def test_few_answers_bound_no_slow_tail():
    assert quantile_ranks(0.99, 0, alpha=0.01) == (None, None)
    low, high = quantile_ranks(0.99, 100, alpha=0.01)
    assert low is not None
    assert high is None
    low, high = quantile_ranks(0.99, 5000, alpha=0.01)
    assert low is not None
    assert high is not None
    assert low < 0.99 < high < 1


def test_a_means_bound_is_one_boundary_made_beforehand_and_not_a_new_one_at_every_look():
    """One made anew for the data at hand would be as tight at every look as it is where it is aimed, and would not hold."""
    aim, alpha = 0.05, 0.05
    wanted = (2.5 / aim) ** 2
    widths = [
        mean_radius(1 / (wanted * times), alpha=alpha, aim=aim) * (wanted * times) ** 0.5 for times in (0.01, 1, 100)
    ]
    assert widths[1] < 0.9 * min(widths[0], widths[2])


def test_means_of_few_values_are_not_judged_and_what_does_not_vary_is_known():
    few = Sums(n=49, total=10.0, squares=5.0)
    assert difference(few, few, alpha=0.05, aim=0.1) is None
    assert paired(few, alpha=0.05, aim=0.1) is None
    assert mean_radius(0.0, alpha=0.05, aim=0.1) == 0.0
    same = Sums(n=100, total=50.0, squares=25.0)
    assert paired(same, alpha=0.05, aim=0.1) == (0.5, 0.5, 0.5)
