"""Contracts and small real models that tests of registry and gates share."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd

from modelmark.domain.contract import Contract, Data, DataType, Input, ModelSource, Objective, Outputs
from modelmark.domain.metrics import Metric, Task


def frame(rows=400, seed=0, nulls=0.0):
    """Numbers, an integer and two text columns, with a target that depends on them."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "income per year": rng.normal(50, 15, rows),
            "age": rng.integers(18, 80, rows),
            "job-title": rng.choice(["clerk", "nurse", "smith"], rows),
            "town": rng.choice(["A", "B", "?"], rows),
        }
    )
    signal = (
        1.5 * np.sin((table["income per year"] - 50) / 8)
        + (table["job-title"] == "nurse") * 1.5
        - (table["age"] - 45) / 40
    )
    table["y"] = np.where(signal + rng.normal(0, 0.7, rows) > 0, "yes", "no")
    table["amount"] = signal * 10 + rng.normal(0, 2, rows)
    if nulls:
        table.loc[rng.random(rows) < nulls, "income per year"] = np.nan
        table.loc[rng.random(rows) < nulls, "town"] = np.nan
    return table


NUMERIC, TEXT = ["income per year", "age"], ["job-title", "town"]
FEATURES = NUMERIC + TEXT


def inputs(nullable=False, names=FEATURES):
    known = {
        "income per year": Input(
            name="income per year", type=DataType.NUMBER, minimum=-50, maximum=150, nullable=nullable, unit="kEUR/year"
        ),
        "age": Input(name="age", type=DataType.INTEGER, minimum=18, maximum=80),
        "job-title": Input(name="job-title", type=DataType.CATEGORY, categories=("clerk", "nurse", "smith")),
        "town": Input(name="town", type=DataType.CATEGORY, categories=("?", "A", "B"), nullable=nullable),
    }
    return tuple(known[name] for name in names)


def contract(task=Task.BINARY, nullable=False, names=FEATURES, source="model.joblib", **changes):
    regression = task is Task.REGRESSION
    usual = {
        "modelmark": 1,
        "name": "loans",
        "model": ModelSource(source=source, task=task),
        "data": Data(train="train.csv", holdout="holdout.csv", target="amount" if regression else "y"),
        "inputs": inputs(nullable, names),
        "outputs": Outputs() if regression else Outputs(classes=("no", "yes"), positive="yes"),
        "objective": Objective(metric=Metric.MAE if regression else Metric.ROC_AUC),
    }
    return Contract(**{**usual, **changes})


def write_tables(base, train, holdout):
    train.to_csv(base / "train.csv", index=False)
    holdout.to_csv(base / "holdout.csv", index=False)


def save(model, base, name="model.joblib"):
    joblib.dump(model, base / name)
    return base / name
