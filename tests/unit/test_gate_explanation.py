"""Explanations: exact where they say so, additive always, on the thresholds the endpoint really has."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

import adult
import cases
import models
from endpoint import Broken
from modelmark.domain.catalogue.gate_settings import ExplanationGate
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.contract import Data, DataType, Input, Objective, Outputs
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Metric, Task
from modelmark.explaining.attribution import way_of
from modelmark.explaining.graph_parts import Linear, glass_box, part_of
from modelmark.explaining.shap_values import exact
from modelmark.gates.case import truth_of
from modelmark.gates.explanation.gate import Explanation
from modelmark.gates.explanation.glass_boxes import EBM, LINEAR, challengers
from modelmark.gates.explanation.subject import subject_of
from modelmark.gates.runner import run_gate
from modelmark.stats.bootstrap import interval
from modelmark.stats.shapley import enumerated, sampled
from modelmark.testing.gates import check_gate

QUICK = ExplanationGate(rows=20, background=20, max_evaluations=20_000, glass_box_rows=300)
NUMBERS = dataclasses.replace(models.contract(), inputs=models.inputs(names=models.NUMERIC))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("explained"), models.contract())


def of(evidence, name):
    return next(check for check in evidence.checks if check.name == name)


def straight(rows, seed):
    """A table on which nothing beats a straight line."""
    rng = np.random.default_rng(seed)
    table = models.frame(rows, seed)
    lean = (table["income per year"] - 50) / 15 - (table["age"] - 45) / 18
    return table.assign(y=np.where(lean + rng.logistic(0, 1, rows) > 0, "yes", "no"))


@pytest.fixture(scope="module")
def no_better(tmp_path_factory):
    """A forest where a line would do, under a contract that says regulated."""
    train = straight(1500, 1)
    forest = RandomForestClassifier(30, max_depth=6, random_state=0).fit(train[models.NUMERIC], train["y"])
    regulated = dataclasses.replace(NUMBERS, regulated=True)
    return cases.case(tmp_path_factory.mktemp("opaque"), regulated, train=train, holdout=straight(800, 2), model=forest)


def test_the_gate_conforms(sound, no_better):
    evidence = check_gate(lambda: Explanation(QUICK), sound, no_better)
    assert {c.name for c in evidence.checks if c.decides} == {"additivity"}
    assert {tile.check for tile in GATES["explanation"].tiles} - {""} <= {c.id for c in evidence.checks}
    assert "background" in evidence.looked_at
    assert of(evidence, "stability over seeds").estimate > 0.5
    assert len(evidence.figures) >= 3


def test_a_black_box_that_buys_nothing_fails_only_where_it_is_regulated(no_better):
    check = of(run_gate(Explanation(QUICK), no_better), "opacity")
    assert check.verdict is Verdict.FAIL
    assert "it is not sure that it buys anything" in check.sentence
    free = dataclasses.replace(no_better, contract=dataclasses.replace(no_better.contract, regulated=False))
    assert run_gate(Explanation(QUICK), free).verdict is Verdict.PASS


def test_a_linear_model_may_be_regulated(tmp_path):
    train = straight(1000, 1)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[models.NUMERIC], train["y"])
    regulated = dataclasses.replace(NUMBERS, regulated=True)
    case = cases.case(tmp_path, regulated, train=train, holdout=straight(400, 2), model=model)
    evidence = run_gate(Explanation(QUICK), case)
    assert evidence.verdict is Verdict.PASS
    assert "glass box itself" in of(evidence, "opacity").sentence
    assert of(evidence, "opacity").verdict is Verdict.PASS, "there is nothing opaque to pay for"
    assert "linear model (on the log-odds)" in evidence.notes[0]


def test_a_model_that_buys_something_says_how_much(sound):
    evidence = run_gate(Explanation(QUICK), sound)
    (table,) = [t for t in evidence.tables if t.title == "The model and its glass boxes"]
    assert table.columns[2:] == ("interval", "rows")
    assert [row[3] for row in table.rows] == [800] * 3
    check = of(evidence, "opacity")
    assert check.sentence.startswith("Opacity buys ")
    assert "points of ROC AUC [" in check.sentence
    assert "on 800 rows" in check.sentence


def test_columns_that_matter_are_told_from_idle_ones(sound, tmp_path):
    found = run_gate(Explanation(QUICK), sound)
    every = of(found, "every column matters")
    assert not every.decides
    train, holdout = straight(1500, 1), straight(800, 2)
    coin = np.random.default_rng(3)
    train, holdout = (t.assign(age=coin.integers(20, 70, len(t))) for t in (train, holdout))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[models.NUMERIC], train["y"])
    idle = of(run_gate(Explanation(QUICK), cases.case(tmp_path, NUMBERS, train=train, holdout=holdout, model=model)),
              "every column matters")  # fmt: skip
    assert (idle.verdict, idle.measured) == (Verdict.FAIL, 1.0)
    assert idle.sentence == "1 of 2 columns have no measurable importance (their intervals include 0): age."


def test_an_endpoint_that_answers_otherwise_is_not_what_was_explained(sound):
    """Answers that move with the size of a batch cannot add up."""

    def moody(endpoint, rows):
        return [[p, q + 0.01 * (len(rows) % 7)] for p, q in endpoint.predict(rows)]

    broken = dataclasses.replace(sound, predictor=Broken(sound.predictor, moody))
    assert of(run_gate(Explanation(QUICK), broken), "additivity").verdict is Verdict.FAIL


def test_regression_and_several_classes_are_explained(tmp_path):
    contract = dataclasses.replace(models.contract(Task.REGRESSION), inputs=models.inputs(names=models.NUMERIC))
    train = models.frame(800, 1)
    forest = RandomForestRegressor(10, max_depth=4, random_state=0).fit(train[models.NUMERIC], train["amount"])
    case = cases.case(tmp_path, contract, train=train, holdout=models.frame(300, 2), model=forest)
    evidence = run_gate(Explanation(QUICK), case)
    assert evidence.verdict is Verdict.PASS
    assert of(evidence, "brute force agrees").verdict is Verdict.PASS
    three = [
        t.assign(y=np.select([t["amount"] < -5, t["amount"] < 5], ["low", "mid"], "high"))
        for t in (train, case.holdout)
    ]
    several = dataclasses.replace(
        models.contract(Task.MULTICLASS),
        outputs=Outputs(classes=("high", "low", "mid")),
        objective=Objective(metric=Metric.ACCURACY),
    )
    case = cases.case(tmp_path, several, train=three[0], holdout=three[1])
    assert run_gate(Explanation(QUICK), case).verdict is Verdict.PASS


# Published numbers and exactness.


def numeric_case(base, table, model, rows=100):
    names = [name for name in table if name != "target"]
    contract = models.contract(
        Task.REGRESSION,
        data=Data(train="train.csv", holdout="holdout.csv", target="target"),
        inputs=tuple(Input(name=str(name), type=DataType.NUMBER) for name in names),
    )
    model = model.model if isinstance(model, Fitted) else model.fit(table[names], table["target"])
    return cases.case(base, contract, train=table[:rows], holdout=table[rows : 2 * rows], model=model)


@dataclasses.dataclass
class Fitted:
    """A model that must stay as it is."""

    model: object


def diabetes():
    table = load_diabetes(as_frame=True).frame
    return table[[*table.columns[:6], "target"]]


def test_shap_and_brute_force_agree_on_the_diabetes_forest(tmp_path):
    """shap 0.51 on the scikit-learn forest itself is off by 0.109; on the graph's float32 thresholds it is exact."""
    case = numeric_case(tmp_path, diabetes(), RandomForestRegressor(20, max_depth=4, random_state=0))
    subject = subject_of(case, ExplanationGate(background=50, rows=5))
    brute = enumerated(subject.ask, subject.rows, subject.background)
    assert np.abs(brute.phi.sum(axis=1) + brute.base - subject.scores).max() < 3e-5  # float32 answers near 150
    part = part_of(case.folder, 0)
    theirs = exact(part.model, part.features(subject.frame), part.features(subject.background_frame))
    assert np.abs(theirs.phi - brute.phi).max() < 1e-4
    assert "TreeExplainer" in way_of(case.folder, subject, ExplanationGate()).words


def test_brute_force_is_additive_to_the_last_digits():
    table = diabetes()
    forest = RandomForestRegressor(20, max_depth=4, random_state=0).fit(table.to_numpy()[:, :6], table["target"])
    rows, back = table.to_numpy()[100:105, :6], table.to_numpy()[:50, :6]
    found = enumerated(forest.predict, rows, back)
    assert np.abs(found.phi.sum(axis=1) + found.base - forest.predict(rows)).max() < 2e-13


@pytest.mark.parametrize(
    ("scale", "apart", "short"),
    [pytest.param(1, 0.109, 0.118, id="as measured"), pytest.param(1000, 0, 1.0e-6, id="whole thousandths")],
)
def test_shap_on_the_forest_itself_is_off_as_published_and_on_the_graph_it_is_not(tmp_path, scale, apart, short):
    """Published: interventional values off by 0.109 and their sum by 0.118; with inputs as whole numbers by 1.0e-6."""
    import shap

    names = load_diabetes().feature_names[:6]
    table = diabetes() if scale == 1 else diabetes().assign(**np.round(scale * diabetes()[names]))
    forest = RandomForestRegressor(20, max_depth=4, random_state=0).fit(table[names].to_numpy(), table["target"])
    rows, back = table[names].to_numpy()[100:105], table[names].to_numpy()[:50]
    plain = shap.TreeExplainer(forest, data=back, feature_perturbation="interventional")
    phi, brute = plain.shap_values(rows, check_additivity=False), enumerated(forest.predict, rows, back)
    missing = np.abs(phi.sum(axis=1) + plain.expected_value - forest.predict(rows)).max()
    assert (np.abs(phi - brute.phi).max(), missing) == pytest.approx((apart, short), abs=5e-4 if scale == 1 else 5e-6)
    case = numeric_case(tmp_path, table, Fitted(forest))
    part = part_of(case.folder, 0)
    where = [part.features(table[names][a:b]) for a, b in ((100, 105), (0, 50))]
    ours = exact(part.model, *where)
    answers = np.ravel(case.predictor.predict(table[names][100:105].to_dict("records")))
    assert np.abs(ours.phi.sum(axis=1) + ours.base - answers).max() < 5e-5  # float32 answers near 150


def test_the_float32_threshold_trap(tmp_path):
    """shap issue 5116: threshold 0.3, x = 0.3000000059604645 must give 2.0."""
    table = pd.DataFrame({"x": [0.0, 0.6] * 100, "z": np.arange(200.0), "target": [1.0, 2.0] * 100})
    stump = DecisionTreeRegressor(max_depth=1).fit(table[["x", "z"]], table["target"])
    stump.tree_.threshold[0] = 0.3
    case = numeric_case(tmp_path, table, Fitted(stump))
    part = part_of(case.folder, 0)
    row = pd.DataFrame({"x": [0.3000000059604645], "z": [0.0]})
    found = exact(part.model, part.features(row), part.features(table[["x", "z"]][:50]))
    assert case.predictor.predict(row.to_dict("records")) == [[2.0]]
    assert found.phi.sum() + found.base[0] == pytest.approx(2.0, abs=1e-9)


@adult.needs_adult
def test_glass_boxes_rank_adult_as_interpret_published():
    """Its README: logistic regression 0.907 ± 0.003, the boosting machine 0.928 ± 0.002, cross-validated with all rows
    and more bags; ours learns from 20,000 rows with four, which costs it half a point."""
    train, holdout = adult.adult()
    contract = adult.contract()
    y_true, theirs = truth_of(train, contract), truth_of(holdout, contract)
    found = challengers(contract, train, y_true, holdout, ExplanationGate().glass_box_rows)
    value = {name: roc_auc_score(theirs, scores[:, 1]) for name, scores in found.items()}
    assert value[LINEAR] == pytest.approx(0.907, abs=0.003)
    assert value[EBM] == pytest.approx(0.928, abs=0.008)
    assert value[EBM] > value[LINEAR] + 0.01


def test_linear_values_are_coefficient_times_distance_from_the_mean():
    rng = np.random.default_rng(0)
    coefficients, rows, back = rng.normal(size=5), rng.normal(size=(7, 5)), rng.normal(size=(60, 5))
    found = exact(Linear(coefficients=coefficients, intercept=0.7), rows, back)
    assert np.allclose(found.phi, coefficients * (rows - back.mean(axis=0)), atol=1e-12)
    assert np.allclose(found.phi.sum(axis=1) + found.base, rows @ coefficients + 0.7)


def test_sampling_is_additive_exact_for_pairs_and_covers_for_more():
    rng = np.random.default_rng(0)
    rows, back = rng.normal(size=(6, 5)), rng.normal(size=(10, 5))

    def pairs(x):
        return x[:, 0] * x[:, 1] + x[:, 2] - x[:, 3] * x[:, 4]

    one = sampled(pairs, rows, back, permutations=1, seed=0)
    assert np.allclose(one.phi, enumerated(pairs, rows, back).phi)

    def triple(x):
        return x[:, 0] * x[:, 1] * x[:, 2] + np.sin(x[:, 3] * x[:, 4] * x[:, 0])

    y_true = enumerated(triple, rows, back).phi
    many = sampled(triple, rows, back, permutations=60, seed=1)
    assert np.allclose(many.phi.sum(axis=1) + many.base, triple(rows))
    off = np.abs(many.phi - y_true) / np.maximum(many.error, 1e-12)
    assert (off[many.error > 1e-9] < 2).mean() > 0.85


def test_permutation_importance_intervals_cover():
    """The paired bootstrap of what shuffling costs, against its expected value over many samples."""
    rng, inside, cost = np.random.default_rng(0), 0, 2.0
    for _ in range(120):
        x, other, noise = rng.normal(size=(3, 200))
        lost = (x + noise - other) ** 2 - noise**2  # squared error with the column shuffled, minus as it is
        found = interval(lambda w, lost=lost: float(w @ lost / w.sum()), 200, times=400)
        inside += found.low <= cost <= found.high
    assert inside >= 105  # 120 x 95% = 114; four standard deviations less are 104.4


def test_a_glass_box_is_told_by_its_graph(sound, no_better, tmp_path):
    assert not glass_box(sound.folder)
    assert not glass_box(no_better.folder)
    case = numeric_case(tmp_path, diabetes(), LinearRegression())
    assert glass_box(case.folder)
    assert glass_box(numeric_case(tmp_path, diabetes(), DecisionTreeRegressor(max_depth=4)).folder)
    assert not glass_box(numeric_case(tmp_path, diabetes(), DecisionTreeRegressor()).folder)


def test_text_behind_a_linear_model_is_summed_by_column(tmp_path):
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder

    train = models.frame(800, 1)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), models.TEXT), (StandardScaler(), models.NUMERIC)
    )
    model = make_pipeline(encode, LogisticRegression()).fit(train[models.FEATURES], train["y"])
    case = cases.case(tmp_path, train=train, holdout=models.frame(300, 2), model=model)
    subject = subject_of(case, QUICK)
    path = way_of(case.folder, subject, QUICK)
    assert "linear model" in path.words
    found = path.explain(subject, 0)
    assert found.phi.shape == (20, 4)
    assert np.allclose(path.link(found.phi.sum(axis=1) + found.base), subject.scores, atol=1e-5)
