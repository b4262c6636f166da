"""A weak slice is found and named; sound models and small slices are not refused."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

import cases
import models
from endpoint import Broken
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.catalogue.gate_settings import SlicesGate
from modelmark.domain.contract import Slice
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Task
from modelmark.gates.runner import run_gate
from modelmark.gates.slices.gate import Slices
from modelmark.stats.slicing import text_conditions
from modelmark.testing.gates import check_gate
from tables import SHARED, biopsies, clean, contract_for, deciding, failing, named, needs

ROWS = 3000


def gate():
    return Slices(SlicesGate())


def judge(case):
    return run_gate(gate(), case)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("sound"), holdout=models.frame(ROWS, 2))


def weak(frame):
    """3% of the rows: nurses of the older third of a third of the towns."""
    return (frame["job-title"] == "nurse") & (frame["age"] >= 74)


def upside_down(endpoint, rows):
    """The model answers the wrong way round on the weak rows."""
    answers = endpoint.predict(rows)
    late = [row["job-title"] == "nurse" and row["age"] >= 74 for row in rows]
    return [list(reversed(a)) if bad else a for a, bad in zip(answers, late, strict=True)]


def test_it_conforms_and_finds_a_weak_slice_of_three_in_a_hundred(sound):
    assert weak(sound.holdout).mean() == pytest.approx(0.037, abs=0.01)
    broken = dataclasses.replace(sound, predictor=Broken(sound.predictor, upside_down))
    check_gate(gate, sound, broken)
    found = named(judge(broken), "worst discovered slice")
    assert "job-title = nurse" in found.sentence
    assert "age" in found.sentence
    assert "surely worse" in found.sentence


def test_it_is_found_on_a_few_hundred_rows_too(tmp_path):
    few = cases.case(tmp_path, holdout=models.frame(1600, 5))
    broken = dataclasses.replace(few, predictor=Broken(few.predictor, upside_down))
    assert judge(broken).verdict is Verdict.FAIL


def declared(*where, name="older nurses"):
    return dataclasses.replace(models.contract(), slices=(Slice(name=name, where=where),))


def test_a_declared_slice_is_judged_whole(sound):
    contract = declared(Condition(column="job-title", any_of=("nurse",)), Condition(column="age", at_least=74))
    fine = dataclasses.replace(sound, contract=contract)
    assert judge(fine).verdict is Verdict.PASS
    broken = dataclasses.replace(fine, predictor=Broken(sound.predictor, upside_down))
    assert "slice older nurses" in deciding(judge(broken))
    rows = {row[0]: row for row in judge(broken).tables[0].rows}
    assert rows["older nurses"][2] == int(weak(sound.holdout).sum())
    value, low, high = map(float, re.match(r"(\S+) \[(\S+), (\S+)\]", rows["older nurses"][3]).groups())
    assert low < value < high


def test_a_small_slice_says_how_many_labels_it_lacks(sound):
    contract = declared(Condition(column="age", below=19), Condition(column="income per year", at_least=78))
    evidence = judge(dataclasses.replace(sound, contract=contract))
    assert evidence.verdict is Verdict.PASS
    assert "more labels needed" in failing(evidence)["slice older nurses"]


def test_a_slice_of_an_absent_column_could_not_be_measured(sound):
    contract = declared(Condition(column="shoe size", below=19))
    assert judge(dataclasses.replace(sound, contract=contract)).verdict is Verdict.CANNOT_TELL


def test_missing_values_make_a_slice(tmp_path):
    contract = declared(Condition(column="town", missing=True), name="no town")
    contract = dataclasses.replace(contract, inputs=models.inputs(nullable=True))
    train, holdout = models.frame(1500, 1, nulls=0.1), models.frame(800, 2, nulls=0.1)
    evidence = judge(cases.case(tmp_path, contract, train=train, holdout=holdout))
    assert named(evidence, "slice no town").n == int(holdout["town"].isna().sum())


def test_regression_is_judged_by_ranks(tmp_path):
    fine = cases.case(tmp_path, models.contract(Task.REGRESSION), holdout=models.frame(ROWS, 2))
    assert judge(fine).verdict is Verdict.PASS, failing(judge(fine))

    def off(endpoint, rows):
        answers = endpoint.predict(rows)
        return [
            [a[0] + 30 * (r["job-title"] == "nurse" and r["age"] >= 74)] for a, r in zip(answers, rows, strict=True)
        ]

    found = judge(dataclasses.replace(fine, predictor=Broken(fine.predictor, off)))
    assert found.verdict is Verdict.FAIL
    assert "rank of the error" in failing(found)["worst discovered slice"]


def test_clean_problems_are_not_refused(tmp_path):
    """Twelve models that know the truth as well as it can be known: none refused."""
    refused = 0
    for seed in range(12):
        table, _ = clean(1500, seed)
        contract = contract_for(table, "y")
        case = cases.case(tmp_path, contract, train=table[:700], holdout=table[700:])
        refused += judge(case).verdict is not Verdict.PASS
    assert refused == 0


def test_the_readmes_small_model_passes(tmp_path):
    contract, train, holdout, model = biopsies()
    assert judge(cases.case(tmp_path, contract, train=train, holdout=holdout, model=model)).verdict is Verdict.PASS


def test_a_tiny_holdout_is_no_reason_to_refuse(tmp_path):
    evidence = judge(cases.case(tmp_path, holdout=models.frame(30, 2)))
    assert evidence.verdict is Verdict.PASS
    assert "cannot be told" in evidence.checks[0].sentence


def test_a_holdout_too_small_to_hold_a_slice_cannot_tell(tmp_path):
    (check,) = judge(cases.case(tmp_path, holdout=models.frame(10, 2))).checks
    assert check.measured is None
    assert not check.decides
    assert "about 17 more labels needed" in check.sentence


def test_a_slice_of_one_group_cannot_be_told(tmp_path):
    holdout = models.frame(800, 2).assign(who=np.arange(800))
    holdout.loc[:39, ["town", "who"]] = ["A", 10_000]
    holdout.loc[:39, "job-title"], holdout.loc[40:, "job-title"] = "smith", "nurse"
    contract = declared(Condition(column="job-title", any_of=("smith",)))
    contract = dataclasses.replace(contract, data=dataclasses.replace(contract.data, group="who"))
    evidence = judge(cases.case(tmp_path, contract, train=models.frame(1500, 1).assign(who=-1), holdout=holdout))
    assert "they all belong to one group" in failing(evidence)["slice older nurses"]
    assert "slice older nurses" not in deciding(evidence)
    assert any(check.decides for check in evidence.checks)


def test_missing_text_is_a_condition():
    (missing, town) = text_conditions("town", [None, "A", None])
    assert (missing.text, missing.mask.tolist()) == ("town is missing", [True, False, True])
    assert town.text == "town = A"


def test_groups_are_searched_whole(tmp_path):
    from modelmark.domain.contract import Data

    holdout = models.frame(ROWS, 2).assign(who=np.arange(ROWS) // 5)
    contract = dataclasses.replace(
        models.contract(), data=Data(train="train.csv", holdout="holdout.csv", target="y", group="who")
    )
    train = models.frame(1500, 1).assign(who=-1)
    case = cases.case(tmp_path, contract, train=train, holdout=holdout)
    assert judge(case).verdict is Verdict.PASS
    assert judge(dataclasses.replace(case, predictor=Broken(case.predictor, upside_down))).verdict is Verdict.FAIL


@needs("adult_train.csv.gz")
def test_adult_passes_and_a_weak_slice_planted_in_it_is_named(tmp_path):
    train, holdout = (pd.read_csv(SHARED / f"adult_{part}.csv.gz") for part in ("train", "test"))
    holdout["income"] = holdout["income"].str.rstrip(".")
    train = train.sample(8000, random_state=0)
    sound = cases.case(tmp_path, contract_for(train, "income"), train=train, holdout=holdout)
    assert judge(sound).verdict is Verdict.PASS
    late = ((holdout["occupation"] == "Sales") & (holdout["hours-per-week"] >= 50)).to_numpy()
    assert late.mean() == pytest.approx(0.034, abs=0.004)
    scores = sound.scores.copy()
    scores[late] = scores[late][:, ::-1]
    broken = dataclasses.replace(sound)
    broken.__dict__["scores"] = scores
    found = judge(broken)
    assert found.verdict is Verdict.FAIL
    assert "occupation = Sales" in failing(found)["worst discovered slice"]
