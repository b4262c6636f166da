"""Single values that cannot be: bounds learnt from training, flagged on the record, told at once."""

from __future__ import annotations

import dataclasses
import json
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench.laws.plausible import SHAPES, false_flags, found

import serving_case as case
from builders.domain import contract
from modelmark.contract.rows import FEW, RowCodec
from modelmark.domain.catalogue.monitor_settings import QualityMonitor
from modelmark.domain.contract import DataType, Input, Policy
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Tampered
from modelmark.domain.finding import Finding, Outcome
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.monitors.quality import Quality
from modelmark.seal import keys
from modelmark.serving.models import load_marked
from modelmark.stats.profile import IMPLAUSIBLE, Reference, Times, merge, reference, tally
from modelmark.stats.watching.plausible import LEAST, beyond, bounds_in, plausible_bounds
from modelmark.testing.monitors import empty_view, quiet_view
from tables import SHARED, needs

V1 = Path(__file__).resolve().parents[1] / "golden" / "v1"


@pytest.mark.parametrize("shape", SHAPES)
def test_real_tails_are_left_in_peace(shape: str) -> None:
    """The law of bench/laws/plausible.py, short."""
    assert false_flags(shape, 500, tables=10, fresh=20_000) <= 2e-4
    assert false_flags(shape, 10_000, tables=5, fresh=100_000) <= 4e-6


@pytest.mark.parametrize("wrong", [0, 2, 5])
def test_two_pressures_of_5500_are_found_even_where_training_had_them(wrong: int) -> None:
    assert all(found(18_000, wrong=wrong, seed=seed) for seed in range(5))


@needs("bike_sharing_hour.csv.gz")
def test_a_second_year_that_is_busier_by_two_thirds_holds_nothing_impossible() -> None:
    table = pd.read_csv(SHARED / "bike_sharing_hour.csv.gz")
    for name in table.select_dtypes("number"):
        values = table[name].to_numpy(float)
        bounds = plausible_bounds(values[table["yr"] == 0])
        assert bounds is None or beyond(values[table["yr"] == 1], bounds) == 0, name


@needs("adult_train.csv.gz")
def test_a_capital_gain_with_a_tail_of_its_own_is_left_in_peace() -> None:
    train, test = (pd.read_csv(SHARED / f"adult_{side}.csv.gz") for side in ("train", "test"))
    for name in train.select_dtypes("number"):
        bounds = plausible_bounds(train[name].to_numpy(float))
        assert bounds is None or beyond(test[name].to_numpy(float), bounds) == 0, name
    age = plausible_bounds(train["age"].to_numpy(float))
    assert age is not None
    assert age[1] < 500


def test_nothing_is_said_of_what_is_not_known() -> None:
    rng = np.random.default_rng(0)
    assert plausible_bounds(rng.normal(size=LEAST - 1)) is None
    assert plausible_bounds(np.full(5000, 3.0)) is None, "a column that never varied says nothing of how it may"
    assert plausible_bounds(np.full(5000, np.nan)) is None
    low, high = plausible_bounds(rng.poisson(0.05, 5000).astype(float)) or (0, 0)
    assert (low, high < 100) == (-inf, True), "no value is ever below: how far one may be is not known"
    huge = plausible_bounds(rng.normal(size=5000) * 1e307)
    assert huge is None or not np.isnan(huge).any()


# On the record.


def codec(*inputs: Input, **plausible: tuple[float, float]) -> RowCodec:
    return RowCodec(case.contract(inputs=inputs), plausible=plausible)


def number(name: str = "x", **changes) -> Input:
    return Input(name=name, type=DataType.NUMBER, **changes)


@pytest.mark.parametrize("rows", [1, FEW + 1])
@pytest.mark.parametrize(
    ("column", "value", "flags"),
    [
        (number(), 50.0, []),
        (number(), 100.0, []),
        (number(), 101.0, ["IMPLAUSIBLE"]),
        (number(), -1.0, ["IMPLAUSIBLE"]),
        (number(minimum=0, maximum=1000, on_out_of_range=Policy.REJECT), 101.0, ["IMPLAUSIBLE"]),
        (number(maximum=60, on_out_of_range=Policy.FLAG), 70.0, ["OUT_OF_RANGE"]),
        (number(maximum=60, on_out_of_range=Policy.FLAG), 700.0, ["OUT_OF_RANGE", "IMPLAUSIBLE"]),
        (
            number(maximum=60, on_out_of_range=Policy.IMPUTE, impute=5),
            700.0,
            ["OUT_OF_RANGE", "IMPUTED", "IMPLAUSIBLE"],
        ),
        (number(nullable=True), None, ["MISSING"]),
    ],
)
def test_a_value_that_cannot_be_is_flagged_and_answered(column: Input, value, flags: list[str], rows: int) -> None:
    built = codec(column, x=(0.0, 100.0))
    sent = [{"x": 50.0} for _ in range(rows - 1)] + [{"x": value}]
    batch = built.batch(built.from_mappings(sent))
    assert batch.flags == [(rows - 1, "x", flag) for flag in flags]
    if flags == ["IMPLAUSIBLE"]:
        assert batch.numbers[-1, 0] == value, "the model is given what came"
    assert all(flag != "IMPLAUSIBLE" for _, _, flag in codec(column).batch(codec(column).from_mappings(sent)).flags)


def test_codes_and_truth_values_have_no_bounds() -> None:
    coded = Input(name="x", type=DataType.INTEGER, categories=("0", "1", "900"), on_unseen=Policy.FLAG)
    built = codec(coded, x=(0.0, 100.0))
    assert built.batch(built.from_mappings([{"x": 900}])).flags == []
    truth = codec(Input(name="x", type=DataType.BOOLEAN), x=(0.0, 0.5))
    assert truth.batch(truth.from_mappings([{"x": True}])).flags == []


def test_a_version_from_before_there_were_bounds_serves_as_it_did() -> None:
    id = Digest(json.loads((V1 / "facts.json").read_text())["version"])
    version = load_marked(V1 / "version", keys.verifier(V1), id)
    assert bounds_in((V1 / "version" / "reference.json").read_bytes()) == {}
    assert {column.plausible for column in version.codec.numeric} == {(-inf, inf)}


# In the profile, and told.


def trained(rows: int = 5000, wrong: int = 0) -> bytes:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"age": rng.normal(40, 10, rows), "job": rng.choice(["a", "b"], rows)})
    train.loc[: wrong - 1, "age"] = 9000.0
    score = rng.uniform(size=500)
    return reference(contract(), train, np.stack([1 - score, score], axis=1))


def test_bounds_are_kept_with_the_reference_and_counted_in_windows() -> None:
    known = Reference.from_bytes(trained(wrong=2))
    (age,) = known.bounded
    assert (age.name, age.implausible, known.to_bytes()) == ("age", 2, trained(wrong=2))
    assert bounds_in(trained(wrong=2)) == {"age": age.bounds}
    table = {"age": np.array([41.0, 9000.0, np.nan, -8000.0, np.inf]), "job": ["a"] * 5}
    counts = tally(known, table)
    assert counts[IMPLAUSIBLE].tolist() == [2]
    clean = tally(known, {"age": np.array([41.0]), "job": ["a"]})
    assert IMPLAUSIBLE not in clean, "what is usual takes no room"
    assert merge(clean, counts)[IMPLAUSIBLE].tolist() == [2]
    assert IMPLAUSIBLE not in tally(known, {"job": ["a"]})


def test_what_goes_on_for_ever_has_no_bounds() -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"age": np.arange(5000.0), "job": rng.choice(["a", "b"], 5000)})
    score = np.full((50, 2), 0.5)
    for times in (Times(clocks=("age",)), Times(counters=("age",))):
        assert bounds_in(reference(contract(), train, score, times)) == {}
    assert list(bounds_in(reference(contract(), train, score))) == ["age"]


def test_a_table_too_small_keeps_the_bytes_it_always_had() -> None:
    assert b"bounds" not in trained(rows=LEAST - 1)


@pytest.mark.parametrize("bounds", ["[2, 1]", "[1]", '["a", 2]', "5"])
def test_bounds_that_are_none_are_a_fault(bounds: str) -> None:
    data = json.loads(trained())
    data["columns"]["age"]["bounds"] = json.loads(bounds)
    written = json.dumps(data).encode()
    with pytest.raises(Tampered):
        bounds_in(written)
    with pytest.raises(Tampered):
        Reference.from_bytes(written)


def told(hits: int, *, n: int = 2000, trained_hits: int = 0, **settings) -> Finding:
    view = quiet_view(n)
    assert isinstance(view.observed, Recorded)
    columns = dict(view.reference.columns)
    columns["amount"] = dataclasses.replace(columns["amount"], bounds=(-20.0, 20.0), implausible=trained_hits)
    profiles = {**view.observed.profiles, IMPLAUSIBLE: np.array([hits])}
    view = dataclasses.replace(
        view,
        reference=dataclasses.replace(view.reference, columns=columns),
        observed=dataclasses.replace(view.observed, profiles=profiles),
    )
    (one,) = (f for f in Quality(QualityMonitor(**settings)).evaluate(view) if f.subject == "amount")
    return one


def test_one_value_that_cannot_be_is_an_alert() -> None:
    one = told(1)
    assert (one.outcome, one.measured, one.n, one.column) == (Outcome.ALERT, 1 / 2000, 2000, True)
    assert one.sentence == (
        "“amount” held 1 value that cannot be, of 2,000 rows: outside -20 to 20; of 20,000 rows of training none was."
    )
    assert told(1, n=3).outcome is Outcome.ALERT, "however few rows there are"


@pytest.mark.parametrize(
    ("hits", "settings", "outcome"),
    [
        (0, {}, Outcome.OK),
        (2, {"implausible": 2}, Outcome.OK),
        (3, {"implausible": 2}, Outcome.ALERT),
        (900, {"implausible": None}, Outcome.OK),
        (4, {"trained_hits": 20}, Outcome.OK),  # one in a thousand, as at training time
        (40, {"trained_hits": 20}, Outcome.ALERT),
    ],
)
def test_what_is_tolerated_or_was_so_at_training_time_is_none(hits: int, settings, outcome: Outcome) -> None:
    assert told(hits, **settings).outcome is outcome


def test_an_old_reference_counts_nothing() -> None:
    views: list[MonitorContext] = [empty_view()]
    for view in views:
        bare = {
            name: dataclasses.replace(column, bounds=None, implausible=0)
            for name, column in view.reference.columns.items()
        }
        old = dataclasses.replace(view, reference=dataclasses.replace(view.reference, columns=bare))
        assert old.implausible == {}
