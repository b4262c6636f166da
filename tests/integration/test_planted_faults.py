"""One fault planted in an otherwise sound model on real data, and the gate that finds it."""

from __future__ import annotations

import copy
import dataclasses
import os

import joblib
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, StandardScaler

import adult
import cases
import models
from journey import small
from modelmark.contract.table import read_table
from modelmark.domain.catalogue.gate_settings import FairnessGate, HoldoutGate, SupplyChainGate
from modelmark.domain.contract import Contract, Data, DataType, Input, Outputs
from modelmark.domain.evidence import Verdict
from modelmark.gates.fairness.gate import Fairness
from modelmark.gates.holdout.gate import Holdout
from modelmark.gates.runner import run_gate
from modelmark.gates.supply_chain.gate import SupplyChain
from modelmark.seal.digests import digest_file
from modelmark.stats.fairness import disparate_impact
from tables import deciding, failing, named

NUMBERS = ["duration_months", "credit_amount", "installment_rate_pct", "residence_since", "existing_credits"]
YOUNG = 25


def credit(tmp_path, *, shift: float):
    """German credit judged by numbers alone. shift: how much surer, in log-odds, the model must be of the young."""
    table = read_table(adult.SHARED / "german_credit.csv.gz")
    names = [*NUMBERS, "age_years"]
    contract = Contract(
        modelmark=1,
        name="credit",
        model=models.contract().model,
        data=Data(train="train.csv", holdout="holdout.csv", target="class", sensitive=("age_years",)),
        inputs=tuple(Input(name=name, type=DataType.INTEGER) for name in names),
        outputs=Outputs(classes=(1, 2), positive=2, threshold=0.4),
        objective=models.contract().objective,
    )
    train, holdout = table[:400], table[400:]
    columns = make_column_transformer((StandardScaler(), NUMBERS), (Binarizer(threshold=YOUNG), ["age_years"]))
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(train[names], train["class"])
    rule = model[-1]
    rule.coef_[0, -1] = -shift  # over 25: that much less likely to be called bad than somebody younger
    rule.intercept_ += shift * (train["age_years"] > YOUNG).mean()
    return cases.case(tmp_path, contract, train=train, holdout=holdout, model=model)


@adult.needs_german
def test_an_unfair_threshold_by_age_on_german_credit(tmp_path):
    gate = Fairness(FairnessGate(favourable=1, boundaries={"age_years": (float(YOUNG),)}))
    (tmp_path / "even").mkdir()
    (tmp_path / "unfair").mkdir()
    even = run_gate(gate, credit(tmp_path / "even", shift=0.0))
    assert even.verdict is Verdict.PASS, failing(even)
    planted = credit(tmp_path / "unfair", shift=1.2)
    assert run_gate(Holdout(HoldoutGate()), planted).verdict is Verdict.PASS, "as a ranking it is sound"
    found = named(run_gate(gate, planted), "selection rate for 1 by age_years")
    assert found.verdict is Verdict.FAIL
    assert found.sentence.startswith("The selection rate for 1 of age_years ≤ 25 is 0.")
    assert found.high < 0.8


@adult.needs_adult
def test_adults_disparate_impact_is_reproduced_and_refused_at_defaults(tmp_path):
    train, holdout = adult.adult()
    known = np.concatenate([train["income"], holdout["income"]]) == ">50K"
    women = np.concatenate([train["sex"], holdout["sex"]]) == "Female"
    assert disparate_impact(known, women) == pytest.approx(0.3597, abs=5e-5)
    case = cases.case(tmp_path, adult.contract(), train=train[:5000], holdout=holdout[:3000])
    evidence = run_gate(Fairness(FairnessGate()), case)
    assert deciding(evidence) == {"selection rate for >50K by sex"}
    assert "of sex Female is 0.3" in failing(evidence)["selection rate for >50K by sex"]


@adult.needs_adult
def test_label_noise_on_adult(tmp_path):
    train, holdout = (table[:4000] for table in adult.adult())
    (tmp_path / "clean").mkdir()
    (tmp_path / "noisy").mkdir()
    gate = Holdout(HoldoutGate())
    clean = run_gate(gate, cases.case(tmp_path / "clean", adult.contract(), train=train, holdout=holdout))
    assert named(clean, "labels agree").verdict is Verdict.PASS
    wrong = np.random.default_rng(0).random(len(train)) < 0.2
    other = train["income"].map({">50K": "<=50K", "<=50K": ">50K"})
    noisy = train.assign(income=train["income"].mask(wrong, other))
    evidence = run_gate(gate, cases.case(tmp_path / "noisy", adult.contract(), train=noisy, holdout=holdout))
    assert "labels agree" in deciding(evidence)
    assert "wrong labels in train" in failing(evidence)["labels agree"]


class Command:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_model_that_runs_a_command_is_refused_by_register_and_by_the_supply_chain_gate(tmp_path):
    place, marker = small(tmp_path / "place"), tmp_path / "marker"
    place.draft()
    honest = joblib.load(place.folder / "model.joblib")
    hostile = copy.deepcopy(honest)
    hostile.memory_of_training = Command(f"touch {marker}")
    joblib.dump(hostile, place.folder / "model.joblib")
    refused = place.run("register", code=3).err
    assert "no model may" in refused
    assert "system" in refused
    assert "nothing is registered yet" in place.run("check", code=3).err

    (tmp_path / "case").mkdir()
    case = cases.case(tmp_path / "case")
    source = case.base / "model.joblib"
    joblib.dump(hostile, source)
    line = dataclasses.replace(case.version.lineage, source_digest=digest_file(source))
    received = dataclasses.replace(case, version=dataclasses.replace(case.version, lineage=line))
    evidence = run_gate(SupplyChain(SupplyChainGate()), received)
    assert {"picklescan", "modelscan", "fickling"} <= deciding(evidence)
    assert "system" in failing(evidence)["picklescan"]
    assert not marker.exists()
