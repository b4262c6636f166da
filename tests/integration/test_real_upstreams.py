"""Models on real servers of other people are guarded here: `scripts/servers mlserver mlflow` fetches those."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.version import UPSTREAM
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.serving.http.listening import reserve
from modelmark.serving.supervisor import running

SERVERS = Path(__file__).resolve().parents[2] / ".servers"
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(40, 3)), columns=["f0", "f1", "f2"])
START = 90.0

#: What a team trained, and what it answers to the same rows.
TRAINED = """
import json, sys
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
draw = np.random.default_rng(0)
x = pd.DataFrame(draw.normal(size=(300, 3)), columns=["f0", "f1", "f2"])
model = LogisticRegression().fit(x.to_numpy(), (x["f0"] > x["f1"]).astype(int))
rows = pd.DataFrame(json.loads(sys.argv[1]))
print(json.dumps(model.predict_proba(rows.to_numpy()).tolist()))
"""
JOBLIB = "import joblib; joblib.dump(model, 'model.joblib')"
LOGGED = "import mlflow; mlflow.sklearn.save_model(model, 'saved', pyfunc_predict_fn='predict_proba')"


def free_port() -> int:
    with reserve("127.0.0.1", 0) as held:
        return int(held.getsockname()[1])


def trained(name: str, folder: Path, saves: str) -> np.ndarray:
    rows = json.dumps(FRAME.to_dict("list"))
    done = subprocess.run(
        [str(SERVERS / name / "bin" / "python"), "-c", TRAINED + saves, rows], cwd=folder, capture_output=True, text=True,
        timeout=120, check=False, env=alone(name),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[0]))


def alone(name: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{SERVERS / name / 'bin'}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextmanager
def started(name: str, folder: Path, command: list[str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(SERVERS / name / "bin" / command[0]), *command[1:]], cwd=folder, env=alone(name), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + START
        while not answers(ready):
            said = (folder / "log").read_text("utf-8", "replace")[-2000:]
            assert process.poll() is None and time.monotonic() < until, said  # noqa: PT018
            time.sleep(0.2)
        yield process
    finally:
        ended(process)


def ended(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def answers(address: str) -> bool:
    try:
        return httpx2.get(address).status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def mlserver(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, np.ndarray]]:
    shares, port = trained("mlserver", folder, JOBLIB), free_port()
    model = {
        "name": "churn",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps({**ports, "host": "127.0.0.1", "parallel_workers": 0}))
    url = f"http://127.0.0.1:{port}"
    with started("mlserver", folder, ["mlserver", "start", "."], f"{url}/v2/models/churn/ready") as process:
        yield (
            process,
            f"protocol: v2\nurl: {url}\nmodel: churn\ninput: x\noutput: predict_proba\ntimeout_ms: 2000\n",
            shares,
        )


@contextmanager
def mlflow(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, np.ndarray]]:
    shares, port = trained("mlflow", folder, LOGGED), free_port()
    words = ["mlflow", "models", "serve", "-m", "saved", "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with started("mlflow", folder, words, f"{url}/ping") as process:
        yield process, f"protocol: mlflow\nurl: {url}\ntimeout_ms: 2000\n", shares


@pytest.mark.parametrize("serve", [mlserver, mlflow])
def test_a_model_on_a_real_server_is_guarded_and_its_fallback_answers_when_that_is_gone(
    tmp_path: Path, serve: Callable[[Path], Iterator[tuple[subprocess.Popen[bytes], str, np.ndarray]]]
) -> None:
    name = serve.__name__
    if not (SERVERS / name).is_dir():
        pytest.skip(f"{name} is not there: scripts/servers {name} fetches it")
    agreed = case.contract(fallback=(Fallback(kind=FallbackKind.CONSTANT, value=1),))
    (tmp_path / "there").mkdir()
    with serve(tmp_path / "there") as (process, place, shares):
        (tmp_path / "upstream.yaml").write_text(place)
        found = convert(tmp_path / "upstream.yaml", agreed, FRAME, limits=sandbox.Limits(), progress=lambda _: None)
        np.testing.assert_allclose(found.scores, shares, atol=1e-9)
        built = case.build(tmp_path / "w", agreed, flavour=UPSTREAM, files=found.files, signature=found.signature)
        case.release(built)
        with running(built.workspace) as ours, Client(ours.address) as client:
            told = client.predict("churn", FRAME.to_dict("records"))
            assert told.served_by == "model"
            np.testing.assert_allclose([one.probabilities["1"] for one in told.answers], shares[:, 1], atol=1e-9)
            ended(process)
            gone = client.predict("churn", FRAME.to_dict("records")[:2])
            assert (gone.served_by, [one.label for one in gone.answers]) == ("constant", [1, 1])
