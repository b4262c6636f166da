"""What is exported for Ray Serve runs there: `scripts/servers ray` fetches it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
import yaml

import serving_case as case
from modelmark.app.usecases.export_release import ExportRelease, Form
from modelmark.seal import keys
from modelmark.serving.http.listening import reserve
from modelmark.serving.supervisor import running
from modelmark.storage.artifacts import FolderArtifactStore

RAY = Path(__file__).resolve().parents[2] / ".servers" / "ray"
START = 240.0


@pytest.mark.skipif(not RAY.is_dir(), reason="Ray is not there: scripts/servers ray fetches it")
def test_ray_serve_answers_as_the_workspace_does_and_journals(tmp_path: Path) -> None:
    built = case.build(tmp_path / "w")
    case.release(built)
    verifier, out = keys.verifier(built.workspace.keys), tmp_path / "out"
    store = FolderArtifactStore(built.workspace)
    ExportRelease(workspace=built.workspace, artifacts=store, verifier=lambda: verifier)(out, Form.RAY_SERVE)
    told = yaml.safe_load((out / "serve.yaml").read_text())
    with reserve("127.0.0.1", 0) as held:
        told["http_options"]["port"] = held.getsockname()[1]
    (out / "serve.yaml").write_text(yaml.safe_dump(told))
    body, url = {"row": case.row(built)}, f"http://127.0.0.1:{told['http_options']['port']}"
    with running(built.workspace) as server:
        expected = httpx2.post(f"{server.address}/models/churn/predict", json=body).json()["predictions"]
    environment = {**os.environ, "PATH": f"{RAY / 'bin'}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    with (tmp_path / "log").open("wb") as log:
        ray = subprocess.Popen(
            [str(RAY / "bin" / "serve"), "run", "serve.yaml"], cwd=out, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + START
        while not ready(url):
            assert ray.poll() is None, (tmp_path / "log").read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < until, (tmp_path / "log").read_text("utf-8", "replace")[-2000:]
            time.sleep(0.5)
        told = httpx2.post(f"{url}/models/churn/predict", json=body)
        assert (told.status_code, told.json()["predictions"]) == (200, expected)
        assert len(told.headers.get_list("x-request-id")) == 1
        refused = httpx2.post(f"{url}/v2/models/churn/infer", json={"inputs": []})
        assert (refused.status_code, isinstance(refused.json()["error"], str)) == (400, True)
        assert any((out / "workspace" / "journal").rglob("*")), "each replica journals"
    finally:
        ray.send_signal(signal.SIGINT)  # it ends its cluster
        try:
            ray.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(ray.pid, signal.SIGKILL)
            ray.wait()


def ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/v2/health/ready", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
