"""Tables that DVC itself keeps (`scripts/servers dvc` fetches it): pulled from its storage, and refused once they are others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from journey import Place, small
from modelmark.domain.errors import Conflict, NotYet

DVC = Path(__file__).resolve().parents[2] / ".servers" / "dvc" / "bin" / "dvc"


@pytest.mark.skipif(not DVC.is_file(), reason="DVC is not there: scripts/servers dvc fetches it")
def test_tables_are_pulled_and_recorded_and_other_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{DVC.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    place: Place = small(tmp_path / "place")
    place.draft()

    def dvc(*words: str) -> None:
        done = subprocess.run([DVC, *words], cwd=place.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    dvc("init", "--no-scm")
    dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    dvc("add", "train.csv", "holdout.csv")
    dvc("push")
    for name in ("train.csv", "holdout.csv"):
        (place.folder / name).unlink()
    for cached in (place.folder / ".dvc" / "cache").rglob("*"):
        if cached.is_file():
            cached.chmod(0o600)
            cached.unlink()
    app = place.app()
    version = place.register(app)
    import mlflow

    run = mlflow.MlflowClient(app.tracking.address).get_run(version.lineage.run_id)
    assert set(run.data.tags) >= {"modelmark.dvc.train", "modelmark.dvc.holdout"}
    (place.folder / "train.csv").chmod(0o600)
    with (place.folder / "train.csv").open("a") as file:
        file.write("1,2,clerk,A,yes\n")
    with pytest.raises(Conflict, match=r"not what train\.csv\.dvc pins"):
        place.register(app)
    (place.folder / "train.csv").unlink()
    os.rename(tmp_path / "store", tmp_path / "away")
    for cached in (place.folder / ".dvc" / "cache").rglob("*"):
        if cached.is_file():
            cached.chmod(0o600)
            cached.unlink()
    with pytest.raises(NotYet, match=r"dvc pull train\.csv\.dvc failed"):
        place.register(app)
