"""Whatever dtype pandas wrote a column in, it is read in one of a few, and its null is never pandas' own."""

from __future__ import annotations

import datetime as dt
import decimal
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelmark.contract.dtypes import normalised
from modelmark.contract.infer import infer
from modelmark.contract.table import as_numbers, as_texts, check_table, read_table, rows_of
from modelmark.domain.contract import Contract, Data, ModelSource, Objective, Outputs
from modelmark.domain.metrics import Metric, Task

WHOLE = st.integers(-100, 100)
UNSIGNED = st.integers(0, 100)
FLOATS = st.floats(-1000, 1000, width=16)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=5)
DAYS = st.dates(dt.date(1970, 1, 1), dt.date(2200, 1, 1))
MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1))

#: Every kind of dtype that pandas or pyarrow writes to Parquet: values, and whether it knows a null.
KINDS: dict[str, tuple[st.SearchStrategy[Any], bool]] = {
    **{f"int{bits}": (WHOLE, False) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (UNSIGNED, False) for bits in (8, 16, 32, 64)},
    **{f"Int{bits}": (WHOLE, True) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (UNSIGNED, True) for bits in (8, 16, 32, 64)},
    **{f"{name}[pyarrow]": (WHOLE, True) for name in ("int8", "int32", "int64")},
    **{f"{name}[pyarrow]": (UNSIGNED, True) for name in ("uint16", "uint64")},
    **dict.fromkeys(("float16", "float32", "float64", "Float32", "Float64", "double[pyarrow]"), (FLOATS, True)),
    **{name: (st.booleans(), True) for name in ("boolean", "bool[pyarrow]", "object")},
    "bool": (st.booleans(), False),
    **dict.fromkeys(("str", "string", "string[pyarrow]", "large_string[pyarrow]", "category"), (TEXT, True)),
    **dict.fromkeys(("datetime64[ns]", "datetime64[s]", "timestamp[us][pyarrow]"), (MOMENTS, True)),
    "datetime64[ns, Europe/Berlin]": (MOMENTS, True),
    "date32[pyarrow]": (DAYS, True),
    "timedelta64[ns]": (st.integers(0, 10**6).map(lambda s: dt.timedelta(seconds=s)), True),
    "period[M]": (DAYS.map(lambda day: pd.Period(day, "M")), True),
    "interval[int64, right]": (st.integers(0, 9).map(lambda n: pd.Interval(n, n + 1)), False),
    "decimal": (st.decimals(-1000, 1000, places=2), True),
    "binary": (TEXT.map(str.encode), True),
}
READ = {"bool", "int64", "float64", "str", "object"}


def series(kind: str, values: list[Any]) -> pd.Series:
    if kind in ("decimal", "binary"):
        found = pa.array(values, pa.decimal128(12, 2) if kind == "decimal" else pa.binary())
        return pd.Series(values, dtype=pd.ArrowDtype(found.type))
    if kind == "category":
        return pd.Series(values, dtype="str").astype("category")
    return pd.Series(values, dtype=kind)


def through_parquet(column: pd.Series) -> pd.Series:
    file = io.BytesIO()
    column.to_frame("c").to_parquet(file)
    return normalised(pd.read_parquet(file))["c"]


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, list[Any]]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    values, nullable = KINDS[kind]
    return kind, draw(st.lists(values | st.none() if nullable else values, min_size=2, max_size=6))


def one_column(frame: pd.DataFrame) -> Contract:
    return Contract(
        modelmark=1, name="c", model=ModelSource(source="m", task=Task.BINARY),
        data=Data(train="t", holdout="h", target="y"), inputs=infer(frame, target="y").inputs,
        outputs=Outputs(classes=(0, 1), positive=1), objective=Objective(metric=Metric.ACCURACY),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(columns())
def test_every_dtype_is_read_in_one_of_a_few_and_means_the_same(given_column: tuple[str, list[Any]]) -> None:
    kind, values = given_column
    found = through_parquet(series(kind, values))
    dtype = str(found.dtype)
    assert dtype in READ or dtype.startswith("datetime64["), (kind, dtype)
    assert found.isna().tolist() == [value is None for value in values]
    assert not any(value is pd.NA for value in found.tolist())
    if dtype == "object":
        assert {type(value) for value in found} <= {bool, type(None)}
    numeric = [value for value in values if isinstance(value, int | float | decimal.Decimal)]
    if numeric:
        expected = np.array([np.nan if value is None else float(value) for value in values])
        assert np.allclose(as_numbers(found), expected, equal_nan=True)
    if dtype == "str" and kind != "binary" and isinstance(next((v for v in values if v is not None), None), str):
        assert as_texts(found).tolist() == values


@settings(max_examples=80, deadline=None)
@given(columns())
def test_a_draft_of_any_dtype_takes_its_own_table(given_column: tuple[str, list[Any]]) -> None:
    kind, values = given_column
    assume(any(value is not None for value in values))
    found = through_parquet(series(kind, values))
    frame = pd.DataFrame({"c": found, "y": [0, 1] * (len(found) // 2) + [1] * (len(found) % 2)})
    frame.loc[0, "y"] = 0
    contract = one_column(frame)
    assert check_table(frame, contract) == ()
    assert len(rows_of(frame, contract)) == len(frame)


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("dtype", ["Int64", "UInt64", "int64[pyarrow]", "uint64[pyarrow]"])
def test_ids_above_what_a_float_holds_stay_exact(dtype: str, null: bool) -> None:
    ids = [2**53, 2**53 + 1, 2**63 - 1]
    found = through_parquet(pd.Series([*ids, None] if null else ids, dtype=dtype))
    assert as_texts(found).tolist()[:3] == [str(id) for id in ids]
    assert found.isna().sum() == null


def test_numbers_as_categories_are_numbers() -> None:
    found = through_parquet(pd.Series([3, 1, None, 3], dtype="Int64").astype("category"))
    assert str(found.dtype) == "float64"
    assert found.tolist()[:2] == [3.0, 1.0]


def test_a_table_is_normalised_as_it_is_read(tmp_path: Any) -> None:
    pd.DataFrame({"a": pd.Series([1, None], dtype="Int64")}).to_parquet(tmp_path / "t.parquet")
    assert str(read_table(tmp_path / "t.parquet")["a"].dtype) == "float64"
