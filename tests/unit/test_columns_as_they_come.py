"""Ids, dates, categories and nulls as files really hold them: one empty cell, another dtype, another order of words."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from bench.laws.dependence import following

import cases
import models
from modelmark.contract.conditions import holds
from modelmark.contract.table import as_texts, check_table, rows_of, target_codes
from modelmark.contract.timestamps import timestamps
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.catalogue.gate_settings import (
    CalibrationGate,
    DataContractGate,
    HoldoutGate,
    LeakageGate,
    SlicesGate,
)
from modelmark.domain.contract import Data, DataType, Input, Objective, Outputs
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Metric
from modelmark.gates.calibration.gate import Calibration
from modelmark.gates.common.baselines import Encoder
from modelmark.gates.common.evaluation_set import groups_of
from modelmark.gates.data_contract.gate import DataContract
from modelmark.gates.explanation.importance import dependence, sample
from modelmark.gates.holdout.gate import Holdout
from modelmark.gates.holdout.split import split_checks
from modelmark.gates.leakage.gate import Leakage
from modelmark.gates.runner import run_gate
from modelmark.gates.slices.gate import Slices
from tables import deciding, failing, named

CODED = Input(name="branch", type=DataType.CATEGORY, categories=("12", "13"), nullable=True)


def data(**changes):
    return Data(train="train.csv", holdout="holdout.csv", target="y", **changes)


def asked(base, contract, train, holdout):
    """A case without a model, for gates that ask only the tables."""
    models.write_tables(base, train, holdout)
    return cases.Case(
        version=cases.version(base, contract), contract=contract, base=base, folder=base,
        predictor=None, staging=None, clock=lambda: cases.NOW,
    )  # fmt: skip


def test_whole_numbers_have_one_text_whatever_their_dtype():
    whole, with_null = pd.Series([12, 13, 14]), pd.Series([12, 13, None])
    assert as_texts(whole).tolist() == ["12", "13", "14"]
    assert as_texts(with_null).tolist() == ["12", "13", None]
    assert as_texts(pd.Series([1.5, 2.0])).tolist() == ["1.5", "2"]
    assert as_texts(with_null, ["12.0"]).tolist() == ["12.0", "13", None]
    assert as_texts(pd.Series([1, None], dtype="Int64")).tolist() == ["1", None]


def test_codes_with_a_null_are_sent_and_checked_as_the_contract_spells_them():
    contract = dataclasses.replace(models.contract(), inputs=(CODED,))
    for values in ([12, 13, 12], [12, 13, None]):
        table = pd.DataFrame({"branch": values, "y": "yes"})
        assert [row["branch"] for row in rows_of(table, contract)][:2] == ["12", "13"]
        assert not check_table(table, contract)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"any_of": (2,)}, [False, True, False]),
        ({"any_of": ("2", 1)}, [True, True, False]),
        ({"any_of": (True,)}, [True, False, False]),
        ({"at_least": 2}, [False, True, False]),
        ({"below": 2}, [True, False, False]),
        ({"missing": True}, [False, False, True]),
        ({"missing": False, "below": 2}, [True, False, False]),
    ],
)
def test_a_condition_reads_whole_numbers_beside_a_null(condition, met):
    assert holds(Condition(column="c", **condition), pd.Series([1, 2, None])).tolist() == met


def test_classes_written_as_text_are_known_in_a_column_with_a_null():
    assert target_codes(pd.Series([0.0, 1.0, None]), Outputs(classes=("0", "1"))).tolist() == [0, 1, -1]


@pytest.mark.parametrize("key", ["group", "entity_key"])
def test_an_empty_cell_hides_no_shared_id(tmp_path, key):
    contract = models.contract(data=data(**{key: "who"}))
    train, holdout = models.frame(600, 1).assign(who=np.arange(600)), models.frame(400, 2)
    holdout["who"] = np.r_[np.arange(399), [np.nan]]
    case = asked(tmp_path, contract, train, holdout)
    gate = DataContract(DataContractGate()) if key == "group" else Leakage(LeakageGate())
    checks = list(gate._entities(train, holdout, contract)) if key == "entity_key" else run_gate(gate, case).checks
    found = next(c for c in checks if c.name in ("groups stay on one side", "entities stay on one side"))
    assert found.verdict.exit_code
    assert found.sentence.startswith("399 of ")


def test_targets_of_two_dtypes_are_the_same_labels(tmp_path):
    contract = models.contract(outputs=Outputs(classes=(0, 1), positive=1))
    train, holdout = (models.frame(400, seed) for seed in (1, 2))
    train["y"], holdout["y"] = (train["y"] == "yes").astype(int), (holdout["y"] == "yes").astype(float)
    holdout.loc[0, "y"] = np.nan
    case = asked(tmp_path, contract, train, holdout)
    assert named(run_gate(DataContract(DataContractGate()), case), "labels are the same").measured == 0


@pytest.mark.parametrize(
    ("written", "order"),
    [
        (["05/01/2024", "12/31/2023"], [1, 0]),
        (["05/01/2024", "31/12/2023", "06/01/2023"], [2, 1, 0]),
        (["05.02.2024", "06.01.2024"], [1, 0]),
        (["2024-02-10", "2024-02-09T10:00:00Z", None], [1, 0, 2]),
        (["2024-W10", "2024-W09"], [1, 0]),
        ([2.0, 1.0, None], [1, 0, 2]),
        ([pd.Timestamp("2024-02-10"), pd.Timestamp("2024-02-09"), None], [1, 0, 2]),
    ],
)
def test_moments_sort_in_time(written, order):
    assert np.argsort(timestamps(pd.Series(written)), kind="stable").tolist() == order


def american(frame, first):
    days = pd.date_range(first, periods=len(frame), freq="D")
    return frame.assign(at=days.strftime("%m/%d/%Y"))


def test_a_split_by_american_dates_comes_first(tmp_path):
    contract = models.contract(data=data(time="at"), objective=Objective(metric=Metric.ACCURACY))
    train, holdout = american(models.frame(700, 1), "2022-02-01"), american(models.frame(400, 2), "2024-01-02")
    found = named(
        run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, train, holdout)), "train comes first"
    )
    assert found.measured == 0
    assert "(01/02/2024)" in found.sentence
    assert "backwards 0 times" in found.sentence
    late = run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, holdout, train))
    assert named(late, "train comes first").measured == 1


def test_a_date_that_contradicts_the_order_of_rows_speaks_first(tmp_path):
    """What a shuffled table flatters by is a finding, though data.time says that its rows are in order."""
    n = 3000
    rng, turn = np.random.default_rng(0), np.linspace(0, 6 * np.pi, n)
    table = pd.DataFrame(
        {"income per year": rng.normal(50, 15, n) + 40 * np.linspace(0, 1, n), "age": 1.0 * rng.integers(18, 80, n)}
    )
    centred = table["income per year"] - 50 - 40 * np.linspace(0, 1, n)
    table["y"] = np.where(np.cos(turn) * centred / 15 + np.sin(turn) * (table["age"] - 49) / 18 > 0, "yes", "no")
    table["measured_at"] = pd.date_range("2024-01-01", periods=n, freq="h").strftime("%m/%d/%Y %H:%M")
    table = table.sample(frac=1, random_state=1)
    contract = models.contract(
        data=data(time="row_order"), objective=Objective(metric=Metric.ACCURACY),
        inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in ("income per year", "age")),
    )  # fmt: skip
    case = asked(tmp_path, contract, table[:2000], table[2000:])
    found = next(c for c in split_checks(case, HoldoutGate(), 0.01) if c.name == "random split")
    assert found.verdict.exit_code
    assert not found.decides
    assert "measured_at" in found.sentence


@pytest.mark.parametrize("role", ["group", "entity_key", "time"])
def test_a_null_in_who_or_when_stops_no_gate(tmp_path, role):
    train, holdout = models.frame(1200, 1), models.frame(600, 2)
    if role == "time":
        train["key"] = pd.date_range("2023-01-01", periods=1200).strftime("%Y-%m-%d")
        holdout["key"] = pd.date_range("2027-01-01", periods=600).strftime("%Y-%m-%d")
    else:
        train["key"], holdout["key"] = [f"a{k // 4}" for k in range(1200)], [f"b{k // 4}" for k in range(600)]
    train.loc[5, "key"] = holdout.loc[7, "key"] = None
    contract = models.contract(data=data(**{role: "key"}))
    case = cases.case(tmp_path, contract, train=train, holdout=holdout)
    for gate in (
        DataContract(DataContractGate()), Holdout(HoldoutGate()), Slices(SlicesGate()), Calibration(CalibrationGate()),
    ):  # fmt: skip
        evidence = run_gate(gate, case)
        assert "could not measure" not in failing(evidence), failing(evidence)
        assert not any("the gate itself broke" in sentence for sentence in failing(evidence).values())


def test_a_row_of_no_group_is_its_own():
    contract = models.contract(data=data(group="who"))
    table = pd.DataFrame({"who": ["b", "a", None, "b", None]})
    assert groups_of(contract, table, np.arange(5)).tolist() == [1, 0, 2, 1, 3]
    assert groups_of(contract, table, np.array([0, 1, 2])) is None


def test_a_column_of_nothing_is_encoded_and_depends_on_nothing(tmp_path):
    table = models.frame(60).assign(town=None, age=np.nan)
    encoded = Encoder(models.inputs(), table)(models.frame(30, 2))
    assert len(encoded) == 30
    assert np.isfinite(encoded).all()
    case = cases.case(tmp_path)
    empty = dataclasses.replace(case)
    empty.train["age"] = np.nan
    assert dependence(empty, sample(empty, 50), "age", 1)[1] == []


def patients(seed, of_train=150, of_holdout=100, visits=20):
    """Inputs that are the same in all rows of a patient, split by patient: nothing is wrong with the labels."""
    rng = np.random.default_rng(seed)
    many = of_train + of_holdout
    each = pd.DataFrame(rng.normal(50, 15, (many, 2)), columns=["income per year", "size"])
    each["who"] = np.arange(many)
    chance = 1 / (1 + np.exp(-(each["income per year"] - 50) / 10 - rng.normal(0, 2, many)))
    rows = each.loc[np.repeat(np.arange(many), visits)].reset_index(drop=True)
    rows["y"] = np.where(rng.random(len(rows)) < chance.to_numpy()[rows["who"]], "yes", "no")
    return rows[rows["who"] < of_train], rows[rows["who"] >= of_train]


def test_a_split_by_patient_is_no_disagreement_of_labels(tmp_path):
    contract = models.contract(
        data=data(group="who"),
        inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in ("income per year", "size")),
    )
    refused = 0
    for seed in range(8):
        train, holdout = patients(seed)
        found = list(split_checks(asked(tmp_path, contract, train, holdout), HoldoutGate(), 0.01))
        refused += sum(c.verdict.exit_code != 0 for c in found if c.name == "labels agree")
        assert any(c.name == "labels agree" for c in found)
    assert refused == 0


def test_what_is_the_same_in_all_rows_of_a_group_is_no_shift(tmp_path):
    """Forty patients' weights differ from thirty others' by chance; their twenty visits each are not more of them."""
    contract = models.contract(
        data=data(group="who"),
        inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in ("income per year", "size")),
    )
    for seed in range(5):
        train, holdout = patients(seed, 40, 30)
        evidence = run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, train, holdout))
        found = named(evidence, "train and holdout look alike")
        assert not found.verdict.exit_code, found.sentence
    moved = holdout.assign(size=holdout["size"] + 60)
    evidence = run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, train, moved))
    assert "train and holdout look alike" in failing(evidence)


def test_forty_honest_inputs_share_the_doubt(tmp_path):
    """Of 60 and 40 rows; alone, one of them would look shifted (see test_bootstrap.py)."""
    rng, names = np.random.default_rng(5), [f"x{k}" for k in range(40)]
    drawn = {name: (rng.normal(size=60), rng.normal(size=40)) for name in names}
    contract = models.contract(inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in names))
    tables = [
        pd.DataFrame({n: both[k] for n, both in drawn.items()}).assign(y=["yes", "no"] * (30 - 10 * k)) for k in (0, 1)
    ]
    evidence = run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, *tables))
    assert "train and holdout look alike" not in failing(evidence)


def test_a_sensor_that_wanders_is_no_shift_where_rows_are_in_time(tmp_path):
    """AR(0.97): its last third is somewhere else than the first two, as it always is. A step is seen all the same."""
    contract = models.contract(data=data(time="row_order"), inputs=(Input(name="size", type=DataType.NUMBER),))
    refused = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        size = following(rng, 0.97, 900)
        table = models.frame(900, seed).assign(size=np.round(size, 4))
        evidence = run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, table[:600], table[600:]))
        refused += named(evidence, "train and holdout look alike").verdict is Verdict.FAIL
    assert refused <= 1
    steady = models.frame(900, 0).assign(size=rng.normal(size=900) + 3 * (np.arange(900) >= 600))
    evidence = run_gate(DataContract(DataContractGate()), asked(tmp_path, contract, steady[:600], steady[600:]))
    assert "train and holdout look alike" in failing(evidence)


def test_wrong_labels_of_a_table_in_groups_are_still_seen(tmp_path):
    train, holdout = models.frame(2000, 1), models.frame(1200, 2)
    train["who"], holdout["who"] = np.arange(2000) // 4, 1000 + np.arange(1200) // 4
    flip = np.random.default_rng(0).random(1200) < 0.3
    holdout.loc[flip, "y"] = holdout.loc[flip, "y"].map({"yes": "no", "no": "yes"})
    evidence = run_gate(
        Holdout(HoldoutGate()),
        cases.case(tmp_path, models.contract(data=data(group="who")), train=train, holdout=holdout),
    )
    assert "labels agree" in deciding(evidence)
