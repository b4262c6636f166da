"""A draft decides where the model's own `predict` does, and says why."""

from __future__ import annotations

import pandas as pd
import pytest

from modelmark.contract.infer import Facts, infer

TABLE = pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5], "y": [0, 1, 0, 1]})
TURNED = pd.DataFrame(
    {"x": [1.5, 2.5, 3.5, 4.5, 5.5], "y": ["a", "b", "b", "b", "b"]}
)  # the rarer class, the first, is positive


@pytest.mark.parametrize(
    ("table", "facts", "threshold", "guessed"),
    [
        pytest.param(TABLE, Facts(estimator="LogisticRegression"), 0.5, False, id="one half"),
        pytest.param(TABLE, Facts(cutoff=0.1595), 0.1595, True, id="a cut-off that the model keeps"),
        pytest.param(TURNED, Facts(cutoff=0.25, classes=("a", "b")), 0.75, True, id="the cut-off of the other class"),
        pytest.param(TABLE, Facts(estimator="Scaler → DecisionTreeClassifier"), 0.5000000000000001, True, id="ties"),
        pytest.param(TURNED, Facts(estimator="DecisionTreeClassifier"), 0.5, False, id="ties go to the first class"),
    ],
)
def test_the_threshold_is_where_the_model_itself_decides(table, facts, threshold, guessed):
    draft = infer(table, target="y", facts=facts)
    assert draft.threshold == threshold
    assert ("outputs.threshold" in draft.guesses) is guessed
