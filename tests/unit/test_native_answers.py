"""Answers written from columns read as the protocol describes them, row by row."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import serving_case as case
from modelmark.contract.rows import Rows
from modelmark.domain.classes import Decider, class_text
from modelmark.domain.contract import Outputs
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.wire import kserve
from modelmark.serving.wire.native_answers import Form

ODD = 'a "quoted", \\ name, with {braces} and ä'
BINARY = [("no", "yes"), ("yes", "no"), (0, 1), (False, True), (ODD, "b")]
SEVERAL = [("a", "b", ODD), (1, 2, 3, 4), ("1", "x", "2,5")]


def version(agreed):
    texts = [class_text(name) for name in agreed.outputs.classes]
    return SimpleNamespace(model=agreed.name, label="v3", contract=agreed, decide=Decider(agreed), classes=texts)


def answered(agreed, scores, rows, served_by=ServedBy.MODEL, decided=None, flags=()):
    found = version(agreed)
    decided = found.decide(scores) if decided is None else decided
    answer = Answer("ab" * 16, found, "champion", served_by, decided, list(flags), scores, b"", Rows(rows, b"", []))
    return json.loads(Form(found).body(answer))


def one_by_one(agreed, scores):
    """As plain Python says it."""
    outputs, width = agreed.outputs, len(agreed.outputs.classes)
    for start in range(0, len(scores), width):
        row = scores[start : start + width]
        at = max(range(width), key=row.__getitem__)
        shown = row[at]
        if agreed.model.task is Task.BINARY:
            positive = outputs.classes.index(outputs.positive)
            shown = row[positive]
            at = positive if shown >= outputs.threshold else 1 - positive
        texts = [class_text(name) for name in outputs.classes]
        yield {"label": outputs.classes[at], "score": shown, "probabilities": dict(zip(texts, row, strict=True))}


probability = st.floats(0, 1)


@given(st.sampled_from(BINARY), st.lists(probability, min_size=1, max_size=9), st.floats(0.01, 0.99), st.booleans())
def test_two_classes(classes, shares, threshold, second):
    outputs = Outputs(classes=classes, positive=classes[second], threshold=threshold)
    agreed = case.contract(outputs=outputs)
    scores = [p for share in shares for p in (share, 1 - share)]
    found = answered(agreed, scores, len(shares))
    assert found["predictions"] == list(one_by_one(agreed, scores))
    assert [type(row["label"]) for row in found["predictions"]] == [type(classes[0])] * len(shares)


@given(st.sampled_from(SEVERAL), st.data(), st.integers(1, 7))
def test_several_classes(classes, data, rows):
    agreed = case.contract(task=Task.MULTICLASS, outputs=Outputs(classes=classes))
    many = rows * len(classes)
    scores = data.draw(st.lists(probability, min_size=many, max_size=many))
    assert answered(agreed, scores, rows)["predictions"] == list(one_by_one(agreed, scores))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_a_regression(values):
    agreed = case.contract(task=Task.REGRESSION, outputs=Outputs())
    assert answered(agreed, values, len(values))["predictions"] == [{"value": value} for value in values]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_constant_says_no_more_than_its_label(rows):
    agreed = case.contract(outputs=Outputs(classes=("no", "yes"), positive="yes"))
    found = answered(agreed, [1.0, 0.0] * rows, rows, ServedBy.CONSTANT, [0] * rows)
    assert found["predictions"] == [{"label": "no"}] * rows
    assert found["served_by"] == "constant"


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_where_a_person_will_answer_nothing_is_said_of_a_row(rows, task):
    agreed = case.contract(task=task, outputs=Outputs() if task is Task.REGRESSION else None)
    assert answered(agreed, [], rows, ServedBy.REVIEW, [])["predictions"] == [{}] * rows


def test_what_stands_around_the_predictions():
    flags = [(0, ODD, "MISSING"), (0, "f1", "UNSEEN")]
    found = answered(case.contract(), [0.25, 0.75], 1, flags=flags)
    assert list(found) == ["id", "model", "version", "arm", "served_by", "predictions", "flags"]
    assert (found["id"], found["model"], found["version"]) == ("ab" * 16, "churn", "v3")
    assert found["flags"] == [{"row": row, "field": field, "flag": flag} for row, field, flag in flags]


def test_over_kserve_a_prediction_stands_that_cannot_be_explained():
    agreed = case.contract()
    answer = Answer("ab" * 16, version(agreed), "champion", ServedBy.MODEL, [1], [], [0.2, 0.8], b"", Rows(1, b"", []))
    told = kserve._with_explanation(answer, Rejected("no background", code="CANNOT_EXPLAIN"))
    assert json.loads(told.body) == {
        "predictions": [1],
        "explanations": [None],
        "explanation_refused": {"message": "no background", "code": "CANNOT_EXPLAIN"},
    }
    assert b"x-modelmark-prediction-id: abab" in told.extra
