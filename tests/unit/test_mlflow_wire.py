"""MLflow's one address: who answers there, in which forms it is asked, and what a constant and a person answer."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving_case as case
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.contract import DataType, Input
from modelmark.domain.errors import Missing, Rejected, TooLarge
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.seal import keys
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute, load_marked
from modelmark.serving.wire import Plain, Predict, csv_rows, parquet_rows
from modelmark.serving.wire.errors import Heavy, Unsupported
from modelmark.serving.wire.mlflow import Mlflow

TYPED = RowCodec(
    case.contract(
        inputs=(
            Input(name="age", type=DataType.INTEGER, nullable=True),
            Input(name="paid", type=DataType.BOOLEAN),
            Input(name="job", type=DataType.STRING),
        )
    )
)
ROWS = [{"age": 41, "paid": True, "job": 'say "x",\ny'}, {"age": None, "paid": False, "job": "nurse"}]
FRAME = pd.DataFrame(ROWS)
PARQUET = {b"content-type": b"application/vnd.apache.parquet"}


def parquet(frame: pd.DataFrame, **how) -> bytes:
    out = io.BytesIO()
    frame.to_parquet(out, **how)
    return out.getvalue()


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    built = case.build(tmp_path_factory.mktemp("mlflow"))
    return load_marked(built.folder, keys.verifier(built.workspace.keys), built.id)


def at_invocations(wire, routes):
    return next(end for _, path, end in wire.endpoints(routes) if path == "/invocations")


def test_the_only_model_answers_or_the_chosen_one(version):
    route = LiveRoute.alone(version)
    assert at_invocations(Mlflow(), {"churn": route}).model == "churn"
    found = at_invocations(Mlflow("cats"), {"churn": route, "cats": route})
    assert isinstance(found, Predict)
    assert found.model == "cats"


@pytest.mark.parametrize(
    ("chosen", "names", "says"),
    [
        pytest.param(None, ["churn", "cats"], "several models are served", id="several, none chosen"),
        pytest.param(None, [], "no model is served", id="none"),
        pytest.param("dogs", ["churn", "cats"], "no model of that name", id="another was chosen"),
    ],
)
def test_where_nobody_answers_the_refusal_says_what_to_choose(version, chosen, names, says):
    routes = dict.fromkeys(names, LiveRoute.alone(version))
    missing = Missing("no model of that name is served", code="UNKNOWN_MODEL")
    runtime = SimpleNamespace(routes=routes, require_release=lambda: None, missing=lambda name: missing)
    found = at_invocations(Mlflow(chosen), routes)
    assert isinstance(found, Plain)
    with pytest.raises((Rejected, Missing), match=says) as caught:
        found.act(runtime, b"", {})
    assert "--mlflow-model" in caught.value.hint
    if names and chosen is None:
        assert caught.value.limit == "cats, churn"


def test_csv_and_parquet_give_the_rows_that_json_would():
    expected = TYPED.from_mappings(ROWS)
    assert csv_rows.rows(FRAME.to_csv(index=False).encode(), TYPED) == expected
    assert (
        csv_rows.rows(b"\xef\xbb\xbf" + FRAME[["job", "paid", "age"]].to_csv(index=False).encode(), TYPED) == expected
    )
    assert parquet_rows.rows(parquet(FRAME), TYPED) == expected
    assert parquet_rows.rows(parquet(FRAME, compression=None, index=True), TYPED) == expected
    whole = pa.table(
        {"age": pa.array([41, None], pa.int64()), "paid": [True, False], "job": [row["job"] for row in ROWS]}
    )
    out = io.BytesIO()
    pq.write_table(whole, out, row_group_size=1)
    assert parquet_rows.rows(out.getvalue(), TYPED) == expected


@pytest.mark.parametrize(
    ("body", "code", "row"),
    [
        pytest.param(b"age,paid,job\n1,true,\xff\n", "INVALID_UTF8", None, id="not UTF-8"),
        pytest.param(b"age,paid\n1,true\n", "MISSING_COLUMN", None, id="a missing column"),
        pytest.param(b",age,paid,job\n0,1,true,a\n", "UNKNOWN_COLUMN", None, id="pandas' index"),
        pytest.param(b"age,paid,job,job\n1,true,a,a\n", "DUPLICATE_COLUMN", None, id="a column twice"),
        pytest.param(b"age,paid,job\n1,true,a\n1,true\n", "BAD_SHAPE", 1, id="too few cells"),
        pytest.param(b"age,paid,job\n1,true,a\nx,true,a\n", "WRONG_TYPE", 1, id="no number"),
        pytest.param(b"age,paid,job\n1_0,true,a\n", "WRONG_TYPE", 0, id="Python's own spelling"),
        pytest.param(b"age,paid,job\n1,yes,a\n", "WRONG_TYPE", 0, id="no boolean"),
        pytest.param(b"age,paid,job\n-inf,true,a\n", "NON_FINITE", 0, id="an infinity"),
        pytest.param(b"age,paid,job\nnan,,a\n", "NULL_NOT_ALLOWED", 0, id="a missing value that may not"),
        pytest.param(b'age,paid,job\n1,true,"a\n', "BAD_CSV", None, id="an open quote"),
        pytest.param(
            b"age,paid,job\n" + b"1,true,a\n" * (TYPED.max_rows + 1) + b"1\n", "TOO_MANY_ROWS", None, id="too many"
        ),
        pytest.param(b"age,paid,job\n", "NO_ROWS", None, id="none"),
        pytest.param(b"", "MISSING_COLUMN", None, id="nothing"),
        pytest.param(b"age,paid,job\n1,true," + b"a" * 140_000, "BAD_CSV", None, id="a long cell"),
    ],
)
def test_of_csv_it_is_told_what_is_wrong(body, code, row):
    with pytest.raises(Rejected) as caught:
        csv_rows.rows(body, TYPED)
    assert (caught.value.code, caught.value.row) == (code, row)


def bomb() -> bytes:
    """One long text that stands in every row, and in the file once."""
    count = TYPED.max_rows
    long = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * 300_000]))
    out = io.BytesIO()
    pq.write_table(pa.table({"age": [1] * count, "paid": [True] * count, "job": long}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(lambda: b"PAR1", "BAD_PARQUET", id="four bytes"),
        pytest.param(lambda: b"PAR1" + bytes(99) + b"PAR1", "BAD_PARQUET", id="nothing inside"),
        pytest.param(lambda: parquet(FRAME)[:-9] + b"PAR1", "BAD_PARQUET", id="cut"),
        pytest.param(lambda: parquet(FRAME, compression="zstd"), "UNSUPPORTED_ENCODING", id="zstd"),
        pytest.param(lambda: parquet(FRAME.drop(columns="job")), "MISSING_COLUMN", id="a missing column"),
        pytest.param(lambda: parquet(FRAME.assign(job=[["a"], ["b"]])), "MISSING_COLUMN", id="lists in cells"),
        pytest.param(lambda: parquet(FRAME.assign(age=[1.0, np.inf])), "NON_FINITE", id="an infinity"),
        pytest.param(lambda: parquet(FRAME.assign(age=["a", "b"])), "WRONG_TYPE", id="texts for numbers"),
        pytest.param(lambda: parquet(FRAME.iloc[:0]), "NO_ROWS", id="no rows"),
        pytest.param(lambda: parquet(FRAME.iloc[[0] * (TYPED.max_rows + 1)]), "TOO_MANY_ROWS", id="too many rows"),
        pytest.param(bomb, "BODY_TOO_LARGE", id="a long text in every row"),
    ],
)
def test_of_parquet_it_is_told_what_is_wrong(make, code):
    with pytest.raises((Rejected, TooLarge)) as caught:
        parquet_rows.rows(make(), TYPED)
    assert caught.value.code == code


def rows_or_refusal(read, body):
    try:
        return read(body, TYPED)
    except Rejected as error:
        return error


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_rows(data):
    read, sound = data.draw(
        st.sampled_from([(csv_rows.rows, FRAME.to_csv(index=False).encode()), (parquet_rows.rows, parquet(FRAME))])
    )
    changed = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    found = rows_or_refusal(read, bytes(changed))
    assert isinstance(found, Rejected) or found.count >= 1


@pytest.mark.parametrize(
    ("kind", "taken"),
    [(b"application/json; charset=UTF-8", True), (b"", False), (b"application/json; charset=latin-1", False),
     (b"text/csv;charset=utf-8", True), (b"text/plain", False), (b"application/json; version=1", False)],
)  # fmt: skip
def test_media_types_are_those_of_mlflow(kind, taken):
    body = b'{"inputs":{}}' if b"json" in kind else b"age\n"
    with pytest.raises(Rejected) as caught:
        Mlflow().parse(body, {b"content-type": kind}, TYPED)
    assert isinstance(caught.value, Unsupported) is not taken


def test_parquet_is_never_read_on_the_loop():
    with pytest.raises(Heavy) as caught:
        Mlflow().parse(parquet(FRAME), PARQUET, TYPED)
    assert caught.value.read().rows == TYPED.from_mappings(ROWS)


@pytest.mark.parametrize(
    ("served_by", "method", "told"),
    [
        (ServedBy.CONSTANT, "predict", [1]),
        (ServedBy.CONSTANT, "predict_proba", [None]),
        (ServedBy.REVIEW, "predict", [None]),
        (ServedBy.REVIEW, "predict_proba", [None]),
        (ServedBy.MODEL, "predict_proba", [[0.25, 0.75]]),
    ],
)
def test_what_has_no_answer_yet_is_null(version, served_by, method, told):
    body = json.dumps({"inputs": {"f0": [1], "f1": [2], "f2": [3]}, "params": {"predict_method": method}}).encode()
    decided = [] if served_by is ServedBy.REVIEW else [1]
    found = Answer("1" * 32, version, "champion", served_by, decided, [], [0.25, 0.75], b"", Rows(1, b"", []))
    reply = Mlflow().parse(body, {}, version.codec).render(found)
    assert json.loads(reply.body) == {"predictions": told}
    assert b"x-modelmark-prediction-id: " + b"1" * 32 in reply.extra


def test_ping_and_health_say_whether_it_is_ready():
    for ready, status in ((True, 200), (False, 503)):
        runtime = SimpleNamespace(ready=lambda ready=ready: (ready, []))
        for path in ("/ping", "/health"):
            act = next(end.act for _, at, end in Mlflow().endpoints({}) if at == path)
            assert (act(runtime, b"", {}).status, act(runtime, b"", {}).body) == (status, b"\n")
