"""Registering for real: the sandbox, the workspace and an MLflow on SQLite."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import models
import serving_case
from modelmark.app.golden_answers import golden_answers
from modelmark.domain import errors
from modelmark.domain.contract import ModelSource, Outputs
from modelmark.domain.metrics import Task
from modelmark.domain.version import (
    ARTIFACT,
    CONTRACT,
    DESCRIPTION,
    GOLDEN,
    LOCK,
    PARITY,
    REFERENCE,
    SIGNATURE,
    GoldenRequests,
    ParitySample,
)
from modelmark.domain.workspace import Workspace
from modelmark.registry import tensors
from modelmark.registry.mlflow import Tracking, _mlflow, read_version
from modelmark.registry.register import Registration, register
from modelmark.seal.digests import canonical, digest_value
from modelmark.seal.values import decode
from modelmark.serving.predictor import LocalPredictor
from modelmark.storage.artifacts import FolderArtifactStore

#: The version itself comes out of the sandbox; these ask what is made of such an answer.
HERE = pytest.mark.usefixtures("sandbox_here")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """One base folder with tables and a fitted model, one workspace, one MLflow: its first use is slow."""
    base = tmp_path_factory.mktemp("base")
    train, holdout = models.frame(400, 1), models.frame(200, 2)
    models.write_tables(base, train, holdout)
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), models.TEXT), remainder="passthrough")
    models.save(make_pipeline(encode, LogisticRegression(max_iter=500)).fit(train[models.FEATURES], train["y"]), base)
    return base, Workspace(base / ".modelmark")


def registration(bench, number=1, **changes):
    base, workspace = bench
    said = []
    usual = {
        "base": base,
        "artifacts": FolderArtifactStore(workspace),
        "tracking": Tracking(workspace=workspace, progress=said.append),
        "reference": lambda contract, train, holdout, scores: f"{len(train)} {len(scores)}".encode(),
        "golden": golden_answers,
        "number": number,
        "by": "ada",
        "metrics": lambda contract, holdout, scores: {"holdout.roc_auc": 0.9},
        "progress": said.append,
    }
    return Registration(**{**usual, **changes})


@pytest.fixture(scope="module")
def version(bench):
    return register(models.contract(), registration(bench))


def test_a_version_is_whole_on_disk(bench, version):
    folder = bench[1].version(version.id)
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [ARTIFACT, CONTRACT, SIGNATURE, LOCK, REFERENCE, PARITY, GOLDEN, DESCRIPTION]
    )
    assert read_version(folder) == version
    assert (folder / REFERENCE).read_bytes() == b"400 200"
    assert "onnxruntime==" in (folder / LOCK).read_text()
    assert version.parity.rows == 200
    assert version.parity.flipped == 0
    assert not list(bench[1].versions.glob(".new-*"))


def test_golden_requests_are_made_up_rows_as_the_version_answers_them(bench, version):
    folder = bench[1].version(version.id)
    requests = decode(GoldenRequests, (folder / GOLDEN).read_bytes()).requests
    made = {probe.row: probe.family for probe in decode(ParitySample, (folder / PARITY).read_bytes()).probes}
    assert GOLDEN in {file.path for file in version.files}
    assert len(requests) == 16
    assert {made[request.row] for request in requests} == set(made.values()), "something of each family"
    served = LocalPredictor.of_candidate(folder, version.id).predict([json.loads(one.row) for one in requests])
    assert [list(request.scores) for request in requests] == served


def test_the_same_bytes_again_are_the_same_version(bench, version):
    assert register(models.contract(), registration(bench, number=2)) == version


@HERE
def test_an_onnx_file_is_registered_and_served_as_it_is(bench):
    base = bench[0]
    (base / "given.onnx").write_bytes(serving_case.gradient_boosting(2))
    contract = models.contract(names=models.NUMERIC, source="given.onnx")
    made = register(contract, registration(bench, number=7))
    folder = bench[1].version(made.id)
    assert (folder / ARTIFACT).read_bytes() == (base / "given.onnx").read_bytes()
    assert made.components.flavour == "onnx_file"
    assert [file.path for file in made.files] == [ARTIFACT, CONTRACT, SIGNATURE, LOCK, REFERENCE, GOLDEN]
    rows = [{"income per year": 50.0, "age": 40}, {"income per year": 20.0, "age": 70}]
    predicted = LocalPredictor.of_candidate(folder, made.id).predict(rows)
    session = tensors.session((folder / ARTIFACT).read_bytes())
    given = np.array([list(row.values()) for row in rows], np.float32)
    assert predicted == session.run(["probabilities"], {"X": given})[0].astype(float).tolist()


@HERE
def test_an_onnx_file_registered_before_there_were_flavours_is_the_version_it_was(bench):
    (bench[0] / "earlier.onnx").write_bytes(serving_case.gradient_boosting(2))
    contract = models.contract(names=models.NUMERIC, source="earlier.onnx", outputs=Outputs(classes=(0, 1), positive=1))
    made = register(contract, registration(bench, number=7))
    parts = replace(made.components, flavour="onnx")
    before = replace(made, id=digest_value(parts), components=parts, files=(), number=5)
    folder = bench[1].version(made.id).rename(bench[1].version(before.id))
    (folder / DESCRIPTION).write_bytes(canonical(before))
    assert register(contract, registration(bench, number=8)) == before


def test_another_contract_makes_another_version(bench, version):
    other = register(models.contract(purpose="lend"), registration(bench, number=2))
    assert other.id != version.id
    assert other.components.artifact == version.components.artifact


def test_mlflow_knows_the_run_and_the_version(bench, version):
    tracking = registration(bench).tracking
    client = _mlflow().MlflowClient(tracking_uri=tracking.address, registry_uri=tracking.address)
    run = client.get_run(version.lineage.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == "ColumnTransformer → LogisticRegression"
    assert run.data.metrics["holdout.roc_auc"] == 0.9
    assert run.data.tags["modelmark.holdout_digest"] == version.lineage.holdout_digest
    tracking.set_alias(version, "champion")
    assert client.get_model_version_by_alias("loans", "champion").tags["modelmark.version"] == version.id
    tracking.remove_alias("loans", "champion")
    assert "champion" not in client.get_registered_model("loans").aliases


def test_a_lost_folder_comes_back_from_mlflow_by_id(bench, version, tmp_path):
    registration(bench).tracking.fetch(version, tmp_path / "back")
    original = bench[1].version(version.id)
    for file in original.iterdir():
        assert (tmp_path / "back" / file.name).read_bytes() == file.read_bytes()


@HERE
def test_a_changed_file_is_noticed(bench):
    made = register(models.contract(purpose="tamper"), registration(bench, number=3))
    path = bench[1].version(made.id) / ARTIFACT
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(errors.Tampered) as caught:
        register(models.contract(purpose="tamper"), registration(bench, number=3))
    assert caught.value.field == ARTIFACT


@pytest.mark.parametrize("format", ["pickle", "cloudpickle"])
def test_a_model_in_mlflow_can_be_the_source(bench, version, tmp_path, format):
    import joblib

    mlflow = _mlflow()
    import mlflow.sklearn as flavor

    base, workspace = bench
    tracking = Tracking(workspace=workspace)
    flavor.save_model(joblib.load(base / "model.joblib"), str(tmp_path / "m"), serialization_format=format)
    client = mlflow.MlflowClient(tracking_uri=tracking.address)
    place = client.create_experiment(f"others-{format}", artifact_location=(tmp_path / "store").as_uri())
    run = client.create_run(place)
    client.log_artifacts(run.info.run_id, str(tmp_path / "m"), "model")
    source = f"runs:/{run.info.run_id}/model"
    contract = models.contract(model=ModelSource(source=source, task=Task.BINARY))
    made = register(contract, registration(bench, number=4))
    assert made.components.artifact == version.components.artifact
    assert made.lineage.source == source


def test_a_registered_model_without_a_run_is_fetched_from_an_experiment_s_own_place(bench, version, tmp_path):
    """And from nowhere else: whoever registers a model names any place."""
    workspace = bench[1]
    tracking = Tracking(workspace=workspace)
    client = _mlflow().MlflowClient(tracking_uri=tracking.address, registry_uri=tracking.address)
    store, outside = tmp_path / "store", tmp_path / "outside"
    client.create_experiment("by hand", artifact_location=store.as_uri())
    client.create_registered_model("by-hand")
    for folder in (store / "kept", outside):
        folder.mkdir(parents=True)
        (folder / "m.joblib").write_bytes((bench[0] / "model.joblib").read_bytes())
        client.create_model_version("by-hand", (folder / "m.joblib").as_uri())
    got = tracking.download("models:/by-hand/1", tmp_path / "got")
    assert got.read_bytes() == (bench[0] / "model.joblib").read_bytes()
    with pytest.raises(errors.Rejected) as caught:
        tracking.download("models:/by-hand/2", tmp_path / "other")
    assert caught.value.code == "UNSAFE_PLACE"


@HERE
def test_a_missing_model_is_named(bench):
    contract = models.contract(model=ModelSource(source="nowhere.joblib", task=Task.BINARY))
    with pytest.raises(errors.Missing, match=r"nowhere\.joblib"):
        register(contract, registration(bench))


@HERE
def test_a_refused_version_leaves_no_folder(bench):
    def fail(*_):
        raise errors.NotYet("no")

    before = set(bench[1].versions.glob("*"))
    with pytest.raises(errors.NotYet):
        register(models.contract(purpose="fail"), registration(bench, metrics=fail))
    assert bench[1].versions.is_dir()
    assert set(bench[1].versions.glob("*")) == before


@HERE
def test_an_unreachable_mlflow_says_so(bench):
    tracking = Tracking(workspace=bench[1], uri="sqlite:////dev/null/mlflow.db")
    with pytest.raises(errors.NotYet) as caught:
        register(models.contract(purpose="far"), registration(bench, tracking=tracking))
    assert caught.value.code == "MLFLOW_UNAVAILABLE"


def test_the_git_commit_is_lineage(bench, tmp_path):
    from modelmark.registry.register import git_state

    assert git_state(tmp_path) == (None, False)
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    commit, dirty = git_state(tmp_path)
    assert len(commit) == 40
    assert not dirty
    (tmp_path / "new").touch()
    assert git_state(tmp_path) == (commit, True)
