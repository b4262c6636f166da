"""To-dos about the model itself, one test each: a sound candidate passes, one planted mistake is refused by name."""

from __future__ import annotations

import pandas as pd
import pytest

from candidates import INPUTS, Candidate, check, edit, fitted, graph, loans
from journey import logistic
from modelmark.domain.evidence import Verdict

pytestmark = pytest.mark.xdist_group("to-dos")


def test_validation_on_out_of_sample_data(good: Candidate, tmp_path):
    evidence = good.judged("holdout")
    assert evidence.verdict is Verdict.PASS
    said = check(evidence, "objective")
    assert said.sentence.startswith("ROC AUC 0.92")
    assert "on 900 rows; the majority class gives 0.5." in said.sentence
    assert said.low < said.estimate < said.high

    from sklearn.tree import DecisionTreeClassifier

    train = loans(1500, 1)
    remembered = fitted(train, DecisionTreeClassifier(random_state=0))
    assert remembered.score(train[INPUTS], train["y"]) == 1.0, "on its own rows it knows everything"
    parrot = good.planted(tmp_path / "parrot", model=remembered)
    evidence = parrot.judged("holdout")
    assert "The model is worse than a linear model" in check(evidence, "against a linear model").sentence
    assert parrot.status.open_gates["holdout"] is Verdict.FAIL

    seen = pd.concat([train[:300], loans(900, 2)[:600]])
    flattered = good.planted(
        tmp_path / "flattered", tables={"seen.csv": seen}, lines=[(r"^  holdout: .*", '  holdout: "seen.csv"')]
    )
    copies = check(flattered.judged("data_contract"), "no copies across the split")
    assert copies.verdict is Verdict.FAIL
    assert "300 of 900 holdout rows also stand in train" in copies.sentence


def test_shap_and_lime(good: Candidate, restless: Candidate):
    evidence = good.judged("explanation")
    assert evidence.verdict is Verdict.PASS
    assert "Shapley values of 25 rows add up to the endpoint's answer" in check(evidence, "additivity").sentence
    lime = check(evidence, "LIME agrees")
    assert lime.estimate > 0.9
    assert "LIME orders the columns of 10 rows as Shapley values do" in lime.sentence
    assert [row[0] for row in evidence.tables[0].rows][-1] == "job", "nothing rests on the job, by construction"
    assert {"income", "debt"} == {row[0] for row in evidence.tables[0].rows[:2]}

    moved = check(restless.judged("explanation"), "additivity")
    assert moved.verdict is Verdict.FAIL
    assert "do not add up to the endpoint's answer" in moved.sentence


def test_accuracy_against_interpretability(good: Candidate, tmp_path):
    glass = check(good.judged("explanation"), "opacity")
    assert good.judged("explanation").verdict is Verdict.PASS
    assert not glass.decides
    assert "glass box itself" in glass.sentence

    from sklearn.ensemble import HistGradientBoostingClassifier

    opaque = fitted(loans(1500, 1), HistGradientBoostingClassifier(max_iter=60, random_state=0))
    candidate = good.planted(tmp_path / "opaque", model=opaque)
    bought = check(candidate.judged("explanation"), "opacity")
    assert bought.verdict is Verdict.FAIL
    assert bought.sentence.startswith("Opacity buys -")
    assert "points of ROC AUC [" in bought.sentence
    assert "it is not sure that it buys anything, and the contract says regulated" in bought.sentence


def test_edge_cases_identified_and_tested(good: Candidate, tmp_path):
    evidence = good.judged("edge_cases")
    assert evidence.verdict is Verdict.PASS
    tried = check(evidence, "odd inputs get what the contract promises")
    assert tried.n > 300
    assert "0 of " in tried.sentence

    crashes = good.planted(tmp_path / "lookup", model=graph())
    evidence = crashes.judged("edge_cases")
    assert evidence.verdict is Verdict.FAIL
    named = {name for name, _, _ in evidence.tables[0].rows}
    assert any("job" in name for name in named), named


def test_adversarial_robustness(good: Candidate, tmp_path):
    evidence = good.judged("robustness")
    assert evidence.verdict is Verdict.PASS
    assert "flips 0.0%" in check(evidence, "noise").sentence
    assert (
        "decisions against the positive class flip by editing one field"
        in check(evidence, "editing one field").sentence
    )
    attack = next(item for item in evidence.checks if item.name.startswith("hop skip jump"))
    assert "without changing any numeric column by more than 0.25 of its spread" in attack.sentence

    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    train = loans(1500, 1)
    edges = train.assign(y=np.where(np.sin(train["income"] * 8) > 0, "yes", "no"))
    razor = good.planted(tmp_path / "razor", model=fitted(edges, DecisionTreeClassifier(random_state=0)))
    noise = check(razor.judged("robustness"), "noise")
    assert noise.verdict is Verdict.FAIL
    assert "surely more than 5.0%" in noise.sentence


def test_clear_and_ethical_metrics(good: Candidate, tmp_path):
    assert good.judged("fairness").verdict is Verdict.PASS
    evidence = good.judged("objective")
    assert evidence.verdict is Verdict.PASS
    assert "Guardrail recall 0.95" in check(evidence, "guardrail recall").sentence
    assert "saves" in check(evidence, "value").sentence

    train = loans(1500, 1)
    biased = train.assign(y=train["y"].mask((train["job"] == "nurse") & (train["income"] < 60), "no"))
    unfair = good.planted(tmp_path / "unfair", model=fitted(biased, logistic()))
    women = check(unfair.judged("fairness"), "selection rate for yes by sex")
    assert women.verdict is Verdict.FAIL
    assert women.sentence.startswith("The selection rate for yes of sex female is 0.")
    assert "surely below 0.8" in women.sentence

    greedy = good.planted(tmp_path / "greedy", lines=[(r"^  threshold: 0.25", "  threshold: 0.9")])
    assert greedy.judged("holdout").verdict is Verdict.PASS, "by the business metric it is as good as ever"
    evidence = greedy.judged("objective")
    assert check(evidence, "guardrail recall").verdict is Verdict.FAIL
    assert check(evidence, "threshold").verdict is Verdict.FAIL, "the costs ask for another threshold"


def test_transparency(signed: Candidate, unfilled: Candidate):
    made = signed.place.json("card")
    parts = {part["title"]: part for part in made["parts"]}
    intended = [item["text"] for item in parts["Intended use"]["statements"]]
    assert intended[0] == "decides who is called back first"
    assert intended[-1].startswith("Signed by Ann Lee (data science) on 2")
    known = {receipt["number"] for receipt in made["receipts"]}
    measured = ("Model details", "Metrics", "Evaluation data", "Training data", "Quantitative analyses")
    facts = [item for title in measured for item in parts[title]["statements"]]
    assert len(facts) > 20
    assert {fact["receipt"] for fact in facts} <= known, "every fact names its receipt"
    assert any("Shuffling income costs most" in fact["text"] for fact in facts)

    bare = {part["title"]: part for part in unfilled.place.json("card")["parts"]}
    assert bare["Intended use"]["statements"] == []
    assert bare["Intended use"]["waits_for"].startswith("empty until signed by")
    assert bare["Quantitative analyses"]["waits_for"] == "not measured: fairness, explanation, robustness, behaviour"


def test_unit_and_integration_tests_of_preprocessing_and_model(good: Candidate, tmp_path):
    evidence = good.judged("tests")
    assert evidence.verdict is Verdict.PASS
    assert check(evidence, "tests ran").sentence.startswith("3 tests ran")

    broken = Candidate(good.place.copy(tmp_path / "broken"))
    edit(broken.place.folder / "features.py", [("debt / income if income > 0 else 0.0", "debt / income")])
    evidence = broken.judged("tests", again=True)
    failed = check(evidence, "every test passed")
    assert failed.verdict is Verdict.FAIL
    assert "test_an_income_of_nothing_is_no_accident: ZeroDivisionError" in failed.sentence
    assert broken.status.open_gates["tests"] is Verdict.FAIL
