"""Rows against their contract: what passes, what is flagged, what is refused, and with which facts."""

from __future__ import annotations

import json
from math import nan

import numpy as np
import pytest

import serving_case as case
from modelmark.contract import jsontext
from modelmark.contract.rows import RowCodec
from modelmark.domain.contract import DataType, Input, Policy
from modelmark.domain.errors import ContractInvalid, Malformed, Rejected
from modelmark.domain.version import Feed, Signature
from modelmark.serving.wire.native import Native

AGE = Input(name="age", type=DataType.NUMBER, minimum=0, maximum=120)
COUNT = Input(name="count", type=DataType.INTEGER)
ACTIVE = Input(name="active", type=DataType.BOOLEAN)
PLAN = Input(name="plan", type=DataType.CATEGORY, categories=("basic", "pro"), on_unseen=Policy.REJECT)
NOTE = Input(name="note", type=DataType.STRING, nullable=True)
INPUTS = (AGE, COUNT, ACTIVE, PLAN, NOTE)
GOOD = {"age": 41.5, "count": 3, "active": True, "plan": "pro", "note": None}


def codec(*inputs: Input, dtype: str | None = None) -> RowCodec:
    agreed = case.contract(inputs=inputs or INPUTS)
    numeric = tuple(i.name for i in agreed.numeric())
    feeds = (Feed(graph_input="X", columns=numeric, dtype=dtype),) if dtype else ()
    return RowCodec(agreed, Signature(feeds=feeds, score_output="p"))


def parse(body: bytes, *inputs: Input, dtype: str | None = None):
    built = codec(*inputs, dtype=dtype)
    return built.batch(Native().parse(body, {}, built).rows)


def body(**changes) -> bytes:
    return json.dumps({"rows": [GOOD | changes]}).encode()


def test_a_good_row_arrives_as_it_was_sent():
    batch = parse(body())
    assert batch.numbers.tolist() == [[41.5, 3.0, 1.0]]
    assert batch.received.texts == ["pro", None]
    assert batch.texts == ["pro", ""]
    assert batch.flags == [(0, "note", "MISSING")]


def test_columns_may_come_in_any_order():
    backwards = json.dumps({"rows": [dict(reversed(GOOD.items()))]}).encode()
    assert parse(backwards).numbers.tolist() == parse(body()).numbers.tolist()


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        pytest.param(body(age="41"), "WRONG_TYPE", "age", id="number as text"),
        pytest.param(body(age=True), "WRONG_TYPE", "age", id="boolean as number"),
        pytest.param(body(active=1), "WRONG_TYPE", "active", id="number as boolean"),
        pytest.param(body(plan=1), "WRONG_TYPE", "plan", id="number as category"),
        pytest.param(body(age=[1]), "WRONG_TYPE", "age", id="list as number"),
        pytest.param(body(age=None), "NULL_NOT_ALLOWED", "age", id="null"),
        pytest.param(body(plan=None), "NULL_NOT_ALLOWED", "plan", id="null category"),
        pytest.param(body(count=1.5), "WRONG_TYPE", "count", id="fraction as integer"),
        pytest.param(body(count=2**53), "OUT_OF_RANGE", "count", id="2^53"),
        pytest.param(body(count=2**53 + 1), "OUT_OF_RANGE", "count", id="2^53 + 1 must not become 2^53"),
        pytest.param(body(count=2**64), "OUT_OF_RANGE", "count", id="2^64"),
        pytest.param(body(age=120.0001), "OUT_OF_RANGE", "age", id="above the maximum"),
        pytest.param(body(age=-0.1), "OUT_OF_RANGE", "age", id="below the minimum"),
        pytest.param(body(plan="gold"), "UNSEEN_CATEGORY", "plan", id="unseen category"),
        pytest.param(body(plan="PRO"), "UNSEEN_CATEGORY", "plan", id="other case"),
        pytest.param(body(extra=1), "UNKNOWN_COLUMN", "extra", id="unknown column"),
        pytest.param(body().replace(b"41.5", b"1e400"), "NON_FINITE", "age", id="1e400"),
        pytest.param(body().replace(b"41.5", b"9" * 5000), "NON_FINITE", "age", id="5,000 digits"),
        pytest.param(body().replace(b"41.5", b"NaN"), "NON_FINITE", "age", id="bare NaN"),
        pytest.param(body().replace(b"41.5", b"-Infinity"), "NON_FINITE", "age", id="bare infinity"),
        pytest.param(body().replace(b'"age": 41.5', b'"age": 1, "age": 2'), "DUPLICATE_COLUMN", "age", id="twice"),
        pytest.param(body().replace(b'"age": 41.5, ', b""), "MISSING_COLUMN", "age", id="missing"),
        pytest.param(b'{"rows": []}', "NO_ROWS", "rows", id="no rows"),
        pytest.param(json.dumps({"rows": [GOOD] * 1001}).encode(), "TOO_MANY_ROWS", "rows", id="too many rows"),
        pytest.param(b'{"rows": [], ' + body()[1:], "DUPLICATE_FIELD", "rows", id="rows twice"),
        pytest.param(b'{"rows": {}}', "WRONG_TYPE", "rows", id="rows no list"),
        pytest.param(b'{"rows": [1]}', "WRONG_TYPE", "rows", id="row no object"),
        pytest.param(b"[]", "WRONG_TYPE", None, id="body no object"),
        pytest.param(b"{}", "MISSING_FIELD", "rows", id="neither rows nor row"),
    ],
)
def test_a_row_is_refused_with_its_facts(sent, code, field):
    with pytest.raises(Rejected) as refusal:
        parse(sent)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert "41.5" not in refusal.value.message


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "BAD_JSON"),
        (b"{", "BAD_JSON"),
        (body() + b"x", "BAD_JSON"),
        (b"\xef\xbb\xbf" + body(), "BAD_JSON"),
        (body(note="a").replace(b'"a"', b'"\xff"'), "INVALID_UTF8"),
        (body(note="a").replace(b'"a"', b'"\\ud800"'), "INVALID_UTF8"),
        (b'{"rows":' + b"[" * 33 + b"]" * 33 + b"}", "TOO_DEEP"),
        (b"[" * 100_000, "TOO_DEEP"),
        (b'{"a":' * 100_000, "TOO_DEEP"),
    ],
)
def test_what_cannot_be_read_is_malformed(sent, code):
    with pytest.raises(Malformed) as refusal:
        parse(sent)
    assert refusal.value.code == code


def test_brackets_inside_text_do_not_count_as_depth():
    assert not jsontext.too_deep(b'{"a": "' + b"[" * 100 + b'\\"[[\\\\", "b": [1]}')


def test_quotes_inside_text_are_no_duplicates():
    assert parse(body(note='say "age": 1')).received.texts == ["pro", 'say "age": 1']


def test_a_number_too_large_for_float32_is_refused_and_not_made_infinite():
    free = Input(name="x", type=DataType.NUMBER)
    sent = b'{"row": {"x": 1e39}}'
    assert parse(sent, free).numbers.tolist() == [[1e39]]
    with pytest.raises(Rejected, match="out of range") as refusal:
        parse(sent, free, dtype="float32")
    assert "float32" in (refusal.value.limit or "")


@pytest.mark.parametrize(
    ("policy", "flags", "ready"),
    [(Policy.FLAG, ["OUT_OF_RANGE"], 500.0), (Policy.IMPUTE, ["OUT_OF_RANGE", "IMPUTED"], 30.0)],
)
def test_a_value_out_of_range_gets_what_its_policy_says(policy, flags, ready):
    age = Input(name="age", type=DataType.NUMBER, minimum=0, maximum=120, on_out_of_range=policy, impute=30)
    batch = parse(b'{"row": {"age": 500}}', age)
    assert [flag for _, _, flag in batch.flags] == flags
    assert batch.numbers.tolist() == [[ready]]
    assert np.frombuffer(batch.received.numbers).tolist() == [500.0], "the journal keeps what was sent"


@pytest.mark.parametrize(
    ("policy", "flags", "ready"), [(Policy.FLAG, ["UNSEEN"], "gold"), (Policy.IMPUTE, ["UNSEEN", "IMPUTED"], "basic")]
)
def test_an_unseen_category_gets_what_its_policy_says(policy, flags, ready):
    plan = Input(name="plan", type=DataType.CATEGORY, categories=("basic",), on_unseen=policy, impute="basic")
    batch = parse(b'{"row": {"plan": "gold"}}', plan)
    assert [flag for _, _, flag in batch.flags] == flags
    assert batch.texts == [ready]


def test_a_null_number_reaches_the_model_as_nan_unless_imputed():
    age = Input(name="age", type=DataType.NUMBER, nullable=True)
    assert np.isnan(parse(b'{"row": {"age": null}}', age).numbers).all()


def test_a_nullable_column_that_travels_as_int64_cannot_be_served():
    with pytest.raises(ContractInvalid, match="no null"):
        codec(Input(name="n", type=DataType.INTEGER, nullable=True), dtype="int64")


def test_requests_checked_together_do_not_share_each_others_fate():
    built = codec(AGE)
    wire = Native()
    parts = [wire.parse(b'{"row": {"age": %d}}' % age, {}, built).rows for age in (1, 999, 3)]
    checked = built.check(parts)
    assert checked.kept == [0, 2]
    assert list(checked.refused) == [1]
    assert checked.numbers.tolist() == [[1.0], [3.0]]
    assert checked.spans == [0, 1, 2]


@pytest.mark.parametrize("value", [nan, float("inf"), np.float64("nan"), np.float32("inf")])
def test_in_process_rows_refuse_what_json_cannot_say(value):
    with pytest.raises(Rejected) as refusal:
        codec(AGE).from_mappings([{"age": value}])
    assert refusal.value.code == "NON_FINITE"


def test_in_process_rows_take_numpy_scalars():
    rows = codec(AGE, COUNT, ACTIVE).from_mappings(
        [{"age": np.float32(2), "count": np.int64(3), "active": np.bool_(False)}]
    )
    assert np.frombuffer(rows.numbers).tolist() == [2.0, 3.0, 0.0]


@pytest.mark.parametrize("rows", [1, 21, 65, 500])
@pytest.mark.parametrize("value", [1.5, -0.25, 2**51 + 0.5])
def test_a_fraction_for_an_integer_is_refused_however_many_rows_come(rows, value):
    whole = GOOD | {"note": "nothing else is odd, so the quick way is taken"}
    sent = [whole] * (rows - 1) + [whole | {"count": value}]
    with pytest.raises(Rejected) as caught:
        parse(json.dumps({"rows": sent}).encode())
    assert (caught.value.code, caught.value.field, caught.value.row) == ("WRONG_TYPE", "count", rows - 1)


@pytest.mark.parametrize("rows", [1, 200])
def test_where_minimum_and_maximum_are_equal_that_value_alone_passes(rows):
    fixed = Input(name="age", type=DataType.NUMBER, minimum=7, maximum=7)
    sent = [{"age": 7}] * rows
    assert parse(json.dumps({"rows": sent}).encode(), fixed).numbers.tolist() == [[7.0]] * rows
    for value in (7.0000000000000009, 6.9999999999999991):
        with pytest.raises(Rejected) as caught:
            parse(json.dumps({"rows": [*sent[1:], {"age": value}]}).encode(), fixed)
        assert caught.value.code == "OUT_OF_RANGE"
