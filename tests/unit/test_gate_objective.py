"""What was agreed is kept: guardrails, value, the champion's strengths, a threshold that was not fitted to the holdout."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.optimize import brentq

import cases
import models
from endpoint import Broken
from modelmark.contract.catalogue import required_gates
from modelmark.domain.catalogue.gate_settings import HoldoutGate, ObjectiveGate
from modelmark.domain.contract import Costs, Data, Guardrail, Objective, Outputs
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Metric
from modelmark.gates.case import Champion
from modelmark.gates.common.evaluation_set import evaluation_set, guardrail_checks, validation_set
from modelmark.gates.holdout.gate import Holdout
from modelmark.gates.objective.gate import ObjectiveValue, _sides
from modelmark.gates.runner import run_gate
from modelmark.stats import thresholds
from modelmark.testing.gates import check_gate
from tables import biopsies, deciding, failing, named

COSTS = Costs(false_positive=1, false_negative=5)
PRICED = dataclasses.replace(
    models.contract(),
    objective=Objective(metric=Metric.ROC_AUC, costs=COSTS),
    outputs=Outputs(classes=("no", "yes"), positive="yes", threshold=1 / 6),
)


def gate():
    return ObjectiveValue(ObjectiveGate())


def judge(case):
    return run_gate(gate(), case)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("sound"), PRICED, holdout=models.frame(2500, 2))


def lifted(power):
    """Scores raised to a power: the same ranks, other decisions."""

    def change(endpoint, rows):
        p = np.array(endpoint.predict(rows))[:, 1] ** power
        return np.c_[1 - p, p].tolist()

    return change


def blurred(endpoint, rows):
    """Ranks made worse by noise that keeps each side of the threshold."""
    rng = np.random.default_rng(len(rows))
    p = np.array(endpoint.predict(rows))[:, 1]
    noisy = np.where(p >= 1 / 6, np.clip(p + rng.normal(0, 0.25, len(p)), 1 / 6, 1), p)
    return np.c_[1 - noisy, noisy].tolist()


def test_it_conforms_and_holds_guardrails_at_their_worse_end(sound):
    contract = dataclasses.replace(PRICED, guardrails=(Guardrail(metric=Metric.RECALL, limit=0.99),))
    check_gate(gate, sound, dataclasses.replace(sound, contract=contract))
    found = judge(dataclasses.replace(sound, contract=contract))
    assert deciding(found) == {"guardrail recall"}
    assert found.figures[0].title.startswith("Expected cost by threshold")


def test_a_model_without_a_miss_is_not_surely_above_a_guardrail(sound):
    """12 of 12 positives caught: Clopper and Pearson's lower end is 0.735."""
    rows = np.r_[np.flatnonzero(sound.y_true == 1)[:12], np.flatnonzero(sound.y_true == 0)[:300]]
    holdout = sound.holdout.iloc[rows].reset_index(drop=True)
    contract = dataclasses.replace(PRICED, guardrails=(Guardrail(metric=Metric.RECALL, limit=0.95),))
    few = dataclasses.replace(sound, contract=contract)
    all_right = evaluation_set(
        contract, holdout, sound.y_true[rows], np.eye(2)[sound.y_true[rows]], np.ones(312, dtype=bool)
    )
    (check,) = guardrail_checks(few, all_right, 0.95)
    assert (check.estimate, check.high) == (1, 1)
    assert check.measured == pytest.approx(0.7354, abs=1e-4)
    assert check.verdict is Verdict.FAIL


def test_better_in_auc_and_worse_in_value_is_held(sound):
    """The planted fault: the candidate ranks better than the champion and decides at a higher price."""
    champion = Champion(label="v1", predictor=Broken(sound.predictor, blurred))
    candidate = dataclasses.replace(sound, predictor=Broken(sound.predictor, lifted(4)), champion=champion)
    by_rank = run_gate(Holdout(HoldoutGate()), candidate)
    assert named(by_rank, "against the champion v1").low > 0, "it wins on the objective"
    evidence = judge(candidate)
    assert "no harm to expected_cost" in deciding(evidence)
    said = failing(evidence)["no harm to expected_cost"]
    assert "wins on the objective" in said
    assert "but harms the value (expected cost)" in said
    assert "it is held" in said


def test_a_guardrail_that_holds_its_limit_may_still_be_harmed(sound):
    contract = dataclasses.replace(PRICED, guardrails=(Guardrail(metric=Metric.RECALL, limit=0.3),))
    base = dataclasses.replace(sound, contract=contract, champion=Champion(label="v1", predictor=sound.predictor))
    assert not deciding(judge(base)), "as good as the champion harms nothing"
    evidence = judge(dataclasses.replace(base, predictor=Broken(sound.predictor, lifted(3))))
    assert "no harm to recall" in deciding(evidence)
    assert "guardrail recall" not in deciding(evidence)


def test_a_model_dearer_than_deciding_alike_for_all_is_refused(sound):
    dear = dataclasses.replace(sound, predictor=Broken(sound.predictor, lifted(40)))
    assert "deciding the same for everybody is cheaper" in failing(judge(dear))["value"]


def validated(threshold):
    return dataclasses.replace(
        PRICED,
        data=Data(train="train.csv", holdout="holdout.csv", target="y", validation="validation.csv"),
        outputs=dataclasses.replace(PRICED.outputs, threshold=threshold),
    )


def test_a_threshold_is_judged_on_validation_rows_alone(tmp_path):
    rows = models.frame(2500, 4)
    cheap = cases.case(tmp_path, validated(1 / 6), validation=rows)
    assert not failing(judge(cheap))
    dear = cases.case(tmp_path, validated(0.8), validation=rows)
    said = failing(judge(dear))["threshold"]
    assert float(re.search(r"On 2,500 validation rows the cheapest threshold is (0\.\d+)", said)[1]) < 0.25
    assert "set outputs.threshold to" in said
    # The holdout's labels do not matter to it.
    other = dataclasses.replace(dear, contract=dear.contract)
    other.holdout["y"] = other.holdout["y"].map({"yes": "no", "no": "yes"})
    assert named(judge(other), "threshold").estimate == named(judge(dear), "threshold").estimate


def test_regret_is_of_what_is_at_stake_where_gains_and_costs_cancel(tmp_path):
    """With a gain that makes the cheapest price about nought, a tenth of nought is no tolerance."""
    case = cases.case(tmp_path, validated(0.2), validation=models.frame(2500, 4))
    score, positive = _sides(validation_set(case))

    def price(gain):
        return thresholds.cheapest(score, positive, Costs(false_positive=1, false_negative=1, true_positive=-gain))[1]

    gain = float(brentq(price, 0, 5, xtol=1e-4))
    assert abs(price(gain)) < 0.01
    costs = Costs(false_positive=1, false_negative=1, true_positive=-gain)
    near = 1 / (2 + gain) + 0.1
    contract = dataclasses.replace(
        case.contract,
        objective=Objective(metric=Metric.ROC_AUC, costs=costs),
        outputs=dataclasses.replace(case.contract.outputs, threshold=near),
    )
    check = named(judge(dataclasses.replace(case, contract=contract)), "threshold")
    assert check.verdict is Verdict.PASS, check.sentence
    assert 0 < check.estimate < 0.1


def test_without_validation_rows_the_threshold_is_a_question(sound):
    found = named(judge(sound), "threshold")
    assert found.verdict is Verdict.CANNOT_TELL
    assert not found.decides


def test_it_is_asked_where_something_was_agreed():
    assert "objective" not in required_gates(models.contract())
    assert "objective" in required_gates(PRICED)
    guarded = dataclasses.replace(models.contract(), guardrails=(Guardrail(metric=Metric.F1, limit=0.5),))
    assert "objective" in required_gates(guarded)


def test_the_readmes_small_model_passes(tmp_path):
    contract, train, holdout, model = biopsies()
    contract = dataclasses.replace(contract, objective=Objective(metric=Metric.ROC_AUC, costs=COSTS))
    evidence = judge(cases.case(tmp_path, contract, train=train, holdout=holdout, model=model))
    assert evidence.verdict is Verdict.PASS
