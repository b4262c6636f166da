"""Maps of scores, Shapley values and profiles, at their limits and on examples of a few rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders.domain import contract
from modelmark.domain.contract import Costs, ModelSource, Outputs
from modelmark.domain.errors import NotEnoughData, Tampered, Unmeasured
from modelmark.domain.metrics import Metric, Task
from modelmark.stats import profile, recalibration
from modelmark.stats.decisions import decided
from modelmark.stats.metrics import LabelledPredictions, losses, measure, statistic
from modelmark.stats.profile import Column, Reference, answer, merge, tally
from modelmark.stats.recalibration import CLIP, Map, Method, fit
from modelmark.stats.shapley import enumerated, sampled

# Recalibration.


@pytest.mark.parametrize("rarer", ["yes", "no"])
def test_a_map_takes_twenty_rows_of_the_rarer_class(rarer):
    score = np.linspace(0.05, 0.95, 119)
    outcome = np.r_[np.zeros(100), np.ones(19)] if rarer == "yes" else np.r_[np.zeros(19), np.ones(100)]
    with pytest.raises(NotEnoughData, match="19 validation rows"):
        fit(score, outcome)
    assert fit(np.r_[score, 0.5], np.r_[outcome, 1 if rarer == "yes" else 0]).method is Method.PLATT


@pytest.mark.parametrize(("rows", "method"), [(1999, Method.PLATT), (2000, Method.ISOTONIC)])
def test_two_thousand_rows_carry_a_curve(rows, method):
    score = np.linspace(0.01, 0.99, rows)
    assert fit(score, (np.arange(rows) % 3 == 0).astype(float)).method is method
    assert fit(score, (np.arange(rows) % 3 == 0).astype(float), Method.PLATT).method is Method.PLATT


def test_platts_line_hits_his_targets():
    """Scores of two values: the fitted probabilities are the means of the soft targets, (n1 + 1) / (n1 + 2) and so on."""
    score = np.repeat([0.2, 0.9], [60, 40])
    outcome = np.r_[np.ones(15), np.zeros(45), np.ones(30), np.zeros(10)]
    yes, no = (45 + 1) / (45 + 2), 1 / (55 + 2)
    found = fit(score, outcome, Method.PLATT)(np.array([0.2, 0.9]))
    assert found.tolist() == pytest.approx([0.25 * yes + 0.75 * no, 0.75 * yes + 0.25 * no], abs=1e-4)


def test_a_platt_map_is_the_logistic_of_a_line_and_ends_short_of_0_and_1():
    line = Map(method=Method.PLATT, x=(2.0, 1.0))
    assert float(line(np.array([0.5]))[0]) == pytest.approx(1 / (1 + np.exp(-1)))
    assert float(line(np.array([0.8]))[0]) == pytest.approx(1 / (1 + np.exp(-(2 * np.log(4) + 1))))
    same = Map(method=Method.PLATT, x=(1.0, 0.0))
    assert same(np.array([0.0, 1.0])).tolist() == pytest.approx([CLIP, 1 - CLIP], rel=1e-9)
    curve = Map(method=Method.ISOTONIC, x=(0.2, 0.4), y=(0.1, 0.5))
    assert curve(np.array([0.0, 0.2, 0.3, 0.9])).tolist() == pytest.approx([0.1, 0.1, 0.3, 0.5])


def test_an_isotonic_map_joins_the_middles_of_its_steps_and_is_never_sure():
    """Blocks by pool adjacent violators: 20 rows of 0, then 20 of a half, then 20 of 1."""
    score = np.linspace(0, 0.59, 60)
    outcome = np.r_[np.zeros(20), np.tile([1.0, 0.0], 10), np.ones(20)]
    found = fit(score, outcome, Method.ISOTONIC)
    assert found.y[0] == pytest.approx(0.5 / 60)
    assert found.y[-1] == pytest.approx(1 - 0.5 / 60)
    assert found.y[1] == pytest.approx(0.5)
    assert found.x == pytest.approx((score[:20].mean(), score[20:40].mean(), score[40:].mean()))
    assert fit(score[::-1], outcome[::-1], Method.ISOTONIC) == found
    assert recalibration.fit(np.r_[np.full(30, 0.5), np.full(30, 0.6)], np.tile([0.0, 1], 30)).method is Method.PLATT


# Shapley values.


def test_shapley_values_of_a_game_of_two():
    """f = x y + y on x, y = 2, 3 against 0, 1: worths 1, 3, 3 and 9; so 4 for x and 4 for y."""
    ask = lambda rows: rows[:, 0] * rows[:, 1] + rows[:, 1]  # noqa: E731
    row, back = np.array([[2.0, 3.0]]), np.array([[0.0, 1.0]])
    for found in (enumerated(ask, row, back), sampled(ask, row, back, permutations=3, seed=0)):
        assert found.phi[0].tolist() == pytest.approx([4.0, 4.0])
        assert found.base.tolist() == [1.0]
    assert enumerated(ask, row, back).error.tolist() == [[0, 0]]
    assert sampled(ask, row, back, permutations=2, seed=0).error.tolist() == [[0, 0]]
    assert np.isnan(sampled(ask, row, back, permutations=1, seed=0).error).all()


def test_sampled_values_err_by_their_spread_over_the_root_of_the_permutations():
    ask = lambda rows: rows[:, 0] * rows[:, 1] * rows[:, 2]  # noqa: E731
    row, back = np.array([[1.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 0.0]])
    runs = [sampled(ask, row, back, permutations=8, seed=seed) for seed in range(150)]
    spread = np.std([run.phi[0, 0] for run in runs])
    assert np.sqrt(np.mean([run.error[0, 0] ** 2 for run in runs])) == pytest.approx(spread, rel=0.15)
    assert np.mean([run.phi[0, 0] for run in runs]) == pytest.approx(1 / 3, abs=0.03)


# Profiles.


def column(**changes):
    edges = np.array([1.0, 2.0])
    return dataclasses.replace(Column("x", True, np.zeros(5, np.int64), edges, minimum=0.0, maximum=3.0), **changes)


def test_the_range_holds_its_ends_and_bins_their_right_ends():
    found = column().tally(np.array([-0.1, 0.0, 1.0, 1.1, 2.0, 2.1, 3.0, 3.1, np.nan, np.inf, -np.inf]))
    assert found.tolist() == [3, 2, 3, 3, 2]
    assert column(minimum=None).tally(np.array([-5.0, 4.0])).tolist() == [1, 0, 1, 0, 1]
    assert column(maximum=None).tally(np.array([-5.0, 4.0])).tolist() == [1, 0, 1, 0, 1]
    assert (column().missing(found), column().outside(found), column().histogram(found).sum()) == (3, 2, 11)


def test_a_chunked_column_and_a_nullable_one_count_their_nulls():
    for values in (
        pa.chunked_array([[1.5, None], [9.0]]), pa.array([1.5, None, 9.0]), pd.Series([1.5, None, 9.0], dtype="Float64")
    ):  # fmt: skip
        assert column().tally(values).tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("rows", [profile._CHUNK // 4 - 1, profile._CHUNK // 4, profile._CHUNK + 1])
@pytest.mark.parametrize("edges", [[0.0, 0.0001, 5.0], [0.0], [0.0, 1e-310], [-1e308, 1e308]])
def test_counting_is_exact_on_either_side_of_the_fast_way(rows, edges):
    values = np.r_[np.array(edges), np.linspace(-1, 6, rows - len(edges))]
    found = profile._binned(np.array(edges), values)
    assert found.tolist() == [
        int(((values <= high) & (values > low)).sum())
        for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)
    ]
    assert len(found) == len(edges) + 1


def a_reference():
    rows = pd.DataFrame({"age": np.arange(100.0), "job": ["a", "b"] * 50})
    return profile.reference(contract(), rows, np.c_[np.linspace(1, 0, 50), np.linspace(0, 1, 50)])


def test_a_reference_has_thirty_two_bins_and_scores_of_the_answer():
    found = Reference.from_bytes(a_reference())
    assert found.rows == 100
    assert len(found.columns["age"].edges) == 31
    assert found.columns["age"].edges[15] == 49.5
    assert found.columns["@score"].counts[:-2].sum() == 50
    assert found.columns["job"].closed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b'"format":1', b'"format":2', id="another format"),
        pytest.param(b'"edges":[', b'"edges":[99.0,', id="edges that fall"),
        pytest.param(b'"edges":[', b'"edges":[-5.0,', id="an edge too many"),
        pytest.param(b'"counts":[', b'"counts":[-', id="a count below none"),
        pytest.param(b'"values":["a"', b'"values":["c","a"', id="a value too many"),
    ],
)
def test_counts_that_do_not_fit_their_bins_are_refused(before, after):
    data = a_reference()
    assert before in data
    with pytest.raises(Tampered):
        Reference.from_bytes(data.replace(before, after, 1))


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_nulls_of_every_kind_of_text_are_missing(kind):
    rows = pd.DataFrame({"age": np.arange(4.0), "job": pd.Series(["a", None, "b", None], dtype=kind)})
    found = Reference.from_bytes(profile.reference(contract(), rows, np.full((2, 2), 0.5)))
    assert found.columns["job"].counts.tolist() == [1, 1, 0, 2]


def test_edges_that_do_not_rise_are_refused():
    data = a_reference()
    first = Reference.from_bytes(data).columns["age"].edges[:2].tolist()
    twice = data.replace(f"{first[0]},{first[1]}".encode(), f"{first[0]},{first[0]}".encode())
    assert twice != data
    with pytest.raises(Tampered, match="do not fit"):
        Reference.from_bytes(twice)


def test_the_answer_that_is_watched():
    scores = np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])
    several = contract(model=ModelSource(source="m", task=Task.MULTICLASS), outputs=Outputs(classes=("a", "b", "c")))
    assert answer(several, scores).tolist() == [0.5, 0.7]
    yes = contract(outputs=Outputs(classes=("yes", "no"), positive="yes"))
    assert answer(yes, scores[:, :2]).tolist() == [0.2, 0.7]
    value = contract(model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs())
    assert answer(value, scores[:, :1]).tolist() == [0.2, 0.7]


def test_columns_are_counted_by_the_names_that_the_table_has_for_them():
    found = Reference.from_bytes(a_reference())
    renamed = tally(found, {"in.age": np.array([5.0])}, {"age": "in.age"})
    assert list(renamed) == ["age"]
    assert merge(renamed, {"job": np.array([1])})["job"].tolist() == [1]
    assert renamed["age"].tolist() == tally(found, {"age": np.array([5.0])})["age"].tolist()


# Decisions and metrics.


def test_a_decision_is_for_the_positive_class_at_the_threshold_itself():
    scores = np.array([[0.5, 0.5], [0.51, 0.49], [0.2, 0.8]])
    assert decided(scores, positive=1, threshold=0.5).tolist() == [1, 0, 1]
    assert decided(scores, positive=0, threshold=0.5).tolist() == [0, 0, 1]
    assert decided(scores, positive=None, threshold=0.9).tolist() == [0, 0, 1]


def judged(y_true, scores, **more):
    return LabelledPredictions(task=Task.BINARY, y_true=np.array(y_true), scores=np.array(scores), **more)


def test_the_positive_class_may_be_the_first():
    scores = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]]
    first = judged([0, 1, 1, 0], scores, positive=0, costs=Costs(false_positive=3, false_negative=5, true_positive=-1))
    assert measure(Metric.PRECISION, first) == pytest.approx(2 / 3)
    assert measure(Metric.RECALL, first) == 1
    assert measure(Metric.BRIER, first) == pytest.approx((0.01 + 0.36 + 0.04 + 0.09) / 4)
    assert measure(Metric.ROC_AUC, first) == 1
    assert measure(Metric.AVERAGE_PRECISION, first) == 1
    assert measure(Metric.EXPECTED_COST, first) == pytest.approx((-1 + 3 + 0 - 1) / 4)
    assert losses(first)[1].tolist() == pytest.approx([0.01, 0.36, 0.04, 0.09])


def test_metrics_are_unknown_where_a_class_or_all_spread_is_missing():
    one = judged([1, 1], [[0.2, 0.8], [0.6, 0.4]])
    none = judged([0, 0], [[0.2, 0.8], [0.6, 0.4]])
    assert np.isnan(measure(Metric.ROC_AUC, one))
    assert np.isnan(measure(Metric.AVERAGE_PRECISION, none))
    assert measure(Metric.AVERAGE_PRECISION, one) == 1
    assert measure(Metric.BALANCED_ACCURACY, one) == 0.5
    assert measure(Metric.RECALL, none) == measure(Metric.F1, none) == 0
    flat = LabelledPredictions(task=Task.REGRESSION, y_true=np.ones(3), scores=np.ones((3, 1)))
    assert np.isnan(measure(Metric.R2, flat))
    zero = statistic(Metric.AVERAGE_PRECISION, judged([1, 0], [[0.1, 0.9], [0.5, 0.5]]))(np.array([0.0, 0.0]))
    assert np.isnan(zero)


def test_sure_and_wrong_costs_a_finite_log():
    wrong = judged([1], [[1.0, 0.0]])
    assert measure(Metric.LOG_LOSS, wrong) == pytest.approx(-np.log(1e-15))
    three = LabelledPredictions(task=Task.MULTICLASS, y_true=np.array([2]), scores=np.array([[0.2, 0.3, 0.5]]))
    assert measure(Metric.BRIER, three) == pytest.approx(0.04 + 0.09 + 0.25)
    assert losses(three)[1].tolist() == pytest.approx([0.19])
    ones = LabelledPredictions(
        task=Task.MULTICLASS, y_true=np.array([0, 0]), scores=np.array([[0.6, 0.4, 0], [0.1, 0.9, 0]])
    )
    assert measure(Metric.F1, ones) == pytest.approx((2 / 3 + 0) / 2)  # the third class is nobody's


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        (Metric.ACCURACY, Task.REGRESSION),
        (Metric.RMSE, Task.BINARY),
        (Metric.AVERAGE_PRECISION, Task.MULTICLASS),
        (Metric.EXPECTED_COST, Task.MULTICLASS),
        (Metric.EXPECTED_COST, Task.BINARY),
    ],
)
def test_metrics_and_tasks_that_do_not_fit(metric, task):
    costs = Costs(false_positive=1, false_negative=1) if task is Task.MULTICLASS else None
    with pytest.raises(Unmeasured):
        measure(metric, LabelledPredictions(task=task, y_true=np.array([0, 1]), scores=np.eye(2), costs=costs))
