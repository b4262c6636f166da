"""Pipelines that nobody thought of, drawn with a seed: what is converted answers as the original on holdout and made-up rows, or
it is refused by name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import models
from modelmark.contract.probes import probes
from modelmark.domain.catalogue.gate_settings import ParityGate
from modelmark.registry import compare, estimators, tensors
from modelmark.registry.convert import request_of
from modelmark.registry.original import asking
from modelmark.registry.refusal import Refusal

LIMITS = ParityGate()
NUMBERS = (
    StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler(), PowerTransformer(), KBinsDiscretizer(4),
    PolynomialFeatures(2), FunctionTransformer(np.log1p), Normalizer(), Binarizer(threshold=40),
    make_pipeline(StandardScaler(), PCA(2)), SimpleImputer(),
)  # fmt: skip
TEXTS = (
    OneHotEncoder(handle_unknown="ignore"), OneHotEncoder(handle_unknown="ignore", drop="first"),
    OneHotEncoder(handle_unknown="infrequent_if_exist"),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-2, encoded_missing_value=-7),
)  # fmt: skip
PLAIN = (
    LogisticRegression(max_iter=300), DecisionTreeClassifier(max_depth=5), RandomForestClassifier(8, max_depth=5),
    GradientBoostingClassifier(n_estimators=8), HistGradientBoostingClassifier(max_iter=10),
    ExtraTreesClassifier(8, max_depth=5), GaussianNB(), MLPClassifier((6,), max_iter=60), SVC(probability=True),
    AdaBoostClassifier(n_estimators=5),
)  # fmt: skip


def drawn(seed: int):
    """(pipeline, share of nulls)."""
    draw = np.random.default_rng(seed)
    nulls = float(draw.choice([0.0, 0.15]))

    def one(of):
        return clone(of[int(draw.integers(len(of)))])

    a, b = one(PLAIN[:6]), one(PLAIN[:6])
    nested = (
        BaggingClassifier(a, 4), VotingClassifier([("a", a), ("b", b)], voting="soft"), CalibratedClassifierCV(a, cv=2),
        StackingClassifier([("a", a), ("b", b)], LogisticRegression(), cv=2),
    )  # fmt: skip
    number, text, last = one(NUMBERS), one(TEXTS), one(nested) if draw.random() < 0.4 else one(PLAIN)
    if nulls:
        number = make_pipeline(SimpleImputer(), number)
        text = make_pipeline(SimpleImputer(strategy="most_frequent"), text) if draw.random() < 0.5 else text
    return make_pipeline(make_column_transformer((number, models.NUMERIC), (text, models.TEXT)), last), nulls


def fit(model, train, seed):
    np.random.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train[models.FEATURES], train["y"])


def fitted(seed: int):
    """The first of a row of draws that can be fitted: (model, contract, training table)."""
    for attempt in range(20):
        model, nulls = drawn(100 * seed + attempt)
        train = models.frame(300, seed, nulls)
        try:
            fit(model, train, seed)
        except (ValueError, TypeError):  # some take no missing values, no negative ones, nothing sparse
            continue
        return model, models.contract(nullable=bool(nulls)), train
    raise AssertionError("nothing that was drawn can be fitted")


def converted(model, contract, train, seed):
    """(flipped decisions, share of rows whose score moved by more than the gate bears), or the refusal."""
    request, holdout = request_of(contract), models.frame(150, seed + 1000)
    try:
        estimators.check(model, request)
        original = estimators.original_scores(model, holdout, request)
        asked = asking.ask(model, probes(contract, train).frame, request)
        rows, scores = asking.together(holdout, original, asked)
        found = estimators.convert(model, rows, scores, request)
    except Refusal as refusal:
        return refusal
    served = tensors.run(tensors.session(found.model), rows, found.signature)
    return compare.parity(scores, served, request)[0], float(
        (np.abs(scores - served).max(axis=1) > LIMITS.moved).mean()
    )


@pytest.mark.parametrize("seed", range(24))
def test_what_is_served_is_the_original_or_is_refused_by_name(seed):
    found = converted(*fitted(seed), seed)
    if isinstance(found, Refusal):
        assert (found.reason, bool(found.names)) == ("not_convertible", True)
    else:
        assert found[0] == 0
        assert found[1] <= LIMITS.max_moved_rate


@pytest.mark.parametrize(
    "last", [KNeighborsClassifier(), LinearDiscriminantAnalysis()], ids=["ties", "a wrong converter"]
)
def test_a_conversion_that_parts_from_its_original_is_measured(last):
    """Neighbours at equal distances are chosen otherwise, and skl2onnx doubles this discriminant's score: the gate must see it."""
    train = models.frame(300, 7)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((KBinsDiscretizer(4), models.NUMERIC), (codes, models.TEXT))
    model = make_pipeline(columns, last)
    fit(model, train, 7)
    flipped, moved = converted(model, models.contract(), train, 7)
    assert flipped > 0 or moved > LIMITS.max_moved_rate
