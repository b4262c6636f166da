"""Parts that cannot be converted are named with a way on; what only has to be asked for otherwise is done."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import models
from modelmark.domain import errors
from modelmark.domain.contract import DataType, Input, Outputs
from modelmark.registry import sandbox
from modelmark.registry.convert import convert

TWO = [("tree", DecisionTreeClassifier(max_depth=3)), ("line", LogisticRegression(max_iter=500))]
NUMBERS = models.contract(names=models.NUMERIC)


def registered(tmp_path, model, contract=NUMBERS, names=models.NUMERIC):
    train = models.frame(300, 1)
    path = models.save(model.fit(train[names], train["y"]), tmp_path)
    return convert(path, contract, models.frame(200, 2), train=train, limits=sandbox.Limits(), progress=lambda _: None)


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
    ],
)
def test_pipelines_that_people_have_answer_as_before(tmp_path, model):
    result = registered(tmp_path, model)
    assert result.parity.flipped == 0
    assert result.parity.max_difference < 1e-4


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
def test_what_cannot_be_right_is_refused_by_name_with_a_way_on(tmp_path, model, said):
    deep = isinstance(model, StackingClassifier)
    how = (models.contract(), models.FEATURES) if deep else (NUMBERS, models.NUMERIC)
    with pytest.raises(errors.Rejected) as caught:
        registered(tmp_path, model, *how)
    assert said in caught.value.message
    assert caught.value.hint


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
def test_texts_that_are_cut_otherwise_are_refused_by_name(tmp_path, words, said):
    table = pd.DataFrame({"text": ["free the prize", "hello the you"] * 20, "y": ["no", "yes"] * 20})
    contract = models.contract(
        inputs=(Input(name="text", type=DataType.STRING),), outputs=Outputs(classes=("no", "yes"), positive="yes")
    )
    model = make_pipeline(make_column_transformer((TfidfVectorizer(**words), "text")), LogisticRegression())
    path = models.save(model.fit(table[["text"]], table["y"]), tmp_path)
    with pytest.raises(errors.Rejected) as caught:
        convert(path, contract, table, limits=sandbox.Limits(), progress=lambda _: None)
    assert "TfidfVectorizer" in caught.value.message
    assert said in caught.value.message
