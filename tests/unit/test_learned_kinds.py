"""What a column was to the model decides how it is read, where the cells could be either."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from modelmark.contract.read import load
from modelmark.contract.table import agreed_table, check_table, rows_of
from modelmark.domain.contract import DataType
from modelmark.registry.drafting.draft import draft_contract
from modelmark.registry.drafting.learned_kinds import learned

ROWS = 40
TABLE = pd.DataFrame(
    {
        "zip": [f"{k % 4:04}" for k in range(ROWS)],
        "code": [k % 3 for k in range(ROWS)],
        "word": ["aa bb", "bb cc"] * (ROWS // 2),
        "size": np.linspace(0, 1, ROWS),
    }
)
TARGET = np.arange(ROWS) % 2
ANY = OneHotEncoder(handle_unknown="ignore")


def kinds_of(model, count):
    return [column.kind for column in learned(model, count)]


def filled(encoder):
    return make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ([(ANY, ["zip"]), ("passthrough", ["code"]), (StandardScaler(), ["size"])], ["text", "number", "", "number"]),
        ([(OrdinalEncoder(), ["code", "zip"])], ["text", "number", "", ""]),
        ([(filled(ANY), ["zip"]), (filled(StandardScaler()), ["size"])], ["text", "", "", "number"]),
        ([(CountVectorizer(), "word"), ("drop", ["zip"])], ["", "", "text", ""]),
        ([(StandardScaler(), [1]), (ANY, slice(2, 3))], ["", "number", "text", ""]),
        ([(FunctionTransformer(np.abs), ["code", "size"])], ["", "", "", ""]),
        ([(ANY, ["code"]), (StandardScaler(), ["code"])], ["", "number", "", ""]),
    ],
)
def test_the_first_part_that_meets_a_column_says_what_it_is(parts, kinds):
    model = make_pipeline(make_column_transformer(*parts), LogisticRegression()).fit(TABLE, TARGET)
    assert kinds_of(model, 4) == kinds


def test_without_columns_of_their_own_the_first_step_decides():
    numbers = TABLE[["code", "size"]]
    assert kinds_of(LogisticRegression().fit(numbers, TARGET), 2) == ["number"] * 2
    assert kinds_of(make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, TARGET), 2) == ["number"] * 2
    mixed = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(TABLE[["zip", "code"]], TARGET)
    assert kinds_of(mixed, 2) == ["text", "number"]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_draft_reads_codes_as_the_model_learned_them(tmp_path, as_text):
    """The same file: read with dtype=str and encoded, or as pandas reads it, and scaled."""
    TABLE[["zip", "code"]].assign(y=TARGET).to_csv(tmp_path / "t.csv", index=False)
    read = pd.read_csv(tmp_path / "t.csv", dtype={"zip": str, "code": str} if as_text else None)
    step = ANY if as_text else StandardScaler()
    columns = ColumnTransformer([("codes", step, ["zip", "code"])])
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(read[["zip", "code"]], TARGET), tmp_path / "m.joblib")
    out = tmp_path / "modelmark.yaml"
    draft_contract(
        str(tmp_path / "m.joblib"), train=tmp_path / "t.csv", holdout=tmp_path / "t.csv", target="y", name="codes",
        out=out, progress=lambda *_: None, rehearsed=False,
    )  # fmt: skip
    contract = load(out).contract
    assert {item.type for item in contract.inputs} == {DataType.CATEGORY if as_text else DataType.INTEGER}
    table = agreed_table(tmp_path / "t.csv", contract, ["y"])
    assert check_table(table, contract) == ()
    assert rows_of(table, contract)[1] == ({"zip": "0001", "code": "1"} if as_text else {"zip": 1, "code": 1})


def categories_of(model, count):
    return [column.categories for column in learned(model, count)]


def test_an_encoder_says_its_categories_behind_an_imputer_too():
    parts = [(OneHotEncoder(), ["code"]), (filled(OrdinalEncoder()), ["zip"]), (StandardScaler(), ["size"])]
    model = make_pipeline(make_column_transformer(*parts), LogisticRegression()).fit(TABLE, TARGET)
    assert categories_of(model, 4) == [("0000", "0001", "0002", "0003"), (0, 1, 2), (), ()]


def test_codes_that_a_null_made_fractions_are_whole_and_null_is_no_category():
    gaps = TABLE[["code"]].where(TABLE["code"] != 2)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(gaps, TARGET)
    assert categories_of(model, 1) == [(0, 1)]


def test_an_encoder_of_very_many_categories_lists_none():
    many = pd.DataFrame({"x": [f"v{k}" for k in range(1001)]})
    assert categories_of(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(many, np.arange(1001) % 2), 1) == [()]
