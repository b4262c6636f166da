"""Rows made up to part two models: inside the contract, typed as training is, the same each time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import models
from modelmark.contract.probes import probes
from modelmark.contract.table import check_table
from modelmark.domain.contract import DataType, Input, Policy


@pytest.fixture(scope="module")
def made():
    contract = models.contract(nullable=True)
    train = models.frame(400, 1, nulls=0.1)
    return contract, train, probes(contract, train)


def test_every_row_is_one_that_the_contract_lets_through_as_it_is(made):
    contract, train, found = made
    target = contract.data.target
    table = found.frame.assign(**{target: train[target].iloc[0]})
    broken = [v for v in check_table(table, contract) if v.policy is not Policy.FLAG]
    assert broken == []


def test_families_try_what_a_holdout_may_lack(made):
    contract, train, found = made
    assert len(found.families) == len(found.frame) < 2500
    rows = {family: found.frame[np.array(found.families) == family] for family in found.families}
    nullable = [item.name for item in contract.inputs if item.nullable]
    assert len(nullable) > 1
    assert rows["gaps"][nullable].isna().all(axis=1).any(), "everything null at once"
    text = next(item.name for item in contract.inputs if item.type is DataType.CATEGORY)
    assert set(train[text].dropna()) <= set(rows["categories"][text])
    assert not set(rows["unseen categories"][text].dropna()) <= set(train[text].dropna())
    number = models.NUMERIC[0]
    assert set(rows["split points"][number].dropna()) - set(train[number]), "values between those of training"


def test_the_same_tables_make_the_same_rows(made):
    contract, train, found = made
    again = probes(contract, train.copy())
    pd.testing.assert_frame_equal(found.frame, again.frame)
    assert again.families == found.families


@pytest.mark.parametrize("nullable", [False, True])
def test_columns_keep_the_type_of_training(nullable):
    inputs = (
        Input(name="n", type=DataType.INTEGER, minimum=0, maximum=50, nullable=nullable),
        Input(name="yes", type=DataType.BOOLEAN),
        Input(name="code", type=DataType.CATEGORY, categories=("1", "2", "3")),
        Input(name="text", type=DataType.STRING),
    )
    contract = models.contract(inputs=inputs)
    draw = np.random.default_rng(0)
    train = pd.DataFrame(
        {
            "n": draw.integers(0, 50, 80),
            "yes": draw.random(80) < 0.5,
            "code": draw.integers(1, 4, 80),
            "text": draw.choice(["free prize", "hello you"], 80),
            contract.data.target: draw.choice(["no", "yes"], 80),
        }
    )
    found = probes(contract, train)
    kinds = {name: column.dtype.kind for name, column in found.frame.items()}
    assert kinds == {"n": "f" if nullable else "i", "yes": "b", "code": "i", "text": "O"}
    assert set(found.frame["code"]) == {1, 2, 3}, "numbers that stand for categories are never texts"
    written = set(found.frame["text"][np.array(found.families) == "texts written otherwise"])
    assert {"FREE PRIZE", "fréè prîzé"} & {text.strip() for text in written} or any(
        "Ω" in t or "é" in t for t in written
    )
    assert "" in written


def test_what_the_contract_replaces_or_refuses_is_not_made_up():
    item = Input(name="x", type=DataType.NUMBER, minimum=0.0, maximum=1.0, nullable=True, impute=0.5)
    city = Input(name="c", type=DataType.CATEGORY, categories=("A", "B"), on_unseen=Policy.REJECT)
    contract = models.contract(inputs=(item, city))
    train = pd.DataFrame({"x": np.linspace(0, 1, 50), "c": ["A", "B"] * 25, contract.data.target: ["no", "yes"] * 25})
    found = probes(contract, train)
    assert found.frame.notna().all().all()
    assert set(found.frame["c"]) == {"A", "B"}


def test_wide_tables_make_few_rows_and_none_that_keeps_the_contract_makes_none():
    inputs = tuple(Input(name=f"x{n}", type=DataType.NUMBER, minimum=0.0, maximum=1.0) for n in range(500))
    contract = models.contract(inputs=inputs)
    train = pd.DataFrame(np.random.default_rng(0).random((60, 500)), columns=[item.name for item in inputs])
    train[contract.data.target] = ["no", "yes"] * 30
    assert 0 < len(probes(contract, train).families) < 250
    narrow = dataclasses.replace(
        contract, inputs=(dataclasses.replace(inputs[0], minimum=5.0, maximum=6.0), *inputs[1:])
    )
    rejecting = dataclasses.replace(
        narrow, inputs=tuple(dataclasses.replace(i, on_out_of_range=Policy.REJECT) for i in narrow.inputs)
    )
    assert probes(rejecting, train).families == ()
