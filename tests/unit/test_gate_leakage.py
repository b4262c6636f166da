"""Copies, entities, disguised targets and columns from the future are found; honest tables are left alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import cases
import models
from modelmark.domain.catalogue.gate_settings import LeakageGate
from modelmark.domain.contract import Availability, Data, DataType, Input
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Task
from modelmark.gates.common.evaluation_set import evaluation_set_of
from modelmark.gates.common.giveaway import alone
from modelmark.gates.leakage.gate import Leakage
from modelmark.gates.leakage.standing_out import standing_out
from modelmark.gates.runner import run_gate
from modelmark.testing.gates import check_gate
from tables import SHARED, biopsies, contract_for, deciding, failing, named, needs


def gate():
    return Leakage(LeakageGate())


def judge(case):
    return run_gate(gate(), case)


def nudged(train, holdout, count, rng):
    """The holdout with `count` rows copied from train, their numbers moved a hair."""
    copies = train.sample(count, random_state=1)
    moved = copies.assign(**{"income per year": copies["income per year"] + rng.normal(0, 0.005, count)})
    return pd.concat([moved, holdout.iloc[count:]], ignore_index=True)


def test_it_conforms_and_finds_near_copies(tmp_path):
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    (tmp_path / "sound").mkdir()
    (tmp_path / "broken").mkdir()
    sound = cases.case(tmp_path / "sound", train=train, holdout=holdout)
    copied = nudged(train, holdout, 60, np.random.default_rng(0))
    broken = cases.case(tmp_path / "broken", train=train, holdout=copied)
    check_gate(gate, sound, broken)
    found = named(judge(broken), "no near copies across the split")
    assert found.verdict is Verdict.FAIL
    assert "copied across the split" in found.sentence


def test_tables_of_few_values_have_twins_by_nature(tmp_path):
    def coarse(frame):
        return frame.assign(**{"income per year": frame["income per year"].round(-1)})

    evidence = judge(cases.case(tmp_path, train=coarse(models.frame(1500, 1)), holdout=coarse(models.frame(800, 2))))
    assert evidence.verdict is Verdict.PASS, failing(evidence)


def test_crowded_numbers_have_near_twins_by_nature(tmp_path):
    names = models.NUMERIC[:1]
    contract = models.contract(names=names)
    evidence = judge(cases.case(tmp_path, contract, train=models.frame(4000, 1), holdout=models.frame(1000, 2)))
    found = named(evidence, "no near copies across the split")
    assert found.verdict is Verdict.PASS
    assert "the base rate among train's own rows is 9" in found.sentence  # nearly all of them


def with_entities(time=None):
    return dataclasses.replace(
        models.contract(), data=Data(train="train.csv", holdout="holdout.csv", target="y", entity_key="who", time=time)
    )


def test_an_entity_on_both_sides_is_found(tmp_path):
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    train["who"], holdout["who"] = np.arange(1500) % 500, np.arange(800) + 480
    found = failing(judge(cases.case(tmp_path, with_entities(), train=train, holdout=holdout)))
    assert "20 of 800 holdout rows" in found["entities stay on one side"]


def test_an_entity_may_return_in_time(tmp_path):
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    train["who"], holdout["who"] = np.arange(1500) % 500, np.arange(800)
    evidence = judge(cases.case(tmp_path, with_entities("row_order"), train=train, holdout=holdout))
    assert evidence.verdict is Verdict.PASS
    assert "they come back" in failing(evidence)["entities stay on one side"]


def test_an_absent_entity_column_could_not_be_measured(tmp_path):
    assert judge(cases.case(tmp_path, with_entities())).verdict is Verdict.CANNOT_TELL


def test_the_target_in_disguise_is_named(tmp_path):
    def leak(frame):
        return frame.assign(age=np.where(frame["y"] == "yes", 60, 30))

    case = cases.case(tmp_path, train=leak(models.frame(1500, 1)), holdout=leak(models.frame(800, 2)))
    assert "age is the target in disguise" in failing(judge(case))["no input gives the answer away"]


def test_a_dozen_rows_give_nothing_away(tmp_path):
    """Two rows of the rarer class are told apart by chance alone: nobody is refused for it."""
    holdout = models.frame(400, 2)
    few = pd.concat([holdout[holdout["y"] == "yes"].head(3), holdout[holdout["y"] == "no"].head(12)])
    few["age"] = np.where(few["y"] == "yes", 60, 30)
    train = models.frame(1500, 1)
    train["age"] = np.where((train["y"] == "yes") ^ (np.random.default_rng(0).random(1500) < 0.2), 60, 30)
    found = named(judge(cases.case(tmp_path, train=train, holdout=few)), "no input gives the answer away")
    assert found.estimate == 1
    assert not found.decides
    assert "more labels needed" in found.sentence


def test_the_strongest_input_is_judged_at_its_intervals_lower_end(tmp_path):
    found = named(judge(cases.case(tmp_path)), "no input gives the answer away")
    assert found.low == found.measured < found.estimate < found.high
    assert found.n == 800


@needs("bike_sharing_hour.csv.gz")
def test_the_bikes_that_sum_to_the_target_are_named(tmp_path):
    table = pd.read_csv(SHARED / "bike_sharing_hour.csv.gz")
    table = table[["hr", "temp", "hum", "weekday", "workingday", "registered", "cnt"]].sample(4000, random_state=0)
    contract = contract_for(table, "cnt")
    assert contract.model.task is Task.REGRESSION
    case = cases.case(tmp_path, contract, train=table[:3000], holdout=table[3000:])
    strict = run_gate(Leakage(LeakageGate(suspicious=0.85)), case)  # R² 0.95, surely above 0.89
    assert "registered is the target in disguise" in failing(strict)["no input gives the answer away"]


@pytest.mark.parametrize(
    ("known", "verdict"), [(Availability.AFTER, Verdict.FAIL), (Availability.BEFORE, Verdict.PASS)]
)
def test_what_people_say_of_an_input_decides(tmp_path, known, verdict):
    inputs = tuple(dataclasses.replace(i, known=known if i.name == "age" else i.known) for i in models.inputs())
    evidence = judge(cases.case(tmp_path, models.contract(inputs=inputs)))
    assert evidence.verdict is verdict
    if known is Availability.AFTER:
        assert "age is known only after the event" in failing(evidence)["inputs are known before the event"]


def test_a_name_that_sounds_late_is_a_question(tmp_path):
    train, holdout = (f.rename(columns={"town": "refund_town"}) for f in (models.frame(1500, 1), models.frame(800, 2)))
    inputs = tuple(dataclasses.replace(i, name=i.name.replace("town", "refund_town")) for i in models.inputs())
    evidence = judge(cases.case(tmp_path, models.contract(inputs=inputs), train=train, holdout=holdout))
    assert evidence.verdict is Verdict.PASS
    assert "refund_town (by its name)" in failing(evidence)["inputs that may come after the event"]


def test_the_readmes_small_model_passes(tmp_path):
    contract, train, holdout, model = biopsies()
    evidence = judge(cases.case(tmp_path, contract, train=train, holdout=holdout, model=model))
    assert not deciding(evidence), failing(evidence)


# An input that is known only afterwards, and alone is not yet perfect.


def calls(rows, seed, *, told=1.0):
    """Calls that sell: the longer, the likelier; age and income say a little. told: how much the length says."""
    rng = np.random.default_rng(seed)
    age, income = rng.integers(18, 81, rows), rng.normal(50, 10, rows)
    ringing, talking = rng.gamma(1.0, 130, (2, rows))
    length = ringing + talking
    logit = told * 8 * np.log(length / 220) + 0.12 * (income - 50) + 0.03 * (age - 50)
    said = np.where(rng.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no")
    parts = {"ringing": ringing.round(1) + 0.1, "talking": talking.round(1) + 0.1}
    return pd.DataFrame({"length": length.round(1), "age": age, "income": income.round(3), **parts, "y": said})


def of_calls(folder, *, told=1.0, known=Availability.UNKNOWN, parts=False):
    train, holdout = calls(1500, 1, told=told), calls(800, 2, told=told)
    names = ["length", "age", "income"]
    names += ["ringing", "talking"] if parts else []
    inputs = tuple(
        Input(name=n, type=DataType.NUMBER, known=known if n == "length" else Availability.BEFORE) for n in names
    )
    contract = dataclasses.replace(models.contract(), inputs=inputs)
    models.write_tables(folder, train, holdout)
    model = LogisticRegression(max_iter=500).fit(np.log(train[names]), train["y"])

    class Says:
        def predict(self, rows):
            return model.predict_proba(np.log(pd.DataFrame(rows)[names])).tolist()

    return cases.Case(
        version=cases.version(folder, contract), contract=contract, base=folder, folder=folder, staging=None,
        predictor=Says(), clock=lambda: cases.NOW,
    )  # fmt: skip


def test_an_input_that_stands_out_is_named_with_what_the_rest_can_do(tmp_path):
    case = of_calls(tmp_path)
    check = named(judge(case), "inputs that may come after the event")
    found = standing_out(case, evaluation_set_of(case), alone(case, evaluation_set_of(case)))
    assert found is not None
    assert (found.name, found.alone < 0.95, found.alone > 0.9, found.second < 0.75) == ("length", True, True, True)
    assert found.whole - found.without > 0.15
    assert found.asked - found.shuffled > 0.15
    assert not check.decides
    assert check.measured == 1
    assert (
        f"length (alone {found.alone:.3g}, the next input {found.second:.3g}; without it a quick model"
        in check.sentence
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"told": 0.4}, id="strong, and no more than that"),
        pytest.param({"known": Availability.BEFORE}, id="somebody said that it is known"),
        pytest.param({"parts": True}, id="others together can stand in for it"),
    ],
)
def test_an_input_is_not_named_where(tmp_path, changes):
    evidence = judge(of_calls(tmp_path, **changes))
    assert "inputs that may come after the event" not in [check.name for check in evidence.checks]
