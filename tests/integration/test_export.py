"""What is exported serves as the workspace did, holds no secret, and is refused with a changed byte."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnxruntime as runtime
import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

import serving_case as case
from modelmark import Client
from modelmark.app.usecases.export_release import ExportRelease, Form
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.errors import Conflict, Missing, NoMark, Rejected, Tampered
from modelmark.domain.version import ARTIFACT, MARK
from modelmark.domain.workspace import Workspace
from modelmark.registry.export import triton
from modelmark.seal import keys
from modelmark.serving.supervisor import running
from modelmark.storage.artifacts import FolderArtifactStore


@pytest.fixture
def released(tmp_path: Path) -> tuple[case.Built, ExportRelease]:
    agreed = case.contract(fallback=(Fallback(kind=FallbackKind.PREVIOUS_VERSION),))
    first, second = (case.build(tmp_path / "w", agreed, number=n) for n in (1, 2))
    case.release(second, previous=first)
    verifier = keys.verifier(second.workspace.keys)
    store = FolderArtifactStore(second.workspace)
    return second, ExportRelease(workspace=second.workspace, artifacts=store, verifier=lambda: verifier)


def test_the_folder_of_an_image_serves_and_signs_nothing(
    released: tuple[case.Built, ExportRelease], tmp_path: Path
) -> None:
    built, export = released
    out = tmp_path / "out"
    found = export(out, Form.IMAGE)
    assert found.models == {"churn": ("v2", "v1")}
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == set(found.files)
    assert not [name for name in files if name.endswith((".key", ".db")) or "journal" in name]
    row = case.row(built)
    with running(built.workspace) as there, Client(there.address) as client:
        expected = client.predict("churn", [row]).answers[0].score
    with running(Workspace(out / "workspace")) as here, Client(here.address) as client:
        answered = client.predict("churn", [row])
    assert (answered.version, answered.answers[0].score) == ("v2", expected)
    assert "USER 10001" in (out / "Dockerfile").read_text()
    wanted = (out / "requirements.txt").read_text()
    assert wanted.startswith("modelmark[serve,grpc,data]==")
    assert "scikit-learn==1.9.1\n" in wanted
    kinds = [part["kind"] for part in yaml.safe_load_all((out / "kubernetes.yaml").read_text())]
    assert kinds == ["StatefulSet", "Service", "HorizontalPodAutoscaler"]
    (container,) = yaml.safe_load((out / "kserve.yaml").read_text())["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"


def test_a_triton_repository_is_the_graph_and_says_what_goes_in(
    released: tuple[case.Built, ExportRelease], tmp_path: Path
) -> None:
    built, export = released
    export(tmp_path / "out", Form.TRITON, model="churn")
    folder = tmp_path / "out" / "churn"
    told = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (told.name, told.backend, told.max_batch_size) == ("churn", "onnxruntime", built.contract.serving.max_rows)
    graph = (folder / "2" / ARTIFACT).read_bytes()
    assert graph == (built.folder / ARTIFACT).read_bytes()
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert {one.name: list(one.dims) for one in told.input} == {"X": [3]}
    assert {one.name for one in told.output} == {one.name for one in session.get_outputs()}
    scores = session.run([built.signature.score_output], {"X": np.zeros((2, 3), np.float32)})[0]
    assert scores.shape == (2, 2)
    assert "| X | float32 | f0, f1, f2 |" in (folder / "README.md").read_text()


def test_what_may_not_serve_is_not_exported(released: tuple[case.Built, ExportRelease], tmp_path: Path) -> None:
    built, export = released
    with pytest.raises(Missing, match="nothing of that name"):
        export(tmp_path / "out", Form.IMAGE, model="other")
    data = (built.folder / ARTIFACT).read_bytes()
    (built.folder / ARTIFACT).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Tampered, match=ARTIFACT):
        export(tmp_path / "out", Form.IMAGE)
    (built.folder / ARTIFACT).write_bytes(data)
    (built.folder / MARK).unlink()
    with pytest.raises(NoMark):
        export(tmp_path / "out", Form.TRITON)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_folder_that_holds_something_stays_as_it_is(
    released: tuple[case.Built, ExportRelease], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(Conflict, match="not empty"):
        released[1](tmp_path / "out", Form.IMAGE)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_runs_as_itself_is_no_graph(tmp_path: Path) -> None:
    built = case.build(tmp_path, flavour="original", files={"model.saved": b"x", "asked.json": b"{}"})
    with pytest.raises(Rejected) as refused:
        triton.repository(built.version, built.contract, built.signature, b"")
    assert refused.value.code == "NOT_A_GRAPH"
    assert "image" in str(refused.value.hint)


def test_a_folder_for_ray_serve_is_the_workspace_and_what_ray_is_told(
    released: tuple[case.Built, ExportRelease], tmp_path: Path
) -> None:
    _, export = released
    out = tmp_path / "out"
    export(out, Form.RAY_SERVE)
    (told,) = yaml.safe_load((out / "serve.yaml").read_text())["applications"]
    module, _, name = told["import_path"].partition(":")
    defined = {node.name for node in ast.parse((out / f"{module}.py").read_text()).body if hasattr(node, "name")}
    assert {name, *(one["name"] for one in told["deployments"])} <= defined
    assert not list(out.rglob("*.key"))
    assert "ray[serve]" in (out / "requirements.txt").read_text()
    assert not (out / "Dockerfile").exists()


def test_a_folder_for_tensorflow_serving_is_refused_by_name(
    released: tuple[case.Built, ExportRelease], tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match="TensorFlow Serving runs SavedModels alone") as caught:
        released[1](tmp_path / "out", Form.TENSORFLOW_SERVING)
    assert (caught.value.code, (tmp_path / "out").exists()) == ("NOT_A_SAVED_MODEL", False)
