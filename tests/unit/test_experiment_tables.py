"""Experiments that ran elsewhere: their verdict at every look of a table, and a clear word about what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmark.domain.errors import Rejected
from modelmark.domain.experiments.plan import Direction
from modelmark.domain.experiments.reading import Finding
from modelmark.rollouts.experiments.table import TableQuestion, TableReading, read_experiment_table

HALVES = {"control": 0.5, "b": 0.5}
LOOKS = pd.DataFrame(
    {
        "time": ["2026-05-02", "2026-05-01", "2026-05-01", "2026-05-02"],
        "arm": ["control", "control", "b", "b"],
        "units": [20_000, 1_000, 1_010, 20_100],
        "mean": [0.101, 0.1, 0.12, 0.125],
        "variance": [0.0908, 0.09, 0.1056, 0.1094],
    }
)


def read(table: pd.DataFrame = LOOKS, **changes: Any) -> TableReading:
    usual: dict[str, Any] = {"minimum_effect": 0.01, "direction": Direction.HIGHER, "shares": HALVES}
    return read_experiment_table(table, TableQuestion(**{**usual, **changes}))


def test_each_time_is_a_look_and_the_first_that_decides_is_the_verdict():
    found = read()
    assert (found.control, found.finding) == ("control", Finding.BETTER)
    assert [look.arms[0].finding for look in found.looks] == [Finding.NEED_MORE, Finding.BETTER]
    assert found.sentence.startswith("b is better than control: 0.125 against 0.101: +0.024, surely +0.0144")
    assert [look.sample_ratio for look in found.looks] == [1.0, 1.0]


def test_tests_made_once_stand_beside_it():
    found = read()
    z = 0.024 / (0.0908 / 20_000 + 0.1094 / 20_100) ** 0.5
    from statistics import NormalDist

    assert found.once == {"b": pytest.approx(2 * NormalDist().cdf(-z))}
    assert found.once_ratio == pytest.approx(0.6178, abs=1e-3)
    three = pd.concat([LOOKS, LOOKS[LOOKS.arm == "b"].assign(arm="c", mean=0.104)])
    corrected = read(three, shares={})
    assert corrected.once["b"] == pytest.approx(2 * found.once["b"]), "Holm, of two"
    assert corrected.finding is Finding.NEED_MORE


def test_one_look_needs_no_time_and_without_shares_the_ratio_is_said_to_be_unchecked():
    found = read(LOOKS[LOOKS.time == "2026-05-02"].drop(columns="time"), shares={})
    assert found.finding is Finding.BETTER
    assert "sample ratio was not checked" in found.sentence
    assert found.once_ratio is None


def test_arms_that_are_not_alike_have_no_result():
    found = read(LOOKS.assign(units=[20_000, 1_000, 1_010, 18_000]))
    assert (found.finding, found.once) == (Finding.MISMATCH, {})
    assert all(look.arms == () for look in found.looks)


def test_a_missing_variance_is_not_computable():
    found = read(LOOKS.assign(variance=[0.09, 0.09, np.nan, np.nan]))
    assert found.finding is Finding.NOT_COMPUTABLE
    assert "b is not computable: a variance is missing" in found.sentence
    assert found.once == {"b": None}
    assert read(LOOKS.assign(variance=0.0)).finding is Finding.NOT_COMPUTABLE


def test_times_that_are_numbers_sort_as_numbers():
    found = read(LOOKS.assign(time=[10, 9, 9, 10]))
    assert [look.at for look in found.looks] == ["9", "10"]


@pytest.mark.parametrize(
    ("changes", "said", "field", "row"),
    [
        ({"arm": ["control", "control", "control", "b"]}, "the arm 'control' stands twice", "arm", 2),
        ({"units": [20_000, 1_000, 1_010, 900]}, "the units of 'b' fall from 1,010 to 900", "units", 3),
        ({"units": [20_000, 1_000.5, 1_010, 20_100]}, "is no count of units", "units", 1),
        ({"units": [20_000, -1, 1_010, 20_100]}, "is no count of units", "units", 1),
        ({"units": [20_000, np.nan, 1_010, 20_100]}, "is no count of units", "units", 1),
        ({"mean": [0.1, np.nan, 0.1, 0.1]}, "is no mean", "mean", 1),
        ({"mean": ["0.1", "a tenth", "0.1", "0.1"]}, "'a tenth' is no mean", "mean", 1),
        ({"variance": [0.1, -0.1, 0.1, 0.1]}, "is no variance", "variance", 1),
        ({"variance": [0.1, np.inf, 0.1, 0.1]}, "is no variance", "variance", 1),
        ({"arm": ["control", None, "b", "b"]}, "a row names no arm", "arm", 1),
        ({"arm": ["control", "control", "b", "c"]}, "there is no row of c", "arm", None),
        ({"time": ["2026-05-02", "soon", "2026-05-01", "2026-05-02"]}, "'soon' is no time", "time", 1),
        ({"time": [1.0, np.nan, 1.0, 2.0]}, "a row has no time", "time", 1),
    ],
)
def test_every_wrong_shape_has_a_word_of_its_own(changes, said, field, row):
    with pytest.raises(Rejected) as refused:
        read(LOOKS.assign(**changes), shares={})
    assert (refused.value.code, refused.value.field, refused.value.row) == ("BAD_EXPERIMENT_TABLE", field, row)
    assert said in refused.value.message
    assert refused.value.limit


@pytest.mark.parametrize(
    ("table", "changes", "said"),
    [
        (LOOKS.drop(columns="variance"), {}, "the table has no column variance"),
        (LOOKS.iloc[:0], {}, "the table has no row"),
        (LOOKS, {"control": "a"}, "no row is of the control 'a'"),
        (LOOKS[LOOKS.arm == "b"], {"shares": {}}, "every row is of the arm 'b'"),
        (
            LOOKS,
            {"shares": {"control": 0.5, "x": 0.5}},
            "shares were agreed for control, x, and the table has control, b",
        ),
    ],
)
def test_what_is_no_experiment_is_refused(table, changes, said):
    with pytest.raises(Rejected) as refused:
        read(table, **changes)
    assert said in refused.value.message
