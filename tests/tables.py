"""Real tables and the contracts that tests of gates judge them by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelmark.contract.infer import infer
from modelmark.domain.contract import Contract, Data, DataType, Input, ModelSource, Objective, Outputs
from modelmark.domain.metrics import Metric, Task

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


def needs(name):
    """Skip a test where a shared table is not there."""
    return pytest.mark.skipif(not (SHARED / name).exists(), reason=f"needs ../shared/data/{name}")


def failing(evidence):
    return {check.name: check.sentence for check in evidence.checks if check.verdict.exit_code}


def deciding(evidence):
    return {check.name for check in evidence.checks if check.decides and check.verdict.exit_code}


def named(evidence, name):
    return next(check for check in evidence.checks if check.name == name)


def contract_for(train, target, *, data=None, **changes):
    """A contract as `init` would draft it, without ranges."""
    draft = infer(train, target=target)
    usual = {
        "modelmark": 1,
        "name": "drafted",
        "model": ModelSource(source="model.joblib", task=draft.task),
        "data": Data(train="train.csv", holdout="holdout.csv", target=target, **(data or {})),
        "inputs": tuple(dataclasses.replace(item, minimum=None, maximum=None) for item in draft.inputs),
        "outputs": Outputs(classes=draft.classes, positive=draft.positive),
        "objective": Objective(metric=draft.metric),
    }
    return Contract(**{**usual, **changes})


def biopsies():
    """The README's model: (contract, train, holdout, model); 400 and 169 rows."""
    table = load_breast_cancer(as_frame=True).frame.sample(frac=1, random_state=3)
    table["malignant"] = 1 - table.pop("target")
    train, holdout = table[:400], table[400:]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train.drop(columns="malignant"), train["malignant"])
    return contract_for(train, "malignant"), train, holdout, model


def elec2(time, *, shuffled):
    """(contract, train, holdout) of the electricity market, in its order or not; `date` is in the tables, no input."""
    table = pd.read_csv(SHARED / "elec2.csv.gz").drop(columns="nswprice")
    if shuffled:
        table = table.sample(frac=1, random_state=0).reset_index(drop=True)
    contract = Contract(
        modelmark=1,
        name="market",
        model=ModelSource(source="model.joblib", task=Task.BINARY),
        data=Data(train="train.csv", holdout="holdout.csv", target="class", time=time),
        inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in table if name not in ("class", "date")),
        outputs=Outputs(classes=("DOWN", "UP"), positive="UP"),
        objective=Objective(metric=Metric.ACCURACY),
    )
    return contract, table[:30000], table[30000:]


def clean(rows, seed, *, noise=1.0):
    """Five inputs and a label of exactly known probability: a model that says it is perfectly calibrated."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    table["k"] = rng.choice(["x", "y", "z"], rows)
    logit = (1.2 * table["a"] - table["b"] + 0.8 * (table["k"] == "x")) / noise
    probability = 1 / (1 + np.exp(-logit))
    table["y"] = (rng.random(rows) < probability).astype(int)
    return table, probability.to_numpy()
