"""What a model is decides how it is drafted; what learned no target is refused by name, before anybody fills anything in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVC

from modelmark.contract.infer import Facts, infer
from modelmark.domain.contract import DataType, Policy
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.registry.original.kinds import kind_of_model
from modelmark.registry.refusal import Refusal

X = np.arange(120.0).reshape(60, 2)
Y = np.arange(60) % 3
BOTH = np.stack([Y, Y], axis=1)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (LogisticRegression().fit(X, Y), "classifier"),
        (MLPClassifier((2,), max_iter=1).fit(X, Y), "classifier"),
        (make_pipeline(StandardScaler(), Ridge()).fit(X, Y), "regressor"),
        (make_pipeline(StandardScaler(), SVR(kernel="linear")).fit(X, Y), "regressor"),
        (LinearRegression().fit(X, Y.reshape(-1, 1)), "regressor"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_model_is_what_it_learned(model, kind):
    assert kind_of_model(model) == kind


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (IsolationForest(n_estimators=2).fit(X), "outlier_detector"),
        (make_pipeline(StandardScaler(), KMeans(2)).fit(X), "clusterer"),
        (GaussianMixture().fit(X), "no_target"),
        (make_pipeline(StandardScaler()).fit(X), "predicts_nothing"),
        (LogisticRegression(), "not_fitted"),
        (make_pipeline(StandardScaler(), LinearSVC()).fit(X, Y), "no_probabilities"),
        (LinearRegression().fit(X, BOTH), "several_targets"),
        (RandomForestRegressor(2).fit(X, BOTH), "several_targets"),
        (RandomForestClassifier(2).fit(X, BOTH), "several_targets"),
        (MultiOutputClassifier(LogisticRegression()).fit(X, BOTH), "several_targets"),
    ],
)
def test_what_no_label_could_judge_is_named(model, reason):
    with pytest.raises(Refusal) as caught:
        kind_of_model(model)
    assert caught.value.reason == reason


def test_eighteen_whole_targets_of_a_regressor_stay_numbers():
    table = pd.DataFrame({"x": np.arange(36.0), "y": np.arange(36) % 18})
    draft = infer(table, target="y", facts=Facts(regressor=True))
    assert (draft.task, draft.classes, draft.target_range) == (Task.REGRESSION, (), (0.0, 17.0))
    with pytest.raises(Rejected, match="holds none"):
        infer(table.assign(y="a"), target="y", facts=Facts(regressor=True))


def test_codes_that_an_encoder_knows_are_categories():
    table = pd.DataFrame({"EDUCATION": [1, 2, 3, 1], "job": ["a", "b", "c", "a"], "y": [0, 1, 0, 1]})
    facts = Facts(
        kinds={"EDUCATION": "number", "job": "text"}, categories={"EDUCATION": (0, 1, 2, 3, 6), "job": ("a", "b", "d")}
    )
    draft = infer(table, target="y", facts=facts)
    education, job = draft.inputs
    assert (education.type, education.categories) == (DataType.INTEGER, ("0", "1", "2", "3", "6"))
    assert (education.minimum, education.maximum, education.on_unseen) == (None, None, Policy.FLAG)
    assert "5 codes of categories, as the model's encoder knows them" in draft.guesses["inputs.EDUCATION"]
    assert job.categories == ("a", "b", "d")
    assert "1 more in the training table that it does not know" in draft.guesses["inputs.job"]
