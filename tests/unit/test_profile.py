"""Profiles add up, and say the same from pandas, pyarrow and NumPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders.domain import contract
from modelmark.domain.contract import DataType, Input
from modelmark.domain.errors import Tampered
from modelmark.stats.profile import SCORE, Reference, _binned, merge, pack, reference, tally, unpack


def train(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.normal(40, 10, n), "job": rng.choice(["a", "b"], n)})
    frame.loc[:9, "age"] = np.nan
    frame.loc[10:14, "job"] = None
    return frame


def scores(n: int = 500) -> np.ndarray:
    score = np.random.default_rng(1).uniform(size=n)
    return np.stack([1 - score, score], axis=1)


def made() -> Reference:
    return Reference.from_bytes(reference(contract(), train(), scores()))


def test_the_reference_counts_every_row_once_and_survives_its_bytes() -> None:
    found = made()
    assert list(found.columns) == ["age", "job", SCORE]
    age, job, score = found.columns.values()
    assert [int(c.histogram(c.counts).sum()) for c in (age, job, score)] == [1000, 1000, 500]
    assert (age.missing(age.counts), job.missing(job.counts), job.outside(job.counts)) == (10, 5, 0)
    assert reference(contract(), train(), scores()) == found.to_bytes()


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "numpy"])
def test_a_window_is_counted_the_same_from_any_table(kind: str) -> None:
    frame = pd.DataFrame({"age": [20.0, np.nan, 130.0, -1.0, np.inf], "job": ["a", None, "z", "b", "b"]})
    table = {
        "pandas": frame,
        "pyarrow": pa.Table.from_pandas(frame),
        "numpy": {"age": frame["age"].to_numpy(), "job": ["a", None, "z", "b", "b"]},
    }[kind]
    found = made()
    counts = tally(found, table)
    age, job = found.columns["age"], found.columns["job"]
    assert int(age.histogram(counts["age"]).sum()) == 5
    assert (age.missing(counts["age"]), age.outside(counts["age"])) == (2, 2)
    assert list(counts["job"]) == [1, 2, 1, 1]
    assert (job.missing(counts["job"]), job.outside(counts["job"])) == (1, 1)
    assert SCORE not in counts


def test_the_profile_of_the_whole_is_the_sum_of_its_parts() -> None:
    found, frame = made(), train(seed=3)
    whole = tally(found, frame)
    parts = [tally(found, frame[start : start + 100]) for start in range(0, 1000, 100)]
    total: dict[str, np.ndarray] = {}
    for part in reversed(parts):
        total = merge(part, total)
    assert {name: list(c) for name, c in total.items()} == {name: list(c) for name, c in whole.items()}
    assert list(unpack(pack(whole["age"]))) == list(whole["age"])


def test_free_text_is_known_by_its_commonest_values_and_the_rest_is_not_unseen() -> None:
    deal = contract(inputs=(Input(name="city", type=DataType.STRING),))
    frame = pd.DataFrame({"city": [f"c{i % 50}" for i in range(500)] + ["x"] * 100})
    column = Reference.from_bytes(reference(deal, frame, scores())).columns["city"]
    assert column.values[0] == "x"
    assert len(column.values) == 32
    assert not column.closed
    assert column.counts.sum() == 600


def test_a_constant_column_and_an_empty_one_have_bins_too() -> None:
    frame = pd.DataFrame({"age": [5.0] * 10, "job": [None] * 10})
    found = Reference.from_bytes(reference(contract(), frame, scores()))
    assert list(tally(found, {"age": np.array([4.0, 5.0, 6.0])})["age"]) == [2, 1, 0, 0]
    frame["age"] = np.nan
    assert reference(contract(), frame, scores())


@pytest.mark.parametrize("data", [b"", b"[]", b'{"format":2}', b'{"format":1,"rows":1,"order":["a"],"columns":{}}'])
def test_what_is_no_reference_is_refused(data: bytes) -> None:
    with pytest.raises(Tampered):
        Reference.from_bytes(data)


@pytest.mark.parametrize("name", ["normal", "heavy tails", "few values", "huge", "one far edge"])
def test_fast_counting_is_exact(name: str) -> None:
    rng = np.random.default_rng(9)
    values = {
        "normal": rng.normal(size=100_000),
        "heavy tails": rng.standard_cauchy(100_000) ** 3,
        "few values": rng.integers(0, 40, 100_000).astype(float),
        "huge": rng.normal(size=100_000) * 1e307,
        "one far edge": np.r_[rng.normal(size=99_000), np.full(1000, 1e9)],
    }[name]
    edges = np.unique(np.r_[np.quantile(values, np.linspace(0, 1, 33)[1:-1]), values[:20]])
    plain = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    assert list(_binned(edges, values)) == list(plain)
