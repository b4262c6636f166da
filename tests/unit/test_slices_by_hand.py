"""The search for weak slices, condition by condition and limit by limit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from modelmark.domain.catalogue.gate_settings import SlicesGate
from modelmark.gates.slices.gate import Slices
from modelmark.stats.slicing import (
    Where,
    _bound,
    _bound_of,
    gap_of,
    number_conditions,
    search,
    strongest,
    text_conditions,
)


def where(mask, column="a", text=""):
    return Where(column=column, text=text, mask=np.asarray(mask, dtype=bool))


@pytest.mark.parametrize(("kinds", "each"), [(12, True), (13, False)])
def test_up_to_twelve_values_are_conditions_of_their_own(kinds, each):
    values = np.repeat(np.arange(float(kinds)), 3)
    texts = [c.text for c in number_conditions("x", values)]
    assert ("x = 11" in texts) is each
    assert any("≤" in text for text in texts) is not each
    assert all("missing" not in text for text in texts)


def test_conditions_of_a_number_are_tails_stretches_and_null():
    values = np.r_[np.arange(101.0), np.nan]
    found = {c.text: c.mask for c in number_conditions("x", values)}
    assert found["x is missing"].nonzero()[0].tolist() == [101]
    assert found["x < 10"].nonzero()[0].tolist() == list(range(10))
    assert found["x ≥ 10"].nonzero()[0].tolist() == list(range(10, 101))
    assert found["10 ≤ x < 20"].nonzero()[0].tolist() == list(range(10, 20))
    assert len(found) == 1 + 2 * 13 + 12
    assert [c.text for c in number_conditions("x", np.full(3, np.nan))] == ["x is missing"]


def test_the_fifteen_commonest_texts_are_conditions():
    values = [str(k) for k in range(16)] * 2 + ["15"]
    found = text_conditions("t", values)
    assert len(found) == 15
    assert found[0].text == "t = 15"
    assert found[0].mask.sum() == 3


def test_a_bound_leans_on_the_spread_of_all():
    """Ten equal losses of 1 in a hundred of mean 0.1: 0.9 less 2.5 standard errors of (0 + 0.09) / 11 over 10."""
    loss = np.r_[np.ones(10), np.zeros(90)]
    expected = 0.9 - 2.5 * (0.09 / 11 / 10) ** 0.5
    assert float(_bound(10.0, 10.0, 10.0, loss)) == pytest.approx(expected)
    assert _bound_of(np.arange(100) < 10, loss) == pytest.approx(expected)
    half = float(_bound(4.0, 2.0, 2.0, loss))
    assert half == pytest.approx(0.4 - 2.5 * ((2 - 1 + 0.09) / 5 / 4) ** 0.5)


ROWS = np.arange(100)
LOSS = np.where(ROWS < 20, 1.0, 0.0)


@pytest.mark.parametrize(("rows", "found"), [(19, 0), (20, 1), (75, 1), (76, 0)])
def test_slices_are_of_enough_rows_and_not_of_nearly_all(rows, found):
    loss = np.where(rows > ROWS, 1.0, 0.0)
    assert len(search([where(rows > ROWS)], loss, min_rows=20)) == found


def test_pairs_are_of_two_columns_and_of_enough_rows():
    weak = (ROWS >= 10) & (ROWS < 30)
    loss = np.where(weak, 1.0, 0.0)
    right, left = ROWS >= 10, ROWS < 30
    loss_of = [where(right & (ROWS < 60), "a", "right"), where(left | (ROWS > 80), "b", "left")]
    best = search(loss_of, loss, min_rows=20, top=1)[0]
    assert [w.text for w in best] == ["right", "left"]
    assert all(len(parts) == 1 for parts in search(loss_of, loss, min_rows=21))
    same = [where(w.mask, "a", w.text) for w in loss_of]
    assert all(len(parts) == 1 for parts in search(same, loss, min_rows=20))


def test_near_copies_of_a_better_slice_are_left_out():
    """Two slices that share exactly half of what they hold together are two; one row more, and one goes."""
    loss = np.where(ROWS < 40, 1.0, 0.0)
    for shared, count in ((20, 2), (21, 1)):
        first, second = ROWS < 30, (30 - shared <= ROWS) & (30 - shared + 30 > ROWS)
        union = (first | second).sum()
        second = second & (ROWS < 40) if union > 2 * shared else second
        found = search([where(first, "a"), where(second, "a")], loss, min_rows=10)
        assert (first & second).sum() == shared
        assert ((first & second).sum() <= 0.5 * (first | second).sum()) == (count == 2)
        assert len(found) == count


def test_no_more_than_asked_only_what_is_worse_and_what_is_worth_a_place():
    parts = [where(k == (ROWS // 5), "a", str(k)) for k in range(20)]
    found = search(parts, LOSS + np.linspace(0.1, 0, 100), min_rows=5)
    assert [w[0].text for w in found] == ["0", "1", "2", "3"]
    assert len(search(parts, LOSS, min_rows=5, top=2)) == 2
    kept = search(parts, LOSS, min_rows=5, keep=lambda parts: parts[0].text == "3")
    assert [w[0].text for w in kept] == ["3"]
    assert search([], LOSS, min_rows=5) == []
    assert search(parts, np.zeros(100), min_rows=5) == []


def test_the_worst_four_hundred_conditions_are_paired():
    rng = np.random.default_rng(0)
    noise = [where(rng.random(100) < 0.3, "a", str(k)) for k in range(420)]
    best = search([*noise, where(ROWS < 20, "b", "weak")], LOSS, min_rows=5, top=1)
    assert "weak" in [w.text for w in best[0]]


def test_the_strongest_columns_are_kept_in_their_order():
    first = np.ones(100, dtype=bool)
    columns = [[where((k <= ROWS) & (k + 20 > ROWS), str(k), str(k))] for k in (0, 50, 10, 5, 60)]
    assert [w.column for w in strongest(columns, first, LOSS, min_rows=5, most=2)] == ["0", "5"]
    assert [w.column for w in strongest(columns[:3], first, LOSS, min_rows=5, most=2)] == ["0", "10"]
    none = strongest([[where(ROWS < 4, "tiny")], columns[1]], first, LOSS, min_rows=5, most=1)
    assert [w.column for w in none] == ["50"]
    exact = strongest([[where(ROWS < 5, "five")], columns[1]], first, LOSS, min_rows=5, most=1)
    assert [w.column for w in exact] == ["five"]
    half = strongest([columns[0], columns[1]], ROWS >= 50, LOSS[50:] + (ROWS[50:] < 70), min_rows=5, most=1)
    assert [w.column for w in half] == ["50"]
    alike = [[where((ROWS // 2) % 2 == 0, str(k))] for k in range(5)]
    assert [w.column for w in strongest(alike, first, LOSS, min_rows=5, most=2)] == ["0", "1"]
    assert len(strongest(alike * 20, first, LOSS, min_rows=5)) == 40


@pytest.mark.parametrize("units", [None, np.arange(20) // 2])
def test_the_gate_hands_on_tolerance_confidence_number_and_units(units):
    loss, mask = np.r_[np.ones(6), np.zeros(14)], np.arange(20) < 9
    gate, about = Slices(SlicesGate(confidence=0.9)), SimpleNamespace(units=units)
    found = gate._confirm(mask, loss, 0.05, 3, about, np.arange(20))
    assert found == gap_of(mask, loss, tolerance=0.05, confidence=0.9, comparisons=3, units=units)
    assert found != gap_of(mask, loss, tolerance=0.05, confidence=0.9, units=units)
    turned = gate._confirm(mask[::-1], loss[::-1], 0.05, 3, about, np.arange(20)[::-1])
    assert turned.p_value == pytest.approx(found.p_value)
    assert gate._confirm(np.arange(20) < 1, loss, 0.05, 3, about, np.arange(20)) is None
