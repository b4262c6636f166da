"""That rows are in the order of time is looked at: shown by a column, contradicted by one, or nothing at all goes with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelmark.contract.proposals.row_order import ordered_columns
from modelmark.domain.evidence import Verdict
from modelmark.gates.common.clocks import clocks
from modelmark.gates.holdout.row_order import order_check

N = 1200
RNG = np.random.default_rng(0)
DAYS = pd.date_range("2023-01-01", periods=N, freq="h")
SERIES = pd.DataFrame(
    {
        "price": np.cumsum(RNG.normal(size=N)), "load": RNG.normal(size=N), "hour": DAYS.hour, "instant": np.arange(1, N + 1),
        "seen": DAYS.strftime("%d/%m/%Y %H:%M"), "y": RNG.integers(0, 2, N),
    }
)  # fmt: skip
MIXED = np.sort(RNG.permutation(N)[:800]), np.arange(N)


def check(columns: list[str], *, drawn: bool = False, shuffled: bool = False):
    table = SERIES[[*columns, "y"]]
    table = table.sample(frac=1, random_state=1) if shuffled else table
    here = np.isin(np.arange(N), MIXED[0]) if drawn else np.arange(N) < 800
    return order_check(table[here].reset_index(drop=True), table[~here].reset_index(drop=True), "y")


@pytest.mark.parametrize("clock", ["instant", "seen"])
def test_a_column_that_goes_on_into_the_holdout_shows_the_order(clock):
    found = check(["load", "hour", clock])
    assert (found.verdict, found.measured) == (Verdict.PASS, 0.0)
    assert f"{clock} goes on from train" in found.sentence


@pytest.mark.parametrize("clock", ["instant", "seen"])
def test_a_random_split_that_is_kept_in_file_order_is_found_out(clock):
    found = check(["price", "load", "hour", clock], drawn=True)
    assert found.decides
    assert found.verdict is Verdict.FAIL
    assert found.measured > 0.4
    assert f"{clock} runs through train and once more through the holdout" in found.sentence
    assert "ends before" not in found.sentence


@pytest.mark.parametrize("drawn", [False, True], ids=["in time", "drawn at random and kept in order"])
def test_without_a_clock_nothing_was_checked_and_that_is_said(drawn):
    found = check(["price", "load"], drawn=drawn)
    assert (found.verdict, found.measured, found.decides) == (Verdict.CANNOT_TELL, None, False)
    assert found.sentence.startswith("Not checked: ")
    assert "price: rank correlation" in found.sentence
    assert "is the contract's word alone" in found.sentence


def test_of_shuffled_rows_nobody_can_tell():
    found = check(["price", "load", "hour", "instant", "seen"], shuffled=True)
    assert (found.verdict.exit_code, found.measured, found.decides) == (2, None, True)
    assert "say null" in found.sentence


def test_numbers_of_rows_that_begin_anew_contradict_nothing():
    table = SERIES[["price", "y"]]
    tables = [part.assign(number=np.arange(len(part))) for part in (table[:800], table[800:])]
    assert order_check(*tables, "y").sentence.startswith("Not checked: ")


def test_few_rows_tell_nothing_and_decide_nothing():
    table = SERIES[["load", "y"]]
    found = order_check(table[:200], table[200:300], "y")
    assert (found.measured, found.decides) == (None, False)


YEARS = pd.DataFrame(
    {"Year": [2014] * 500 + [2015] * 300 + [2016] * 400, "month": list(range(1, 13)) * 100, "load": RNG.normal(size=N)}
)


@pytest.mark.parametrize(
    ("names", "time", "found"),
    [
        (["Year", "load"], "Year", ("Year",)),
        (["Year", "month", "load"], "seen", ("Year",)),
        (["Year", "month", "load"], "row_order", ("Year",)),
        (["seen", "load"], "seen", ("seen",)),
        (["load", "price"], "seen", ()),
        (["Year"], None, ()),
        (["Year"], "gone", ()),
    ],
)
def test_a_clock_is_what_never_goes_back_in_time(names, time, found):
    table = pd.concat([YEARS, SERIES[["seen", "price"]]], axis=1)
    train, holdout = table[:800].sample(frac=1, random_state=0) if time != "row_order" else table[:800], table[800:]
    assert clocks(train, holdout, names, time) == found


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("as they came", ["instant", "seen", "year"]),
        ("drawn and kept in order", []),
        ("shuffled", []),
        ("begun anew", ["year"]),
    ],
)
def test_what_only_grows_with_the_rows_of_both_tables_is_seen_without_a_declared_time(case, expected):
    table = SERIES.assign(year=2010 + np.arange(N) // 150, flat=7.0, half=np.arange(N) // (N // 2))
    here = np.isin(np.arange(N), MIXED[0]) if case == "drawn and kept in order" else np.arange(N) < 800
    table = table.sample(frac=1, random_state=1) if case == "shuffled" else table
    train, holdout = (table[side].reset_index(drop=True) for side in (here, ~here))
    if case == "begun anew":  # numbers of rows, which say nothing of time
        train, holdout = train.drop(columns="seen"), holdout.assign(instant=np.arange(1, len(holdout) + 1))
    assert list(ordered_columns(train, holdout, [name for name in train if name != "y"])) == expected
