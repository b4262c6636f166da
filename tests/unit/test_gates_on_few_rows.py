"""Gates that see few rows of a class, or rows without a value: nothing hides, and every sentence has the number."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

import models
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.metrics import Metric
from modelmark.gates.calibration.gate import _parts
from modelmark.gates.common.evaluation_set import evaluation_set
from modelmark.gates.common.giveaway import Alone, alone, giveaway_check
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
