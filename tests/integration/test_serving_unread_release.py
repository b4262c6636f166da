"""A worker that has read no release says so, with 503 and never 404; beside others it does not listen until it has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.errors import NotYet
from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.supervisor import Supervisor, running

PATHS = [
    ("GET", "/models"),
    ("GET", "/models/churn"),
    ("POST", "/models/churn/predict"),
    ("POST", "/models/churn/labels"),
    ("GET", "/v2/models"),
    ("GET", "/v2/models/churn"),
    ("GET", "/v2/models/churn/ready"),
    ("POST", "/v2/models/churn/infer"),
    ("GET", "/v2/models/churn/versions/v1"),
    ("GET", "/v2/health/ready"),
]


def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def test_before_the_first_release_every_path_of_a_model_is_unavailable(tmp_path: Path) -> None:
    built = case.build(tmp_path)
    with running(built.workspace, grpc_port=0) as supervisor, Client(supervisor.address) as client:
        for method, path in PATHS:
            answer = client._http.request(method, path)
            assert answer.status_code == 503, path
            if path != "/v2/health/ready":
                assert (answer.json()["code"], answer.headers["retry-after"]) == ("NO_RELEASE", "1"), path
        assert client._http.get("/v2/health/live").status_code == 200
        assert client._http.get("/nothing/here").status_code == 404
        with grpc.insecure_channel(supervisor.grpc_address) as channel, pytest.raises(grpc.RpcError) as refused:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            call(pb.ModelInferRequest(model_name="churn").SerializeToString(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert json.loads(dict(refused.value.trailing_metadata())["modelmark-error"])["code"] == "NO_RELEASE"
        case.release(built)
        eventually(client.ready)
        assert client.predict("churn", [case.row(built)]).version == "v1"


def _damaged(built: case.Built) -> None:
    built.workspace.snapshot.write_bytes(b"garbage")
    for path in built.workspace.runtime.glob("served*.json"):
        path.write_bytes(b"garbage")


def _gone(built: case.Built) -> None:
    built.workspace.snapshot.unlink()
    for path in built.workspace.runtime.glob("served*.json"):
        path.unlink()


@pytest.mark.parametrize("damage", [_damaged, _gone])
def test_beside_others_a_worker_listens_only_when_it_has_read_the_release(
    tmp_path: Path, damage: Callable[[case.Built], None]
) -> None:
    built = case.build(tmp_path / "w")
    case.release(built)
    shutil.copy(built.workspace.snapshot, tmp_path / "sound")
    with running(built.workspace, workers=2) as supervisor:
        first, second = supervisor.processes()
        with Client(supervisor.address) as client:
            eventually(lambda: (built.workspace.runtime / "served-whole.json").exists() and client.ready())
        damage(built)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(supervisor.processes()) == 2 and first not in supervisor.processes())
        until = time.monotonic() + 2
        asked = 0
        while time.monotonic() < until or asked < 50:
            with Client(supervisor.address) as client:
                assert client.predict("churn", [case.row(built)]).version == "v1"
            asked += 1
        assert not supervisor.workers[0].ready.is_set()
        shutil.copy(tmp_path / "sound", built.workspace.snapshot)
        eventually(supervisor.workers[0].ready.is_set)
        os.kill(second, signal.SIGKILL)
        with Client(supervisor.address) as client:
            eventually(lambda: _answers(client, built))


def _answers(client: Client, built: case.Built) -> bool:
    try:
        return client.predict("churn", [case.row(built)]).version == "v1"
    except (NotYet, OSError):
        return False


def test_a_first_start_on_a_damaged_release_ends_with_one_clear_error(tmp_path: Path, capfd) -> None:
    built = case.build(tmp_path)
    case.release(built)
    built.workspace.snapshot.write_bytes(b"garbage")
    supervisor = Supervisor(built.workspace, port=0)
    with pytest.raises(NotYet) as refused:
        supervisor.start(timeout=4)
    assert refused.value.code == "WORKER_FAILED"
    assert "snapshot cannot be believed" in capfd.readouterr().err
