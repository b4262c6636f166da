"""The same version, asked the same again, answers bit for bit the same, or what differs is said field by field."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import serving_case as case
from modelmark import Client
from modelmark.app import recorded as module
from modelmark.app.container import Container
from modelmark.app.usecases.predictions.replay import Replay
from modelmark.domain.contract import Outputs
from modelmark.domain.errors import Missing, Unmeasured
from modelmark.domain.metrics import Task
from modelmark.domain.version import ARTIFACT, MARK
from modelmark.journal.tables.compact import compact
from modelmark.seal import keys
from modelmark.serving.supervisor import running
from modelmark.storage.artifacts import FolderArtifactStore
from modelmark.testing.ledger import MemoryLedger

REGRESSION = case.contract(task=Task.REGRESSION, outputs=Outputs())


def answered(root: Path, agreed: Any = None) -> tuple[case.Built, str, Replay]:
    """A prediction of three rows, one of them with odd numbers, by a server that has ended."""
    built = case.build(root, agreed)
    case.release(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        rows = [case.row(built, value) for value in (0.5, -1.25e-7, 33.333333333333336)]
        id = client.predict("churn", rows).id
    store = FolderArtifactStore(built.workspace)
    verifier = keys.signer(built.workspace.keys).verifier()
    replay = Replay(workspace=built.workspace, ledger=MemoryLedger(), artifacts=store, verifier=lambda: verifier)
    return built, id, replay


@pytest.mark.parametrize("agreed", [None, REGRESSION], ids=["binary", "regression"])
def test_it_is_the_same_from_the_log_and_from_the_tables(tmp_path: Path, agreed: Any) -> None:
    built, id, replay = answered(tmp_path, agreed)
    for _ in ("log", "tables"):
        found = replay(id)
        assert (found.same, found.rows, found.label, found.differences) == (True, 3, "v1", ())
        assert any("does not say which processor" in note for note in found.notes)
        compact(built.workspace)
    assert module.find(built.workspace, id), "the second time it came from the tables"


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> tuple[case.Built, str, Replay]:
    built, id, replay = answered(tmp_path_factory.mktemp("binary"))
    app = Container.open({}, workspace=built.workspace.root)
    assert not app.ledger.versions()  # whoever writes tables has a database
    app.database.close()
    compact(built.workspace)
    return built, id, replay


def test_one_bit_is_a_difference_and_is_named(
    binary: tuple[case.Built, str, Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, id, replay = binary
    rows = module.find(built.workspace, id)
    was = rows[1]["score"]
    rows[1] = {**rows[1], "score": was + 2**-53, "prediction": "7"}
    monkeypatch.setattr(module, "find", lambda *_: rows)
    found = replay(id)
    assert [(d.row, d.field) for d in found.differences] == [(1, "score"), (1, "prediction")]
    assert (found.differences[0].recorded, found.differences[0].replayed) == (was + 2**-53, was)


def test_a_command_says_so_in_its_exit_code(binary: tuple[case.Built, str, Replay]) -> None:
    built, id, _ = binary

    def run(*words: str) -> Any:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")}
        command = [sys.executable, "-m", "modelmark", *words, "--workspace", str(built.workspace.root)]
        return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=100)

    same = run("replay", id, "--json")
    assert (same.returncode, json.loads(same.stdout)["same"]) == (0, True), same.stderr
    assert run("replay", "nothing").returncode == 3
    artifact = built.folder / ARTIFACT
    whole = artifact.read_bytes()
    artifact.write_bytes(whole[:-1])
    try:
        changed = run("replay", id)
        assert (changed.returncode, changed.stderr.count("\n")) == (2, 1)
        assert "cannot be asked again" in changed.stderr
    finally:
        artifact.write_bytes(whole)


def test_what_cannot_be_asked_again_is_not_told(
    binary: tuple[case.Built, str, Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, id, replay = binary
    mark = built.folder / MARK
    kept = mark.read_bytes()
    mark.unlink()
    with pytest.raises(Unmeasured, match="carries no mark"):
        replay(id)
    mark.write_bytes(kept)
    rows = module.find(built.workspace, id)
    for changed, said in (({"path": "constant"}, "no model answered"), ({"flags": ["SCHEMA_MISSING:"]}, "not kept")):
        monkeypatch.setattr(module, "find", lambda *_, changed=changed: [{**row, **changed} for row in rows])
        with pytest.raises(Unmeasured, match=said):
            replay(id)
    monkeypatch.undo()
    with pytest.raises(Missing):
        replay("nothing")


def test_another_runtime_is_said(binary: tuple[case.Built, str, Replay], monkeypatch: pytest.MonkeyPatch) -> None:
    _, id, replay = binary
    monkeypatch.setattr(replay.artifacts.__class__, "read", lambda *_: b"onnxruntime==1.2.3\nnumpy==0.1\n")
    notes = " ".join(replay(id).notes)
    assert "was 1.2.3 when the version was registered" in notes
    assert "numpy is" in notes
