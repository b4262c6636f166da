"""What a draft proposes of columns: who could be treated unfairly, what orders rows, whom they are about."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from modelmark.contract.infer import Facts, infer
from modelmark.contract.proposals.keys import keys

DAYS = pd.date_range("2024-01-01", periods=400).strftime("%Y-%m-%d")


def tables(first: dict[str, object], second: dict[str, object]) -> tuple[pd.DataFrame, pd.DataFrame]:
    frames = [pd.DataFrame(columns) for columns in (first, second)]
    return frames[0].assign(y=np.arange(len(frames[0])) % 2), frames[1].assign(y=np.arange(len(frames[1])) % 2)


@pytest.mark.parametrize(
    "name",
    [
        "MARRIAGE",
        "MaritalStatus",
        "marital",
        "AGE",
        "age_cat",
        "customer_age",
        "sex_of_car_owner",
        "Race",
        "foreign_worker",
        "black",
    ],
)
def test_a_protected_characteristic_is_found_beside_the_inputs(name):
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], name: ["a", "b", "a", "b"], "y": [0, 1, 0, 1]})
    found = infer(table, target="y", facts=Facts(features=("x",)))
    assert found.sensitive == (name,)
    assert "data.sensitive" in found.guesses


@pytest.mark.parametrize(
    "name",
    [
        "vehicle_age",
        "vehicleAge",
        "CAR_AGE",
        "house.age",
        "mileage",
        "page",
        "sextant",
        "brace",
        "storage",
        "nationwide",
        "averageWage",
    ],
)
def test_a_word_inside_another_is_none(name):
    assert infer(pd.DataFrame({name: [1, 2], "y": [0, 1]}), target="y").sensitive == ()


def test_the_target_is_judged_and_no_group():
    assert infer(pd.DataFrame({"x": [1, 2], "sex": [0, 1]}), target="sex").sensitive == ()


def test_patients_on_both_sides_are_counted_and_asked_about():
    train, holdout = tables(
        {"encounter_id": range(300), "patient_nbr": [k % 100 for k in range(300)]},
        {"encounter_id": range(300, 400), "patient_nbr": range(60, 160)},
    )
    found = keys(train, holdout, target="y")
    assert (found.group, found.entity_key) == ("patient_nbr", "patient_nbr")
    assert "40 of the holdout's 100 are in train" in found.reasons["data.group"]


def test_ids_that_stand_once_say_whom_and_group_nothing():
    train, holdout = tables({"customer_id": range(300)}, {"customer_id": range(300, 400)})
    found = keys(train, holdout, target="y")
    assert (found.group, found.entity_key) == (None, "customer_id")


@pytest.mark.parametrize(
    "column",
    [
        pytest.param({"code": ["a", "b"] * 200}, id="two codes are a category"),
        pytest.param({"number_of_rooms": [k % 9 for k in range(400)]}, id="a count"),
        pytest.param({"number_of_visits": [k % 60 for k in range(400)]}, id="a count of many values"),
        pytest.param({"amount": np.arange(400) + 0.5}, id="amounts"),
        pytest.param({"year": [1990 + k % 30 for k in range(400)]}, id="years"),
        pytest.param({"comment": [f"text {k}" for k in range(400)]}, id="free text"),
    ],
)
def test_what_is_no_id(column):
    train, _ = tables(column, column)
    found = keys(train, train, target="y")
    assert (found.group, found.entity_key) == (None, None)


def test_texts_written_like_ids_are_ids():
    train, _ = tables({"who": [f"C{k % 50:05}" for k in range(400)]}, {"who": ["C00001"]})
    assert keys(train, None, target="y").group == "who"


def test_a_split_in_time_is_recognised_and_entities_may_return():
    train, holdout = tables(
        {"seen": DAYS[:300], "customer": [f"C{k % 50:05}" for k in range(300)]},
        {"seen": DAYS[300:], "customer": [f"C{k % 50:05}" for k in range(100)]},
    )
    found = keys(train, holdout, target="y")
    assert (found.time, found.group, found.entity_key) == ("seen", None, "customer")
    assert "may where the split is in time" in found.reasons["data.group"]


def test_a_date_that_the_split_does_not_follow_is_asked_about_and_not_declared():
    mixed = np.random.default_rng(0).permutation(400)
    train, holdout = tables({"seen": DAYS[mixed[:300]]}, {"seen": DAYS[mixed[300:]]})
    found = keys(train, holdout, target="y")
    assert found.time is None
    assert "of the holdout's rows are not after train's last" in found.reasons["data.time"]


def test_a_year_that_the_split_follows_is_time_and_a_birthday_never():
    train, holdout = tables(
        {"date_of_birth": DAYS[:300], "Year": 2000 + np.arange(300) // 30},
        {"date_of_birth": DAYS[300:], "Year": 2010 + np.arange(100) // 30},
    )
    assert keys(train, holdout, target="y").time == "Year"
    assert keys(train.drop(columns="Year"), holdout, target="y").time is None


def test_what_grows_with_the_rows_is_asked_about_whatever_its_name():
    table = pd.DataFrame({"reading": np.arange(400), "y": [0, 1] * 200})
    found = keys(table[:300], table[300:].reset_index(drop=True), target="y")
    assert found.time is None
    assert found.reasons["data.time"] == (
        "'reading' never goes back along the rows of train and then of the holdout: name it, or say row_order, if rows are in "
        "the order of time"
    )
    mixed = table.sample(frac=1, random_state=0).reset_index(drop=True)
    assert "data.time" not in keys(mixed[:300], mixed[300:].reset_index(drop=True), target="y").reasons


def test_a_column_of_one_table_alone_is_not_proposed():
    train, holdout = tables({"patient_id": [k % 100 for k in range(300)]}, {"x": range(100)})
    assert keys(train, holdout, target="y").group is None
