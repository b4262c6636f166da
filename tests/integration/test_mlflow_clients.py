"""MLflow's own client and plain HTTP get at /invocations what the model itself would say; several models need a choice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import httpx2
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

import serving_case as case
from modelmark.serving.supervisor import Supervisor, running

FRAME = pd.DataFrame(np.random.default_rng(0).uniform(-2, 2, (5, 3)), columns=["f0", "f1", "f2"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    built = case.build(tmp_path_factory.mktemp("w"))
    case.release(built)
    with running(built.workspace) as supervisor:
        yield supervisor


def native(server: Supervisor) -> list[int]:
    rows = json.loads(FRAME.to_json(orient="records", double_precision=15))
    told = httpx2.post(f"{server.address}/models/churn/predict", json={"rows": rows}).json()
    return [one["label"] for one in told["predictions"]]


def test_its_client_is_answered_as_the_native_protocol_is(server: Supervisor) -> None:
    client, expected = ScoringServerClient("127.0.0.1", server.port), native(server)
    client.wait_server_ready(timeout=5)
    assert set(expected) == {0, 1}
    assert client.invoke(FRAME).get_predictions().iloc[:, 0].tolist() == expected
    assert client.invoke(FRAME.to_numpy()).get_predictions().iloc[:, 0].tolist() == expected
    shares = client.invoke(FRAME, params={"predict_method": "predict_proba"}).get_predictions().to_numpy()
    assert (shares[:, 1] >= 0.5).astype(int).tolist() == expected
    with pytest.raises(Exception, match="column f2 is missing"):
        client.invoke(FRAME[["f0", "f1"]])


def test_tables_in_files_are_answered_alike(server: Supervisor) -> None:
    packed, expected = io.BytesIO(), native(server)
    FRAME.to_parquet(packed)
    for kind, body in (
        ("text/csv", FRAME.to_csv(index=False).encode()),
        ("application/vnd.apache.parquet", packed.getvalue()),
    ):
        told = httpx2.post(f"{server.address}/invocations", content=body, headers={"content-type": kind})
        assert (told.status_code, told.json()) == (200, {"predictions": expected})
        assert len(told.headers["x-modelmark-prediction-id"]) == 32
    refused = httpx2.post(f"{server.address}/invocations", content=b"PAR1", headers={"content-type": kind})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "BAD_REQUEST")
    assert httpx2.get(f"{server.address}/ping").content == b"\n"
    assert httpx2.get(f"{server.address}/version").headers["content-type"].startswith("text/plain")


def test_another_model_than_was_chosen_is_named(tmp_path) -> None:
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace, worker_options=("--mlflow-model=cats",)) as supervisor:
        told = httpx2.post(f"{supervisor.address}/invocations", json={"inputs": [[1, 2, 3]]})
    assert (told.status_code, told.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "--mlflow-model cats" in told.json()["hint"]
