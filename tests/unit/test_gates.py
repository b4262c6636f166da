"""Each gate passes a sound candidate and catches its planted fault."""

import dataclasses
import tomllib
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import cases
import models
from endpoint import Broken, Stage
from modelmark.contract.catalogue import required_gates
from modelmark.domain.catalogue.gate_settings import (
    DataContractGate,
    EdgeCasesGate,
    Gates,
    HoldoutGate,
    LoadGate,
    ParityGate,
    ReplayGate,
)
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.contract import Data, DataType, Guardrail, Input, Objective, Outputs, Serving
from modelmark.domain.errors import Rejected
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.version import Parity
from modelmark.gates.case import Champion
from modelmark.gates.common import traffic
from modelmark.gates.data_contract.gate import DataContract
from modelmark.gates.edge_cases.gate import EdgeCases
from modelmark.gates.holdout.gate import Holdout
from modelmark.gates.load.gate import Load
from modelmark.gates.parity.gate import ParityCheck
from modelmark.gates.runner import build, run_gate, run_gates
from modelmark.testing.gates import Unable, check_gate

ROOT = Path(__file__).parents[2]
LAX = dataclasses.replace(
    models.contract(),
    serving=Serving(rate_per_s=30, p99_ms=2000, deadline_ms=5000, max_rows=64),
    guardrails=(Guardrail(metric=Metric.RECALL, limit=0.5),),
)


AGREED = LoadGate(seconds=1, capacity=False, overload=())  # what is beyond has tests of its own


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("sound"), LAX)


def failing(evidence):
    return {check.name: check.sentence for check in evidence.checks if check.verdict is not Verdict.PASS}


# Conformance, with one fault each.


def test_data_contract_conforms(sound, tmp_path):
    holdout = models.frame(800, 2)
    holdout.loc[3, "age"] = 200
    evidence = check_gate(lambda: DataContract(DataContractGate()), sound, cases.case(tmp_path, LAX, holdout=holdout))
    assert {"train_keeps_the_contract", "holdout_keeps_the_contract"} <= {c.id for c in evidence.checks}


def test_holdout_conforms(sound, tmp_path):
    noise = models.frame(1500, 1).assign(y=np.random.default_rng(0).choice(["yes", "no"], 1500))
    evidence = check_gate(lambda: Holdout(HoldoutGate()), sound, cases.case(tmp_path, LAX, train=noise))
    assert "on 800 rows" in evidence.checks[0].sentence
    assert evidence.check("objective") is evidence.checks[0]
    assert len(evidence.figures) == 3


def test_edge_cases_conform(sound):
    def answers_null(endpoint, rows):
        return endpoint.predict([{**r, "age": 40} if r.get("age", 0) is None else r for r in rows])

    broken = dataclasses.replace(sound, predictor=Broken(sound.predictor, answers_null))
    check_gate(lambda: EdgeCases(EdgeCasesGate()), sound, broken)


def test_parity_conforms(sound):
    flipped = dataclasses.replace(sound.version, parity=Parity(rows=500, flipped=6, max_difference=0.01))
    check_gate(lambda: ParityCheck(ParityGate()), sound, dataclasses.replace(sound, version=flipped))


def test_load_conforms(sound):
    patient = dataclasses.replace(sound.contract.serving, p99_ms=5000.0, rate_per_s=20.0)  # other tests run beside it
    sound = dataclasses.replace(sound, contract=dataclasses.replace(sound.contract, serving=patient))
    broken = dataclasses.replace(sound, staging=Stage(sound.predictor, status=500))
    check_gate(lambda: Load(AGREED), sound, broken)


# The data contract.


def data_contract(base, contract=LAX, **tables):
    return run_gate(DataContract(DataContractGate()), cases.case(base, contract, **tables))


def test_copies_across_the_split_are_counted(tmp_path):
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    holdout.iloc[:40] = train.iloc[:40].to_numpy()
    found = failing(data_contract(tmp_path, train=train, holdout=holdout.astype(train.dtypes)))
    assert found.keys() == {"no copies across the split"}
    assert "40 of 800" in found["no copies across the split"]


def test_rows_that_are_alike_by_nature_are_no_copies(tmp_path):
    """Two categories and whole numbers: a third of any sample has a twin in any other."""
    tables = [models.frame(rows, seed).assign(**{"income per year": 50.0}) for rows, seed in ((1500, 1), (800, 2))]
    found = data_contract(tmp_path, train=tables[0], holdout=tables[1])
    check = next(check for check in found.checks if check.name == "no copies across the split")
    assert check.verdict is Verdict.PASS
    assert "base rate" in check.sentence
    assert check.low < 0 < check.high


def test_a_shifted_column_is_named(tmp_path):
    holdout = models.frame(800, 2)
    holdout["income per year"] += 30
    found = failing(data_contract(tmp_path, holdout=holdout))
    assert "income per year" in found["train and holdout look alike"]


@pytest.mark.parametrize(("time", "held"), [("Year", True), (None, False)])
def test_a_split_in_time_does_not_fail_on_the_clock_itself(time, held):
    """And any other input is judged beside it."""
    train, holdout = models.frame(1500, 1).assign(Year=2015), models.frame(800, 2).assign(Year=2016)
    train.loc[:700, "Year"] = 2014
    contract = dataclasses.replace(
        LAX, inputs=(*LAX.inputs, Input(name="Year", type=DataType.INTEGER)),
        data=Data(train="train.csv", holdout="holdout.csv", target="y", time=time),
    )  # fmt: skip
    case: Any = SimpleNamespace(contract=contract, train=train, holdout=holdout, violations=())
    checks = DataContract(DataContractGate()).measure(case, lambda *_: None).checks
    found = next(check for check in checks if check.name == "train and holdout look alike")
    assert (found.verdict is Verdict.PASS) is held
    assert ("Year goes forward with time" in found.sentence) is held


def test_a_full_stop_after_the_label_is_another_label(tmp_path):
    holdout = models.frame(800, 2)
    holdout["y"] += "."
    case = cases.case(tmp_path, LAX, holdout=holdout)
    found = failing(run_gate(DataContract(DataContractGate()), case))
    assert "'no.'" in found["labels are the same"]
    assert "unknown class" in found["holdout keeps the contract"]


def test_a_group_on_both_sides_is_seen(tmp_path):
    contract = dataclasses.replace(LAX, data=Data(train="train.csv", holdout="holdout.csv", target="y", group="who"))
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    train["who"], holdout["who"] = np.arange(1500) % 300, np.arange(800) % 100 + 299
    found = failing(data_contract(tmp_path, contract, train=train, holdout=holdout))
    assert found["groups stay on one side"].startswith("1 of 100")


def test_train_rows_from_the_future_are_counted(tmp_path):
    contract = dataclasses.replace(LAX, data=Data(train="train.csv", holdout="holdout.csv", target="y", time="at"))
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    train["at"], holdout["at"] = np.arange(1500), np.arange(1490, 2290)
    found = failing(data_contract(tmp_path, contract, train=train, holdout=holdout))
    assert found["train comes first"].startswith("9 of 1,500")


def test_a_flagged_category_is_noted_and_not_held_against_the_table(tmp_path):
    holdout = models.frame(800, 2)
    holdout.loc[:4, "town"] = "Z"
    evidence = data_contract(tmp_path, holdout=holdout)
    assert evidence.verdict is Verdict.PASS
    assert evidence.notes == ("town: unseen category in 5 holdout rows; the contract says flag.",)


# The holdout.


def test_a_leaking_column_is_a_leak_until_explained(tmp_path):
    def leak(frame):
        return frame.assign(age=np.where(frame["y"] == "yes", 60, 30))

    case = cases.case(tmp_path, LAX, train=leak(models.frame(1500, 1)), holdout=leak(models.frame(800, 2)))
    found = failing(run_gate(Holdout(HoldoutGate()), case))
    assert "leak until someone explains it" in found["believable"]


def test_a_model_that_says_one_thing_does_not_beat_the_majority(tmp_path):
    contract = dataclasses.replace(LAX, objective=Objective(metric=Metric.ACCURACY))
    train = models.frame(1500, 1)
    stump = DecisionTreeClassifier(min_samples_leaf=1499).fit(train[models.NUMERIC], train["y"])
    names = dataclasses.replace(contract, inputs=models.inputs(names=models.NUMERIC))
    found = failing(run_gate(Holdout(HoldoutGate()), cases.case(tmp_path, names, train=train, model=stump)))
    assert "against the majority class" in found


def test_a_linear_model_may_be_linear(tmp_path):
    contract = dataclasses.replace(LAX, inputs=models.inputs(names=models.NUMERIC))
    train = models.frame(1500, 1)
    model = LogisticRegression(max_iter=1000).fit(train[models.NUMERIC], train["y"])
    evidence = run_gate(Holdout(HoldoutGate()), cases.case(tmp_path, contract, train=train, model=model))
    assert evidence.verdict is Verdict.PASS


def test_a_worse_version_is_refused_against_the_champion(sound, tmp_path):
    train = models.frame(1500, 1)
    train.loc[:600, "y"] = np.random.default_rng(1).choice(["yes", "no"], 601)
    worse = cases.case(tmp_path, LAX, train=train, champion=Champion(label="v1", predictor=sound.predictor))
    found = failing(run_gate(Holdout(HoldoutGate()), worse))
    assert "is worse than the champion v1" in found["against the champion v1"]
    same = dataclasses.replace(sound, champion=Champion(label="v1", predictor=sound.predictor))
    assert run_gate(Holdout(HoldoutGate()), same).verdict is Verdict.PASS


def test_the_least_value_and_guardrails_hold_at_the_worse_end(sound):
    guarded = dataclasses.replace(
        sound, contract=dataclasses.replace(LAX, guardrails=(Guardrail(metric=Metric.RECALL, limit=0.99),))
    )
    assert failing(run_gate(Holdout(HoldoutGate(minimum=0.95)), guarded)).keys() == {"objective"}
    alone = dataclasses.replace(guarded.contract, gates=dataclasses.replace(LAX.gates, objective=None))
    found = failing(run_gate(Holdout(HoldoutGate()), dataclasses.replace(guarded, contract=alone)))
    assert found.keys() == {"guardrail recall"}, "no contract may lose a guardrail because a gate came later"


def test_regression_is_judged_against_the_median(tmp_path):
    contract = dataclasses.replace(models.contract(Task.REGRESSION), serving=LAX.serving)
    evidence = run_gate(Holdout(HoldoutGate()), cases.case(tmp_path, contract))
    names = [check.name for check in evidence.checks]
    assert "against the median" in names
    assert evidence.checks[1].verdict is Verdict.PASS


def sticky(rows, seed):
    """Labels that mostly stay what they were, and a weak input: no change is hard to beat."""
    rng = np.random.default_rng(seed)
    label = np.cumsum(rng.random(rows) < 0.12) % 2
    return pd.DataFrame(
        {
            "income per year": 50 + 12 * label + rng.normal(0, 15, rows),
            "age": rng.integers(18, 80, rows),
            "y": np.where(label == 1, "yes", "no"),
        }
    )


def in_time(contract):
    return dataclasses.replace(
        contract,
        data=Data(train="train.csv", holdout="holdout.csv", target="y", time="row_order"),
        objective=Objective(metric=Metric.ACCURACY),
    )


def test_a_model_that_loses_to_no_change_is_refused_in_one_sentence(tmp_path):
    contract = in_time(dataclasses.replace(LAX, inputs=models.inputs(names=models.NUMERIC)))
    case = cases.case(tmp_path, contract, train=sticky(2000, 1), holdout=sticky(1500, 2))
    found = failing(run_gate(Holdout(HoldoutGate()), case))
    assert "against the majority class" not in found
    assert "is worse than no change" in found["against no change (the label before)"]


ELEC2 = Path(__file__).parents[2] / ".." / "shared" / "data" / "elec2.csv.gz"


@pytest.mark.skipif(not ELEC2.exists(), reason="needs ../shared/data/elec2.csv.gz")
def test_elec2_boosting_beats_the_majority_and_loses_to_no_change(tmp_path):
    table = pd.read_csv(ELEC2).drop(columns=["date", "nswprice"])
    names = [name for name in table if name != "class"]
    contract = dataclasses.replace(
        in_time(LAX),
        data=Data(train="train.csv", holdout="holdout.csv", target="class", time="row_order"),
        inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in names),
        outputs=Outputs(classes=("DOWN", "UP"), positive="UP"),
    )
    case = cases.case(tmp_path, contract, train=table[:15000], holdout=table[15000:])
    evidence = run_gate(Holdout(HoldoutGate()), case)
    assert evidence.checks[0].estimate == pytest.approx(0.625, abs=0.02)
    assert "against no change (the label before)" in failing(evidence)
    assert "against the majority class" not in failing(evidence)


# Odd inputs and load.


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda e, rows: [[p + 0.01 * (len(rows) == 1), 1 - p] for p, _ in e.predict(rows)], "batch equals single"),
        (lambda e, rows: (lambda s: [[s[0][0], q] for _, q in s])(e.predict(rows)), "order of rows"),
        (lambda e, rows: [[p, q + np.random.default_rng().random()] for p, q in e.predict(rows)], "determinism"),
    ],
)
def test_answers_that_depend_on_how_one_asks_are_caught(sound, change, check):
    broken = dataclasses.replace(sound, predictor=Broken(sound.predictor, change))
    assert check in failing(run_gate(EdgeCases(EdgeCasesGate()), broken))


def test_a_crash_on_an_odd_input_is_named(sound):
    def crash(endpoint, rows):
        if len(rows) == 1 and rows[0].get("town") == "":
            raise KeyError("town")
        return endpoint.predict(rows)

    evidence = run_gate(
        EdgeCases(EdgeCasesGate()), dataclasses.replace(sound, predictor=Broken(sound.predictor, crash))
    )
    assert evidence.tables[0].rows[0][0] == "town: unseen text ''"
    assert "KeyError" in evidence.tables[0].rows[0][2]


def test_a_slow_server_fails_the_load_gate(sound):
    contract = dataclasses.replace(LAX, serving=dataclasses.replace(LAX.serving, p99_ms=50))
    slow = dataclasses.replace(sound, contract=contract, staging=Stage(sound.predictor, slow=0.2))
    assert "p99, ms" in failing(run_gate(Load(AGREED), slow))


def heard(late_ms=0.0, answer_ms=10.0, n=100, failure=""):
    due = [i / 100 for i in range(n)]
    return [
        traffic.Heard(due=t, sent=t + late_ms / 1000, done=t + (late_ms + answer_ms) / 1000, failure=failure)
        for t in due
    ]


def test_a_sender_that_is_late_measured_nothing():
    found = Load(LoadGate()).judge(heard(late_ms=200), LAX.serving, 1.0)
    assert {c.name for c in found.checks if c.verdict is Verdict.CANNOT_TELL} == {"rate reached", "p99, ms"}


def test_latency_counts_from_when_a_request_was_due():
    found = Load(LoadGate()).judge(heard(late_ms=30, answer_ms=10), LAX.serving, 1.0)
    assert found.checks[1].estimate == pytest.approx(40)


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        pytest.param(1, Verdict.PASS, id="one slow answer in 200"),
        pytest.param(3, Verdict.CANNOT_TELL, id="three: the interval holds the limit"),
        pytest.param(20, Verdict.FAIL, id="one in ten"),
    ],
)
def test_a_p99_fails_only_when_it_is_sure(slow, verdict):
    answers = [dataclasses.replace(h, done=h.sent + 0.4) for h in heard(n=slow)] + heard(n=200 - slow)
    found = Load(LoadGate()).judge(answers, dataclasses.replace(LAX.serving, p99_ms=100.0), 1.0)
    assert next(c for c in found.checks if c.id == "p99").verdict is verdict


def test_a_server_that_falls_behind_does_not_reach_the_rate():
    behind = [dataclasses.replace(h, done=h.due * 7) for h in heard()]
    found = Load(LoadGate()).judge(behind, dataclasses.replace(LAX.serving, deadline_ms=500), 1.0)
    assert found.checks[0].estimate == pytest.approx(0.22)
    assert found.checks[0].verdict is Verdict.FAIL


def test_arrivals_are_poisson():
    due = traffic.arrivals(100, 50, seed=1)
    gaps = np.diff(due)
    assert len(due) == pytest.approx(5000, abs=4 * 5000**0.5)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(1, abs=0.06)
    assert due == traffic.arrivals(100, 50, seed=1)


# The runner.

#: What checks are known by in evidence that is stored, compared between versions and looked up.
RELEASED_IDS = {
    "data_contract": {
        "train_keeps_the_contract", "holdout_keeps_the_contract", "labels_are_the_same", "no_copies_across_the_split",
        "train_and_holdout_look_alike",
    },
    "leakage": {
        "no_near_copies_across_the_split", "no_input_gives_the_answer_away", "inputs_are_known_before_the_event",
    },
    "holdout": {"objective", "against_the_majority_class", "against_a_linear_model", "believable", "labels_agree"},
    "slices": {"worst_discovered_slice"},
    "calibration": {"calibration", "calibration_without_bins", "calibration_by_town"},
    "objective": {"guardrail_recall"},
    "fairness": {
        "selection_rate_for_yes_by_town", "true_positive_rate_for_yes_by_town", "false_positive_rate_for_yes_by_town",
        "precision_for_yes_by_town", "calibration_for_yes_by_town", "proxies_of_town",
    },
    "explanation": {
        "additivity", "stability_over_seeds", "LIME_agrees", "permutation_importance", "every_column_matters", "opacity",
    },
    "robustness": {"noise", "wrong_units_are_noticed", "editing_one_field", "hop_skip_jump_on_the_candidate"},
    "edge_cases": {
        "odd_inputs_get_what_the_contract_promises", "batch_equals_single", "order_of_rows", "order_of_columns",
        "determinism", "near_the_threshold",
    },
    "parity": {"flipped_decisions"},
    "supply_chain": {
        "format_of_the_source", "operations_of_the_pickle", "picklescan", "modelscan", "fickling", "converted_graph",
        "bill_of_materials", "known_vulnerabilities",
    },
    "replay": {
        "no_server_errors", "answered_in_time", "declared_faults_get_what_is_promised", "answers_in_range",
        "served_equals_offline", "refusals",
    },
    "load": {"rate_reached", "p99", "errors"},
}  # fmt: skip


def test_every_gate_of_the_contract_speaks_in_order(sound):
    heard_of = []
    gates = dataclasses.replace(
        LAX.gates, load=dataclasses.replace(AGREED, seconds=0.5), replay=ReplayGate(requests=50, seconds=0.5)
    )
    data = dataclasses.replace(LAX.data, sensitive=("town",))
    contract = dataclasses.replace(LAX, gates=gates, data=data)
    case = dataclasses.replace(sound, contract=contract)
    evidence = run_gates(case, progress=lambda *step: heard_of.append(step))
    assert [e.gate for e in evidence] == list(required_gates(contract))
    assert set(GATES) - set(required_gates(contract)) == {"behaviour", "tests"}, "which this contract gives no subject"
    assert all(e.verdict is Verdict.PASS for e in evidence), [failing(e) for e in evidence]
    assert all(e.candidate == case.version.id for e in evidence)
    assert all(e.looked_at["holdout"] == case.version.lineage.holdout_digest for e in evidence)
    assert {gate for gate, done, total in heard_of if done == total} == set(required_gates(contract))
    ids = {e.gate: {c.id for c in e.checks} for e in evidence}
    lost = {gate: known - ids[gate] for gate, known in RELEASED_IDS.items() if known - ids[gate]}
    assert not lost, "a check that is worded anew gets its old id as its key"


def test_a_gate_that_breaks_is_a_gate_that_could_not_measure(sound):
    class Crash:
        name, alone, quick, settled = "crash", False, True, True

        def measure(self, case, progress):
            raise ZeroDivisionError("oh")

    broken, fine = run_gates(sound, gates=[Crash(), ParityCheck(ParityGate())])
    assert broken.verdict is Verdict.CANNOT_TELL
    assert "ZeroDivisionError: oh" in broken.checks[0].sentence
    assert fine.verdict is Verdict.PASS


@pytest.mark.parametrize("kind", [Holdout(HoldoutGate()), EdgeCases(EdgeCasesGate())], ids=lambda g: g.name)
def test_without_answers_nothing_passes(sound, kind):
    silent = dataclasses.replace(sound, predictor=Unable())
    assert run_gate(kind, silent).verdict is not Verdict.PASS


def test_refused_rows_are_left_out_and_told(sound):
    def refuse(endpoint, rows):
        if any(row["age"] == 40 for row in rows):
            raise Rejected("no forties")
        return endpoint.predict(rows)

    case = dataclasses.replace(sound, predictor=Broken(sound.predictor, refuse))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        evidence = run_gate(Holdout(HoldoutGate()), case)
    left = 800 - int((case.holdout["age"] == 40).sum())
    assert f"Judged on {left} of 800 rows" in evidence.notes[0]


def test_an_unknown_gate_is_named(sound):
    from modelmark.domain.errors import Missing

    contract = dataclasses.replace(LAX, gates=Gates(plugins={"nobody_brings_this": {}}))
    with pytest.raises(Missing, match="nobody_brings_this"):
        build(contract)


def test_every_gate_is_a_package_that_no_other_gate_may_import():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (alone,) = (rule for rule in rules if rule["name"] == "Gates do not know each other")
    (shared,) = (rule for rule in rules if rule["name"] == "What gates share knows none of them")
    packages = {f"modelmark.gates.{name}" for name in GATES}
    assert packages == set(alone["modules"]) == set(shared["forbidden_modules"])
    assert all((ROOT / "src" / Path(*name.split(".")) / "__init__.py").is_file() for name in packages)
