"""Parts that cannot be converted are named with a way on; what only has to be asked for otherwise is done."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    StandardScaler,
)  # fmt: skip
from sklearn.tree import DecisionTreeClassifier

import models
from modelmark.contract.probes import probes
from modelmark.domain import errors
from modelmark.domain.contract import DataType, Input, Outputs
from modelmark.domain.metrics import Task
from modelmark.registry import answers, compare, estimators, sandbox, tensors
from modelmark.registry.convert import convert, request_of
from modelmark.registry.original import asking, powers
from modelmark.registry.refusal import Refusal

TWO = [("tree", DecisionTreeClassifier(max_depth=3)), ("line", LogisticRegression(max_iter=500))]
NUMBERS = models.contract(names=models.NUMERIC)


def as_the_child_does(model, contract=NUMBERS, names=models.NUMERIC):
    """(flipped, largest difference) on holdout and made-up rows; in this process, for models that we made ourselves."""
    train, request = models.frame(300, 1), request_of(contract)
    model.fit(train[names], train["y"])
    estimators.check(model, request)
    holdout = models.frame(200, 2)
    original = estimators.original_scores(model, holdout, request)
    rows, scores = asking.together(holdout, original, asking.ask(model, probes(contract, train).frame, request))
    found = estimators.convert(model, rows, scores, request)
    return compare.parity(scores, tensors.run(tensors.session(found.model), rows, found.signature), request)


def test_the_sandbox_lets_such_a_model_through(tmp_path):
    train = models.frame(300, 1)
    steps = make_pipeline(FunctionTransformer(np.log1p), KBinsDiscretizer(4), VotingClassifier(TWO, voting="soft"))
    path = models.save(steps.fit(train[models.NUMERIC], train["y"]), tmp_path)
    result = convert(path, NUMBERS, train, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    assert result.parity.flipped == 0


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(VotingClassifier(TWO, voting="soft"), id="a soft vote at its defaults"),
        pytest.param(make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression()), id="log1p"),
        pytest.param(make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()), id="sqrt"),
        pytest.param(
            make_pipeline(
                make_column_transformer((FunctionTransformer(np.square), models.NUMERIC[:1]), remainder="passthrough"),
                LogisticRegression(max_iter=2000),
            ),
            id="the square of one column",
        ),
        pytest.param(make_pipeline(KBinsDiscretizer(4), LogisticRegression()), id="bins at their defaults"),
        pytest.param(StackingClassifier(TWO, cv=2), id="a stack"),
        pytest.param(make_pipeline(FunctionTransformer(), LogisticRegression()), id="a function that does nothing"),
        pytest.param(
            make_pipeline(SimpleImputer(strategy="constant", fill_value=-1), LogisticRegression(max_iter=500)),
            id="a constant, which scikit-learn keeps as an object",
        ),
    ],
)
def test_pipelines_that_people_have_answer_as_before(model):
    flipped, distance = as_the_child_does(model)
    assert flipped == 0
    assert distance < 1e-4


def test_powers_before_trees_are_computed_in_doubles():
    """A tree's splits lie between neighbouring values, so float32 puts some rows on the other side."""
    flipped, distance = as_the_child_does(
        make_pipeline(PowerTransformer(), HistGradientBoostingClassifier(max_iter=15))
    )
    assert flipped == 0
    assert distance < 1e-6


@pytest.mark.parametrize("target", ["y", "three", "amount"])
def test_histogram_trees_split_in_doubles(target):
    """Rows whose numbers are the next double to a split: float32 cannot tell them apart."""
    train = models.frame(300, 1)
    amount = train["amount"] if "amount" in train else train[models.NUMERIC[0]] * 2 + train[models.NUMERIC[1]]
    train = train.assign(three=pd.qcut(amount, 3, labels=[0, 1, 2]).astype(int), amount=amount)
    kind = HistGradientBoostingRegressor if target == "amount" else HistGradientBoostingClassifier
    model = make_pipeline(StandardScaler(), kind(max_iter=10, random_state=0)).fit(train[models.NUMERIC], train[target])
    if target == "y":
        request = request_of(NUMBERS)
    elif target == "three":
        request = request_of(models.contract(Task.MULTICLASS, names=models.NUMERIC)) | {"classes": [0, 1, 2]}
    else:
        request = request_of(models.contract(Task.REGRESSION, names=models.NUMERIC))
    scaler, trees = model[0], [tree.nodes for stage in model[-1]._predictors for tree in stage]
    splits = np.concatenate([nodes[nodes["is_leaf"] == 0] for nodes in trees])
    rows = train[models.NUMERIC].sample(4 * len(splits), replace=True, random_state=0).astype(float).to_numpy()
    for at, split in enumerate(np.repeat(splits, 4)):
        column = int(split["feature_idx"])
        value = split["num_threshold"] * scaler.scale_[column] + scaler.mean_[column]
        rows[at, column] = value + (at % 4 - 1.5) * 4 * np.spacing(value)
    table = pd.DataFrame(rows, columns=models.NUMERIC)
    original = estimators.original_scores(model, table, request)
    few = table.head(50)  # that nobody knows better
    found = estimators.convert(model, few, original[:50], request)
    assert np.abs(tensors.run(tensors.session(found.model), table, found.signature) - original).max() < 1e-5


def test_an_isotonic_curve_is_not_taken_for_its_steps():
    model = CalibratedClassifierCV(LogisticRegression(max_iter=500), method="isotonic", cv=2)
    with pytest.raises(Refusal) as refused:
        as_the_child_does(model)
    assert refused.value.reason == "isotonic_steps"
    assert as_the_child_does(CalibratedClassifierCV(LogisticRegression(max_iter=500), cv=2))[0] == 0


def test_powers_are_those_of_scikit_learn_at_their_limits_and_beside_null():
    import onnxruntime
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType

    powers.teach()
    table = np.random.default_rng(0).normal(2, 3, (200, 3))
    table[3, 1] = np.nan
    fitted = PowerTransformer().fit(table)
    fitted.lambdas_ = np.array([0.0, 2.0, -0.7])  # two where a power becomes a logarithm
    positive = np.exp(table[5:] / 4)
    boxed = PowerTransformer("box-cox", standardize=False).fit(positive)
    for step, rows in (
        (fitted, table),
        (boxed, positive),
        (PolynomialFeatures((2, 3), interaction_only=True).fit(table[5:]), table[5:]),
    ):
        graph = convert_sklearn(
            step, initial_types=[("X", DoubleTensorType([None, 3]))], target_opset=estimators.TARGET_OPSET
        )
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        np.testing.assert_allclose(session.run(None, {"X": rows})[0], step.transform(rows), rtol=1e-12, atol=1e-12)


RARE = make_column_transformer((OneHotEncoder(min_frequency=20), models.TEXT), remainder="passthrough")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(VotingClassifier(TWO), "VotingClassifier decides by hard votes", id="hard votes"),
        pytest.param(
            StackingClassifier([("a", make_pipeline(RARE, RandomForestClassifier(3)))], LogisticRegression(), cv=2),
            "OneHotEncoder merges rare categories",
            id="deep inside a stack",
        ),
        pytest.param(
            make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()),
            "FunctionTransformer, cbrt: a step calls a function",
            id="a function that we do not convert",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_by_name_with_a_way_on(model, said):
    deep = isinstance(model, StackingClassifier)
    how = (models.contract(), models.FEATURES) if deep else (NUMBERS, models.NUMERIC)
    with pytest.raises(Refusal) as caught:
        as_the_child_does(model, *how)
    assert said in told(caught.value).message
    assert told(caught.value).hint


def told(refusal):
    """The error that people see, where the parent knows every name from the file."""
    found = answers.Answer(reason=refusal.reason, kind=refusal.kind, names=refusal.names, numbers=refusal.numbers)
    return answers.refusal(found, set(refusal.names))


def test_a_detector_of_outliers_is_told_as_what_it_is(tmp_path):
    train = models.frame(200, 1)
    path = models.save(IsolationForest(n_estimators=5).fit(train[models.NUMERIC]), tmp_path)
    with pytest.raises(errors.Rejected, match="IsolationForest tells outliers from the rest"):
        convert(path, NUMBERS, train, limits=sandbox.Limits(), progress=lambda _: None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"analyzer": "char_wb"}, "cuts texts by 'char_wb'"),
        ({"strip_accents": "unicode"}, "strips accents"),
        ({"stop_words": ["the"], "ngram_range": (1, 2)}, "leaves out stop words"),
    ],
)
def test_texts_that_are_cut_otherwise_are_refused_by_name(words, said):
    table = pd.DataFrame({"text": ["free the prize", "hello the you"] * 20, "y": ["no", "yes"] * 20})
    contract = models.contract(
        inputs=(Input(name="text", type=DataType.STRING),), outputs=Outputs(classes=("no", "yes"), positive="yes")
    )
    model = make_pipeline(make_column_transformer((TfidfVectorizer(**words), "text")), LogisticRegression())
    with pytest.raises(Refusal) as caught:
        estimators.check(model.fit(table[["text"]], table["y"]), request_of(contract))
    assert "TfidfVectorizer" in told(caught.value).message
    assert said in told(caught.value).message
