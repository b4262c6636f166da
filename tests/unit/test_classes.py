"""One notion of class, label and decision, whoever sends the value and wherever it is decided."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.domain import contract
from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import infer
from modelmark.contract.read import parse
from modelmark.contract.rules import rule_violations
from modelmark.contract.table import target_codes
from modelmark.domain.classes import Decider, class_index, class_text, parse_label, positive_index, same_classes
from modelmark.domain.contract import Fallback, FallbackKind, ModelSource, Outputs
from modelmark.domain.errors import ContractInvalid, OutputInvalid, Rejected
from modelmark.domain.metrics import Task
from modelmark.serving.fallback import constant_scores
from modelmark.stats.decisions import decided

PATHS = Paths(name="c", model="m.joblib", train="t.csv", holdout="h.csv", target="y")

CLASSES = [(0, 1), (False, True), ("no", "yes"), ("1", "2"), (10, 20, 30), ("a", "b", "c")]


def agreed(classes: tuple, threshold: float = 0.5):
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    outputs = Outputs(classes=classes, positive=classes[-1] if task is Task.BINARY else None, threshold=threshold)
    return contract(model=ModelSource(source="m", task=task), outputs=outputs)


@pytest.mark.parametrize("classes", CLASSES)
def test_every_source_of_a_label_says_the_same(classes: tuple):
    found = agreed(classes)
    for place, name in enumerate(classes):
        spellings = [name, class_text(name)]
        if isinstance(name, int) and not isinstance(name, bool):
            spellings += [float(name), f"{name}.0"]
        for value in spellings:
            assert parse_label(found, value) == name
            assert class_index(classes, value) == place
            assert target_codes(pd.Series([value], dtype=object), found.outputs).tolist() == [place]
    for value in ("maybe", 77, -1.5, not classes[0] if isinstance(classes[0], bool) is False else 1):
        with pytest.raises(Rejected, match="not one of the classes"):
            parse_label(found, value)
        assert target_codes(pd.Series([value], dtype=object), found.outputs).tolist() == [-1]


def test_two_classes_of_one_text_cannot_be_contracted():
    twice = dataclasses.replace(agreed((0, 1)), outputs=Outputs(classes=(1, "1"), positive="1"))
    assert [violation.allowed for violation in rule_violations(twice)] == ["each class once"]


def test_without_a_name_the_last_class_is_the_positive_one():
    assert positive_index((0, 1), None) == 1
    assert positive_index(("yes", "no"), "yes") == 0


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
    st.sampled_from([("no", "yes"), ("yes", "no")]),
)
def test_one_row_and_many_rows_are_decided_alike(shares: list[float], threshold: float, classes: tuple):
    found = dataclasses.replace(agreed(classes), outputs=Outputs(classes=classes, positive="yes", threshold=threshold))
    at = positive_index(classes, "yes")
    scores = np.array([[1 - p, p] if at == 1 else [p, 1 - p] for p in shares])
    many = decided(scores, positive=at, threshold=threshold)
    assert Decider(found)(scores.ravel().tolist()) == many.tolist()


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=30))
def test_of_several_classes_the_likeliest_is_decided_for_by_both(rows: list[tuple[float, float, float]]):
    many = decided(np.array(rows), positive=None, threshold=0.5)
    assert Decider(agreed(("a", "b", "c")))([p for row in rows for p in row]) == many.tolist()


@pytest.mark.parametrize(
    ("some", "others", "same"),
    [
        ((0.0, 1.0), (0, 1), True),
        ((0, 1), ("0", "1"), True),
        (("1.0", "2.0"), (1, 2), True),
        (("False", "True"), (False, True), True),
        ((False, True), ("False", "True"), True),
        ((1, 0), (0, 1), False),
        ((0, 1), (0, 1, 2), False),
        ((0.5, 1.5), (0, 1), False),
        ((False, True), (0, 1), False),
        (("a", "b"), ("A", "B"), False),
    ],
)
def test_classes_are_the_same_where_each_means_the_other(some: tuple, others: tuple, same: bool):
    assert same_classes(some, others) is same
    assert same_classes(others, some) is same


def test_a_contract_takes_classes_as_a_model_with_float_labels_has_them():
    text = render(infer(pd.DataFrame({"x": [1, 2], "y": [0.0, 1.0]}), target="y"), PATHS)
    assert "classes: [0, 1]" in text
    floats = text.replace("classes: [0, 1]", "classes: [0.0, 1.0]").replace("positive: 1", "positive: 1.0")
    found = parse(floats.encode(), Path("modelmark.yaml")).contract.outputs
    assert (found.classes, found.positive) == ((0, 1), 1)
    assert [type(name) for name in found.classes] == [int, int]
    with pytest.raises(ContractInvalid, match=r"outputs\.classes\[1\]"):
        parse(text.replace("[0, 1]", "[0, 0.5]").encode(), Path("modelmark.yaml"))


@pytest.mark.parametrize(
    ("value", "taken"), [(1.0, True), ("1", True), ("1.0", True), (True, False), (2, False), (0.5, False)]
)
def test_a_constant_fallback_is_a_class_as_any_other_value_is(value, taken):
    made = dataclasses.replace(agreed((0, 1)), fallback=(Fallback(kind=FallbackKind.CONSTANT, value=value),))
    assert (list(rule_violations(made)) == []) is taken
    version = SimpleNamespace(contract=made)
    if taken:
        assert constant_scores(version, value).tolist() == [0.0, 1.0]
    else:
        with pytest.raises(OutputInvalid):
            constant_scores(version, value)


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        ([0.0, 1.0, None, 1.0], (0, 1)),
        ([True, False, None, True], (False, True)),
        (["0", "1", "1", None], ("0", "1")),
    ],
)
def test_a_target_with_gaps_is_drafted_by_what_is_known(target, classes):
    found = infer(pd.DataFrame({"x": range(4), "y": pd.Series(target, dtype=object).infer_objects()}), target="y")
    assert (found.classes, found.positive) == (
        classes,
        classes[1] if classes[0] in (0, False) and classes != ("0", "1") else "0",
    )


def test_a_target_of_moments_or_infinities_is_no_traceback():
    moments = pd.DataFrame({"x": [1, 2], "y": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    assert infer(moments, target="y").classes == ("2024-01-01 00:00:00", "2024-01-02 00:00:00")
    with pytest.raises(Rejected) as caught:
        infer(pd.DataFrame({"x": [1, 2], "y": [np.inf, 1.0]}), target="y")
    assert (caught.value.code, caught.value.field) == ("NON_FINITE", "y")


def test_many_texts_as_target_are_classes_and_many_numbers_a_regression():
    names = [f"class {k:02}" for k in range(30)]
    found = infer(pd.DataFrame({"x": range(30), "y": names}), target="y")
    assert (found.task, found.classes) == (Task.MULTICLASS, tuple(names))
    assert infer(pd.DataFrame({"x": range(30), "y": range(30)}), target="y").task is Task.REGRESSION
