"""Probabilities that mislead are found when that is sure, and mended by a map that becomes part of the graph."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import cases
import models
from endpoint import Broken, Endpoint
from modelmark.domain.catalogue.gate_settings import CalibrationGate
from modelmark.domain.contract import Objective
from modelmark.domain.errors import Missing, Rejected, Unmeasured
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Metric
from modelmark.domain.version import ARTIFACT, SIGNATURE
from modelmark.gates.calibration.gate import Calibration
from modelmark.gates.runner import run_gate
from modelmark.registry import graph, recalibrate, tensors
from modelmark.registry.convert import request_of, signature_bytes
from modelmark.stats.recalibration import Method
from modelmark.testing.gates import check_gate
from tables import biopsies, clean, contract_for, deciding, failing, named


def gate():
    return Calibration(CalibrationGate())


def judge(case):
    return run_gate(gate(), case)


def known(tmp_path, rows=3000, seed=0, **data):
    """A case whose model is the true one, refitted; its table has a group column of its own."""
    table, _ = clean(rows + 800, seed)
    contract = contract_for(table, "y", data=data)
    return cases.case(tmp_path, contract, train=table[:800], holdout=table[800:], model=_line(table, contract))


def _line(table, contract):
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encode = make_column_transformer((OneHotEncoder(sparse_output=False), ["k"]), remainder="passthrough")
    names = [item.name for item in contract.inputs]
    return make_pipeline(encode, LogisticRegression(C=100)).fit(table[names], table["y"])


def sharper(by):
    """Log-odds times `by`: ranks as before, but too sure of itself."""

    def change(endpoint, rows):
        p = np.clip(np.array(endpoint.predict(rows))[:, 1], 1e-9, 1 - 1e-9)
        q = 1 / (1 + np.exp(-by * np.log(p / (1 - p))))
        return np.c_[1 - q, q].tolist()

    return change


def test_it_conforms_and_finds_a_model_too_sure_of_itself(tmp_path):
    sound = known(tmp_path)
    broken = dataclasses.replace(sound, predictor=Broken(sound.predictor, sharper(3)))
    check_gate(gate, sound, broken)
    assert "surely more than the 0.08" in failing(judge(broken))["calibration"]
    assert judge(sound).figures[0].title.startswith("Reliability on 3,000 rows")


def test_a_tiny_lean_that_is_sure_does_no_harm(tmp_path):
    """p is minute at this size, and the gate passes: only an error that matters fails."""
    sound = known(tmp_path, rows=40_000)
    leaning = dataclasses.replace(sound, predictor=Broken(sound.predictor, sharper(1.12)))
    evidence = judge(leaning)
    assert evidence.verdict is Verdict.PASS
    assert named(evidence, "calibration").low > 0


def test_clean_problems_are_not_refused(tmp_path):
    assert sum(judge(known(tmp_path, rows=300, seed=seed)).verdict is not Verdict.PASS for seed in range(15)) == 0


def test_a_group_that_is_misled_is_named(tmp_path):
    sound = known(tmp_path, sensitive=("k",))

    def unfair(endpoint, rows):
        return [
            [1 - min(a[1] + 0.25, 0.99), min(a[1] + 0.25, 0.99)] if row["k"] == "z" else a
            for row, a in zip(rows, endpoint.predict(rows), strict=True)
        ]

    assert not failing(judge(sound))
    found = failing(judge(dataclasses.replace(sound, predictor=Broken(sound.predictor, unfair))))
    assert " for z on " in found["calibration by k"]


def test_a_small_group_says_how_many_labels_it_lacks(tmp_path):
    table, _ = clean(1500, 0)
    table.loc[table.index[-20:], "k"] = "rare"
    contract = contract_for(table, "y", data={"sensitive": ("k",)})
    case = cases.case(tmp_path, contract, train=table[:800], holdout=table[800:], model=_line(table, contract))
    evidence = judge(case)
    rows = {row[1]: row for row in evidence.tables[0].rows}
    assert rows["rare"][-1] == "cannot tell; about 20 more labels needed"
    assert evidence.verdict is Verdict.PASS


def test_the_readmes_small_model_passes(tmp_path):
    contract, train, holdout, model = biopsies()
    assert not failing(judge(cases.case(tmp_path, contract, train=train, holdout=holdout, model=model)))


# Recalibration, end to end.


def naive(tmp_path, rows=6000):
    """Naive Bayes on inputs that repeat each other: a textbook case of overconfidence, with validation rows."""
    table, _ = clean(rows, 3)
    table = table.drop(columns="k").assign(e=table["a"], f=table["a"], g=table["b"])
    contract = contract_for(
        table, "y", data={"validation": "validation.csv"}, objective=Objective(metric=Metric.ROC_AUC)
    )
    names = [item.name for item in contract.inputs]
    model = GaussianNB().fit(table[:1000][names], table[:1000]["y"])
    cut = (rows + 1000) // 2
    case = cases.case(
        tmp_path, contract, train=table[:1000], holdout=table[cut:], validation=table[1000:cut], model=model
    )
    endpoint = case.predictor
    from endpoint import onnx_of
    from modelmark.domain.version import Signature
    from modelmark.seal.values import restore

    made, _ = onnx_of(model, contract, table[cut:])
    (tmp_path / ARTIFACT).write_bytes(made)
    (tmp_path / SIGNATURE).write_bytes(signature_bytes(restore(Signature, endpoint.signature)))
    return case


@pytest.mark.parametrize("method", [*Method, None])
def test_an_uncalibrated_model_passes_after_recalibration(tmp_path, method):
    case = naive(tmp_path)
    assert "calibration" in deciding(judge(case))
    made = recalibrate.recalibrate(case, method)
    assert made.map.method is (method or Method.ISOTONIC)
    assert made.before.low > 0.08 > made.after.high
    # As `register` takes it: an ONNX source, its signature inferred.
    signature = graph.infer_signature(graph.read(made.model), request_of(case.contract))
    mended = Endpoint(case.contract, made.model, signature)
    rows = case.holdout.drop(columns="y").astype(float)
    answers = np.array(mended.predict(rows.to_dict("records")[:500]))
    before = np.array(case.predictor.predict(rows.to_dict("records")[:500]))[:, 1]
    assert answers[:, 1] == pytest.approx(made.map(before), abs=2e-5)
    assert answers.sum(axis=1) == pytest.approx(np.ones(500), abs=1e-6)
    evidence = judge(dataclasses.replace(case, predictor=mended))
    assert evidence.verdict is Verdict.PASS, failing(evidence)
    assert tensors.session(made.model).get_outputs()[0].name == recalibrate.OUTPUT


def test_recalibration_needs_rows_of_its_own(tmp_path):
    case = naive(tmp_path, rows=3000)
    without = dataclasses.replace(case.contract, data=dataclasses.replace(case.contract.data, validation=None))
    with pytest.raises(Missing, match="no rows to recalibrate on"):
        recalibrate.recalibrate(dataclasses.replace(case, contract=without), None)
    case.validation.head(500).to_csv(tmp_path / "validation.csv", index=False)
    with pytest.raises(Unmeasured, match="validation table has changed"):
        recalibrate.recalibrate(dataclasses.replace(case), None)
    with pytest.raises(Rejected, match="only a binary model"):
        from modelmark.domain.metrics import Task

        recalibrate.recalibrate(dataclasses.replace(case, contract=models.contract(Task.REGRESSION)), None)
