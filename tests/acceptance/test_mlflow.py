"""MLflow knows every version, can be where a model comes from, and can give a version's files back."""

from __future__ import annotations

import os
import re
import shutil

import joblib
import pytest

from journey import NAME, Place, logistic, mixed, pipeline, small, until
from modelmark.domain.catalogue.gate_settings import SupplyChainGate
from modelmark.domain.evidence import Verdict
from modelmark.gates.runner import run_gate
from modelmark.gates.supply_chain.gate import SupplyChain
from modelmark.seal.digests import digest_file


@pytest.fixture
def mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    return mlflow


def client_of(mlflow, place: Place):
    address = f"sqlite:///{place.workspace / 'mlflow.db'}"
    return mlflow.MlflowClient(tracking_uri=address, registry_uri=address)


def test_run_parameters_metrics_lineage_and_alias_are_in_mlflow(released, mlflow):
    client = client_of(mlflow, released)
    version = released.app().find("v1")
    found = client.get_model_version_by_alias(NAME, "champion")
    assert found.tags["modelmark.version"] == version.id
    assert found.tags["modelmark.train_digest"] == digest_file(released.folder / "train.csv")
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["objective"] == "roc_auc"
    assert run.data.params["estimator"]
    assert run.data.metrics["parity.flipped"] == 0
    assert run.data.tags["modelmark.source_digest"] == digest_file(released.folder / "model.joblib")
    assert {"modelmark.holdout_digest", "modelmark.git_commit", "modelmark.registered_by"} <= run.data.tags.keys()


def test_fetch_brings_a_deleted_version_back_bit_by_bit(released):
    (folder,) = (released.workspace / "versions").iterdir()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    assert "modelmark fetch v1" in released.run("status").out
    released.run("fetch", "v1")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == before
    assert released.json("verify")["verdict"] == "pass"


def test_the_alias_moves_with_release_and_rollback(released, mlflow):
    joblib.dump(pipeline(mixed()[:450], "y", logistic(0.9)), released.folder / "model.joblib")
    client, app = client_of(mlflow, released), released.app()
    first, second = app.find("v1"), released.next_champion(app)

    def champion() -> str:
        return client.get_model_version_by_alias(NAME, "champion").tags["modelmark.version"]

    assert champion() == second.id
    released.run("rollback")
    until(lambda: champion() == first.id, seconds=60)  # behind the act, by a process of its own
    until(lambda: not app.finish.pending(), seconds=60)


@pytest.mark.parametrize("address", ["runs", "models"])
def test_a_model_that_mlflow_keeps_can_be_the_source(tmp_path, template, mlflow, address, monkeypatch):
    place = small(tmp_path / "place")
    place.workspace.mkdir()
    shutil.copy(template.workspace / "mlflow.db", place.workspace / "mlflow.db")  # its first migration takes seconds
    uri = f"sqlite:///{place.workspace / 'mlflow.db'}"
    folder = tmp_path / "logged"
    folder.mkdir()
    shutil.move(place.folder / "model.joblib", folder / "model.pkl")
    (folder / "MLmodel").write_text("artifact_path: m\nflavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("training", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info
    client.log_artifacts(run.run_id, str(folder), "m")
    source = f"runs:/{run.run_id}/m"
    if address == "models":
        client.create_registered_model("trained")
        client.create_model_version("trained", f"{run.artifact_uri}/m", run_id=run.run_id)
        source = "models:/trained/1"
    assert "its conversion answers 0 of" in place.init(model=source).out
    assert re.search(rf"source: \"?{re.escape(source)}", place.contract.read_text())
    place.fill_in()
    assert "registered loans v1" in place.run("register").out
    version = place.app().find("v1")
    assert version.lineage.source == source
    assert version.lineage.source_digest == digest_file(folder / "model.pkl")
    gate = SupplyChain(SupplyChainGate(scanners=("picklescan",)))
    evidence = run_gate(gate, place.app().open_case(version, place.folder))
    assert evidence.verdict is Verdict.PASS
    assert evidence.looked_at["source"] == version.lineage.source_digest
    assert not os.path.exists(place.folder / "mlruns")


def test_an_address_that_mlflow_does_not_know_is_an_error_in_one_line(released):
    text = released.contract.read_text()
    changed = re.sub(r"  source: .*", '  source: "models:/nobody/7"', text)
    released.contract.write_text(changed)
    said = released.run("register", code=3).err.splitlines()[-1]
    assert said.startswith("error: MLflow has no such thing")


def test_what_mlflow_names_never_leads_out_of_the_run(tmp_path, template, mlflow):
    from modelmark.domain.errors import ModelmarkError
    from modelmark.domain.workspace import Workspace
    from modelmark.registry.mlflow import Tracking

    secret = tmp_path / "secret"
    secret.write_text("canary")
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir()
    shutil.copy(template.workspace / "mlflow.db", workspace.mlflow_database)
    uri = f"sqlite:///{workspace.mlflow_database}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("training", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info
    client.log_text(run.run_id, "flavors: {sklearn: {pickled_model: ../../../secret}}\n", "m/MLmodel")
    client.log_text(run.run_id, "x", "linked/model.onnx")
    artifacts = tmp_path / "artifacts" / run.run_id / "artifacts"
    (artifacts / "linked" / "other").symlink_to(secret)
    (artifacts / "alias").symlink_to(tmp_path)
    client.create_registered_model("trained")
    client.create_model_version("trained", (artifacts / "linked").as_uri(), run_id=run.run_id)
    tracking = Tracking(workspace=workspace)
    addresses = (
        "m",
        "linked",
        "linked/other",
        "alias/secret",
        "../../../secret",
        "%2e%2e/%2e%2e/%2e%2e/secret",
        "//" + str(secret),
    )
    for address in (*(f"runs:/{run.run_id}/{path}" for path in addresses), "models:/trained/1"):
        target = tmp_path / "target"
        target.mkdir()
        with pytest.raises(ModelmarkError) as caught:
            tracking.download(address, target)
        assert caught.value.code in ("BAD_ADDRESS", "UNSAFE_PLACE", "NOT_A_MODEL"), (address, caught.value.code)
        assert all(path.read_text() != "canary" for path in target.rglob("*") if path.is_file()), address
        shutil.rmtree(target)
    assert secret.read_text() == "canary"
