"""Gates that see few rows of a class, or rows without a value: nothing hides, and every sentence has the number."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from bench.laws import few_rows
from sklearn.metrics import roc_auc_score

import models
from modelmark.domain.catalogue.gate_settings import FairnessDefinition, FairnessGate, HoldoutGate
from modelmark.domain.contract import Costs
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Limit, Verdict
from modelmark.domain.metrics import Metric, Task
from modelmark.gates.calibration.gate import _parts, _tail
from modelmark.gates.common.evaluation_set import evaluation_set
from modelmark.gates.common.giveaway import Alone, alone, giveaway_check
from modelmark.gates.fairness import words
from modelmark.gates.fairness.groups import groups_of
from modelmark.gates.fairness.proxies import scan
from modelmark.gates.holdout.selected import hardly_selected
from modelmark.gates.holdout.split import _labels_agree
from modelmark.stats.calibration import calibration_error
from modelmark.stats.delong import hanley_mcneil
from modelmark.stats.fairness import Decided, contrasts
from modelmark.stats.few_rows import few_rows_interval
from modelmark.stats.metrics import LabelledPredictions, measure
from modelmark.stats.rates import more_needed, would_tell
from modelmark.stats.slicing import text_conditions


def judged_on(positives, negatives, seed=0, frame=None, data=None):
    """An evaluation set of the usual contract with so many rows of each class, and a score that ranks."""
    contract = models.contract()
    if data:
        contract = dataclasses.replace(contract, data=dataclasses.replace(contract.data, **data))
    y_true = np.repeat([1, 0], [positives, negatives])
    score = 1 / (1 + np.exp(-np.random.default_rng(seed).normal(y_true * 1.0)))
    table = models.frame(len(y_true), seed) if frame is None else frame
    return evaluation_set(contract, table, y_true, np.c_[1 - score, score], np.ones(len(y_true), dtype=bool))


def test_two_positives_are_called_two_positives():
    few = judged_on(2, 798)
    assert few.scarce() == "only 2 of 800 rows are yes"
    assert any("Only 2 of 800 rows are yes" in note for note in few.notes())
    with pytest.raises(NotEnoughData, match="only 2 of 800 rows are yes"):
        few.measure(Metric.AVERAGE_PRECISION, few.judged, 0.95)
    assert judged_on(1, 799).scarce() == "only 1 of 800 rows is yes"
    assert judged_on(100, 700).scarce() == ""


def test_an_auc_that_nobody_could_measure_is_no_number():
    one = judged_on(0, 40)
    check = giveaway_check(Alone(probe=Metric.ROC_AUC, values={"age": None}, strongest=one.judged), one, 0.99)
    assert "-1" not in check.sentence
    assert "Cannot tell whether an input gives the answer away" in check.sentence
    assert "only 0 of 40 rows are yes" in check.sentence
    assert check.measured is None


def test_inputs_that_cannot_be_measured_come_last_and_have_no_value():
    one = judged_on(0, 40)

    class Tables:
        contract, train, holdout = models.contract(), models.frame(200, 1), one.frame

    found = alone(Tables, one)
    assert set(found.values.values()) == {None}
    assert len(found.values) == 4


def test_every_row_is_in_one_group_of_the_calibration():
    column = pd.Series([*"abcdefghijklm", "missing", None, "a", None, ""] * 3, dtype=object)
    texts = judged_on(20, 34, frame=pd.DataFrame({"k": column}), data={"sensitive": ("k",)})
    groups = list(_parts(texts, "k"))
    assert np.sum([mask for _, mask in groups], axis=0).tolist() == [1] * 54
    assert {name for name, _ in groups} >= {"a", "3 rarer values", "no value"}
    numbers = pd.DataFrame({"k": [math.nan, *np.arange(53.0)]})
    parts = list(_parts(judged_on(20, 34, frame=numbers), "k"))
    assert np.sum([mask for _, mask in parts], axis=0).tolist() == [1] * 54
    assert parts[-1][0] == "no value"


def test_no_text_of_a_slice_is_taken_for_a_gap():
    found = text_conditions("town", ["missing", None, "\x01missing", "None"])
    assert [where.mask.sum() for where in found] == [1] * 4
    assert next(w for w in found if w.text == "town is missing").mask.tolist() == [False, True, False, False]


def test_the_lower_end_of_an_auc_on_ten_positives_misses_as_seldom_as_it_says():
    """2.5% asked; 200 draws and three deviations more allow 12. The bootstrap missed 20% of them."""
    rng = np.random.default_rng(3)
    for auc, positives in ((0.97, 10), (0.9, 20)):
        ends = [few_rows.missed(Metric.ROC_AUC, few_rows.scored(rng, positives, auc), auc) for _ in range(200)]
        assert np.sum(ends, axis=0)[0] <= 12
        assert np.sum(ends, axis=0)[1] <= 16


def test_a_dear_mistake_that_was_not_seen_is_not_impossible():
    """One expected in 1,000 rows, none seen in 37% of samples: the bootstrap's upper end missed as often."""
    rng = np.random.default_rng(4)
    assert not any(few_rows.missed(Metric.EXPECTED_COST, *few_rows.decided(rng, 0.001))[1] for _ in range(200))


def test_the_gates_measure_so_too_and_by_units_no_narrower():
    few = judged_on(10, 990)
    found = few.measure(Metric.ROC_AUC, few.judged, 0.95)
    assert (found.low, found.high) == hanley_mcneil(found.estimate, 10, 990)
    grouped = dataclasses.replace(few, units=np.arange(1000) // 2)
    wide = grouped.measure(Metric.ROC_AUC, few.judged, 0.95)
    assert wide.low <= found.low < found.high <= wide.high
    costs = Costs(true_positive=0, false_positive=1, true_negative=0, false_negative=100)
    sure = dataclasses.replace(few.judged, scores=np.eye(2)[few.judged.y_true], costs=costs)
    found = few.measure(Metric.EXPECTED_COST, sure, 0.95)
    assert (found.estimate, found.low) == (0, 0)
    none_seen = 1 - (0.05 / 3 / 2) ** (1 / 1000)  # the exact upper end of 0 in 1,000, three kinds of decision
    assert found.high == pytest.approx(none_seen * 100)


def test_several_classes_are_as_sure_as_their_rows():
    """Means of the classes' ends, by hand; many rows of each class leave it to the bootstrap."""
    y_true = np.repeat([0, 1, 2], [10, 200, 290])
    scores = np.random.default_rng(0).normal(size=(500, 3)) + 1.5 * np.eye(3)[y_true]
    judged = LabelledPredictions(task=Task.MULTICLASS, y_true=y_true, scores=scores)
    found = few_rows_interval(Metric.ROC_AUC, measure(Metric.ROC_AUC, judged), judged, 0.95)
    each = [hanley_mcneil(roc_auc_score(y_true == k, scores[:, k]), n, 500 - n) for k, n in enumerate((10, 200, 290))]
    assert (found.low, found.high) == pytest.approx(tuple(np.mean(each, axis=0)))
    enough = dataclasses.replace(judged, y_true=np.tile(y_true, 30), scores=np.tile(scores, (30, 1)))
    assert few_rows_interval(Metric.ROC_AUC, 0.9, enough, 0.95) is None
    assert few_rows_interval(Metric.ACCURACY, 0.9, judged, 0.95) is None


def tables(shift, flipped=0.0):
    """The usual contract with a holdout whose share of yes is `shift`, and so much of it labelled wrongly."""

    class Tables:
        contract = models.contract()
        train, holdout = sampled(models.frame(6000, 1), 0.15, 1200), sampled(models.frame(6000, 2), shift, 1000)

    wrong = np.random.default_rng(0).random(len(Tables.holdout)) < flipped
    Tables.holdout.loc[wrong, "y"] = Tables.holdout.loc[wrong, "y"].map({"yes": "no", "no": "yes"})
    return Tables


def sampled(frame, share, rows):
    yes, no = (frame[frame["y"] == name] for name in ("yes", "no"))
    many = round(share * rows)
    return pd.concat([yes.head(many), no.head(rows - many)], ignore_index=True)


def test_labels_agree_where_only_the_shares_of_classes_moved():
    moved = next(_labels_agree(tables(0.7), HoldoutGate()))
    assert moved.verdict is Verdict.PASS
    assert moved.sentence.endswith("their shares moved: no is 85.0% of train and 30.0% of the holdout.")
    assert "wrong labels" not in moved.sentence
    same = next(_labels_agree(tables(0.15), HoldoutGate()))
    assert same.verdict is Verdict.PASS
    assert "moved" not in same.sentence
    wrong = next(_labels_agree(tables(0.7, 0.35), HoldoutGate()))
    assert wrong.verdict is Verdict.FAIL
    assert "look for wrong labels" in wrong.sentence


def compared(rates):
    """Groups of 300 rows of which so many are selected; every second row is real."""
    group = np.repeat(np.arange(len(rates)), 300)
    said = np.concatenate([np.arange(300) < 300 * rate for rate in rates])
    real = np.concatenate([np.arange(300) % 10 < 5 + 3 * k for k in range(len(rates))])
    decided = Decided(group=group, said=said, real=real, score=said * 1.0)
    return decided, contrasts(decided, len(rates))


def test_what_does_not_exist_has_no_percentage():
    """Nobody of one group is selected, or nobody at all: there is no precision, and nothing that would have to be."""
    for rates in ((0.0, 0.5), (0.0, 0.0)):
        decided, found = compared(rates)
        (note,) = words.impossible("sex", ("f", "m"), found, decided)
        assert "nan" not in note
        assert "nobody selected, so no precision" in note
    assert "which would have to be" not in note
    decided, found = compared((0.4, 0.5))
    (note,) = words.impossible("sex", ("f", "m"), found, decided)
    assert note.count("which would have to be") == 2


def test_what_passes_does_not_say_that_it_cannot_be_told():
    found = compared((0.42, 0.5))[1]
    judge = words.Judge(column="sex", names=("f", "m"), sizes=np.array([300, 300]), label="yes", confidence=0.95)
    check = judge(FairnessDefinition.SELECTION_RATE, [c for c in found if c.rate == "selection_rate"], FairnessGate())
    assert check.verdict is Verdict.PASS
    assert "cannot tell" not in check.sentence
    assert "not surely below 0.8; about " in check.sentence
    near = calibration_error(np.full(500, 0.5), (np.arange(500) % 5 < 3) * 1.0)
    for limit in (near.estimate + 1e-9, (near.low + near.high) / 2):
        said = _tail(near, Limit(bound=Bound.AT_MOST, value=limit))
        assert "cannot tell" not in said
        assert said.startswith("not surely more than")


def test_labels_that_nobody_will_ever_have_are_not_asked_for():
    assert "no number of labels in reach" in would_tell(14_000, more_needed(14_000, 0.2, 0.0))
    assert would_tell(40, more_needed(40, 0.2, 0.0)) == "about 3,960 more labels would tell"


def test_a_threshold_that_selects_hardly_anybody_is_told():
    """One of 1,000 rows, where every fourth is yes; the other way round too; and not where shares are alike."""
    usual = judged_on(250, 750)
    for least, name in ((0.999, "yes"), (0.001, "no")):
        scores = np.linspace(0, 1, 1000)
        shifted = dataclasses.replace(usual.judged, scores=np.c_[1 - scores, scores], threshold=least)
        (check,) = hardly_selected(dataclasses.replace(usual, judged=shifted))
        assert check.verdict is Verdict.FAIL
        assert not check.decides
        assert f"decides for {name} in 1 of 1,000 rows (0.10% [" in check.sentence
    assert list(hardly_selected(usual)) == []


def test_one_row_of_a_group_keeps_nobody_from_looking_for_proxies_of_the_others():
    train, holdout = models.frame(300, 1), models.frame(200, 2)
    for table in (train, holdout):
        table["sex"] = np.where(table["job-title"] == "nurse", "f", "m")
        table.loc[0, "sex"] = "one"
    sides = groups_of("sex", train, holdout, None)
    assert scan(models.contract(), train, holdout, sides).together.estimate > 0.95
    alone = groups_of("sex", train.assign(sex="m"), holdout.assign(sex="m"), None)
    with pytest.raises(NotEnoughData, match="fewer than two groups have 10 rows in both tables"):
        scan(models.contract(), train, holdout, alone)
