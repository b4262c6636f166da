"""A stranger's own scikit-learn model, from a file to a guarded, watched endpoint and back, by the real commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import joblib
import numpy as np
import pandas as pd
import pytest

from journey import NAME, SHARED, WITH_LOAD, Place, logistic, mixed, pipeline, rows_of, until, write
from modelmark import Client
from modelmark.domain.finding import Outcome

NEEDS_ADULT = pytest.mark.skipif(
    not (SHARED / "adult_train.csv.gz").exists(), reason="needs ../shared/data/adult_train.csv.gz"
)


def boosting(trees: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=trees, max_depth=3, learning_rate=0.2, random_state=0)


def adult() -> pd.DataFrame:
    table = pd.read_csv(SHARED / "adult_train.csv.gz").drop(columns=["fnlwgt"]).drop_duplicates()
    return table.sample(4000, random_state=0).reset_index(drop=True)


def infer(address: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Open Inference Protocol v2, one tensor per column, as the server's own metadata describes them."""
    described = httpx2.get(f"{address}/v2/models/{NAME}").json()
    tensors = [
        {
            "name": item["name"],
            "shape": [len(rows), 1],
            "datatype": item["datatype"],
            "data": [row[item["name"]] for row in rows],
        }
        for item in described["inputs"]
    ]
    answer = httpx2.post(f"{address}/v2/models/{NAME}/infer", json={"inputs": tensors})
    assert answer.status_code == 200, answer.text
    return {item["name"]: item["data"] for item in answer.json()["outputs"]}


def send(address: str, table: pd.DataFrame, target: str, *, batch: int = 50) -> None:
    """Every row of the table in requests of several rows, and then the truth about each."""
    with Client(address) as client:
        for start in range(0, len(table), batch):
            part = table[start : start + batch]
            answered = client.predict(NAME, rows_of(part, target, batch))
            y_true = part[target].tolist()
            assert client.label(NAME, [(answered.id, i, value) for i, value in enumerate(y_true)]) == len(part)


def performance(place: Place) -> Any:
    """The steward's word on live quality, once the journal has come through."""
    app = place.app()
    steward = app.steward()

    def look() -> Any:
        done = steward.step(datetime.now(UTC) + timedelta(seconds=3))
        assert not done.errors, done.errors
        found = [f for f in done.findings if f.monitor == "performance" and f.measured is not None]
        return found[0] if found else None

    return until(look, seconds=40, every=0.5)


def brought_in(place: Place, target: str) -> None:
    """From files to a release, by the commands in their order; none goes before its turn."""
    assert "Only a person can fill these" in place.init(target=target).out
    place.fill_in(WITH_LOAD)
    assert "✓ registered loans v1" in place.run("register").out
    assert "all 9 gates passed" in place.check().out
    assert "has not approved" in place.run("release", code=1).err
    place.sign()
    assert "takes all of the traffic" in place.run("release").out


def require_the_original_s_answers(address: str, original: Any, holdout: pd.DataFrame, target: str) -> None:
    """Over the native protocol and over v2, by v1."""
    rows = rows_of(holdout, target, 20)
    expected = original.predict_proba(holdout.drop(columns=target).head(20))
    with Client(address) as client:
        native = client.predict(NAME, rows)
    classes = [str(c) for c in original.classes_]
    ours = np.array([[a.probabilities[c] for c in classes] for a in native.answers])
    assert (native.version, native.served_by) == ("v1", "model")
    assert np.abs(ours - expected).max() < 1e-4
    assert infer(address, rows)["probabilities"] == ours.ravel().tolist()
    assert [a.label for a in native.answers] == infer(address, rows)["label"]


def require_quiet_performance(place: Place, address: str, holdout: pd.DataFrame, target: str) -> None:
    send(address, holdout.head(250), target)
    found = performance(place)
    assert found.n >= 200
    assert found.outcome is not Outcome.ALERT, found.sentence


@NEEDS_ADULT
def test_boosted_trees_on_adult_are_brought_in_served_and_watched(tmp_path):
    table = adult()
    original = pipeline(table[:3000], "income", boosting(40))
    write(tmp_path, table, original, cut=3000)
    place = Place(tmp_path)
    brought_in(place, "income")
    with place.serving("--workers", "1") as server:
        require_the_original_s_answers(server.address, original, table[3000:], "income")
        require_quiet_performance(place, server.address, table[3000:], "income")
    assert [v["state"] for v in place.json("status")["versions"]] == ["champion"]


def test_a_stranger_takes_a_model_through_the_whole_loop(tmp_path):
    table, cut, target = mixed(), 450, "y"
    original = pipeline(table[:cut], target, logistic(1.0))
    write(tmp_path, table, original, cut=cut)
    place = Place(tmp_path)
    brought_in(place, target)
    holdout = table[cut:]
    with place.serving("--workers", "1") as server:
        rows = rows_of(holdout, target, 20)
        require_the_original_s_answers(server.address, original, holdout, target)
        require_quiet_performance(place, server.address, holdout, target)

        joblib.dump(pipeline(table[:cut], target, logistic(0.9)), tmp_path / "model.joblib")
        place.run("register")
        place.check("v2")
        place.sign("v2")
        place.run("release", "v2")
        with Client(server.address) as client:
            until(lambda: client.predict(NAME, rows[:1]).version == "v2")
            states = {v["label"]: v["state"] for v in place.json("status")["versions"]}
            assert states == {"v1": "retired", "v2": "champion"}
            assert "rolled back from v2 to v1" in place.run("rollback", "--reason", "complaints").out
            until(lambda: client.predict(NAME, rows[:1]).version == "v1")
    report = place.json("verify")
    assert (report["verdict"], report["first_bad"]) == ("pass", None)
    kinds = {item["kind"] for item in report["items"]} - {"pending"}  # what follows a rollback may be behind it still
    assert kinds == {
        "key", "audit", "rows", "files", "mark", "approvals", "snapshot", "checkpoint", "journal",
    }  # fmt: skip


def diabetes() -> tuple[pd.DataFrame, str, Any]:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = load_diabetes(as_frame=True).frame.sample(frac=1, random_state=0).reset_index(drop=True)
    return table, "target", make_pipeline(StandardScaler(), Ridge())


def digits() -> tuple[pd.DataFrame, str, Any]:
    from sklearn.datasets import load_digits
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = load_digits(as_frame=True).frame.astype(int).sample(700, random_state=0).reset_index(drop=True)
    return table, "target", make_pipeline(StandardScaler(), logistic(0.1))


@pytest.mark.parametrize("read", [pytest.param(diabetes, id="regression"), pytest.param(digits, id="ten classes")])
def test_regression_and_many_classes_are_served_and_watched_alike(tmp_path, read):
    table, target, model = read()
    cut = len(table) * 2 // 3
    model.fit(table[:cut].drop(columns=target), table[target][:cut])
    write(tmp_path, table, model, cut=cut)
    place = Place(tmp_path)
    place.draft(target=target)
    app = place.app()
    place.next_champion(app)
    holdout = table[cut:]
    with place.serving() as server:
        rows = rows_of(holdout, target, 30)
        with Client(server.address) as client:
            answers = client.predict(NAME, rows).answers
        features = holdout.drop(columns=target).head(30)
        over_v2 = infer(server.address, rows)
        if target == "target" and hasattr(model, "predict_proba"):
            ours = np.array([[a.probabilities[str(c)] for c in model.classes_] for a in answers])
            assert np.abs(ours - model.predict_proba(features)).max() < 1e-4
            assert [a.label for a in answers] == model.predict(features).tolist() == over_v2["label"]
            assert over_v2["probabilities"] == ours.ravel().tolist()
        else:
            values = np.array([a.value for a in answers])
            assert np.allclose(values, model.predict(features), rtol=1e-4)
            assert over_v2["value"] == values.tolist()
        send(server.address, holdout.head(140), target)
        found = performance(place)
    assert found.n == 140
    assert found.outcome is not Outcome.ALERT, found.sentence
