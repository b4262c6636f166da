"""Cells, tables, texts and drafts, value by value: the last that passes and the first that does not."""

from __future__ import annotations

import dataclasses
import gzip
from math import inf, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import serving_case as case
from builders.domain import contract
from modelmark.contract import catalogue, draft, jsontext, read, table_file, yamltext
from modelmark.contract.columns import EXACT, FLOAT32_MAX, numeric_column, text_column
from modelmark.contract.conditions import holds
from modelmark.contract.infer import Facts, infer
from modelmark.contract.nearest import MAX_KNOWN, MAX_LENGTH, nearest
from modelmark.contract.proposals.behaviour import _one_way
from modelmark.contract.row_errors import cell
from modelmark.contract.rows import FEW, RowCodec
from modelmark.contract.table import (
    as_texts,
    check_table,
    read_table,
    rows_of,
    target_codes,
    text_of,
    violating_rows,
)
from modelmark.contract.table_file import require_fits
from modelmark.contract.timestamps import timestamps
from modelmark.domain.catalogue.behaviour import Effect
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.contract import DataType, Input, ModelSource, Outputs, Policy
from modelmark.domain.errors import ContractInvalid, Malformed, Missing, Rejected, TooLarge
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.version import Feed, Signature

# One column.


def number(dtype: str | None = None, **changes):
    return numeric_column(Input(**{"name": "x", "type": DataType.NUMBER, **changes}), dtype)


def said(outcome) -> object:
    return outcome.code if isinstance(outcome, Rejected) else outcome


@pytest.mark.parametrize(
    ("column", "value", "outcome"),
    [
        (number(), nan, "NULL_NOT_ALLOWED"),
        (number(nullable=True), nan, ("MISSING",)),
        (number(nullable=True, impute=1.0), nan, ("MISSING",)),
        (number(nullable=True, impute=1.0, on_out_of_range=Policy.IMPUTE), nan, ("MISSING", "IMPUTED")),
        (number(nullable=True, on_out_of_range=Policy.IMPUTE), nan, ("MISSING",)),
        (number(on_out_of_range=Policy.FLAG), 5.0, ("OUT_OF_RANGE",)),
        (number(on_out_of_range=Policy.IMPUTE, impute=1.0), 5.0, ("OUT_OF_RANGE", "IMPUTED")),
        (number(on_out_of_range=Policy.IMPUTE), 5.0, ("OUT_OF_RANGE",)),
        (number(on_out_of_range=Policy.REJECT), 5.0, "OUT_OF_RANGE"),
        (number("float32", on_out_of_range=Policy.FLAG), FLOAT32_MAX, ("OUT_OF_RANGE",)),
        (number("float32", on_out_of_range=Policy.FLAG), -FLOAT32_MAX * 1.0001, "OUT_OF_RANGE"),
        (number("int64", on_out_of_range=Policy.FLAG), 2.5, "WRONG_TYPE"),
        (number("int64", on_out_of_range=Policy.FLAG), -3.0, ("OUT_OF_RANGE",)),
        (number("int64", on_out_of_range=Policy.FLAG), EXACT - 1, ("OUT_OF_RANGE",)),
        (number("int64", on_out_of_range=Policy.FLAG), -EXACT, "OUT_OF_RANGE"),
    ],
)
def test_a_number_that_did_not_pass_at_once(column, value, outcome):
    assert said(column.judge(value, 3)) == outcome


def test_what_passes_at_once_is_the_range_within_what_the_tensor_holds():
    assert (number().low, number().high) == (-1.7976931348623157e308, 1.7976931348623157e308)
    assert (number("float32").low, number("float32").high) == (-FLOAT32_MAX, FLOAT32_MAX)
    whole = number(type=DataType.INTEGER)
    assert (whole.low, whole.high, whole.whole) == (1 - EXACT, EXACT - 1, True)
    assert (number("int64").high, number("int64").whole, number().whole) == (EXACT - 1, True, False)
    inside = number("float32", minimum=-1.0, maximum=2.0)
    assert (inside.low, inside.high, inside.range()) == (-1, 2, "from -1 to 2")
    beyond = number("float32", minimum=-1e300, maximum=1e300)
    assert (beyond.low, beyond.high) == (-FLOAT32_MAX, FLOAT32_MAX)
    assert number().range() == "from -∞ to ∞"
    assert (number(impute=2.0).stand_in, np.isnan(number().stand_in)) == (2.0, True)
    assert (number().dtype, number("bool").dtype) == ("float64", "bool")
    refused = number(on_out_of_range=Policy.REJECT, maximum=2.0).judge(5.0, 3)
    assert (refused.row, refused.field, refused.limit) == (3, "x", "from -∞ to 2")


def text(**changes):
    return text_column(Input(**{"name": "t", "type": DataType.CATEGORY, "categories": ("a",), **changes}))


@pytest.mark.parametrize(
    ("column", "value", "outcome"),
    [
        (text(), None, "NULL_NOT_ALLOWED"),
        (text(nullable=True), None, ("MISSING",)),
        (text(nullable=True, impute="a"), None, ("MISSING",)),
        (text(nullable=True, impute="a", on_unseen=Policy.IMPUTE), None, ("MISSING", "IMPUTED")),
        (text(on_unseen=Policy.IMPUTE), "z", ("UNSEEN",)),
        (text(on_unseen=Policy.IMPUTE, impute="a"), "z", ("UNSEEN", "IMPUTED")),
        (text(on_unseen=Policy.FLAG, impute="a"), "z", ("UNSEEN",)),
        (text(on_unseen=Policy.REJECT), "z", "UNSEEN_CATEGORY"),
    ],
)
def test_a_text_that_did_not_pass_at_once(column, value, outcome):
    assert said(column.judge(value, 3)) == outcome
    free = text_column(Input(name="t", type=DataType.STRING))
    assert ("anything" in free.known, None in free.known, "z" in text().known) == (True, False, False)
    assert (text(impute="b").stand_in, text().stand_in) == ("b", "")


def test_cells_have_the_type_of_their_column():
    flag = number(type=DataType.BOOLEAN)
    assert cell(flag, True, 0) is None
    assert cell(flag, 1, 0).code == "WRONG_TYPE"
    assert cell(number(), True, 0).code == "WRONG_TYPE"
    assert cell(number(), 10**400, 0).code == cell(number(), inf, 0).code == "NON_FINITE"
    assert cell(number(), 3, 0) is None
    assert cell(number(nullable=True), None, 0) is None
    assert cell(number(), None, 0).code == "NULL_NOT_ALLOWED"
    assert cell(text(), "\ud800", 0).code == "INVALID_UTF8"
    assert cell(text(), 3, 4).row == 4


# Rows together.

INPUTS = (
    Input(
        name="n", type=DataType.INTEGER, minimum=0, maximum=9, nullable=True, on_out_of_range=Policy.IMPUTE, impute=5
    ),
    Input(name="x", type=DataType.NUMBER, minimum=0, maximum=1, on_out_of_range=Policy.REJECT),
    Input(name="t", type=DataType.CATEGORY, categories=("a", "b"), on_unseen=Policy.IMPUTE, impute="b"),
    Input(name="s", type=DataType.STRING, nullable=True),
)


def codec(*inputs: Input, **feeds) -> RowCodec:
    return RowCodec(case.contract(inputs=inputs or INPUTS), **feeds)


def row(n=1, x=0.5, t="a", s="note"):
    return {"n": n, "x": x, "t": t, "s": s}


@pytest.mark.parametrize("rows", [FEW // 2, FEW // 2 + 1, 200])
@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("odd", [{"n": 10}, {"n": None}, {"t": "z"}, {"x": 1.01}, {"n": 1.5}, {"s": None}])
def test_one_odd_cell_is_found_however_many_rows_come(rows, at, odd):
    sent = [row() for _ in range(rows)]
    assert codec().batch(codec().from_mappings(sent)).flags == []
    sent[at] |= odd
    place = at % rows
    built = codec()
    checked = built.check([built.from_mappings(sent)])
    if "x" in odd or odd.get("n") == 1.5:
        assert (checked.kept, checked.refused[0].row) == ([], place)
        assert checked.numbers.shape == (0, 2)
        return
    name = next(iter(odd))
    flags = {"n": ["OUT_OF_RANGE", "IMPUTED"] if odd.get("n") else ["MISSING", "IMPUTED"], "t": ["UNSEEN", "IMPUTED"]}
    assert checked.flags == {0: [(place, name, flag) for flag in flags.get(name, ["MISSING"])]}
    assert checked.numbers[place].tolist() == [5 if name == "n" else 1, 0.5]
    assert checked.texts[2 * place : 2 * place + 2] == ["b" if name == "t" else "a", "" if name == "s" else "note"]
    assert checked.numbers[place - 1].tolist() == [1, 0.5]


def test_requests_checked_together_keep_their_own_rows_flags_and_refusals():
    built = codec()
    parts = [
        built.from_mappings(rows)
        for rows in ([row(), row(n=10)], [row(x=2.0, t="z"), row()], [row(t="b"), row(), row(t="z", s=None)])
    ]
    found = built.check(parts)
    assert found.kept == [0, 2]
    assert found.spans == [0, 2, 5]
    assert {k: (r.code, r.row) for k, r in found.refused.items()} == {1: ("OUT_OF_RANGE", 0)}
    assert found.flags == {
        0: [(1, "n", "OUT_OF_RANGE"), (1, "n", "IMPUTED")],
        2: [(2, "t", "UNSEEN"), (2, "t", "IMPUTED"), (2, "s", "MISSING")],
    }
    assert found.numbers.tolist() == [[1, 0.5], [5, 0.5], [1, 0.5], [1, 0.5], [1, 0.5]]
    assert found.texts == ["a", "note", "a", "note", "b", "note", "a", "note", "b", ""]
    clean = built.check([built.from_mappings([row()]), built.from_mappings([row(), row()])])
    assert (clean.kept, clean.spans, clean.refused, clean.flags) == ([0, 1], [0, 1, 3], {}, {})


def test_rows_from_columns_are_those_from_rows():
    built = codec()
    sent = [row(), row(n=None, t="z", s=None)]
    columns = {name: [r[name] for r in sent] for name in row()}
    ours, theirs = built.from_columns(2, columns), built.from_mappings(sent)
    assert (ours.count, ours.texts) == (theirs.count, theirs.texts)
    assert np.array_equal(np.frombuffer(ours.numbers), np.frombuffer(theirs.numbers), equal_nan=True)
    with pytest.raises(Rejected) as caught:
        built.from_columns(2, columns | {"x": [1.0, "y"]})
    assert (caught.value.code, caught.value.row) == ("WRONG_TYPE", 1)
    for count in (0, built.max_rows + 1):
        with pytest.raises(Rejected, match="rows"):
            built.from_columns(count, columns)
    for changed, code in (
        (dict(list(columns.items())[1:]), "MISSING_COLUMN"),
        (columns | {"q": [1]}, "UNKNOWN_COLUMN"),
    ):
        with pytest.raises(Rejected) as caught:
            built.from_columns(2, changed)
        assert caught.value.code == code


def test_as_many_rows_as_the_contract_allows():
    built = codec()
    most = [row()] * built.max_rows
    assert built.from_mappings(most).count == built.max_rows
    assert built.diagnose(most).code == "MALFORMED"
    for rows in ([], [*most, row()]):
        with pytest.raises(Rejected) as caught:
            built.from_mappings(rows)
        assert caught.value.code == ("TOO_MANY_ROWS" if rows else "NO_ROWS")
        assert built.diagnose(rows).code == caught.value.code
    assert built.diagnose({"a": 1}).code == "WRONG_TYPE"


@pytest.mark.parametrize(
    ("inputs", "dtype"),
    [
        ((Input(name='a"b', type=DataType.NUMBER),), "float64"),
        ((Input(name="a\\b", type=DataType.NUMBER),), "float64"),
        ((Input(name="a\x1fb", type=DataType.NUMBER),), "float64"),
        ((Input(name="a", type=DataType.NUMBER), Input(name="a", type=DataType.STRING)), "float64"),
        ((Input(name="a", type=DataType.INTEGER, nullable=True),), "int64"),
        ((Input(name="a", type=DataType.BOOLEAN, nullable=True, impute=1.0),), "bool"),
        ((Input(name="a", type=DataType.INTEGER, nullable=True, on_out_of_range=Policy.IMPUTE),), "int64"),
    ],
)
def test_what_cannot_be_served_is_refused_when_the_contract_is_compiled(inputs, dtype):
    feeds = (Feed(graph_input="X", columns=("a",), dtype=dtype),)
    with pytest.raises(ContractInvalid):
        codec(*inputs, signature=Signature(feeds=feeds, score_output="p"))


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (Input(name="a b", type=DataType.NUMBER), "float64"),
        (Input(name="a", type=DataType.INTEGER, nullable=True), "float32"),
        (Input(name="a", type=DataType.INTEGER, nullable=True, on_out_of_range=Policy.IMPUTE, impute=1.0), "int64"),
        (Input(name="a", type=DataType.INTEGER), "int64"),
    ],
)
def test_what_can_be_served_is(given, dtype):
    feeds = (Feed(graph_input="X", columns=(given.name,), dtype=dtype),)
    assert codec(given, signature=Signature(feeds=feeds, score_output="p")).numeric[0].dtype == dtype


def test_values_of_other_kinds_are_refused_and_named():
    with pytest.raises(TypeError, match="a row holds a object"):
        codec().from_mappings([row(s=object())])
    for wrong, field in (({"x": inf}, "x"), ({"q\x1b": nan}, None), ({"q": nan}, "q")):
        with pytest.raises(Rejected) as caught:
            codec().from_mappings([row(), {**row(), **wrong}])
        assert (caught.value.code, caught.value.field, caught.value.row) == ("NON_FINITE", field, 1)
    with pytest.raises(Rejected) as caught:
        codec().from_mappings([row(), row(t=3)])
    assert (caught.value.code, caught.value.row) == ("WRONG_TYPE", 1)


# JSON.


def test_thirty_two_levels_of_json_are_read_and_one_more_is_not():
    deepest = b"[" * 32 + b"]" * 32
    assert jsontext.read(deepest)
    with pytest.raises(Malformed) as caught:
        jsontext.read(b"[" + deepest + b"]")
    assert caught.value.code == "TOO_DEEP"
    wide = b"[" + b",".join([b'{"a":[]}'] * 40) + b"]"
    assert len(jsontext.read(wide)) == 40
    assert jsontext.read(b'"' + b"[" * 40 + b'"') == "[" * 40
    with pytest.raises(Malformed) as caught:
        jsontext.read(b'{"a":' * 33 + b"1" + b"}" * 33)
    assert caught.value.code == "TOO_DEEP"
    assert not jsontext.too_deep(b"[" * 20 + b"]" * 20 + b"{}" * 20)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"rows": [{"x": 1}, {"x": NaN}]}', ("x", 1)),
        (b'[{"y": [[0], [3, Infinity]]}]', ("y", 1)),
        (b'{"inputs": [{"name": "t", "data": [1, -Infinity]}]}', ("t", 1)),
        (b"NaN", (None, None)),
        (b'{"' + b"n" * 65 + b'": NaN}', (None, None)),
        (b'{"' + b"n" * 64 + b'": NaN}', ("n" * 64, None)),
    ],
)
def test_a_bare_constant_is_placed(body, place):
    with pytest.raises(Malformed) as caught:
        jsontext.read(body)
    assert (caught.value.code, caught.value.field, caught.value.row) == ("NON_FINITE", *place)


def test_integers_of_three_hundred_digits_are_whole_and_longer_ones_infinite():
    assert jsontext.read(b"9" * 300) == int("9" * 300)
    assert jsontext.read(b"1" + b"0" * 300) == 1e300
    assert isinstance(jsontext.read(b"1" + b"0" * 300), float)
    assert jsontext.read(b'{"a": 1, "b": 2, "a": 3, "a": 4}').duplicates == ("a", "a")
    assert jsontext.read(b'{"a": 1}').duplicates == ()
    assert [jsontext.shown(name) for name in ("ok", "a\nb", "\ud800")] == ["ok", None, None]


# YAML.


def refusal(data: bytes | str, **given):
    with pytest.raises(yamltext.NotYaml) as caught:
        yamltext.read(data.encode() if isinstance(data, str) else data, **given)
    return caught.value.cause, caught.value.line


def test_budgets_are_the_documented_ones():
    y, t = yamltext, table_file
    assert (y.MAX_BYTES, y.MAX_DEPTH, y.MAX_KEYS, y.MAX_VALUES, y.MAX_KEY, y.MAX_TEXT, y.MAX_NUMBER) == (
        1_048_576, 32, 1_000, 150_000, 255, 20_000, 64,
    )  # fmt: skip
    assert (t._THRIFT, read.MAX_FAULTS) == (200_000, 50)
    assert (t.MAX_COLUMNS, t.MAX_LINE, t.PER_CELL, jsontext.MAX_DEPTH, MAX_LENGTH, MAX_KNOWN) == (
        20_000, 16_777_216, 48, 32, 64, 500,
    )  # fmt: skip


def test_budgets_of_yaml_hold_their_last_and_refuse_the_next():
    key, value = yamltext.MAX_KEY, yamltext.MAX_TEXT
    assert len(next(iter(yamltext.read(f"{'k' * key}: 1".encode())[0]))) == key
    assert refusal("a: 1\n? " + "k" * (key + 1) + "\n: 1") == ("key length", 2)
    assert yamltext.read(f"a: '{'v' * value}'".encode())[0]["a"] == "v" * value
    assert refusal(f"a: 1\nb: '{'v' * (value + 1)}'") == ("text", 2)
    assert refusal("a: four", longest=3) == ("text", 1)
    digits = yamltext.MAX_NUMBER
    assert yamltext.read(f"a: {'1' * digits}".encode())[0]["a"] == int("1" * digits)
    assert refusal(f"a: {'1' * (digits + 1)}") == ("number", 1)
    deepest = yamltext.MAX_DEPTH
    assert yamltext.read(("a: " + "[" * (deepest - 1) + "]" * (deepest - 1)).encode())
    assert refusal("a: " + "[" * deepest + "]" * deepest) == ("depth", 1)


@pytest.mark.parametrize(("name", "budget"), [("keys", "MAX_KEYS"), ("values", "MAX_VALUES"), ("bytes", "MAX_BYTES")])
def test_counts_of_yaml_hold_their_last_and_refuse_the_next(monkeypatch, name, budget):
    monkeypatch.setattr(yamltext, budget, {"keys": 3, "values": 4, "bytes": 17}[name])
    assert yamltext.read(b"a: 1\nb: 2\nc: xyz")[0] == {"a": 1, "b": 2, "c": "xyz"}
    longer = {"keys": "a: 1\nb: 2\nc: 3\nd: 4", "values": "a: 1\nb: [2, 3]", "bytes": "a: 1\nb: 2\nc: wxyz "}[name]
    assert refusal(longer)[0] == name


@pytest.mark.parametrize(
    ("data", "cause", "line"),
    [
        ("a: 1\na: 2", "twice", 2),
        ("a: 1\n? [b]\n: 2", "key", 2),
        ("a: &x 1\nb: *x", "alias", 2),
        ("a: !!int '3'", "tag", 1),
        ("a: 1\n---\nb: 2", "documents", 2),
        ("- 1", "fields", 1),
        ("", "fields", 1),
        ("a: 1\nb: 'x\x01'", "control", 2),
        ("a: 1\nb: [", "syntax", 3),
        ('a: "\\0"', "control", 1),
        ('a: 1\n"b\\0": 1', "control", 2),
        (b"a: 1\nb: \xff", "utf8", 2),
        (b"\xff\xfea\x00", "utf16", None),
        ("a: b".encode("utf-16-be"), "utf16", None),
    ],
)
def test_what_is_no_plain_yaml_is_refused_on_its_line(data, cause, line):
    found = refusal(data)
    assert found[0] == cause
    if cause != "syntax":
        assert found[1] == line


def test_plain_scalars_mean_what_yaml_1_2_says():
    text = "a: no\nb: 1e-5\nc: 010\nd: -3\ne: .5\nf: 2024-01-01\ng: ~\nh: true\ni: '1'\nj: .inf\nl: 1_000\nm: +\n"
    found, place = yamltext.read(("\ufeff" + text).encode())
    assert found == {
        "a": "no", "b": 1e-5, "c": 10, "d": -3, "e": 0.5, "f": "2024-01-01", "g": None, "h": True, "i": "1", "j": inf,
        "l": "1_000", "m": "+",
    }  # fmt: skip
    assert isinstance(found["c"], int)
    assert place.inside["d"].line == 4
    nested = yamltext.read(b"a:\n  - x: 1\n    y:\n      - 2\n")[1]
    assert nested.inside["a"].line == 1
    assert nested.inside["a"].inside[0].inside["y"].line == 3
    assert nested.inside["a"].inside[0].inside["y"].inside[0].line == 4


# Tables.

AGREED = contract(
    inputs=(
        Input(name="n", type=DataType.INTEGER, minimum=0, maximum=9, nullable=True),
        Input(name="b", type=DataType.BOOLEAN),
        Input(name="t", type=DataType.CATEGORY, categories=("a", "12"), on_unseen=Policy.FLAG),
    )
)
TABLE = pd.DataFrame({"n": [0.0, 9.0, None], "b": [True, False, True], "t": ["a", "12", "a"], "y": [0, 1, 0]})


@pytest.mark.parametrize(
    ("changes", "rule", "rows"),
    [
        ({}, None, None),
        ({"n": [-1, 10, 3]}, "out of range", (0, 1)),
        ({"n": [1.5, 2, 3]}, "not an integer", (0,)),
        ({"n": ["x", 2, inf]}, "wrong type", (0, 2)),
        ({"b": [0, 1, 2]}, "not a boolean", (2,)),
        ({"b": [True, None, True]}, "null", (1,)),
        ({"t": ["a", "z", 12.0]}, "unseen category", (1,)),
        ({"y": [0, 1, 2]}, "unknown class", (2,)),
        ({"y": [0, 1, None]}, "null target", (2,)),
    ],
)
def test_each_rule_of_a_table_names_its_rows(changes, rule, rows):
    found = check_table(TABLE.assign(**changes), AGREED)
    assert [(v.rule, v.rows) for v in found] == ([] if rule is None else [(rule, rows)])
    if rule is not None:
        assert violating_rows(found) == (() if found[0].policy is not Policy.REJECT else rows)


def test_an_absent_column_breaks_every_row_and_an_absent_target_none():
    (found,) = check_table(TABLE.drop(columns=["n", "y"]), AGREED)
    assert (found.rule, found.rows, found.policy) == ("missing column", (0, 1, 2), Policy.REJECT)
    regression = dataclasses.replace(AGREED, model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs())
    (wrong,) = check_table(TABLE.assign(y=["1.5", "x", None]), regression)[1:]
    assert (wrong.rule, wrong.rows) == ("target is not a number", (1,))


def test_five_different_examples_of_an_offence_are_shown():
    many = pd.concat([TABLE] * 5, ignore_index=True).assign(n=[20, 20, *range(30, 43)])
    (found,) = check_table(many, AGREED)
    assert (len(found.rows), found.examples) == (15, ("20", "30", "31", "32", "33"))
    kinds = dataclasses.replace(AGREED.inputs[2], categories=tuple("abcdefghijklm"))
    (listed,) = check_table(TABLE.assign(t="z"), dataclasses.replace(AGREED, inputs=(*AGREED.inputs[:2], kinds)))
    assert listed.allowed == "a, b, c, d, e, f, g, h, i, j, k, l and 1 more"
    twelve = dataclasses.replace(kinds, categories=tuple("abcdefghijkl"))
    (whole,) = check_table(TABLE.assign(t="z"), dataclasses.replace(AGREED, inputs=(*AGREED.inputs[:2], twelve)))
    assert whole.allowed == "a, b, c, d, e, f, g, h, i, j, k, l"


def test_rows_are_sent_as_requests_send_them():
    assert rows_of(TABLE, AGREED) == [
        {"n": 0, "b": True, "t": "a"}, {"n": 9, "b": False, "t": "12"}, {"n": None, "b": True, "t": "a"},
    ]  # fmt: skip
    assert isinstance(rows_of(TABLE, AGREED)[0]["n"], int)
    odd = rows_of(TABLE.assign(n=[1.5, "x", 2], b=[0, 1, 7], t=[12.0, None, 12.5]), AGREED)
    assert [tuple(r.values()) for r in odd] == [(1.5, False, "12"), ("x", True, None), (2, 7, "12.5")]
    numbers = contract(inputs=(Input(name="x", type=DataType.NUMBER),))
    for values in ([1.5, nan], [1, None], pd.array([1.5, None], "Float64")):
        sent = [r["x"] for r in rows_of(pd.DataFrame({"x": values}), numbers)]
        assert sent[1] is None
        assert isinstance(sent[0], float)
    words = contract(inputs=(Input(name="x", type=DataType.STRING),))
    assert rows_of(pd.DataFrame({"x": ["a", None, 2.0]}), words) == [{"x": "a"}, {"x": None}, {"x": "2"}]
    flags = contract(inputs=(Input(name="x", type=DataType.BOOLEAN),))
    sent = [r["x"] for r in rows_of(pd.DataFrame({"x": [0, 1, 1.0, 2]}), flags)]
    assert [type(value) for value in sent] == [bool, bool, bool, float]
    assert rows_of(pd.DataFrame({"x": [True, "z"]}), numbers) == [{"x": True}, {"x": "z"}]
    assert (text_of(12.0), text_of(12.0, ("12.0",)), text_of(12.5), text_of("12.0")) == ("12", "12.0", "12.5", "12.0")
    assert as_texts(pd.Series([1.0, None])).tolist() == ["1", None]
    assert target_codes(pd.Series([1, 0, 7, None]), Outputs(classes=(0, 1), positive=1)).tolist() == [1, 0, -1, -1]


@pytest.mark.parametrize("whole", ["Int64", "Float64"])
def test_pandas_own_nulls_are_null(tmp_path, whole):
    """A Parquet file that pandas wrote brings its nullable types back, and their null is no truth value."""
    kinds = {"n": whole, "b": "boolean", "t": "string", "y": "Int64"}
    given = TABLE.assign(b=[True, None, False], t=["a", None, "12"], y=[0, None, 1]).astype(kinds)
    given.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert [tuple(r.values()) for r in rows_of(found, AGREED)] == [(0, True, "a"), (9, None, None), (None, False, "12")]
    assert target_codes(found["y"], Outputs(classes=(0, 1), positive=1)).tolist() == [0, -1, 1]
    assert [(v.rule, v.rows) for v in check_table(found, AGREED)] == [
        ("null", (1,)),
        ("null", (1,)),
        ("null target", (1,)),
    ]
    assert holds(Condition(column="n", at_least=1), found["n"]).tolist() == [False, True, False]
    assert holds(Condition(column="t", any_of=("a",)), found["t"]).tolist() == [True, False, False]
    assert infer(found, target="y").inputs[0].nullable


def test_words_for_no_number_are_null_only_among_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d\n1,NA,NA,x\n2.5,NaN,DE,\nNA,null,FR,y\n")
    found = read_table(path, columns=("a", "d"))
    assert found["a"].tolist()[:2] == [1, 2.5]
    assert found["a"].isna().tolist() == [False, False, True]
    assert found["b"].tolist() == ["NA", "NaN", "null"]
    assert found["c"].tolist() == ["NA", "DE", "FR"]
    assert found["d"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("t.csv", "a,b\n", "EMPTY_TABLE"),
        ("t.csv", "b\n1\n", "MISSING_COLUMN"),
        ("t.xlsx", "a\n1\n", "UNKNOWN_FORMAT"),
        ("t.csv.gz", "no gzip", "MALFORMED_TABLE"),
        ("t.parquet", "no parquet", "MALFORMED_TABLE"),
        ("t.csv", "", "MALFORMED_TABLE"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, code):
    (tmp_path / name).write_text(content)
    with pytest.raises(Rejected) as caught:
        read_table(tmp_path / name, columns=("a",))
    assert caught.value.code == code
    with pytest.raises(Missing):
        read_table(tmp_path / "none.csv")


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path):
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(Rejected):
        read_table(tmp_path / "t.parquet")


def fits(path: Path, most: int) -> bool:
    try:
        require_fits(path, most)
    except TooLarge:
        return False
    return True


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_csv_takes_its_text_and_forty_eight_bytes_a_cell(tmp_path, name):
    """Two lines of two cells are 8 bytes and four cells: 200."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"a,b\n1,2\n") if name.endswith("gz") else b"a,b\n1,2\n")
    assert [fits(path, most) for most in (199, 200)] == [False, True]


@pytest.mark.parametrize("chunk", [7, 1_048_576])
def test_lines_and_columns_hold_their_last(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(table_file, "_CHUNK", chunk)
    monkeypatch.setattr(table_file, "MAX_LINE", 20)
    monkeypatch.setattr(table_file, "MAX_COLUMNS", 3)
    path = tmp_path / "t.csv"
    for text, good in (
        ("a,b,c\n" + "x" * 20 + "\n", True), ("a,b,c\n" + "x" * 21 + "\n", False), ("x" * 20, True), ("x" * 21, False),
        ("a\n" + "x\n" * 50 + "x" * 21, False), ("a\n" + "x" * 21 + "\nb\n", False), ("a,b\nc,d,e,f,g\n", True),
    ):  # fmt: skip
        path.write_text(text)
        assert fits(path, 10**6) is good, text
    path.write_text("a,b,c,d\n")
    if chunk > 7:
        assert not fits(path, 10**6)


def test_parquet_takes_what_its_columns_take_once_unpacked(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": np.arange(100.0), "t": ["k" * 50] * 100}), path)
    sizes = [most for most in range(1000, 9000, 50) if fits(path, most)]
    assert 100 * 8 + 100 * 58 <= sizes[0] <= 100 * 8 + 100 * 58 + 50  # texts are told row by row, not once
    pq.write_table(pa.table({"x": np.arange(100.0)}), path)
    unpacked = pq.ParquetFile(path).metadata.row_group(0).total_byte_size
    assert unpacked > 800
    assert [fits(path, most) for most in (unpacked - 1, unpacked)] == [False, True]
    pq.write_table(pa.table({"x": np.zeros(10_000)}), path)  # a dictionary of one value
    assert [fits(path, most) for most in (79_999, 80_000)] == [False, True]
    pq.write_table(pa.table({"x": np.zeros(300_000)}), path)
    with pytest.raises(TooLarge, match="more than 2 MB of memory") as caught:
        require_fits(path, 2 << 20)
    assert caught.value.limit == "2 MB"
    pq.write_table(pa.table({"l": [[1], [2]]}), path)
    with pytest.raises(Rejected) as caught:
        require_fits(path, 10**6)
    assert caught.value.code == "NESTED_COLUMN"


# Conditions, times, names.


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (Condition(column="x", at_least=2), [1, 2]),
        (Condition(column="x", below=2), [0]),
        (Condition(column="x", at_least=1, below=2), [0]),
        (Condition(column="x", any_of=(2, "3")), [1, 2]),
        (Condition(column="x", missing=True), [3]),
        (Condition(column="x", missing=False), [0, 1, 2]),
        (Condition(column="x", missing=True, any_of=(2,)), []),
    ],
)
def test_a_condition_holds_where_it_says(condition, rows):
    assert holds(condition, pd.Series([1.0, 2.0, 3.0, None])).nonzero()[0].tolist() == rows


def test_booleans_are_also_nought_and_one():
    yes = Condition(column="x", any_of=(True,))
    assert holds(yes, pd.Series([1, 0])).tolist() == holds(yes, pd.Series([True, False])).tolist() == [True, False]
    assert holds(Condition(column="x", any_of=("None",)), pd.Series([None, "None"])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["01.02.2024", "03.01.2024"], [1, 0]),
        (["01/02/2024", "03/01/2024"], [0, 1]),
        (["13/01/2024", "01/02/2024"], [0, 1]),
        (["2024-02-01", "2024-01-03 10:00"], [1, 0]),
        (["2024-W10", "2024-W07"], [1, 0]),
    ],
)
def test_times_sort_as_they_are_meant(texts, order):
    assert np.argsort(timestamps(pd.Series(texts))).tolist() == order


def test_nine_dates_of_ten_are_dates_and_the_tenth_is_none():
    dates = [f"2024-01-{k:02}" for k in range(1, 10)]
    found = timestamps(pd.Series([*dates, "soon", None]))
    assert np.isnan(found).tolist() == [False] * 9 + [True, True]
    assert found[1] - found[0] == 86_400e6
    ranks = timestamps(pd.Series([*dates[:8], "soon", "then", None]))
    assert ranks[:10].tolist() == list(range(1, 11))
    assert np.isnan(ranks[10])
    assert timestamps(pd.Series([3.5, None]))[0] == 3.5
    assert timestamps(pd.Series(pd.to_datetime(["1970-01-01", "1970-01-02"]))).tolist() == [0, 86_400e6]


def test_the_nearest_name_is_among_the_first_five_hundred_and_not_too_long():
    assert nearest("agee", ["job", "age"]) == "age"
    assert nearest("zzz", ["job", "age"]) is None
    assert nearest("zzz", ["job"], cutoff=0) == "job"
    others = [f"q{k}" for k in range(MAX_KNOWN - 1)]
    assert nearest("age", [*others, "age"]) == "age"
    assert nearest("age", [*others, "q", "age"]) is None
    assert nearest("n" * 80, ["n" * MAX_LENGTH]) == "n" * MAX_LENGTH
    assert nearest("n" * 80, ["n" * (MAX_LENGTH + 1)]) is None


# Drafts.


def drafted(values, **more):
    rows = len(values)
    return infer(pd.DataFrame({"x": values, "y": ([0, 1] * rows)[:rows]}), target="y", **more)


@pytest.mark.parametrize(
    ("values", "low", "high", "kind"),
    [
        ([0, 10], 0, 15, DataType.INTEGER),
        ([4, 10], 1, 13, DataType.INTEGER),
        ([-1.5, 0.5], -2.5, 1.5, DataType.NUMBER),
        ([8.0, 8.0], 4, 12, DataType.NUMBER),
        ([0.0, 0.0], 0, 1, DataType.NUMBER),
        ([-8.0, -8.0], -12, -4, DataType.NUMBER),
    ],
)
def test_a_range_is_widened_by_half_and_stays_on_its_side_of_nought(values, low, high, kind):
    (found,) = drafted(values).inputs
    assert (found.minimum, found.maximum, found.type, found.nullable) == (low, high, kind, False)
    assert found.on_out_of_range is Policy.FLAG


@pytest.mark.parametrize(("kinds", "kind"), [(200, DataType.CATEGORY), (201, DataType.STRING)])
def test_up_to_two_hundred_texts_are_categories(kinds, kind):
    (found,) = drafted([f"t{k:03}" for k in range(kinds)]).inputs
    assert found.type is kind
    (none,) = drafted(pd.Series([None, None], dtype=object)).inputs
    assert (none.type, none.nullable) == (DataType.STRING, True)
    (flag,) = drafted(pd.Series([True, None], dtype=object)).inputs
    assert (flag.type, flag.nullable) == (DataType.BOOLEAN, True)


@pytest.mark.parametrize(
    ("kinds", "task"), [(2, Task.BINARY), (3, Task.MULTICLASS), (20, Task.MULTICLASS), (21, Task.REGRESSION)]
)
def test_up_to_twenty_whole_targets_are_classes(kinds, task):
    table = pd.DataFrame({"x": np.arange(42), "y": np.arange(42) % kinds})
    found = infer(table, target="y")
    assert found.task is task
    assert found.metric is {Task.BINARY: Metric.ROC_AUC, Task.MULTICLASS: Metric.ACCURACY}.get(task, Metric.RMSE)
    assert found.target_range == ((0, 20) if task is Task.REGRESSION else None)
    assert len(found.classes) == (0 if task is Task.REGRESSION else kinds)
    known = infer(table, target="y", facts=Facts(classes=tuple(range(kinds))))
    assert known.task is not Task.REGRESSION


def test_the_positive_class_is_one_or_true_or_the_rarer():
    for values, positive in (([0, 1, 1], 1), ([True, False, True], True), (["1", "2", "1"], "2"), ([3, 3, 5], 5)):
        assert infer(pd.DataFrame({"x": [1, 2, 3], "y": values}), target="y").positive == positive
    for values, code in (([1, 1, 1], "ONE_CLASS"), ([None, None, None], "EMPTY_TARGET")):
        with pytest.raises(Rejected) as caught:
            infer(pd.DataFrame({"x": [1, 2, 3], "y": values}), target="y")
        assert caught.value.code == code
    found = infer(pd.DataFrame({"x": [1, 2], "z": [1, 2], "y": [0, 1]}), target="y", facts=Facts(features=("z",)))
    assert found.left_out == ("x",)


def test_a_draft_writes_what_an_input_has_and_no_more():
    usual = {"name": "x", "type": "number"}
    for more, wanted in (
        ({}, {}),
        ({"minimum": 1.0}, {"minimum": 1.0, "maximum": None}),
        ({"maximum": 2.0}, {"minimum": None, "maximum": 2.0}),
        ({"nullable": True}, {"nullable": True}),
        ({"on_out_of_range": Policy.FLAG}, {"on_out_of_range": "flag"}),
        (
            {"categories": ("a",)},
            {"categories": ["a"], "on_unseen": Input(name="x", type=DataType.NUMBER).on_unseen.value},
        ),
    ):
        assert draft._fields(Input(name="x", type=DataType.NUMBER, **more)) == usual | wanted
    found = infer(pd.DataFrame({"x": [1, 2], "z": [1, 2], "y": [0, 1]}), target="y", facts=Facts(features=("z",)))
    paths = draft.Paths(name="m", model="m", train="t", holdout="h", target="y")
    assert "  # not taken by the model: x\n" in draft.render(found, paths)


def test_fields_are_named_as_people_name_them():
    for path, text in ((("a", "b", 0, "c"), "a.b[0].c"), ((), "(the whole file)"), (("inputs", 3), "inputs[3]")):
        assert read.dotted(path) == text
    assert read.undotted("a.b[0].c") == ("a", "b", 0, "c")
    text = draft.render(infer(TABLE, target="y"), draft.Paths(name="m", model="m", train="t", holdout="h", target="y"))
    lines, document = text.splitlines(), read.parse(text.encode(), Path("modelmark.yaml"))
    assert all("# GUESS" in lines[number - 1] for _, number, _ in draft.lines(text, "GUESS"))
    assert lines[document.line(("inputs", 1)) - 1].startswith("  - {name: b")
    for beyond in (("inputs", 3), ("inputs", "x"), ("inputs",)):
        assert lines[document.line(beyond) - 1].startswith("inputs:")
    assert document.line(("nothing",)) == 1


def test_what_nobody_brings_is_shown_all_the_same():
    (monitor,), (gate,) = catalogue.shown_monitors(["gone"]), catalogue.shown_gates(["gone"])
    assert (monitor.name, monitor.code, gate.name, gate.code) == ("gone", "", "gone", "")


@pytest.mark.parametrize(
    ("name", "sensitive"),
    [("sex", True), ("applicant_sex", True), ("Sex at birth", True), ("sextant", False), ("marital status", True)],
)
def test_columns_named_like_protected_characteristics(name, sensitive):
    found = infer(pd.DataFrame({name: ["a", "b"], "y": [0, 1]}), target="y")
    assert found.sensitive == ((name,) if sensitive else ())
    assert [(b.column, b.tolerance, b.max_failure_rate) for b in found.behaviour] == (
        [(name, 0.05, 0.05)] if sensitive else []
    )


def test_behaviour_is_proposed_of_the_three_strongest_columns_that_go_one_way():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    table = pd.DataFrame(
        {k: y * s + rng.normal(size=400) for k, s in (("a", 1), ("b", -3), ("c", 2), ("d", 4), ("e", 0))}
    )
    found = infer(table.assign(y=y), target="y").behaviour
    assert [(b.column, b.direction) for b in found] == [
        ("d", Effect.INCREASE),
        ("b", Effect.DECREASE),
        ("c", Effect.INCREASE),
    ]
    assert not infer(table.assign(y=np.arange(400) % 3), target="y").behaviour
    assert infer(table.assign(y=table["a"]), target="y").behaviour[0].column == "a"
    bowl = pd.Series(np.linspace(-1, 1, 400))
    assert _one_way(bowl, bowl)
    assert _one_way(bowl, -bowl)
    assert not _one_way(bowl, bowl**2)
    zigzag = np.tile([-0.1, 0.1], 200) + 0.02 * (np.arange(400) // 40 % 2)
    assert _one_way(bowl, pd.Series(zigzag))  # steps of 0.02, of which chance explains 0.045
    assert not _one_way(pd.Series([1.0, 2.0] * 50), pd.Series([1.0, 2.0] * 50))


@pytest.mark.parametrize("target", ["regression", "two classes", "three classes"])
def test_a_draft_suggests_a_guardrail_that_its_task_can_have(target):
    rows = 60
    values = {
        "regression": [float(n) * 1.37 for n in range(rows)],
        "two classes": ["no", "yes"] * (rows // 2),
        "three classes": ["a", "b", "c"] * (rows // 3),
    }[target]
    table = pd.DataFrame({"x": np.linspace(0, 1, rows), "y": values})
    names = draft.Paths(name="m", model="m", train="t", holdout="h", target="y")
    text = draft.render(infer(table, target="y"), names)
    (line,) = [line for line in text.splitlines() if line.startswith("guardrails: []")]
    suggested = line.partition("does: ")[2]
    agreed = text.replace(line, f"guardrails: [{suggested}]")
    document = read.parse(agreed.encode(), Path("modelmark.yaml"))  # a metric that the task has not would be refused
    assert len(document.contract.guardrails) == 1
