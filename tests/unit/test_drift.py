"""Distances keep their laws: quiet windows are quiet at every size, and what moved is found."""

from __future__ import annotations

import numpy as np
import pytest

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.drift import coarsen, drift, drifts
from modelmark.stats.rates import wilson


def histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def reference(rng: np.random.Generator, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    values = rng.normal(size=n)
    edges = np.quantile(values, np.linspace(0, 1, 33)[1:-1])
    return histogram(values, edges), edges


@pytest.mark.parametrize("n", [200, 1000, 20_000])
def test_quiet_windows_of_many_columns_stay_under_the_false_alarm_rate(n: int) -> None:
    rng = np.random.default_rng(7)
    wrong, trials, columns = 0, 120, 5
    for _ in range(trials):
        pairs = {}
        for column in range(columns):
            before, edges = reference(rng, 5000)
            pairs[str(column)] = (before, histogram(rng.normal(size=n), edges))
        wrong += any(found.distance > found.cut for found in drifts(pairs, false_alarm_rate=0.05).values())
    assert wilson(wrong, trials, 0.998)[0] < 0.05
    assert wrong / trials < 0.12


def test_the_cut_off_is_near_its_rate_and_not_far_above() -> None:
    rng = np.random.default_rng(3)
    before, edges = reference(rng)
    wrong = sum(
        found.distance > found.cut
        for found in (drift(before, histogram(rng.normal(size=500), edges), false_alarm_rate=0.2) for _ in range(200))
    )
    low, high = wilson(wrong, 200, 0.999)
    assert low < 0.2 < high


@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("shift", [1.0, -1.5])
def test_a_planted_shift_is_found(n: int, shift: float) -> None:
    rng = np.random.default_rng(5)
    before, edges = reference(rng)
    found = [drift(before, histogram(rng.normal(shift, size=n), edges), columns=30, seed=i) for i in range(20)]
    assert all(one.alarms(0.1) for one in found)
    assert all(one.low <= one.debiased <= one.distance for one in found)


def test_a_shift_too_small_to_matter_is_no_alarm_however_sure() -> None:
    rng = np.random.default_rng(6)
    before, edges = reference(rng, 1_000_000)
    found = drift(before, histogram(rng.normal(0.05, size=1_000_000), edges))
    assert found.distance > found.cut
    assert not found.alarms(0.1)


def test_the_debiased_distance_does_not_grow_when_the_window_shrinks() -> None:
    rng = np.random.default_rng(8)
    before, edges = reference(rng)
    true = drift(before, histogram(rng.normal(0.8, size=1_000_000), edges)).debiased
    small = [drift(before, histogram(rng.normal(0.8, size=640), edges), seed=i) for i in range(60)]
    assert np.mean([one.debiased for one in small]) == pytest.approx(true, abs=0.02)
    assert np.mean([one.low <= true <= one.high for one in small]) > 0.85


def test_the_distance_of_a_histogram_to_itself_is_nought_and_of_strangers_is_one() -> None:
    one = np.array([500, 500, 0, 0])
    assert drift(one, one).distance == 0
    assert drift(one, one[::-1]).distance == pytest.approx(1)


def test_an_empty_window_is_not_enough() -> None:
    with pytest.raises(NotEnoughData):
        drift(np.array([1, 2]), np.array([0, 0]))


def test_joining_bins_depends_on_sizes_and_reference_only_and_loses_no_row() -> None:
    before = np.arange(1, 33) * 10
    one, two = np.full(32, 5), np.r_[np.full(16, 10), np.zeros(16, dtype=int)]
    (joined, a), (again, b) = coarsen(before, one), coarsen(before, two)
    assert list(joined) == list(again)
    assert (joined.sum(), a.sum(), b.sum()) == (before.sum(), 160, 160)
