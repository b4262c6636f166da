"""Training-serving parity on sampled rows: a broken encoder in serving is found, by a real registration's scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import cases
import models
from endpoint import Broken
from modelmark.domain.catalogue.gate_settings import ParityGate
from modelmark.domain.contract import Policy
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Task
from modelmark.domain.version import PARITY
from modelmark.gates.parity.gate import ParityCheck
from modelmark.gates.runner import run_gate
from modelmark.registry import compare, estimators, tensors
from modelmark.registry.convert import request_of
from modelmark.seal.digests import canonical, digest_bytes
from modelmark.testing.gates import check_gate


def registered(case, model):
    """The case with the sample that registration would have written: the original's scores and the graph's."""
    request = request_of(case.contract)
    original = np.asarray(estimators.original_scores(model, case.holdout, request))
    converted = tensors.run(case.predictor.session, case.holdout, case.predictor.signature)
    data = canonical(compare.sample(original, converted))
    (case.folder / PARITY).write_bytes(data)
    return dataclasses.replace(case, version=dataclasses.replace(case.version, parity_sample=digest_bytes(data)))


def fitted(contract, train):
    model, names = cases.boosted(contract)
    return model.fit(train[names], train[contract.data.target])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    contract, train = models.contract(nullable=True), models.frame(1500, 1, nulls=0.05)
    model = fitted(contract, train)
    holdout = models.frame(1400, 2, nulls=0.05)
    case = cases.case(tmp_path_factory.mktemp("sound"), contract, train=train, holdout=holdout, model=model)
    return registered(case, model)


def served(case, change):
    return dataclasses.replace(
        case, predictor=Broken(case.predictor, lambda e, rows: e.predict([change(r) for r in rows]))
    )


def run(case, **settings):
    return run_gate(ParityCheck(ParityGate(**settings)), case)


def swapped(row):
    """An encoder that learned its categories in another order than training."""
    return {**row, "job-title": {"nurse": "smith", "smith": "nurse"}.get(row["job-title"], row["job-title"])}


def test_the_gate_conforms_and_a_broken_encoder_in_serving_is_found(sound):
    evidence = check_gate(lambda: ParityCheck(ParityGate()), sound, served(sound, swapped))
    assert [check.n for check in evidence.checks] == [500, 1000, 1000, 1000]
    found = run(served(sound, swapped))
    assert [check.verdict for check in found.checks] == [Verdict.PASS, *[Verdict.FAIL] * 3]
    assert '"job-title"' in found.tables[0].rows[0][1]
    assert found.looked_at["parity sample"] == sound.version.parity_sample


def test_one_category_of_one_row_is_enough(sound):
    first = int(sound.holdout["income per year"].notna().idxmax())
    income = sound.holdout["income per year"][first]

    def once(row):
        return {**row, "age": 80} if row["income per year"] == income else row

    sample = compare.sample(np.zeros((1400, 2)), np.zeros((1400, 2))).rows
    assert first in sample, "the seeded sample must hold the planted row"
    found = {check.name: check.verdict for check in run(served(sound, once)).checks}
    assert found["serving computes what was registered"] is Verdict.FAIL
    assert found["serving decides as the original"] is Verdict.PASS


def test_imputed_and_flagged_rows_are_not_compared(sound):
    inputs = tuple(
        dataclasses.replace(i, on_out_of_range=Policy.IMPUTE, impute=50.0, maximum=60.0)
        if i.name == "income per year"
        else i
        for i in sound.contract.inputs
    )
    contract = dataclasses.replace(sound.contract, inputs=inputs)
    case = dataclasses.replace(served(sound, lambda r: r), contract=contract)
    case.predictor.sound.contract, before = contract, case.predictor.sound.contract
    try:
        evidence = run(case)
    finally:
        case.predictor.sound.contract = before
    assert evidence.verdict is Verdict.PASS
    table = sound.holdout["income per year"]
    assert evidence.checks[-1].n < int((table.notna() & (table <= 60)).sum())


def test_a_changed_sample_is_no_evidence(sound, tmp_path):
    (tmp_path / PARITY).write_bytes((sound.folder / PARITY).read_bytes() + b" ")
    evidence = run(dataclasses.replace(sound, folder=tmp_path))
    assert evidence.verdict is Verdict.CANNOT_TELL
    assert "is not what was written" in evidence.checks[0].sentence


def test_a_version_without_a_sample_says_that_serving_was_not_compared(sound):
    version = dataclasses.replace(sound.version, parity_sample=None)
    evidence = run(dataclasses.replace(sound, version=version))
    assert [check.name for check in evidence.checks] == ["flipped decisions"]
    assert "register again" in evidence.notes[1]


def test_regression_is_compared_in_standard_deviations(tmp_path):
    contract = models.contract(Task.REGRESSION, names=models.NUMERIC)
    train = models.frame(500, 1)
    model = LinearRegression().fit(train[models.NUMERIC], train["amount"])
    case = cases.case(tmp_path, contract, train=train, holdout=models.frame(300, 2), model=model)
    case = registered(case, model)
    assert run(case).verdict is Verdict.PASS
    found = run(served(case, lambda row: {**row, "age": 18}))
    assert "standard deviations" in found.checks[1].sentence
    assert found.verdict is Verdict.FAIL


def test_the_sample_is_seeded_and_whole_where_the_holdout_is_small():
    scores = np.arange(20.0).reshape(10, 2)
    assert compare.sample(scores, scores).rows == tuple(range(10))
    large = np.random.default_rng(0).random((5000, 2))
    assert compare.sample(large, large) == compare.sample(large, large)
    assert len(set(compare.sample(large, large).rows)) == 1000
