"""Training-serving parity on sampled rows: a broken encoder in serving is found, by a real registration's scores."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import cases
import models
from endpoint import Broken
from modelmark.contract.probes import probes
from modelmark.contract.table import rows_of
from modelmark.domain.catalogue.gate_settings import ParityGate
from modelmark.domain.contract import Policy
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Task
from modelmark.domain.version import PARITY, ParitySample, Probe
from modelmark.gates.parity.gate import ParityCheck
from modelmark.gates.parity.made_up import label_check
from modelmark.gates.runner import run_gate
from modelmark.registry import compare, estimators, tensors
from modelmark.registry.convert import request_of
from modelmark.registry.original import asking
from modelmark.seal.digests import canonical, digest_bytes
from modelmark.seal.values import decode
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


def with_probes(case, model, *, cutoff=None):
    """The case with what registration keeps of made-up rows and of the model's own labels."""
    request = request_of(case.contract)
    original = np.asarray(estimators.original_scores(model, case.holdout, request))
    asked = asking.ask(model, probes(case.contract, case.train).frame, request)
    rows = compare.sampled(len(original))
    labels = asking.labels_of(model, case.holdout.iloc[rows], request, asked).astype(int).tolist()
    made = probes(case.contract, case.train)
    kept = tuple(
        Probe(
            family=family, row=json.dumps(row), original=tuple(found) if np.isfinite(found).all() else None, label=label
        )
        for family, row, found, label in zip(
            made.families, rows_of(made.frame, case.contract), asked.scores.tolist(), labels[len(rows) :], strict=True
        )
    )
    converted = tensors.run(case.predictor.session, case.holdout, case.predictor.signature)
    data = canonical(compare.sample(original, converted, labels=labels[: len(rows)], cutoff=cutoff, probes=kept))
    (case.folder / PARITY).write_bytes(data)
    return dataclasses.replace(case, version=dataclasses.replace(case.version, parity_sample=digest_bytes(data)))


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A holdout without gaps, for a model that learned from some."""
    contract, train = models.contract(nullable=True), models.frame(1500, 1, nulls=0.1)
    model = fitted(contract, train)
    holdout = models.frame(500, 2)
    case = cases.case(tmp_path_factory.mktemp("probed"), contract, train=train, holdout=holdout, model=model)
    return with_probes(case, model), model


def verdicts(evidence):
    return {check.name: check.verdict for check in evidence.checks}


def test_made_up_rows_pass_where_the_served_model_is_the_original(probed):
    case, _ = probed
    evidence = run(case)
    assert evidence.verdict is Verdict.PASS, [c.sentence for c in evidence.checks if c.verdict is not Verdict.PASS]
    families = {name.removeprefix("made-up rows: ") for name in verdicts(evidence) if name.startswith("made-up")}
    assert {"gaps", "categories", "unseen categories", "split points", "mixtures", "bounds"} <= families
    assert verdicts(evidence)["the served label is the author's"] is Verdict.PASS


def test_gaps_that_no_holdout_row_has_are_found_by_made_up_ones(probed):
    case, _ = probed

    def without_gaps(row):
        return {**row, "income per year": 0.0 if row["income per year"] is None else row["income per year"]}

    evidence = run(served(case, without_gaps))
    found = verdicts(evidence)
    assert found["made-up rows: gaps"] is Verdict.FAIL
    assert found["made-up rows: categories"] is Verdict.PASS
    assert found["serving decides as the original"] is Verdict.PASS, "the holdout has nothing to say"
    assert '"income per year": null' in evidence.tables[-1].rows[0][1]


def test_labels_at_another_cut_off_than_the_models_are_named(probed):
    case, model = probed
    tuned = with_probes(case, model, cutoff=0.3)
    check = next(c for c in run(tuned).checks if c.name == "the served label is the author's")
    assert check.verdict is Verdict.PASS, "the model's labels are those of 0.5, which the contract says too"
    shifted = dataclasses.replace(case.contract, outputs=dataclasses.replace(case.contract.outputs, threshold=0.8))
    check = label_of(with_probes(case, model), shifted, 0.8)
    assert check.verdict is Verdict.PASS
    assert "differ on purpose: the contract decides at 0.8" in check.sentence
    check = label_of(with_probes(case, model, cutoff=0.3), shifted, 0.8)
    assert check.verdict is Verdict.FAIL
    assert "The model's own cut-off is 0.3, `outputs.threshold` is 0.8." in check.sentence


def label_of(case, contract, threshold):
    sample = decode(ParitySample, (case.folder / PARITY).read_bytes())
    scores = np.array(sample.converted)
    return label_check(sample, scores, range(len(sample.rows)), ParityGate(), contract)


def test_ties_are_named(probed):
    case, _ = probed
    scores = np.array([[0.5, 0.5]] * 40 + [[0.9, 0.1]] * 60)
    sample = ParitySample(
        rows=tuple(range(100)),
        original=tuple(map(tuple, scores)),
        converted=tuple(map(tuple, scores)),
        labels=(0,) * 100,
    )
    check = label_check(sample, scores, range(100), ParityGate(), case.contract)
    assert check.verdict is Verdict.FAIL
    assert "On 40 the score is 0.5 exactly" in check.sentence


def test_answers_to_what_the_original_refuses_are_counted(probed):
    case, _ = probed
    one = Probe(
        family="unseen categories", row=json.dumps(rows_of(case.holdout, case.contract)[0]), original=None, label=-1
    )
    sample = decode(ParitySample, (case.folder / PARITY).read_bytes())
    (case.folder / PARITY).write_bytes(data := canonical(dataclasses.replace(sample, probes=(*sample.probes, one))))
    refusing = dataclasses.replace(case, version=dataclasses.replace(case.version, parity_sample=digest_bytes(data)))
    check = next(c for c in run(refusing).checks if c.name == "rows that the original refuses")
    assert (check.verdict, check.n, check.measured) == (Verdict.FAIL, 1, 1.0)
    assert "`on_unseen: reject`" in check.sentence
