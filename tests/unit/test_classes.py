"""One notion of class, label and decision, whoever sends the value and wherever it is decided."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.domain import contract
from modelmark.contract.rules import rule_violations
from modelmark.contract.table import target_codes
from modelmark.domain.classes import Decider, class_index, class_text, parse_label, positive_index
from modelmark.domain.contract import ModelSource, Outputs
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.stats.decisions import decided

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
