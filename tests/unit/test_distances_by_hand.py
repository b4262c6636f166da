"""Bins, distances and their cut-offs against small tables that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.binning import numeric_codes, text_codes
from modelmark.stats.calibration import design_effect
from modelmark.stats.drift import Drift, _gamma_tail, _worth, coarsen, divergence, drift, drifts, sample_drift
from modelmark.stats.near_duplicates import near_duplicates, places

EVEN = np.full(8, 1000)


@pytest.mark.parametrize(
    ("rows", "bins"),
    [pytest.param(79, 4, id="never under four"), (100, 5), (159, 7), pytest.param(160, 8, id="twenty rows a bin")],
)
def test_a_window_has_a_bin_for_each_twenty_rows(rows, bins):
    current = np.bincount(np.arange(rows) % 8, minlength=8)
    here, there = coarsen(EVEN, current)
    assert (len(here), len(there)) == (bins, bins)
    assert here.min() > 0


def test_neighbours_are_joined_to_even_shares_of_the_reference():
    before = np.array([40, 10, 10, 10, 10, 10, 10, 0])
    here, there = coarsen(before, np.arange(8))
    assert here.tolist() == [40, 10, 20, 30]
    assert there.tolist() == [0, 1, 5, 22]


def test_what_only_fine_bins_show_is_no_drift_of_a_small_window():
    comb = np.array([10, 0, 10, 0, 10, 0, 10, 0])
    assert drift(EVEN, comb).distance == 0
    assert drift(EVEN, 4 * comb).real


def test_columns_share_the_false_alarm_rate_as_sidak_says():
    """1 - 0.9^(1/2): two columns at 0.1 are each what one is at 0.0513."""
    one = np.array([300, 300, 300, 300])
    for columns, share in ((1, 0.1), (2, 1 - 0.9**0.5), (30, 1 - 0.9 ** (1 / 30))):
        assert drift(one, one, columns=columns, false_alarm_rate=0.1).cut == drift(one, one, false_alarm_rate=share).cut
    both = drifts({"a": (one, one), "b": (one, one)}, false_alarm_rate=0.1)
    assert both["b"].cut == drift(one, one, columns=2, false_alarm_rate=0.1, seed=1).cut
    assert both["a"].cut != both["b"].cut


def test_chance_has_the_textbook_mean_and_tail():
    """The plug-in divergence is (1/n + 1/m) chi-squared over 8 ln 2, of bins - 1 degrees of freedom: here 3."""
    counts = np.full(4, 2500), np.full(4, 250)
    cuts = [drift(*counts, false_alarm_rate=0.05, seed=seed).cut ** 2 for seed in range(20)]
    chance = (1 / 10_000 + 1 / 1000) * 7.8147 / (8 * np.log(2))  # 7.8147: the table's 95%
    assert np.mean(cuts) == pytest.approx(chance, rel=0.05)
    found = drift(*counts)
    assert (found.distance, found.debiased, found.low, found.n) == (0, 0, 0, 1000)


def test_the_gamma_tail_is_the_gammas():
    for shape, rate in ((1.5, 0.01), (15.0, 0.05), (15.0, 1e-4)):
        null = gamma.ppf((np.arange(20_000) + 0.5) / 20_000, shape, scale=0.002)
        assert _gamma_tail(null, rate) == pytest.approx(gamma.isf(rate, shape, scale=0.002), rel=0.02)
    assert _gamma_tail(np.zeros(9), 0.01) == _gamma_tail(np.full(9, 0.3), 0.01) == 0


def test_an_alarm_is_surely_more_than_chance_and_than_what_is_tolerated():
    found = Drift(distance=0.3, debiased=0.25, low=0.2, high=0.3, cut=0.3, n=9)
    assert not found.real
    assert not found.alarms(0.0)
    seen = Drift(distance=0.3, debiased=0.25, low=0.2, high=0.3, cut=0.29, n=9)
    assert seen.real
    assert [seen.alarms(0.19), seen.alarms(0.2)] == [True, False]


def test_the_interval_of_a_distance_is_debiased_and_of_its_confidence():
    before, now = np.array([4000, 3000, 2000, 1000]), np.array([100, 200, 300, 400])
    wide, narrow = drift(before, now, confidence=0.95), drift(before, now, confidence=0.5)
    assert wide.distance**2 == pytest.approx(float(divergence(before / 1.0, now / 1.0)))
    assert wide.low < narrow.low < wide.debiased < narrow.high < wide.high
    assert wide.debiased < wide.distance
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(1.96 / 0.674, rel=0.2)
    with pytest.raises(NotEnoughData):
        drift(np.zeros(4, dtype=np.int64), now)


def test_two_samples_are_held_by_their_interval_and_their_null_is_the_pooled_one():
    first, second = np.repeat([0, 1, 2], [300, 300, 0]), np.repeat([0, 1, 2], [30, 30, 40])
    found = sample_drift(first, second)
    share = np.array([0.3, 0.3, 0.4])
    assert found.distance**2 == pytest.approx(float(divergence(np.array([0.5, 0.5, 0]), share)))
    assert found.low <= found.distance <= found.high
    assert found.n == 100
    same = sample_drift(first, first[:400], false_alarm_rate=0.05)
    assert same.low <= same.distance <= same.high
    for empty in ((first[:0], second), (first, second[:0])):
        with pytest.raises(NotEnoughData):
            sample_drift(*empty)


def test_rows_of_units_are_worth_what_rao_and_scott_say_or_their_places():
    """Ten units of four alike rows are ten rows; where units cancel, no row is worth more than one."""
    codes = np.repeat([0, 1, 0, 1, 2, 0, 1, 2, 2, 0], 4)
    assert _worth(codes, 4, None) == 40
    assert _worth(codes, 4, np.arange(40) // 4) == 10
    mixed = np.r_[
        np.zeros(8, dtype=np.int64), np.arange(32) % 2 + 1
    ]  # bin 0 comes in two whole units, the others do not
    shares = [8 / 40, 16 / 40, 16 / 40]
    effects = [design_effect((mixed == k).astype(float), np.arange(40) // 4) for k in range(3)]
    mean = sum((1 - p) * d for p, d in zip(shares, effects, strict=True)) / sum(1 - p for p in shares)
    assert effects[0] == pytest.approx(4)
    assert effects[1] < 2
    swapped = np.where(mixed == 0, 1, np.where(mixed == 1, 0, 2))  # so that the places tell of no more than the bins do
    assert design_effect(swapped.astype(float), np.arange(40) // 4) < mean
    assert _worth(swapped, 4, np.arange(40) // 4) == round(40 / mean) == 18
    places = design_effect(mixed.astype(float), np.arange(40) // 4)
    assert places > mean
    assert _worth(mixed, 4, np.arange(40) // 4) == round(40 / places) == 16
    assert _worth(np.arange(40) % 2, 2, np.arange(40) // 2) == 40
    assert _worth(np.zeros(40, dtype=np.int64), 1, np.arange(40) // 4) == 40
    assert _worth(np.repeat([0, 1], 20), 2, np.arange(40) // 20) == 2
    units = np.arange(40) // 4
    found = sample_drift(codes, codes, units=(units, units))
    assert found.cut > 1.5 * sample_drift(codes, codes).cut
    assert found.n < 20


def test_bins_are_quantiles_of_the_first_sample_closed_on_the_right():
    first = np.array([1.0, 2, 3, 4, np.nan])
    here, there = numeric_codes(first, np.array([0.0, 1.75, 1.76, 9, np.nan, np.inf]), bins=4)
    assert here.tolist() == [0, 1, 2, 3, 4]
    assert there.tolist() == [0, 0, 1, 3, 4, 4]
    fine, _ = numeric_codes(np.arange(2000.0), first)
    assert np.bincount(fine).tolist() == [100] * 20
    nothing, some = numeric_codes(np.array([np.nan]), np.array([-1.0, 0, 1, np.nan]))
    assert (nothing.tolist(), some.tolist()) == ([2], [0, 0, 1, 2])


def test_the_commonest_texts_have_bins_the_others_one():
    first = [str(k) for k in range(51)] + ["50", None]
    here, there = text_codes(first, ["50", "49", "48", "new", None])
    assert there.tolist() == [0, 50, 49, 50, 51]
    assert max(here) == 51
    assert text_codes(["a", "b", "b"], ["a", "b"], most=1)[1].tolist() == [1, 0]


# Nearly the same rows.


def test_neighbours_are_within_the_tolerance_in_standard_deviations_of_the_first_table():
    first = np.array([0.0, 4.0])  # a standard deviation of 2
    among, asked = places({"x": [first, np.array([0.2, 0.21, 4.0, np.nan])]}, {})
    assert among[:, 0].tolist() == [0, 2]
    assert near_duplicates(asked, among, 0.1).tolist() == [True, False, False, False]
    constant, nulls = places({"x": [np.array([3.0, 3.0])] * 2, "y": [np.array([np.nan] * 2)] * 2}, {})
    assert constant.tolist() == nulls.tolist() == [[3, -1e6], [3, -1e6]]


def test_texts_that_differ_are_no_neighbours_and_null_is_a_text():
    texts = {"k": [["a", "b", None], ["a", "b", None, "c"]]}
    among, asked = places({"x": [np.arange(3.0), np.array([0.01, 1.01, 2.01, 0.01])]}, texts)
    assert near_duplicates(asked, among, 0.1).tolist() == [True, True, True, False]
    assert among[:, 1].tolist() == [0, 10, 20]
    assert places({}, {}) == []


def test_a_point_is_not_its_own_neighbour_nor_a_copy_a_near_one():
    points = np.array([[0.0], [0.05], [5.0], [7.0], [7.0]])
    assert near_duplicates(points, points, 0.1, own=True).tolist() == [True, True, False, False, False]
    assert near_duplicates(points[:2], points, 0.1).tolist() == [False, False]
