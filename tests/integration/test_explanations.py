"""An answer is explained by the version that gave it, adds up to it, repeats, and costs nobody else anything."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

import serving_case as case
from modelmark.app.recorded import Recorded
from modelmark.app.usecases.predictions.explain_prediction import ExplainPrediction
from modelmark.domain.errors import Missing, ModelmarkError, Rejected
from modelmark.domain.predictions.explanations import Method
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.seal import keys
from modelmark.serving.answers import Answer
from modelmark.serving.explain import pool
from modelmark.serving.predictor import LocalPredictor
from modelmark.serving.supervisor import Supervisor, running
from modelmark.stats.profile import reference
from modelmark.storage.artifacts import FolderArtifactStore

COLUMNS = 4


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[case.Built, Supervisor]]:
    agreed = case.contract(inputs=case.numbers(COLUMNS, -10, 10))
    train = pd.DataFrame(
        np.random.default_rng(0).normal(size=(400, COLUMNS)), columns=[f"f{i}" for i in range(COLUMNS)]
    )
    scores = np.full((400, 2), 0.5)
    built = case.build(tmp_path_factory.mktemp("served"), agreed, reference=reference(agreed, train, scores))
    case.release(built)
    with running(built.workspace) as supervisor:
        yield built, supervisor


def ask(
    supervisor: Supervisor, body: Any, path: str = "/models/churn/explain"
) -> tuple[int, dict[str, Any], str | None]:
    connection = HTTPConnection("127.0.0.1", supervisor.port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found, answer.headers.get("retry-after")


ROW = {"f0": 1.5, "f1": -0.5, "f2": 0.25, "f3": 0.0}


def test_an_answer_comes_with_what_each_column_added(served: tuple[case.Built, Supervisor]) -> None:
    status, found, _ = ask(served[1], {"row": ROW})
    assert status == 200
    told = found["explanation"]
    assert (told["method"], told["of"], told["exact"]) == ("shap", "1", True)
    assert told["score"] == found["predictions"][0]["score"]
    assert told["base"] + sum(part["adds"] for part in told["parts"]) == pytest.approx(told["total"], abs=1e-9)
    assert 1 / (1 + np.exp(-told["total"])) == pytest.approx(told["score"], abs=1e-4)
    assert [part["column"] for part in told["parts"]] == list(ROW)
    assert [part["value"] for part in told["parts"]] == list(ROW.values())
    assert told["reasons"][0] in ("f0:raises", "f1:raises")
    plain = ask(served[1], {"row": ROW}, "/models/churn/predict")[1]
    assert found["predictions"] == plain["predictions"]


def test_the_same_row_is_explained_alike_by_a_process_that_just_began(served: tuple[case.Built, Supervisor]) -> None:
    built, supervisor = served
    first, again = (ask(supervisor, {"row": ROW, "method": "lime"})[1] for _ in range(2))
    assert first["explanation"] == again["explanation"]
    assert first["id"] != again["id"]
    with running(built.workspace) as other:
        assert ask(other, {"row": ROW, "method": "lime"})[1]["explanation"] == first["explanation"]


def test_what_cannot_be_explained_is_answered_all_the_same(served: tuple[case.Built, Supervisor]) -> None:
    status, found, _ = ask(served[1], {"row": ROW, "method": "glass_box"})
    assert status == 200
    assert found["predictions"][0]["label"] in (0, 1)
    assert found["explanation_refused"]["code"] == "CANNOT_EXPLAIN"
    assert "explanation" not in found


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        pytest.param({"row": ROW, "method": "magic"}, "NO_METHOD", "method", id="method"),
        pytest.param({"rows": [ROW]}, "UNKNOWN_FIELD", "rows", id="rows"),
        pytest.param({"row": [ROW]}, "MISSING_FIELD", "row", id="a list"),
        pytest.param({}, "MISSING_FIELD", "row", id="nothing"),
        pytest.param({"row": {**ROW, "f0": 99}}, "OUT_OF_RANGE", "f0", id="out of range"),
        pytest.param({"row": {**ROW, "f0": "1"}}, "WRONG_TYPE", "f0", id="text"),
        pytest.param({"row": ROW, "entity": "e" * 257}, "WRONG_TYPE", "entity", id="entity"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    served: tuple[case.Built, Supervisor], body: Any, code: str, field: str
) -> None:
    status, found, _ = ask(served[1], body)
    assert 400 <= status < 500
    assert (found["code"], found["field"]) == (code, field)


def test_predictions_go_on_while_explanations_wait(served: tuple[case.Built, Supervisor]) -> None:
    """More are asked for than may wait: some are refused at once with a time to come back, none is lost, and predictions
    hear nothing of it."""
    _, supervisor = served
    found: list[tuple[int, dict[str, Any], str | None]] = []

    def many(seed: int) -> None:
        row = {name: float(v) for name, v in zip(ROW, np.random.default_rng(seed).normal(size=COLUMNS), strict=True)}
        found.append(ask(supervisor, {"row": row, "method": "lime"}))

    threads = [threading.Thread(target=many, args=(seed,)) for seed in range(3 * pool.WAITING)]
    for thread in threads:
        thread.start()
    took = []
    while any(thread.is_alive() for thread in threads):
        started = time.perf_counter()
        assert ask(supervisor, {"row": ROW}, "/models/churn/predict")[0] == 200
        took.append(time.perf_counter() - started)
    for thread in threads:
        thread.join()
    explained = [each for each in found if each[0] == 200 and "explanation" in each[1]]
    refused = [each for each in found if "explanation" not in each[1]]
    assert len(explained) >= pool.WAITING
    assert {each[1].get("explanation_refused", each[1])["code"] for each in refused} <= {"OVERLOADED"}
    assert all(each[2] is not None for each in refused if each[0] == 429)
    assert np.median(took) < 0.5


def test_a_prediction_of_the_past_is_explained_as_it_was_then(served: tuple[case.Built, Supervisor]) -> None:
    built, supervisor = served
    then = ask(supervisor, {"row": ROW})[1]
    rows = [{**ROW, "f0": value} for value in (-1.0, 1.5)]
    id = ask(supervisor, {"rows": rows}, "/models/churn/predict")[1]["id"]
    pool_of_ours = pool.Explanations(built.workspace.root, lambda: keys.verifier(built.workspace.keys))
    explain = ExplainPrediction(
        workspace=built.workspace, artifacts=FolderArtifactStore(built.workspace),
        verifier=lambda: keys.verifier(built.workspace.keys), pool=pool_of_ours,
    )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while not list(
            Recorded(workspace=built.workspace, artifacts=explain.artifacts, verifier=explain.verifier)._in_log(id)
        ):
            assert time.monotonic() < until
            time.sleep(0.1)
        found = explain(id, 1)
        assert msgspec.json.decode(msgspec.json.encode(found.explanation)) == then["explanation"]
        assert (found.row, found.label) == (1, "v1")
        assert explain(id, 0).explanation.score != found.explanation.score
        with pytest.raises(Rejected, match="no row 2"):
            explain(id, 2)
        with pytest.raises(Rejected) as refused:
            explain(id, 0, Method.GLASS_BOX)
        assert refused.value.code == "CANNOT_EXPLAIN"
        with pytest.raises(Missing):
            explain("0" * 32)
    finally:
        pool_of_ours.close()


def test_a_process_that_is_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = case.contract(inputs=case.numbers(2, -10, 10))
    train = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["f0", "f1"])
    built = case.build(tmp_path, agreed, reference=reference(agreed, train, np.full((100, 2), 0.5)))
    case.release(built)
    verifier = keys.verifier(built.workspace.keys)
    version = LocalPredictor.of_marked(built.folder, verifier, built.id).version
    rows = version.codec.from_mappings([{"f0": 1.0, "f1": 0.5}])
    scores = version.execution.run(version.codec.batch(rows).numbers, []).ravel().tolist()
    answer = Answer("id", version, "champion", ServedBy.MODEL, [1], [], scores, b"", rows)
    explanations = pool.Explanations(built.workspace.root, lambda: verifier)
    told: list[bytes | ModelmarkError] = []

    def explained(method: str) -> bytes | ModelmarkError:
        heard = threading.Event()
        explanations.submit(answer, 0, method, lambda found: (told.append(found), heard.set()))
        assert heard.wait(60)
        return told[-1]

    try:
        assert isinstance(explained("lime"), bytes)
        assert explanations._child is not None
        explanations._child._process.kill()
        gone = explained("shap")
        assert isinstance(gone, ModelmarkError)
        assert gone.code == "CRASHED"
        assert isinstance(explained("shap"), bytes)
        child = explanations._child
        assert isinstance(explained("lime"), bytes)  # remembered, and asked of nobody
        assert explanations._child is child
        monkeypatch.setattr(pool, "IDLE", 0.05)
        rows = version.codec.from_mappings([{"f0": 2.0, "f1": 0.5}])
        scores = version.execution.run(version.codec.batch(rows).numbers, []).ravel().tolist()
        answer = Answer("id", version, "champion", ServedBy.MODEL, [1], [], scores, b"", rows)
        assert isinstance(explained("lime"), bytes)
        until = time.monotonic() + 10
        while explanations._child is not None:  # nobody asks any more
            assert time.monotonic() < until
            time.sleep(0.02)
        assert isinstance(explained("shap"), bytes)
        monkeypatch.setattr(pool, "IDLE", 60.0)
        monkeypatch.setattr(pool, "PATIENCE", 1e-6)
        late = explained("glass_box")
        assert isinstance(late, ModelmarkError)
        assert late.code == "DEADLINE_EXCEEDED"
    finally:
        explanations.close()
