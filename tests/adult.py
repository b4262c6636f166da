"""The Adult and German credit tables as contracts and candidates, where the shared data are there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import models
from modelmark.contract.table import read_table
from modelmark.domain.contract import Contract, Data, DataType, Input, Outputs

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
needs_adult = pytest.mark.skipif(
    not (SHARED / "adult_train.csv.gz").exists(), reason="needs ../shared/data/adult_train.csv.gz"
)
needs_german = pytest.mark.skipif(
    not (SHARED / "german_credit.csv.gz").exists(), reason="needs ../shared/data/german_credit.csv.gz"
)


def adult() -> tuple[pd.DataFrame, pd.DataFrame]:
    """(train, holdout); the holdout's labels without their published full stop."""
    train, holdout = (read_table(SHARED / f"adult_{side}.csv.gz") for side in ("train", "test"))
    return train, holdout.assign(income=holdout["income"].str.rstrip("."))


def inputs_of(table: pd.DataFrame, leave_out: tuple[str, ...]) -> tuple[Input, ...]:
    return tuple(
        Input(name=name, type=DataType.INTEGER)
        if table[name].dtype.kind in "if"
        else Input(name=name, type=DataType.CATEGORY, categories=tuple(sorted(set(table[name].astype(str)))))
        for name in table
        if name not in leave_out
    )


def contract(sensitive: tuple[str, ...] = ("sex",), leave_out: tuple[str, ...] = ("income", "fnlwgt")) -> Contract:
    train, holdout = adult()
    return models.contract(
        data=Data(train="train.csv", holdout="holdout.csv", target="income", sensitive=sensitive),
        inputs=inputs_of(pd.concat([train, holdout]), leave_out),
        outputs=Outputs(classes=("<=50K", ">50K"), positive=">50K"),
    )
