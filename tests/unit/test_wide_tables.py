"""A table of hundreds of columns costs what its columns cost, not their square, and a quick model stays quick."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import numpy as np
import pytest

import models
from modelmark.contract import row_errors
from modelmark.contract.rows import RowCodec
from modelmark.domain.contract import DataType, Input, Outputs
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.gates.common import probe_model

WIDE = [f"pixel{k}" for k in range(784)]
RNG = np.random.default_rng(0)


class Unsearched(list[str]):
    """Names in which nobody looks for one by going through them all."""

    def __contains__(self, name: object) -> NoReturn:
        raise AssertionError("looked for in a list")


def test_names_are_looked_up_and_not_searched_for():
    row_errors.columns(dict.fromkeys(WIDE, 1), Unsearched(WIDE))
    with pytest.raises(Rejected) as caught:
        row_errors.columns({**dict.fromkeys(WIDE, 1), "other": 1}, Unsearched(WIDE))
    assert caught.value.code == "UNKNOWN_COLUMN"


class Unread(dict[str, Any]):
    """A row that nobody goes through in Python."""

    def items(self) -> NoReturn:
        raise AssertionError("read value by value")


def test_rows_are_gone_through_only_where_one_may_hold_what_is_not_finite():
    contract = dataclasses.replace(models.contract(), inputs=tuple(Input(name=n, type=DataType.NUMBER) for n in WIDE))
    codec = RowCodec(contract)
    assert codec.from_mappings([Unread(dict.fromkeys(WIDE, 0.5))] * 3).count == 3
    for wrong in (np.nan, -np.inf, np.float32("inf")):
        with pytest.raises(Rejected) as caught:
            codec.from_mappings([dict.fromkeys(WIDE, 0.5), {**dict.fromkeys(WIDE, 0.5), "pixel7": wrong}])
        assert (caught.value.code, caught.value.field, caught.value.row) == ("NON_FINITE", "pixel7", 1)
    with pytest.raises(Rejected) as caught:
        codec.from_mappings([{**dict.fromkeys(WIDE, 0.5), "pixel3": np.nan, "pixel9": object()}])
    assert caught.value.code == "NON_FINITE"


@pytest.mark.parametrize("regression", [False, True])
def test_of_many_columns_the_telling_ones_are_learned(regression):
    y_true = RNG.integers(0, 4, 300).astype(float)
    table = RNG.normal(size=(300, 400))
    told = np.arange(3, 400, 8)[:40]
    table[:, told] += y_true[:, None] * 2
    table[RNG.random(table.shape) < 0.1] = np.nan
    kept = probe_model._telling(table, y_true, regression)
    assert len(kept) == 100
    assert set(told) <= set(kept.tolist())
    assert (probe_model._telling(table[:, :100], y_true, regression) == np.arange(100)).all()


def test_a_quick_model_of_a_wide_table_still_tells_the_classes():
    contract = dataclasses.replace(
        models.contract(), outputs=Outputs(classes=tuple(range(10))),
        model=dataclasses.replace(models.contract().model, task=Task.MULTICLASS),
    )  # fmt: skip
    y_true = RNG.integers(0, 10, 400)
    table = RNG.normal(size=(400, 300))
    table[:, :20] += 2 * RNG.normal(size=(10, 20))[y_true]
    said = probe_model.scores(contract, table[:300], y_true[:300], table[300:]).argmax(axis=1)
    assert (said == y_true[300:]).mean() > 0.6
