"""Tables: text stays text, numbers become numbers, and every broken rule is found where it is."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

import models
from modelmark.contract.table import check_table, read_table, rows_of, target_codes, violating_rows
from modelmark.domain import errors
from modelmark.domain.contract import Outputs


def write(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_question_marks_and_namibia_are_text(tmp_path, name):
    table = read_table(write(tmp_path, "land,n\nNA,1\n?,2\n,3\nNone,4\n", name))
    assert table["land"].astype(object).where(table["land"].notna(), None).tolist() == ["NA", "?", None, "None"]
    assert table["n"].tolist() == [1, 2, 3, 4]


def test_words_for_null_among_numbers_are_null(tmp_path):
    table = read_table(write(tmp_path, "n\n1.5\nNaN\nNA\n\n2\n"))
    assert table["n"].dtype == np.float64
    assert table["n"].isna().sum() == 2  # a blank line is no row


def test_parquet_and_csv_are_one_table(tmp_path):
    table = models.frame(50)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    first, second = read_table(tmp_path / "t.parquet"), read_table(tmp_path / "t.csv")
    assert rows_of(first, models.contract()) == rows_of(second, models.contract())


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("a,b\n", "t.csv", "EMPTY_TABLE"),
        ("", "t.csv", "MALFORMED_TABLE"),
        ("x", "t.xlsx", "UNKNOWN_FORMAT"),
        ("b\n1\n", "t.csv", "MISSING_COLUMN"),
        ("a\n1,2\n1,2,3\n", "t.csv", "FIELD_COUNT"),
        ("x", "t.parquet", "MALFORMED_TABLE"),
    ],
)
def test_unreadable_tables_say_why(tmp_path, text, name, code):
    with pytest.raises(errors.Rejected) as caught:
        read_table(write(tmp_path, text, name), columns=["a"])
    assert caught.value.code == code


def test_an_absent_file_is_missing(tmp_path):
    with pytest.raises(errors.Missing, match="nowhere"):
        read_table(tmp_path / "nowhere.csv")


FAULTS = {
    "null": ("age", None),
    "wrong type": ("income per year", "much"),
    "not an integer": ("age", 30.5),
    "out of range": ("age", 17),
    "unseen category": ("town", "Z"),
    "null target": ("y", None),
    "unknown class": ("y", "maybe"),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_broken_rule_is_found_in_its_row(rule):
    table = models.frame(20).astype(object)
    column, value = FAULTS[rule]
    table.loc[7, column] = value
    (found,) = check_table(table, models.contract())
    assert (found.rule, found.column, found.rows) == (rule, column, (7,))
    assert violating_rows([found]) == (() if rule == "unseen category" else (7,))


def test_a_missing_column_breaks_every_row():
    (found,) = check_table(models.frame(5).drop(columns="age"), models.contract())
    assert found.rule == "missing column"
    assert found.rows == (0, 1, 2, 3, 4)


def test_a_sound_table_breaks_nothing():
    assert check_table(models.frame(200), models.contract()) == ()


def test_rows_are_what_a_request_may_hold():
    table = models.frame(3, nulls=0.0).astype({"age": "float64"})
    table.loc[1, "income per year"] = np.nan
    row = rows_of(table, models.contract(nullable=True))[1]
    assert row["income per year"] is None
    assert type(row["age"]) is int
    assert type(row["town"]) is str


@pytest.mark.parametrize(
    ("values", "classes", "codes"),
    [
        ([0, 1, 2], (0, 1), [0, 1, -1]),
        ([0.0, 1.0, np.nan], (0, 1), [0, 1, -1]),
        (["0", "1"], (0, 1), [0, 1]),
        ([True, False], (False, True), [1, 0]),
        (["b", None, "c"], ("a", "b"), [1, -1, -1]),
    ],
)
def test_classes_are_known_by_value_or_text(values, classes, codes):
    assert target_codes(pd.Series(values), Outputs(classes=classes)).tolist() == codes


def test_infinities_among_whole_numbers_are_of_the_wrong_type_and_warn_of_nothing():
    table = models.frame(5).astype({"age": "float64"})
    table.loc[[1, 2], "age"] = [np.inf, -np.inf]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = check_table(table, models.contract())
    assert (found.rule, found.rows) == ("wrong type", (1, 2))
