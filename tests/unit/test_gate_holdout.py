"""The holdout gate on data in time, on few and many rows, against its champion, and after many looks."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bench.laws import reuse
from sklearn.linear_model import LogisticRegression

import cases
import models
from modelmark.domain.catalogue.gate_settings import HoldoutGate
from modelmark.domain.contract import Data, DataType, Guardrail, Input, ModelSource, Objective, Outputs
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Metric, Task
from modelmark.gates.case import Champion
from modelmark.gates.common.baselines import constant, single_columns
from modelmark.gates.common.evaluation_set import evaluation_set, evaluation_set_of, guardrail_checks
from modelmark.gates.gate import MORE_THAN_NOTHING
from modelmark.gates.holdout.challengers import Challenger, challengers, compare
from modelmark.gates.holdout.gate import Holdout
from modelmark.gates.holdout.split import flattery
from modelmark.gates.runner import run_gate
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import judged, measure
from tables import biopsies, deciding, elec2, failing, named, needs


def judge(case, **settings):
    return run_gate(Holdout(HoldoutGate(**settings)), case)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("sound"))


def test_the_readmes_small_model_passes(tmp_path):
    contract, train, holdout, model = biopsies()
    evidence = judge(cases.case(tmp_path, contract, train=train, holdout=holdout, model=model))
    assert evidence.verdict is Verdict.PASS, failing(evidence)
    assert not failing(evidence)


@needs("elec2.csv.gz")
def test_a_shuffled_market_flatters_and_is_refused_where_time_is_declared(tmp_path):
    contract, train, holdout = elec2("date", shuffled=True)
    evidence = judge(cases.case(tmp_path, contract, train=train, holdout=holdout))
    assert deciding(evidence) == {"random split"}
    assert "A random split flatters by" in failing(evidence)["random split"]
    assert "points of accuracy [" in failing(evidence)["random split"]


@needs("elec2.csv.gz")
def test_a_shuffled_market_is_a_finding_where_nobody_declared_time(tmp_path):
    contract, train, holdout = elec2(None, shuffled=True)
    evidence = judge(cases.case(tmp_path, contract, train=train.tail(12000), holdout=holdout.head(6000)))
    found = named(evidence, "random split")
    assert found.verdict is Verdict.FAIL
    assert not found.decides
    assert found.low > 0.01
    assert "If date is time, name it in data.time" in found.sentence


def drifting(rows, seed=0, speed=3.0):
    """A boundary that moves with time: neighbours know where it is."""
    rng = np.random.default_rng(seed)
    at = np.linspace(0, 1, rows)
    table = pd.DataFrame({"income per year": rng.normal(50, 15, rows), "age": rng.integers(18, 80, rows)})
    angle = speed * 2 * np.pi * at
    signal = np.cos(angle) * (table["income per year"] - 50) / 15 + np.sin(angle) * (table["age"] - 49) / 18
    table["y"] = np.where(signal + rng.normal(0, 0.3, rows) > 0, "yes", "no")
    table["measured_at"] = pd.date_range("2024-01-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M")
    return table


def timed(time):
    contract = models.contract(names=models.NUMERIC, objective=Objective(metric=Metric.ACCURACY))
    return dataclasses.replace(contract, data=Data(train="train.csv", holdout="holdout.csv", target="y", time=time))


def test_a_random_split_of_dates_is_told_by_its_dates(tmp_path):
    table = drifting(3000).assign(age=lambda t: t["age"].astype(float))
    table["income per year"] += 40 * np.linspace(0, 1, 3000)  # what gives the moment away
    table = table.sample(frac=1, random_state=1)
    contract = dataclasses.replace(
        timed(None), inputs=tuple(Input(name=n, type=DataType.NUMBER) for n in ("income per year", "age"))
    )
    evidence = judge(cases.case(tmp_path, contract, train=table[:2000], holdout=table[2000:]))
    assert "measured_at" in named(evidence, "random split").sentence


def test_rows_without_an_order_flatter_nobody(tmp_path):
    """The law: on independent rows the paired flattery is surely above nought as rarely as promised."""
    sure = 0
    for seed in range(12):
        table = models.frame(900, seed).assign(at=np.arange(900.0))
        contract = dataclasses.replace(
            models.contract(),
            data=Data(train="train.csv", holdout="holdout.csv", target="y", time="at"),
            objective=Objective(metric=Metric.ACCURACY),
        )
        models.write_tables(tmp_path, table[:600], table[600:])
        case = cases.Case(
            version=cases.version(tmp_path, contract), contract=contract, base=tmp_path, folder=tmp_path,
            predictor=None, staging=None, clock=lambda: cases.NOW,
        )  # fmt: skip
        sure += flattery(case, "at", seed=seed).low > 0.01
    assert sure <= 1


def test_groups_widen_the_interval(tmp_path):
    train, holdout = models.frame(1500, 1), models.frame(800, 2)
    holdout = holdout.loc[np.repeat(np.arange(100), 8)].reset_index(drop=True).assign(who=np.repeat(np.arange(100), 8))
    train["who"] = np.arange(1500) + 1000
    wide = dataclasses.replace(
        models.contract(), data=Data(train="train.csv", holdout="holdout.csv", target="y", entity_key="who")
    )
    clustered = judge(cases.case(tmp_path, wide, train=train, holdout=holdout))
    alone = judge(cases.case(tmp_path, train=train, holdout=holdout))
    width = [c.high - c.low for c in (named(clustered, "objective"), named(alone, "objective"))]
    assert width[0] > 2 * width[1]
    assert any("resample whole groups" in note for note in clustered.notes)


def test_label_noise_in_train_is_seen_where_the_tables_disagree(tmp_path):
    train = models.frame(1500, 1)
    flip = np.random.default_rng(0).random(1500) < 0.25
    train.loc[flip, "y"] = train.loc[flip, "y"].map({"yes": "no", "no": "yes"})
    evidence = judge(cases.case(tmp_path, train=train))
    assert "labels agree" in deciding(evidence)
    assert "wrong labels in train" in failing(evidence)["labels agree"]


def test_label_noise_in_the_holdout_is_seen_too(tmp_path):
    holdout = models.frame(1200, 2)
    flip = np.random.default_rng(0).random(1200) < 0.25
    holdout.loc[flip, "y"] = holdout.loc[flip, "y"].map({"yes": "no", "no": "yes"})
    evidence = judge(cases.case(tmp_path, holdout=holdout))
    assert "wrong labels in the holdout" in failing(evidence)["labels agree"]


def test_looks_are_counted_and_the_winners_curse_is_told(sound):
    fresh, used = judge(sound), judge(dataclasses.replace(sound, earlier_looks=7))
    assert "looks at this holdout" not in [c.name for c in fresh.checks]
    look = named(used, "looks at this holdout")
    assert look.verdict is Verdict.PASS
    assert "has judged 7 other versions" in look.sentence
    assert "93% of what may go wrong by chance on these rows is used up" in look.sentence
    worn = named(judge(dataclasses.replace(sound, earlier_looks=40)), "looks at this holdout")
    assert worn.verdict is Verdict.FAIL
    assert not worn.decides


def test_the_winners_curse_does_not_grow_with_the_confidence_asked(sound):
    looked, said = dataclasses.replace(sound, earlier_looks=7), []
    for confidence in (0.8, 0.99):
        settings = HoldoutGate(confidence=confidence)
        sentence = named(run_gate(Holdout(settings), looked), "looks at this holdout").sentence
        said.append(float(re.search(r"flatters by up to about ([0-9.]+),", sentence)[1]))
    assert said[0] == pytest.approx(said[1], rel=0.15)


def test_a_margin_that_few_rows_cannot_show_says_how_many_would(tmp_path, sound):
    train = models.frame(1500, 5)
    fitted, names = cases.boosted(models.contract())
    fitted.fit(train[names], train["y"])
    evidence = judge(
        cases.case(
            tmp_path,
            holdout=models.frame(120, 2),
            model=fitted,
            champion=Champion(label="v1", predictor=sound.predictor),
        )
    )
    found = named(evidence, "against the champion v1")
    assert found.verdict is Verdict.CANNOT_TELL
    assert "more labels would tell" in found.sentence


def test_accuracy_is_compared_by_mcnemar_too(tmp_path):
    contract = dataclasses.replace(models.contract(), objective=Objective(metric=Metric.ACCURACY))
    evidence = judge(cases.case(tmp_path, contract))
    assert "McNemar p = " in named(evidence, "against the majority class").sentence


def test_thirty_rows_all_right_are_no_leak(tmp_path):
    holdout = models.frame(30, 2)
    train = models.frame(1500, 1)
    for table in (train, holdout):
        table["age"] = np.where(table["y"] == "yes", 60, 30)
    contract = models.contract(objective=Objective(metric=Metric.ACCURACY))
    few = named(judge(cases.case(tmp_path, contract, train=train, holdout=holdout)), "believable")
    assert few.estimate == 1
    assert not few.decides
    assert "cannot tell whether by chance" in few.sentence
    many = models.frame(200, 3).assign(age=lambda t: np.where(t["y"] == "yes", 60, 30))
    assert "believable" in deciding(judge(cases.case(tmp_path, contract, train=train, holdout=many)))


@pytest.mark.parametrize(
    ("metric", "task", "worst"),
    [
        (Metric.F1, Task.BINARY, ("always yes", 2 * 0.3 / 1.3)),
        (Metric.PRECISION, Task.BINARY, ("always yes", 0.3)),
        (Metric.PINBALL, Task.REGRESSION, ("the 0.9 quantile", 0.9 * 0.1 / 2)),
    ],
)
def test_the_floor_is_the_best_answer_that_ignores_its_inputs(metric, task, worst):
    contract = models.contract(task, objective=Objective(metric=metric, quantile=0.9))
    y_true = np.linspace(0, 1, 10_001) if task is Task.REGRESSION else (np.arange(10_000) % 10 < 3).astype(np.int64)
    name, scores = constant(contract, y_true, len(y_true))
    assert name == worst[0]
    assert measure(metric, judged(contract, y_true, scores)) == pytest.approx(worst[1], abs=1e-3)


def test_single_columns_are_asked_of_rows_from_all_of_train():
    """The first rows of a sorted table are all of one class: a seeded sample is not."""
    train = models.frame(60_000, 1).sort_values("y").reset_index(drop=True)
    codes = (train["y"] == "yes").to_numpy().astype(np.int64)
    codes[:50_000] = 0
    contract = models.contract(inputs=models.inputs(names=["age"]))
    scores = single_columns(contract, train, codes, models.frame(50, 2))["age"]
    assert scores[:, 1].mean() == pytest.approx(codes.mean(), abs=0.02)


@pytest.mark.parametrize("metric", [Metric.AVERAGE_PRECISION, Metric.PINBALL])
def test_the_metric_the_contract_names_is_measured(tmp_path, metric):
    task = Task.REGRESSION if metric is Metric.PINBALL else Task.BINARY
    contract = dataclasses.replace(models.contract(task), objective=Objective(metric=metric, quantile=0.5))
    assert judge(cases.case(tmp_path, contract)).verdict is Verdict.PASS


def test_many_rows_get_delongs_interval(tmp_path):
    train, holdout = models.frame(1500, 1), models.frame(4000, 2)
    model = LogisticRegression(max_iter=1000).fit(train[models.NUMERIC], train["y"])
    contract = models.contract(names=models.NUMERIC)
    evidence = judge(cases.case(tmp_path, contract, train=train, holdout=holdout, model=model))
    found = named(evidence, "objective")
    assert found.n == 4000
    assert found.low < found.estimate < found.high
    assert evidence.verdict is Verdict.PASS


class Off:
    """Answers what is true but for an error of this size, up and down by turns."""

    def __init__(self, error):
        self.error = error

    def predict(self, rows):
        return [[row["age"] + (self.error if i % 2 else -self.error)] for i, row in enumerate(rows)]


def of_values(folder, error, theirs):
    """A case of 600 rows whose truth is the age in grams, say: thousands, and errors of tens."""
    contract = dataclasses.replace(
        models.contract(),
        model=ModelSource(source="m", task=Task.REGRESSION),
        inputs=(Input(name="age", type=DataType.NUMBER),),
        outputs=Outputs(),
        objective=Objective(metric=Metric.RMSE),
    )
    age = np.random.default_rng(0).normal(3000, 400, 600)
    table = pd.DataFrame({"age": age, "y": age})
    models.write_tables(folder, table[:300], table[300:])
    return cases.Case(
        version=cases.version(folder, contract), contract=contract, base=folder, folder=folder, staging=None,
        predictor=Off(error), champion=Champion(label="v1", predictor=Off(theirs)), clock=lambda: cases.NOW,
    )  # fmt: skip


@pytest.mark.parametrize(("error", "holds"), [(22.1, True), (22.4, False)])
def test_a_margin_in_grams_is_a_share_of_what_the_champion_is_off(tmp_path, error, holds):
    """A hundredth of 22 is 0.22; a hundredth of a gram would refuse both, whatever they are measured in."""
    case = of_values(tmp_path, error, 22.0)
    evaluation = evaluation_set_of(case)
    champion = next(c for c in challengers(case, evaluation, 0.01) if c.champion)
    assert champion.required == pytest.approx(-0.22)
    theirs = evaluation.measure(Metric.RMSE, evaluation.of(champion.scores), 0.95)
    check = compare(champion, theirs, evaluation, 0.95)
    assert check.limit.value == pytest.approx(-0.22)
    assert (check.verdict is Verdict.PASS) is holds
    assert "up to 0.22 worse is tolerated" in check.sentence


def against_fixed(gain, rows):
    """The paired comparison of decisions that are right so much more often than always no, which is right for half."""
    won = round(rows * (0.25 + gain / 2))
    y_true = np.r_[np.ones(rows // 2, dtype=np.int64), np.zeros(rows // 2, dtype=np.int64)]
    lost = round(rows * (0.25 - gain / 2))
    said = np.r_[np.arange(rows // 2) < won, np.arange(rows // 2) < lost] * 1.0
    contract = dataclasses.replace(models.contract(), objective=Objective(metric=Metric.ACCURACY))
    frame = pd.DataFrame({"age": np.arange(rows)})
    answered = np.ones(rows, dtype=bool)
    evaluation = evaluation_set(contract, frame, y_true, np.c_[1 - said, said], answered)
    fixed = Challenger(name="always no", scores=np.tile([1.0, 0.0], (rows, 1)), required=MORE_THAN_NOTHING)
    theirs = evaluation.measure(Metric.ACCURACY, evaluation.of(fixed.scores), 0.95)
    return compare(fixed, theirs, evaluation, 0.95)


@pytest.mark.parametrize(
    ("gain", "rows", "verdict", "words"),
    [
        pytest.param(0.2, 200, Verdict.PASS, "The model is better than always no", id="surely better"),
        pytest.param(0.05, 200, Verdict.CANNOT_TELL, "Cannot tell whether it is better at all; about ", id="perhaps"),
        pytest.param(-0.01, 200, Verdict.CANNOT_TELL, "Cannot tell whether it is better at all; it stands so", id="no better"),
        pytest.param(-0.2, 200, Verdict.FAIL, "The model is worse than always no", id="surely worse"),
    ],
)  # fmt: skip
def test_a_fixed_answer_that_cannot_be_told_apart_asks_for_labels(gain, rows, verdict, words):
    check = against_fixed(gain, rows)
    assert check.verdict is verdict
    assert check.sentence.startswith(words)


def test_a_model_that_is_a_fixed_answer_is_no_better_and_no_label_would_tell():
    rows = 100
    frame, y_true = pd.DataFrame({"age": np.arange(rows)}), np.arange(rows) % 2
    contract = dataclasses.replace(models.contract(), objective=Objective(metric=Metric.ACCURACY))
    always = np.tile([1.0, 0.0], (rows, 1))
    evaluation = evaluation_set(contract, frame, y_true, always, np.ones(rows, dtype=bool))
    fixed = Challenger(name="always no", scores=always, required=MORE_THAN_NOTHING)
    check = compare(fixed, evaluation.measure(Metric.ACCURACY, evaluation.judged, 0.95), evaluation, 0.95)
    assert check.verdict is Verdict.FAIL


def looked(times):
    """What the objective asks of a case: its metric, and how many versions were judged before."""
    contract = dataclasses.replace(models.contract(), objective=Objective(metric=Metric.ACCURACY))
    return SimpleNamespace(contract=contract, earlier_looks=times)


def test_the_best_of_fifty_that_are_just_good_enough_seldom_passes():
    """The law of bench/laws/reuse.py, short: of fifty independent versions one passed in seven trials of ten."""
    passed = {
        c: sum(reuse.one_passes(np.random.default_rng(s), 0.0, counted=c) for s in range(100)) for c in (True, False)
    }
    assert passed[False] >= 50, "so the law can fail"
    assert passed[True] <= 12  # 5 of 100, and three and a half standard deviations


def test_what_decides_by_a_worn_holdout_must_be_the_surer():
    ours = Interval(estimate=0.9, low=0.86, high=0.93, n=300, confidence=0.95)
    gate = Holdout(HoldoutGate(minimum=0.85))
    fresh, worn = (gate._objective(looked(k), ours, ("always no", 0.5), "", False) for k in (0, 9))
    assert (fresh.verdict, fresh.confidence, fresh.low) == (Verdict.PASS, 0.95, 0.86)
    assert (worn.verdict, worn.confidence) == (Verdict.FAIL, pytest.approx(0.9995))
    assert worn.measured == pytest.approx(0.9 - 0.04 * 3.4808 / 1.95996, abs=1e-4)
    assert "worse end, 0.829 at 99.95% after 9 other versions, does not hold ≥ 0.85." in worn.sentence


def test_a_champion_and_a_guardrail_are_judged_the_surer_by_a_worn_holdout(sound):
    contract = dataclasses.replace(sound.contract, guardrails=(Guardrail(metric=Metric.RECALL, limit=0.5),))
    served = dataclasses.replace(sound, contract=contract, champion=Champion(label="v1", predictor=sound.predictor))
    for looks in (0, 9):
        case = dataclasses.replace(served, earlier_looks=looks)
        evaluation = evaluation_set_of(case)
        (rail,) = guardrail_checks(case, evaluation, 0.95)
        champion = next(c for c in challengers(case, evaluation, 0.01) if c.champion)
        alone = evaluation.measure(Metric.RECALL, evaluation.judged, 0.95)
        check = compare(champion, alone, evaluation, 0.95, looks)
        assert (rail.confidence, check.confidence) == (pytest.approx(1 - 0.05 / (looks + 1) ** 2),) * 2
        wider = 3.4808 / 1.95996 if looks else 1.0
        assert rail.estimate - rail.low == pytest.approx(wider * (alone.estimate - alone.low), rel=1e-4)


def test_the_objective_is_no_failure_where_the_floor_cannot_be_told_apart():
    """Without a minimum the floor is the fixed answer's figure, which is as unsure as the model's."""
    gate = Holdout(HoldoutGate())
    ours = Interval(estimate=0.5, low=0.4, high=0.6, n=100, confidence=0.95)
    for alike, verdict in ((True, Verdict.CANNOT_TELL), (False, Verdict.FAIL)):
        assert gate._objective(looked(0), ours, ("always no", 0.51), "", alike).verdict is verdict
    assert gate._objective(looked(0), ours, ("always no", 0.49), "", True).verdict is Verdict.PASS
    held = Holdout(HoldoutGate(minimum=0.45))
    assert held._objective(looked(0), ours, ("always no", 0.51), "", True).verdict is Verdict.FAIL
