"""What each column adds, by hand where that is known, and a background that no person stands in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import serving_case as case
from modelmark.contract.table import as_numbers, check_table
from modelmark.domain.contract import DataType, Input, Outputs
from modelmark.domain.errors import Rejected, Unmeasured
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.explanations import Method
from modelmark.explaining import local
from modelmark.explaining.background import background
from modelmark.explaining.local import BACKGROUND, Explained
from modelmark.serving.models import load_candidate
from modelmark.stats.profile import Reference, reference


def explained_of(tmp_path: Path, agreed: Any, artifact: bytes, train: pd.DataFrame) -> tuple[Explained, Any]:
    built = case.build(tmp_path, agreed, artifact)
    version = load_candidate(built.folder, built.id)

    def scores(frame: pd.DataFrame) -> Any:
        return version.execution.run(np.column_stack([as_numbers(frame[n]) for n in version.codec.names]), [])

    seen = Reference.from_bytes(reference(agreed, train, scores(train)))
    return Explained(contract=agreed, folder=built.folder, reference=seen, scores=scores), scores


def drawn(columns: int, rows: int = 300) -> pd.DataFrame:
    return pd.DataFrame(
        np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32).astype(float),
        columns=[f"f{i}" for i in range(columns)],
    )


def test_a_linear_model_is_the_sum_of_its_terms_whatever_is_asked(tmp_path: Path) -> None:
    train = drawn(3)
    model = LogisticRegression().fit(train.to_numpy(np.float32), (train["f0"] - 0.5 * train["f1"] > 0).astype(int))
    explained, scores = explained_of(tmp_path, case.contract(), case.converted(model, 3), train)
    row = {"f0": 1.25, "f1": -0.75, "f2": 0.5}
    answered = scores(pd.DataFrame([row]))[0].tolist()
    glass = explained(row, answered, Method.GLASS_BOX)
    assert [part.adds for part in glass.parts] == pytest.approx(model.coef_[0] * list(row.values()), abs=1e-5)
    assert glass.base == pytest.approx(model.intercept_[0], abs=1e-6)
    assert glass.scale == "log-odds"
    shap = explained(row, answered, Method.SHAP)
    known = background(explained.contract, explained.reference, BACKGROUND).astype(float).mean().to_numpy()
    assert [part.adds for part in shap.parts] == pytest.approx(
        model.coef_[0] * (np.array(list(row.values())) - known), abs=1e-5
    )
    lime = explained(row, answered, Method.LIME)
    assert [np.sign(p.adds) for p in lime.parts[:2]] == [np.sign(p.adds) for p in shap.parts[:2]]
    assert lime.reasons[0] == shap.reasons[0] == "f0:raises"


def test_many_columns_are_sampled_with_their_errors_and_still_add_up(tmp_path: Path) -> None:
    train = drawn(16)
    model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=300, random_state=0).fit(
        train.to_numpy(np.float32), 3 * train["f0"] ** 2
    )
    agreed = case.contract(task=Task.REGRESSION, outputs=Outputs(), inputs=case.numbers(16))
    explained, scores = explained_of(tmp_path, agreed, case.converted(model, 16), train)
    row = train.iloc[0].to_dict()
    answered = scores(pd.DataFrame([row]))[0].tolist()
    found = explained(row, answered, Method.SHAP)
    assert not found.exact
    assert any(part.error > 0 for part in found.parts)
    assert found.base + sum(part.adds for part in found.parts) == pytest.approx(answered[0], abs=1e-4)
    assert explained(row, answered, Method.SHAP) == found
    with pytest.raises(Unmeasured) as refused:  # of another answer
        explained(row, [answered[0] + 100.0], Method.LIME)
    assert refused.value.code == "ANSWERS_DIFFER"


def test_what_does_not_add_up_to_the_answer_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = drawn(3)
    model = LogisticRegression().fit(train.to_numpy(np.float32), (train["f0"] > 0).astype(int))
    explained, scores = explained_of(tmp_path, case.contract(), case.converted(model, 3), train)
    row = train.iloc[0].to_dict()
    answered = scores(pd.DataFrame([row]))[0].tolist()
    honest = local.way_of

    def doubled(*given: Any, **how: Any) -> Any:
        way = honest(*given, **how)

        def explain(subject: Any, seed: int) -> Any:
            found = way.explain(subject, seed)
            return dataclasses.replace(found, phi=2 * found.phi)

        return dataclasses.replace(way, explain=explain)

    assert explained(row, answered, Method.SHAP).parts
    monkeypatch.setattr(local, "way_of", doubled)
    with pytest.raises(Unmeasured) as refused:
        explained(row, answered, Method.SHAP)
    assert refused.value.code == "NOT_ADDITIVE"


def test_what_lime_cannot_take_is_refused_with_a_way_on(tmp_path: Path) -> None:
    agreed = case.contract(
        inputs=tuple(
            Input(name=f"f{i}", type=DataType.NUMBER, minimum=-9, maximum=9, nullable=i == 0) for i in range(2)
        )
    )
    train = drawn(2)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train.to_numpy(np.float32), train["f0"] > 0)
    explained, _ = explained_of(tmp_path, agreed, case.converted(model, 2), train)
    with pytest.raises(Rejected) as refused:
        explained({"f0": None, "f1": 1.0}, [0.5, 0.5], Method.LIME)
    assert (refused.value.field, refused.value.limit) == ("f0", "shap")


def test_the_background_is_within_the_contract_like_training_and_the_same_again() -> None:
    agreed = case.contract(
        inputs=(
            Input(name="age", type=DataType.INTEGER, minimum=18, maximum=90),
            Input(name="gap", type=DataType.NUMBER, minimum=0, maximum=1, nullable=True),
            Input(name="flag", type=DataType.BOOLEAN),
            Input(name="job", type=DataType.CATEGORY, categories=("a", "b", "c")),
            Input(name="grade", type=DataType.INTEGER, categories=("1", "2", "5")),
        )
    )
    rng = np.random.default_rng(0)
    train = pd.DataFrame(
        {
            "age": rng.integers(18, 60, 500),
            "gap": np.where(rng.random(500) < 0.3, np.nan, rng.random(500)),
            "flag": rng.random(500) < 0.2,
            "job": rng.choice(["a", "b"], 500),
            "grade": rng.choice([1, 5], 500),
        }
    )
    seen = Reference.from_bytes(reference(agreed, train, np.full((500, 2), 0.5)))
    found = background(agreed, seen, 400)
    assert found.equals(background(agreed, seen, 400))
    assert not check_table(found.infer_objects(), agreed)
    assert found["age"].astype(float).mean() == pytest.approx(train["age"].mean(), abs=2)
    assert found["gap"].isna().mean() == pytest.approx(0.3, abs=0.07)
    assert set(found["job"]) == {"a", "b"}
    assert set(found["grade"]) == {1.0, 5.0}
    assert found["flag"].astype(float).mean() == pytest.approx(0.2, abs=0.07)
