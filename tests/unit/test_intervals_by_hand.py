"""Intervals against what pen and paper give: each correction is wrong by a known amount where it is left out."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.stats import norm, t

from modelmark.domain.contract import Costs
from modelmark.domain.errors import NotEnoughData
from modelmark.stats import bootstrap, simultaneous, thresholds, two_shares
from modelmark.stats.bootstrap import Interval, _bca, _jackknife, interval
from modelmark.stats.calibration import (
    CalibrationError,
    _ks_quantile,
    _solve,
    calibration_error,
    cumulative,
    design_effect,
    equal_bins,
    ks_cdf,
    labels_needed,
)
from modelmark.stats.delong import auc, auc_difference, lowest_perfect, placements
from modelmark.stats.holm import holm
from modelmark.stats.rates import clopper_pearson, more_needed, wilson
from modelmark.stats.slicing import gap_of

NORMAL = norm.ppf((np.arange(100_000) + 0.5) / 100_000)  # replicates that are a normal distribution
EVEN = np.array([-1.0, 1.0] * 10)  # a jackknife without skew


# The bootstrap.


@pytest.mark.parametrize("units", [2, 5, 20])
def test_few_units_get_hesterbergs_wider_percentiles(units):
    """Student's quantile for the normal one, times sqrt(k / (k - 1)): at two units 18 times as wide."""
    low, high = _bca(NORMAL, 0.0, EVEN, 0.9, units)
    reach = t.ppf(0.95, units - 1) * (units / (units - 1)) ** 0.5
    ends = (max(-reach, NORMAL[0]), min(reach, NORMAL[-1]))
    assert (low, high) == pytest.approx(ends, abs=2e-3)


def test_bias_and_skew_move_the_percentiles_as_efron_says():
    """Efron 1987, formula (6.8): the bias counts twice where there is no skew, the skew by 1 / (1 - a (z0 + z))."""
    moved, _ = _bca(NORMAL, 0.5, EVEN, 0.9, 10**6)
    assert moved == pytest.approx(2 * 0.5 - 1.64485, abs=2e-3)
    jackknife = -np.array([0.0, 0, 0, 1])  # one unit pulls the estimate up
    skew = (0.75**3 - 3 * 0.25**3) / (6 * (0.75**2 + 3 * 0.25**2) ** 1.5)
    low, high = _bca(NORMAL, 0.0, jackknife, 0.9, 10**6)
    assert (low, high) == pytest.approx((-1.64485 / (1 + skew * 1.64485), 1.64485 / (1 - skew * 1.64485)), abs=2e-3)


def test_replicates_equal_to_the_estimate_count_half():
    quarters = np.repeat([-1.0, 0, 0, 1], 250)
    assert _bca(quarters, 0.0, EVEN, 0.8, 10**6) == (-1, 1)
    assert _bca(quarters / 2, 0.0, EVEN, 0.8, 10**6) == (-0.5, 0.5)
    assert _bca(np.full(10, 3.0), 3.0, EVEN, 0.95, 10) == (3.0, 3.0)
    low, high = _bca(NORMAL + 50, 0.0, EVEN, 0.9, 50)
    assert low == 0.0 < high  # the interval holds its estimate


def test_the_jackknife_leaves_out_each_unit_or_a_hundredth_of_them():
    values = np.arange(4.0)
    mean = lambda w: float(w @ values / w.sum())  # noqa: E731
    assert _jackknife(mean, np.arange(4), 4).tolist() == pytest.approx([2, 5 / 3, 4 / 3, 1])
    assert _jackknife(mean, np.array([0, 0, 1, 1]), 2).tolist() == [2.5, 0.5]
    sizes = _jackknife(lambda w: float(w.sum()), np.arange(1000), 1000)
    assert sizes.tolist() == [990.0] * 100
    assert len(_jackknife(lambda w: float(w.sum()), np.arange(100), 100)) == 100
    assert _jackknife(lambda w: 1.0 if w[0] else float("nan"), np.arange(5), 5).tolist() == [1.0] * 4


def test_how_often_is_resampled():
    assert [bootstrap.times_for(n) for n in (0, 10_000, 20_000, 50_000, 10**6)] == [2000, 2000, 1000, 400, 400]
    assert [simultaneous.times_for(n) for n in (0, 20_000, 40_000, 10**6)] == [1000, 1000, 500, 400]


def test_two_units_can_be_measured_and_one_cannot():
    values = np.array([0.0, 1, 2, 3])
    mean = lambda w: float(w @ values / w.sum()) if w.sum() else float("nan")  # noqa: E731
    found = interval(mean, 4, units=np.array([0, 0, 1, 1]), confidence=0.8, times=50)
    reach = t.ppf(0.9, 1)  # of two units that are 0.5 and 2.5 the mean errs by 1
    assert (found.estimate, found.n, found.confidence) == (1.5, 4, 0.8)
    assert (found.low, found.high) == pytest.approx((1.5 - reach, 1.5 + reach))
    assert str(found) == "1.5 [-1.578, 4.578]"
    with pytest.raises(NotEnoughData, match="4 rows in 1 independent units"):
        interval(mean, 4, units=np.zeros(4, dtype=np.int64))
    with pytest.raises(NotEnoughData, match="0 rows in 0"):
        interval(mean, 0)


@pytest.mark.parametrize(("every", "enough"), [(10, True), (9, False)])
def test_a_statistic_undefined_in_more_than_a_tenth_of_the_resamples_is_refused(every, enough):
    asked = iter(range(10**6))

    def sometimes(weights):
        number = next(asked)
        return float(weights[0]) if number == 0 or number > 100 or number % every else float("nan")

    if enough:
        assert interval(sometimes, 10, times=100).n == 10
    else:
        with pytest.raises(NotEnoughData, match="one resample in ten"):
            interval(sometimes, 10, times=100)


# Areas under curves.


def test_an_area_of_four_by_hand():
    """Positives 1, 3, 3 and negatives 0, 2, 3: placements 1/3, 5/6, 5/6 and 1, 2/3, 1/3; the mean is 2/3."""
    score, positive = np.array([1.0, 3, 3, 0, 2, 3]), np.array([True] * 3 + [False] * 3)
    above, below = placements(score, positive)
    assert above.tolist() == pytest.approx([1 / 3, 5 / 6, 5 / 6])
    assert below.tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    spread = (above.var(ddof=1) / 3 + below.var(ddof=1) / 3) ** 0.5
    found = auc(score, positive, confidence=0.9)
    logit, reach = log(2), 1.64485 * spread / (2 / 3 * 1 / 3)
    ends = [1 / (1 + np.exp(-(logit + side * reach))) for side in (-1, 1)]
    assert (found.estimate, found.low, found.high) == pytest.approx((2 / 3, *ends), abs=1e-5)
    assert (found.n, found.confidence) == (6, 0.9)
    none = auc_difference(score, score, positive, confidence=0.8)
    assert none == Interval(estimate=0.0, low=0.0, high=0.0, n=6, confidence=0.8)
    flipped = auc_difference(score, -score, positive, confidence=0.9)
    assert flipped.estimate == pytest.approx(1 / 3)
    assert flipped.high - flipped.estimate == pytest.approx(2 * 1.64485 * spread, abs=1e-5)
    assert flipped.estimate - flipped.low == pytest.approx(2 * 1.64485 * spread, abs=1e-5)


@pytest.mark.parametrize("positives", [1, 2])
@pytest.mark.parametrize("negatives", [1, 2])
def test_a_curve_takes_two_rows_of_either_class(positives, negatives):
    positive = np.r_[np.ones(positives, bool), np.zeros(negatives, bool)]
    score = np.arange(float(len(positive)))
    if min(positives, negatives) < 2:
        with pytest.raises(NotEnoughData, match=f"{positives} rows of one class and {negatives} of the other"):
            placements(score, positive)
    else:
        found = auc(score, positive, confidence=0.9)
        assert found == Interval(estimate=0.0, low=0.0, high=0.0, n=4, confidence=0.9)


def test_the_lowest_perfect_area_solves_newcombes_equation():
    """(1 - A)^2 = z^2 A (1 - A) (1 + half ((1 - A) / (2 - A) + A / (1 + A))) / (m n) at its root."""
    for m, n, confidence in ((5, 9, 0.95), (30, 12, 0.9)):
        a = lowest_perfect(m, n, confidence=confidence)
        z = norm.ppf((1 + confidence) / 2)
        variance = a * (1 - a) * (1 + ((m + n) / 2 - 1) * ((1 - a) / (2 - a) + a / (1 + a))) / (m * n)
        assert 1 - a == pytest.approx(z * variance**0.5, abs=1e-9)


# Slices.


def test_a_slices_gap_has_students_interval_over_units():
    loss = np.array([1.0, 0, 1, 1, 0, 0, 0, 0, 0, 1])
    mask = np.arange(10) < 4
    # What each row adds to the slice's mean less the whole's: its own off the slice's, less its part of the whole.
    adds = np.r_[(loss[:4] - 0.75) / 4, np.zeros(6)] - (loss - 0.4) / 10
    spread = ((adds @ adds + loss.var() / 16) * 4 / 3) ** 0.5
    found = gap_of(mask, loss, tolerance=0.1, confidence=0.9)
    reach = t.ppf(0.95, 3) * spread
    assert (found.rows, found.estimate) == (4, pytest.approx(0.35))
    assert (found.low, found.high) == pytest.approx((0.35 - reach, 0.35 + reach))
    assert found.p_value == pytest.approx(t.sf(0.25 / spread, 3))
    pairs = gap_of(mask, loss, tolerance=0.1, confidence=0.9, units=np.arange(10) // 2)
    both = adds.reshape(5, 2).sum(axis=1)
    together = ((both @ both + loss.var() / 16) * 2) ** 0.5
    assert pairs.high - pairs.estimate == pytest.approx(t.ppf(0.95, 1) * together)


def test_a_slices_gap_covers_where_the_rest_is_what_varies():
    """95% asked of 600 trials: a steady slice of 500 rows beside 100 whose mean is all the doubt there is."""
    rng, mask = np.random.default_rng(0), np.arange(600) < 500
    held = 0
    for _ in range(600):
        loss = np.r_[rng.normal(0.2, 0.01, 500), (rng.random(100) < 0.5) * 1.0]
        gap = gap_of(mask, loss, tolerance=0, confidence=0.95)
        held += gap.low <= 0.2 - (500 * 0.2 + 100 * 0.5) / 600 <= gap.high
    assert held >= 550  # 570, and three and a half standard deviations less


def test_a_gap_of_exactly_the_tolerance_is_even_odds_and_comparisons_share_the_doubt():
    loss, mask = np.r_[np.ones(6), np.zeros(14)], np.arange(20) < 8
    one = gap_of(mask, loss, tolerance=0.45, confidence=0.95)
    assert one.estimate == pytest.approx(0.45)
    assert one.p_value == pytest.approx(0.5)
    five = gap_of(mask, loss, tolerance=0.45, confidence=0.95, comparisons=5)
    assert (five.low, five.high) == pytest.approx(
        (lambda g: (g.low, g.high))(gap_of(mask, loss, tolerance=0, confidence=0.99))
    )
    assert gap_of(mask, loss, tolerance=one.low, confidence=0.95).p_value == pytest.approx(0.025)


def test_a_slice_takes_two_units_and_equal_losses_have_no_doubt_only_where_all_are_equal():
    loss = np.r_[np.ones(3), np.zeros(3)]
    with pytest.raises(NotEnoughData, match="1 rows"):
        gap_of(np.arange(6) < 1, loss, tolerance=0, confidence=0.95)
    with pytest.raises(NotEnoughData, match="0 rows"):
        gap_of(np.zeros(6, bool), loss, tolerance=0, confidence=0.95)
    assert gap_of(np.arange(6) < 2, loss, tolerance=0, confidence=0.95).p_value > 0.01
    flat = gap_of(np.arange(6) < 2, np.ones(6), tolerance=0, confidence=0.95)
    assert (flat.low, flat.high, flat.p_value) == (0, 0, 1)
    assert gap_of(np.arange(6) < 2, np.ones(6), tolerance=-0.1, confidence=0.95).p_value == 0


def test_holm_steps_down_through_the_sorted_p_values():
    assert holm([0.04, 0.01, 0.03, 0.9]) == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


# Families.


def test_one_pair_needs_no_more_than_its_own_quantile_and_many_need_tukeys():
    """The studentised range of 3 and 5 equal groups at 5%: 3.314 / sqrt 2 and 3.858 / sqrt 2 (Harter 1960)."""
    assert simultaneous.pairs_multiplier(np.array([1.0, 9.0]), 0.95) == pytest.approx(1.959964)
    assert simultaneous.pairs_multiplier(np.ones(3), 0.95) == pytest.approx(3.314 / 2**0.5, abs=0.04)
    assert simultaneous.pairs_multiplier(np.ones(5), 0.95) == pytest.approx(3.858 / 2**0.5, abs=0.04)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_differences_of_shares_are_those_that_newcombe_published(first, second, low, high):
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10."""
    sides = [tuple(np.array([float(v)]) for v in side) for side in (first, second)]
    found = two_shares.difference(*sides, 1.959964)
    assert (found[0][0], found[1][0]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_ratio_ends_where_its_score_begins_to_surprise():
    """By hand: at the ends the squared score is 1.96 squared, and the ratio the other way round has the ends turned round."""
    x, n, y, m = (np.array([float(v)]) for v in (36, 40, 16, 80))
    ends = two_shares.ratio((x, n), (y, m), 1.959964)
    for end in ends:
        assert two_shares._score(x, n, y, m, end)[0] == pytest.approx(1.959964**2, rel=1e-6)
    turned = two_shares.ratio((y, m), (x, n), 1.959964)
    assert (1 / turned[1][0], 1 / turned[0][0]) == pytest.approx((ends[0][0], ends[1][0]))
    none = np.array([0.0])
    assert [end[0] for end in two_shares.ratio((none, n), (none, m), 1.96)] == [0, two_shares.FARTHEST]


def test_drawn_cells_have_the_poisson_bootstraps_moments():
    counts, mean, variance = np.array([400, 0]), np.array([2.0, 5]), np.array([3.0, 1])
    rows, total = simultaneous.drawn_cells(counts, mean, variance, 0)
    assert rows.shape == (1000, 2)
    assert rows[:, 0].mean() == pytest.approx(400, rel=0.01)
    assert total[:, 0].mean() == pytest.approx(800, rel=0.01)
    assert total[:, 0].std() == pytest.approx((400 * (4 + 3)) ** 0.5, rel=0.1)
    assert not rows[:, 1].any()
    assert not total[:, 1].any()


def test_units_are_drawn_whole(monkeypatch):
    """Three units over two columns; a unit's rows come together, so its two terms keep their ratio."""
    monkeypatch.setattr(simultaneous, "_CHUNK", 3 * 300)
    units, column = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    terms = np.column_stack([np.ones(4), np.array([2.0, 3, 5, 7])])
    parts = list(simultaneous.drawn_units(units, column, terms, 2, 0))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    drawn = np.concatenate(parts)
    assert drawn.shape == (1000, 2, 2)
    assert drawn.mean(axis=0).tolist() == [pytest.approx([2, 9], rel=0.1), pytest.approx([2, 8], rel=0.1)]
    first = 3 * drawn[:, 1, 0] - drawn[:, 1, 1]  # minus twice unit 1
    assert np.unique(first % 2).tolist() == [0]


# Calibration.


def test_bins_of_scores_are_as_many_as_rows_can_feed():
    score = np.linspace(0.01, 0.99, 640)
    sizes = [len(equal_bins(score[:n], np.zeros(n)).count) for n in (39, 79, 80, 119, 120, 599, 600, 640)]
    assert sizes == [1, 1, 2, 2, 3, 14, 15, 15]
    two = equal_bins(np.array([0.1, 0.1, 0.3, 0.5]), np.array([0.0, 1, 1, 1]), bins=2, inflation=2.0)
    assert two.share.tolist() == [0.5, 0.5]
    assert two.said.tolist() == pytest.approx([0.1, 0.4])
    assert two.gap.tolist() == pytest.approx([0.4, 0.6])
    assert two.noise.tolist() == pytest.approx([2 * 0.5 * 0.5 / 2, 2 * (2.5 / 3) * (0.5 / 3) / 2])


def test_the_calibration_error_of_two_rows_by_hand():
    """Both said 0.6 and one came: the squared gap 0.01 is less than chance's 0.125."""
    found = calibration_error(np.array([0.6, 0.6]), np.array([0.0, 1.0]))
    assert (found.estimate, found.low, found.n, found.bins, found.confidence) == (0, 0, 2, 1, 0.95)
    assert 0.5 < found.high <= 1
    assert _solve(lambda _: 0.0, 0.5) == 1.0  # no error is larger
    assert _solve(lambda true: true, 0.3) == pytest.approx(0.3)
    sure = calibration_error(np.full(4000, 0.6), np.tile([0.0, 1.0], 2000))
    assert sure.estimate == pytest.approx((0.01 - 0.25 / 4000) ** 0.5, abs=1e-6)
    assert (sure.low, sure.high) == pytest.approx(
        (0.1 - 1.96 * 0.5 / 4000**0.5, 0.1 + 1.96 * 0.5 / 4000**0.5), abs=2e-3
    )
    half = calibration_error(np.full(4000, 0.6), np.tile([0.0, 1.0], 2000), inflation=4.0, confidence=0.9)
    assert (half.low, half.high) == pytest.approx((0.1 - 1.645 / 4000**0.5, 0.1 + 1.645 / 4000**0.5), abs=2e-3)
    assert str(sure) == f"0.100 [{sure.low:.3f}, {sure.high:.3f}]"
    with pytest.raises(NotEnoughData, match="1 rows"):
        calibration_error(np.array([0.6]), np.array([1.0]))


def test_the_cumulative_difference_of_four_rows_by_hand():
    """Sums along the scores, the two of 0.2 at once: -0.4, then 0.1, then -0.7; and the Brownian quantile 2.2414."""
    score, outcome = np.array([0.8, 0.2, 0.5, 0.2]), np.array([0.0, 0, 1, 0])
    found = cumulative(score, outcome, inflation=4.0)
    assert found.statistic == pytest.approx(0.7 / 4)
    assert found.scale == pytest.approx((4 * (0.16 + 0.16 + 0.25 + 0.16)) ** 0.5 / 4)
    assert (found.low, found.high) == (0, 1)
    assert found.p_value == pytest.approx(1 - ks_cdf(found.statistic / found.scale))
    assert _ks_quantile(0.95) == pytest.approx(2.2414, abs=1e-4)
    many = cumulative(np.full(10_000, 0.5), np.r_[np.ones(6000), np.zeros(4000)], inflation=4.0)
    assert (many.statistic, many.low, many.high) == pytest.approx(
        (0.1, 0.1 - 2.2414 * 0.01, 0.1 + 2.2414 * 0.01), abs=1e-5
    )
    sure = [cumulative(np.ones(3), outcome) for outcome in (np.ones(3), np.zeros(3))]
    assert [one.p_value for one in sure] == [1.0, 0.0]
    assert [ks_cdf(x) for x in (-1.0, 0.0)] == [0, 0]


def test_a_design_effect_is_kishs_and_never_below_one():
    """Clusters of b rows alike: b. Clusters that cancel: 1, not 0."""
    alike = np.repeat([1.0, -1.0, 2.0, -2.0], 3)
    for size in (1.0, 0.01):
        assert design_effect(size * alike, np.arange(12) // 3) == pytest.approx(3)
    assert design_effect(np.array([1.0, -1, 1, -1]), np.array([0, 0, 1, 1])) == 1
    assert design_effect(np.array([3.0, 3.0, 1, 1]), np.array([0, 0, 1, 1])) == pytest.approx(2)
    assert design_effect(np.array([1.0, 1.0]), np.array([0, 0])) == 1
    assert design_effect(np.array([1.0]), np.array([0])) == 1


def test_more_labels_are_asked_for_only_where_the_limit_is_inside():
    found = CalibrationError(estimate=0.1, low=0.05, high=0.15, n=100, bins=2, confidence=0.95)
    assert [labels_needed(found, limit) is None for limit in (0.049, 0.05, 0.149, 0.15)] == [True, False, False, True]
    assert labels_needed(found, 0.08) == more_needed(100, 0.05, 0.02) == 525
    assert labels_needed(found, 0.12) == 525


def test_intervals_of_shares_are_the_published_ones():
    """Newcombe 1998, Stat. Med. 17:857, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29 (methods 3 and 5)."""
    table = {
        (81, 263): ((0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148): ((0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20): ((0.0, 0.1611), (0.0, 0.1684)),
        (1, 29): ((0.0061, 0.1718), (0.0009, 0.1776)),
    }
    for (hits, n), (score, exact) in table.items():
        assert wilson(hits, n) == pytest.approx(score, abs=5e-5)
        assert clopper_pearson(hits, n) == pytest.approx(exact, abs=5e-5)
        assert wilson(n - hits, n) == pytest.approx((1 - score[1], 1 - score[0]), abs=5e-5)
        assert clopper_pearson(n - hits, n) == pytest.approx((1 - exact[1], 1 - exact[0]), abs=5e-5)
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(3, 3, 0.9)[0] == pytest.approx(0.05 ** (1 / 3))
    assert more_needed(100, 0.1, 0.01) == 9900
    assert more_needed(100, 0.1, 0.1) == 1


# Costs.

COSTS = Costs(false_positive=1, false_negative=4, true_positive=-2, true_negative=0.5)


def test_each_decision_has_its_price_and_the_threshold_itself_says_yes():
    score, positive = np.array([0.5, 0.4, 0.5, 0.4]), np.array([True, True, False, False])
    assert thresholds.cost_rows(score, positive, 0.5, COSTS).tolist() == [-2, 4, 1, 0.5]


def test_the_cheapest_threshold_of_five_rows_by_hand():
    """Ranked 0.9 y, 0.7 n, 0.7 y, 0.4 n, 0.2 n: totals 9.5, 3.5, -2, -1.5, -1; so between 0.7 and 0.4."""
    score = np.array([0.2, 0.7, 0.9, 0.7, 0.4])
    positive = np.array([False, True, True, False, False])
    assert thresholds.cheapest(score, positive, COSTS) == pytest.approx((0.55, -2 / 5))
    assert thresholds.cheapest(score, np.zeros(5, bool), COSTS) == pytest.approx((0.95, 0.5))
    assert thresholds.cheapest(score, np.ones(5, bool), COSTS) == pytest.approx((0.1, -2))
    assert thresholds.cheapest(np.ones(2), np.zeros(2, bool), COSTS)[0] == 1 - 1e-6
    assert thresholds.cheapest(np.zeros(2), np.ones(2, bool), COSTS)[0] == 1e-6


def test_the_curve_of_costs_has_normal_intervals_by_units():
    score, positive = np.array([0.2, 0.2, 0.6, 0.6]), np.array([True, False, True, False])
    grid = thresholds.curve(score, positive, COSTS, confidence=0.9, points=3)
    assert grid.threshold.tolist() == [0, 0.5, 1]
    assert grid.cost.tolist() == [-0.5, 0.875, 2.25]
    spread = (2 * 1.5**2 + 2 * 1.5**2) ** 0.5 / 4
    assert grid.high[0] - grid.cost[0] == pytest.approx(1.64485 * spread, abs=1e-5)
    assert grid.cost[0] - grid.low[0] == pytest.approx(1.64485 * spread, abs=1e-5)
    pairs = thresholds.curve(score, positive, COSTS, units=np.array([0, 0, 1, 1]), points=3)
    assert pairs.high[0] == pairs.cost[0]  # each pair sums to the mean
    assert len(thresholds.curve(score, positive, COSTS).cost) == 101


def test_the_regret_of_a_threshold_is_what_it_costs_beyond_the_best():
    """Two scores told apart without an error: the best costs -0.75 a row, saying no to all 2.25, whatever the halves."""
    score, positive = np.tile([0.2, 0.8], 200), np.tile([False, True], 200)
    middle, low, high = thresholds.regret(score, positive, 0.9, COSTS, confidence=0.9)
    assert middle == pytest.approx(3.0)
    assert (low, high) == pytest.approx((3 - 1.64485 * 3 / 399**0.5, 3 + 1.64485 * 3 / 399**0.5), abs=1e-4)
    pairs = thresholds.regret(score, positive, 0.9, COSTS, units=np.arange(400) // 2)
    assert pairs == pytest.approx((3.0, 3.0, 3.0))
