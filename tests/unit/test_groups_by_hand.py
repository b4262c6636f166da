"""Comparisons of groups: sums, floors, units and indices of tables that can be counted by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.fairness import (
    RATES,
    Decided,
    contrasts,
    differential_fairness,
    disparate_impact,
    generalized_entropy,
    group_rates,
    group_sums,
    mean_gaps,
    resampled,
    shrunk,
)
from modelmark.stats.indices import _divided, _entropies, _epsilons, _impacts, indices
from modelmark.stats.simultaneous import drawn_units, pairs_multiplier


def decided(*groups, units=None):
    """groups: of each, how many rows are (both, alarm, missed, neither). Scores are 0.8 where said, else 0.1."""
    rows = [
        (g, said, real)
        for g, counts in enumerate(groups)
        for (said, real), n in zip(((1, 1), (1, 0), (0, 1), (0, 0)), counts, strict=True)
        for _ in range(n)
    ]
    group, said, real = np.array(rows).T
    return Decided(group=group, said=said == 1, real=real == 1, score=np.where(said == 1, 0.8, 0.1), units=units)


def rate(found, name, first=0, second=1):
    return next(c for c in found if (c.rate, c.first, c.second) == (name, first, second))


def test_rates_of_two_groups_and_their_differences_and_ratios():
    found = contrasts(decided((30, 10, 20, 40), (10, 10, 40, 40)), 2)
    assert [(c.rate, c.first, c.second) for c in found] == [(name, 0, 1) for name in RATES]
    differences = [0.4 - 0.2, 3 / 5 - 1 / 5, 1 / 5 - 1 / 5, 3 / 4 - 1 / 2, (0.38 - 0.5) - (0.24 - 0.5), 0.0]
    assert [c.difference for c in found] == pytest.approx(differences)
    ratios = [2, 3, 1, 1.5, 1]
    assert [c.ratio for c in found if c.rate != "calibration"] == pytest.approx(ratios)
    for c in found:
        assert c.difference_low < c.difference < c.difference_high
        if c.rate != "calibration":
            assert c.ratio_low < c.ratio < c.ratio_high


def test_nobody_to_count_is_no_rate():
    sums = group_sums(decided((2, 0, 0, 0), (0, 0, 0, 2)), 2, np.ones((1, 4)))
    assert sums.shape == (1, 2, 6)
    assert sums[0].tolist() == [pytest.approx([2, 2, 2, 2, 0, -0.4]), pytest.approx([2, 0, 0, 0, 0, 0.2])]
    assert np.isnan(group_rates(sums)[0]).tolist() == [
        [False, False, True, False, False, False],
        [False, True, False, True, False, False],
    ]
    assert group_rates(group_sums(decided((1, 0, 0, 0)), 1, np.ones((1, 1))))[0, 0, :2].tolist() == [1, 1]
    with pytest.raises(NotEnoughData):
        contrasts(decided((2, 0, 0, 0)), 1)


def test_a_rate_of_nought_or_one_has_wilsons_ends():
    """Nobody said yes in groups of 10, 40 and 40: the difference of two noughts ends where Wilson's interval of each does."""
    for counts in ((0, 0, 5, 5), (5, 5, 0, 0)):
        found = contrasts(decided(counts, *[tuple(4 * n for n in counts)] * 2), 3)
        few, many = rate(found, "selection_rate"), rate(found, "selection_rate", 1, 2)
        p = [0.5 / 11, 0.5 / 41, 0.5 / 41]
        z2 = (
            pairs_multiplier(np.array([q * (1 - q) / (n + 1) for q, n in zip(p, (10, 40, 40), strict=True)]), 0.95) ** 2
        )
        ten, forty = (z2 / (n + z2) for n in (10, 40))
        turned = counts[0] == 0
        ends = (-few.difference_low, few.difference_high) if turned else (few.difference_high, -few.difference_low)
        assert ends == (pytest.approx(forty), pytest.approx(ten))
        assert (many.difference, many.difference_high) == (0, pytest.approx(forty))
        assert few.ratio_low < few.ratio < few.ratio_high


def test_intervals_have_the_binomial_size():
    """One pair of 400 rows each: 1.96 standard errors."""
    found = rate(contrasts(decided((100, 100, 100, 100), (100, 100, 100, 100)), 2), "base_rate")
    error = (2 * 0.25 / 400) ** 0.5
    assert found.difference_high / error == pytest.approx(1.96, rel=0.01)
    narrow = rate(contrasts(decided((100, 100, 100, 100), (100, 100, 100, 100)), 2, confidence=0.5), "base_rate")
    assert narrow.difference_high / error == pytest.approx(0.6745, rel=0.01)


def test_rows_of_one_unit_count_as_one():
    """Ten copies of each row in one unit: intervals as wide as those of the tenth."""
    once = decided((10, 10, 10, 10), (10, 10, 10, 10))
    rows = np.repeat(np.arange(80), 10)
    ten = Decided(
        group=once.group[rows], said=once.said[rows], real=once.real[rows], score=once.score[rows], units=rows
    )
    wide = [rate(contrasts(d, 2), "selection_rate").difference_high for d in (once, ten)]
    assert wide[1] == pytest.approx(wide[0], rel=0.15)
    alone = Decided(group=ten.group, said=ten.said, real=ten.real, score=ten.score)
    assert rate(contrasts(alone, 2), "selection_rate").difference_high < 0.45 * wide[1]


def test_resampled_sums_have_the_means_and_the_spread_of_the_rows():
    made = decided((30, 10, 20, 40), (5, 15, 25, 55))
    sums = resampled(made, 2, 0)
    once = group_sums(made, 2, np.ones((1, 200)))[0]
    assert sums.shape == (1000, 2, 6)
    assert sums.mean(axis=0) == pytest.approx(once, rel=0.05, abs=0.2)
    assert sums[..., :5].std(axis=0) == pytest.approx(once[:, :5] ** 0.5, rel=0.1)
    gaps = [np.array([-0.2, 0.8, -0.9, 0.1])] * 2
    spread = [(np.array(n) @ g**2) ** 0.5 for n, g in zip(((30, 10, 20, 40), (5, 15, 25, 55)), gaps, strict=True)]
    assert sums[..., 5].std(axis=0) == pytest.approx(spread, rel=0.1)
    assert np.all(sums[..., 3] + sums[..., 4] == sums[..., 1])


def test_gaps_of_means_have_normal_intervals():
    values, group = np.r_[np.tile([0.0, 2.0], 200), np.tile([3.0, 7.0], 50)], np.repeat([0, 1], [400, 100])
    ((found, low, high),) = mean_gaps(values, group, 2, confidence=0.95)
    error = (1 / 400 + 4 / 100) ** 0.5
    assert found == -4
    assert (low, high) == pytest.approx((-4 - 1.96 * error, -4 + 1.96 * error), abs=0.15 * error)
    ((same, below, above),) = mean_gaps(values, group, 2, confidence=0.95, units=np.arange(500) // 2)
    assert same == -4
    assert (below, above) == pytest.approx((-4, -4), abs=0.05)  # pairs that are alike: their mean hardly moves
    rows = mean_gaps(values, group, 2, confidence=0.95, units=np.arange(500))
    assert rows[0, 2] + 4 == pytest.approx(1.96 * error, rel=0.15)
    three = mean_gaps(values, np.arange(500) % 3, 3, confidence=0.95)
    assert three.shape == (3, 3)
    with pytest.raises(NotEnoughData):
        mean_gaps(values, group, 1, confidence=0.95)


def test_cells_alike_are_shrunk_together_and_cells_apart_are_not():
    alike, strong = shrunk(np.array([30, 31, 29]), np.array([100, 100, 100]))
    assert np.ptp(alike) < 0.002
    assert alike.mean() == pytest.approx(0.3, abs=0.005)
    apart, weak = shrunk(np.array([10, 50, 90]), np.array([100, 100, 100]))
    assert apart.tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.03)
    assert strong > 1000 > 20 > weak
    prior = (apart * (100 + weak) - np.array([10, 50, 90])) / weak  # posterior mean back to the prior's
    assert prior.tolist() == pytest.approx([0.5] * 3, abs=0.02)


def test_indices_of_one_table_by_hand():
    made = decided((1, 1, 2, 4), (3, 1, 0, 0), (0, 0, 1, 3))
    found = {i.name: i for i in indices(made, ("a", "b", "c"), 0.9)}
    assert next(iter(found)) == "disparate impact of c (against all others)"
    assert found["disparate impact of c (against all others)"].estimate == 0
    benefit = np.r_[np.full(11, 1.0), np.full(2, 2.0), np.zeros(3)]  # right, alarms, missed of sixteen
    share = benefit / benefit.mean()
    assert found["generalized entropy (alpha 2)"].estimate == pytest.approx(np.mean(share**2 - 1) / 2)
    theil = np.sum(share[share > 0] * np.log(share[share > 0])) / 16
    assert found["Theil's index"].estimate == pytest.approx(theil)
    smoothed = [(2.5 / 9), (4.5 / 5), (0.5 / 5)]
    epsilon = max(log(0.9 / 0.1), log((1 - 0.1) / (1 - 0.9)))
    assert found["differential fairness (epsilon)"].estimate == pytest.approx(epsilon)
    assert differential_fairness(made.said, made.group, 1.0) == pytest.approx(log(max(smoothed) / min(smoothed)))
    assert all(i.low <= i.high for i in found.values())


def test_intervals_of_indices_are_the_percentiles_of_resampled_counts():
    """Delta method for the impact of group b, 0.25 of 400 against 0.5 of 400: log ratio's error 0.1."""
    made = decided((100, 100, 100, 100), (50, 50, 150, 150))
    found = indices(made, ("a", "b"), 0.95)
    error = (0.75 / 100 + 0.5 / 200) ** 0.5
    impact = found[0]
    assert impact.name.startswith("disparate impact of b")
    assert (log(impact.low / 0.5), log(impact.high / 0.5)) == pytest.approx((-1.96 * error, 1.96 * error), rel=0.15)
    for index in found[1:]:
        assert index.low < index.estimate < index.high < 2 * index.estimate + 0.1
    tight = indices(made, ("a", "b"), 0.5)[0]
    assert (impact.high - impact.low) / (tight.high - tight.low) == pytest.approx(1.96 / 0.674, rel=0.15)


def test_impact_has_no_value_where_nobody_else_is_selected():
    found = indices(decided((0, 0, 2, 2), (0, 0, 2, 2)), ("a", "b"), 0.95)
    assert not any(i.name.startswith("disparate") for i in found)
    said = np.array([True, False, True, True])
    assert disparate_impact(said, np.array([True, True, False, False])) == 0.5
    assert generalized_entropy(np.array([True, False]), np.array([True, False])) == 0


def test_resampled_counts_are_turned_into_indices_as_rows_are():
    made = decided((3, 1, 2, 4), (2, 3, 1, 9))
    sums = group_sums(made, 2, np.ones((1, 25)))
    for alpha in (1.0, 2.0):
        assert _entropies(sums, alpha) == pytest.approx([generalized_entropy(made.real, made.said, alpha)])
    assert np.isnan(_divided(np.arange(4.0), np.zeros(4))).all()
    assert _impacts(sums, 1) == pytest.approx([disparate_impact(made.said, made.group == 1)])
    assert _epsilons(sums) == pytest.approx([differential_fairness(made.said, made.group)])


def test_a_column_that_nobody_belongs_to_is_drawn_as_nought():
    (drawn,) = drawn_units(np.array([0, 1]), np.array([0, 0]), np.ones((2, 1)), 3, 0)
    assert drawn.shape == (1000, 3, 1)
    assert not drawn[:, 1:].any()
