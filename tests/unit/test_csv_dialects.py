"""One table as different offices write CSV: told from the file at `init`, said, kept in the contract, and read so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders.domain import contract
from modelmark.contract.dialect import sniff
from modelmark.contract.draft import Paths, lines, render
from modelmark.contract.infer import infer
from modelmark.contract.read import parse
from modelmark.contract.table import dialect_of, read_table
from modelmark.domain.contract import Csv, DataType, Input
from modelmark.domain.errors import ContractInvalid, Missing, Rejected
from modelmark.seal.digests import canonical

TABLE = pd.DataFrame(
    {
        "Größe": np.random.default_rng(0).normal(170, 9, 60).round(1),
        "Preis": np.random.default_rng(1).gamma(4, 700, 60).round(2),
        "Stück": np.random.default_rng(2).integers(0, 9, 60),
        "Ort": np.random.default_rng(3).choice(["Köln", "Nürnberg", "Ulm"], 60),
    }
)
GERMAN = {"sep": ";", "decimal": ","}


def grouped(mark: str, decimal: str) -> list[str]:
    return [f"{value:,.2f}".replace(",", "_").replace(".", decimal).replace("_", mark) for value in TABLE["Preis"]]


#: How it is written: pandas' words, how prices are, and the dialect it is.
WRITTEN: dict[str, tuple[dict[str, Any], list[str] | None, Csv]] = {
    "usual": ({}, None, Csv()),
    "semicolon": (GERMAN, None, Csv(separator=";", decimal=",")),
    "semicolon, points": ({"sep": ";"}, None, Csv(separator=";")),
    "latin-1": ({**GERMAN, "encoding": "latin-1"}, None, Csv(separator=";", decimal=",", encoding="windows-1252")),
    "byte order mark": ({"encoding": "utf-8-sig"}, None, Csv()),
    "UTF-16": ({"encoding": "utf-16", "sep": "\t"}, None, Csv(separator="\t", encoding="utf-16")),
    "tab": ({"sep": "\t"}, None, Csv(separator="\t")),
    "pipe": ({"sep": "|"}, None, Csv(separator="|")),
    "comma, decimal comma in quotes": ({"decimal": ",", "quoting": 1}, None, Csv(decimal=",")),
    "English thousands": ({}, grouped(",", "."), Csv(thousands=",")),
    "German thousands": (GERMAN, grouped(".", ","), Csv(separator=";", decimal=",", thousands=".")),
    "French thousands": (GERMAN, grouped("\u202f", ","), Csv(separator=";", decimal=",", thousands=" ")),
    "Swiss thousands": ({"sep": ";"}, grouped("'", "."), Csv(separator=";", thousands="'")),
}


def written(folder: Path, how: str, name: str = "t.csv") -> Path:
    options, prices, _ = WRITTEN[how]
    table = TABLE if prices is None else TABLE.assign(Preis=prices)
    table.to_csv(folder / name, index=False, **options)
    return folder / name


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.txt", "t.tsv"])
@pytest.mark.parametrize("how", WRITTEN)
def test_a_table_is_the_same_however_it_is_written(tmp_path, how, name):
    path = written(tmp_path, how, name)
    assert sniff(path) == WRITTEN[how][2]
    pd.testing.assert_frame_equal(read_table(path, csv=sniff(path)), TABLE.astype({"Ort": "str"}))


@pytest.mark.parametrize("how", ["semicolon", "latin-1", "UTF-16", "tab", "pipe"])
def test_a_table_that_is_not_as_the_contract_says_is_refused_with_what_it_seems_to_be(tmp_path, how):
    with pytest.raises(Rejected) as caught:
        read_table(written(tmp_path, how), columns=["Ort"])
    assert "data.csv" in str(caught.value.hint)
    assert "t.csv seems to be written with" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a;b\n1,5;x\n2,25;y\n", Csv(separator=";", decimal=","), id="a decimal comma"),
        pytest.param(
            'a,b\n"1,234",x\n"2,345",y\n', Csv(thousands=","), id="three digits after a comma, quoted among commas"
        ),
        pytest.param("a;b\n1,234;x\n2,345;y\n", Csv(separator=";", decimal=","), id="three digits among semicolons"),
        pytest.param("a;b\n1,234,567;x\n22;y\n", Csv(separator=";", thousands=","), id="two commas in a number"),
        pytest.param("a;b\n1,234.5;x\n22;y\n", Csv(separator=";", thousands=","), id="a comma before a point"),
        pytest.param(
            "a;b\n1.234.567;x\n22;y\n", Csv(separator=";", decimal=",", thousands="."), id="two points in a number"
        ),
        pytest.param("a;b\n1.2.3;x\n4.5.6;y\n", Csv(separator=";"), id="versions are text"),
        pytest.param("a;b\n01.02.2024;x\n13.02.2024;y\n", Csv(separator=";"), id="days are text"),
        pytest.param('a,b\n"x, y",1\n"z",2\n', Csv(), id="commas in texts"),
        pytest.param('a,b\n"1,2",1.5\n"3,4",2.5\n', Csv(), id="numbers with a point are there already"),
        pytest.param("a\n1\n2\n", Csv(), id="one column"),
        pytest.param("a;b,c\n1,2\n3,4\n", Csv(), id="a semicolon in a name"),
        pytest.param("a,b,c\n1;2,3,4\n5,6,7;8\n", Csv(), id="semicolons in values"),
        pytest.param("", Csv(), id="nothing"),
    ],
)
def test_the_dialect_is_told_from_what_is_written(tmp_path, text, found):
    (tmp_path / "t.csv").write_text(text)
    assert sniff(tmp_path / "t.csv") == found


def test_numbers_of_another_dialect_stay_text(tmp_path):
    (tmp_path / "t.csv").write_text("a;b;c\n1.234,5;1,5;1.23\n2,5;2,5;2.5\n")
    found = read_table(tmp_path / "t.csv", csv=Csv(separator=";", decimal=",", thousands="."))
    assert found["a"].tolist() == [1234.5, 2.5]
    assert found["b"].tolist() == [1.5, 2.5]
    assert found["c"].tolist() == ["1.23", "2.5"]


def test_one_dialect_is_found_for_two_tables(tmp_path):
    first, second = tmp_path / "train.csv", tmp_path / "holdout.csv"
    first.write_bytes("a;b\n1;x\n".encode("latin-1"))
    second.write_bytes("a;b\n1,5;ö\n".encode("latin-1"))
    expected = Csv(separator=";", decimal=",", encoding="windows-1252")
    assert dialect_of(first, second) == dialect_of(second, first) == expected
    (tmp_path / "other.parquet").touch()
    assert dialect_of(written(tmp_path, "usual", "u.csv"), tmp_path / "other.parquet") is None
    with pytest.raises(Missing):
        dialect_of(written(tmp_path, "usual", "u.csv"), tmp_path / "none.parquet")


@pytest.mark.parametrize("how", ["usual", "tab", "UTF-16"])
def test_tables_of_two_dialects_are_refused_with_both(tmp_path, how):
    first, second = written(tmp_path, "semicolon", "train.csv"), written(tmp_path, how, "holdout.csv")
    with pytest.raises(Rejected) as caught:
        dialect_of(first, second)
    assert caught.value.code == "OTHER_DIALECT"
    assert "train.csv is written with semicolons" in caught.value.message
    assert caught.value.hint


POINTS, COMMAS = "a;b\n12.5;x\n1250.75;y\n", "a;b\n12,5;x\n1250,75;y\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(COMMAS, POINTS, id="decimal commas and points"),
        pytest.param(COMMAS.replace("1250", "1.250"), POINTS, id="German thousands and points"),
        pytest.param(
            COMMAS.replace("1250", "1.250"), POINTS.replace("1250", "1,250"), id="German and English thousands"
        ),
    ],
)
def test_marks_that_contradict_each_other_are_refused(tmp_path, one, other):
    first, second = tmp_path / "train.csv", tmp_path / "holdout.csv"
    for train, holdout in ((one, other), (other, one)):
        first.write_text(train)
        second.write_text(holdout)
        with pytest.raises(Rejected) as caught:
            dialect_of(first, second)
        assert caught.value.code == "OTHER_DIALECT"
    second.write_text("a;b\n12;x\n")
    assert dialect_of(first, second) == sniff(first), "whole numbers say nothing"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (POINTS, Csv(separator=";", decimal=",")),
        (POINTS, Csv(separator=";", decimal=",", thousands=".")),
        (COMMAS, Csv(separator=";")),
    ],
)
def test_a_table_written_with_other_marks_than_the_contract_says_is_refused_by_column(tmp_path, text, how):
    (tmp_path / "t.csv").write_text(text)
    item = Input(name="a", type=DataType.NUMBER)
    with pytest.raises(Rejected) as caught:
        read_table(tmp_path / "t.csv", csv=how, inputs=(item,))
    assert (caught.value.code, caught.value.field) == ("OTHER_DIALECT", "a")
    mixed = text.replace("y\n", "y\nmany;z\n")
    (tmp_path / "t.csv").write_text(mixed)
    assert read_table(tmp_path / "t.csv", csv=how, inputs=(item,))["a"].tolist()[-1] == "many", (
        "words are the gates' to judge"
    )


def test_the_dialect_stands_in_the_draft_and_is_marked_as_a_guess():
    how = Csv(separator="\t", decimal=",", encoding="utf-16")
    paths = Paths(name="c", model="m.joblib", train="t.csv", holdout="h.csv", target="Ort", csv=how)
    text = render(infer(TABLE, target="Ort"), paths)
    assert parse(text.encode(), Path("modelmark.yaml")).contract.data.csv == how
    (said,) = (reason for field, _, reason in lines(text, "GUESS") if field == "csv")
    assert said == "the tables seem to be written with tabs, decimal commas, utf-16"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("separator", ":"),
        ("decimal", ";"),
        ("thousands", "."),
        ("thousands", "_"),
        ("encoding", "base64"),
        ("encoding", "?"),
    ],
)
def test_a_dialect_that_is_none_is_a_fault_of_the_contract(key, value):
    paths = Paths(name="c", model="m.joblib", train="t.csv", holdout="h.csv", target="Ort", csv=Csv(**{key: value}))
    with pytest.raises(ContractInvalid, match=rf"data\.csv\.{key}: found '.*'; allowed: "):
        parse(render(infer(TABLE, target="Ort"), paths).encode(), Path("modelmark.yaml"))


def test_a_contract_without_a_dialect_keeps_its_text():
    assert b'"csv"' not in canonical(contract())
