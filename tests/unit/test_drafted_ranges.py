"""A draft admits its own training table, whatever numbers stand in it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import infer
from modelmark.contract.read import parse
from modelmark.contract.table import check_table
from modelmark.domain.contract import Contract

NAMES = Paths(name="c", model="model.joblib", train="train.csv", holdout="holdout.csv", target="y")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NEAR = st.tuples(FINITE, st.lists(st.integers(0, 9), min_size=1, max_size=5)).map(
    lambda found: [found[0] + step * math.ulp(found[0]) for step in found[1]]
)


def drafted(values: list[float]) -> tuple[pd.DataFrame, Contract]:
    """Read back from the file that a person gets."""
    table = pd.DataFrame({"x": values, "y": [0, 1] * (len(values) // 2) + [0] * (len(values) % 2)})
    table = pd.concat([table, table.assign(y=1 - table["y"])])
    return table, parse(render(infer(table, target="y"), NAMES).encode(), Path("modelmark.yaml")).contract


@settings(max_examples=300, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=5) | st.lists(st.integers(-(2**52), 2**52), min_size=1) | NEAR)
def test_a_draft_admits_its_own_table(values: list[float]) -> None:
    table, contract = drafted([value for value in values if np.isfinite(value)] or [0.0])
    assert check_table(table, contract) == ()


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([100001, 100009], 99997, 100013),
        ([20.5, 41.0], 10.25, 51.25),
        ([1234.5678, 1234.5679], 1234.56775, 1234.56795),
        ([0, 1], 0, 1),
        ([1 / 3, 2 / 3], 0.1666, 0.8334),
        ([-7, -7], -10.5, -3.5),
        ([0, 0], 0, 1),
        ([5e-324, 0.0], 0, 1e-323),
        ([-1.7e308, 1.7e308], -1.7976931348623157e308, 1.7976931348623157e308),
        ([np.inf, 1.0, 3.0, -np.inf], 0, 4),
        ([np.inf], None, None),
    ],
)
def test_a_range_is_the_seen_one_widened_by_half_and_rounded_outward(values, low, high) -> None:
    found = drafted(values)[1].inputs[0]
    assert (found.minimum, found.maximum) == (low, high)


@pytest.mark.parametrize("values", [[0, 1, 1, 0], [0.0, 1.0], [1.0, 1.0], [0, 1, float("nan")]])
def test_yes_and_no_as_numbers_are_not_widened(values: list[float]) -> None:
    table = pd.DataFrame({"x": values, "y": ([0, 1] * len(values))[: len(values)]})
    (item,) = infer(table, target="y").inputs
    assert (item.minimum, item.maximum) == (0, 1)
    wider = infer(table.assign(x=table["x"] * 2.5), target="y").inputs[0]
    assert wider.maximum != 1, "other numbers are"
