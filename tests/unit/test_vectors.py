"""docs/formats.md says it all: verifiers that share no code agree on every vector, and with `modelmark verify`."""

from __future__ import annotations

import base64
import json
import shutil
import tarfile
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from builders.ours import Ours
from builders.standalone import StandAlone, VectorVerifier, raw_key
from builders.vectors import change, signed, text
from modelmark.app.container import Container
from second_verifier import Second

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
ALL: dict[str, VectorVerifier] = {"stand-alone": StandAlone(), "second": Second(), "modelmark": Ours()}
each = pytest.mark.parametrize("verifier", [pytest.param(verifier, id=name) for name, verifier in ALL.items()])


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def cases(name: str) -> Any:
    found = vectors(name)
    return pytest.mark.parametrize(
        "case", found["cases"] if isinstance(found, dict) else found, ids=lambda c: c["what"]
    )


@each
def test_there_is_one_text_for_a_value(verifier: VectorVerifier) -> None:
    for case in vectors("canonical"):
        assert verifier.canonical(case["text"]).decode() == case["text"]
        loose = json.dumps(json.loads(case["text"]), indent=2) if "e" not in case["text"] else case["text"]
        assert verifier.canonical(loose).decode() == case["text"]


@each
@cases("envelopes")
def test_envelopes(verifier: VectorVerifier, case: dict[str, Any]) -> None:
    given = vectors("envelopes")
    assert verifier.envelope(raw_key(given["key"]), given["type"], case["envelope"]) == case["fault"]


@each
@cases("audit")
def test_the_audit(verifier: VectorVerifier, case: dict[str, Any]) -> None:
    key = raw_key(vectors("envelopes")["key"])
    assert verifier.audit(key, case["rows"], case["head"]) == case["fault"]


@each
@cases("receipts")
def test_receipts(verifier: VectorVerifier, case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    if case["text"] is not None:
        (tmp_path / "journal" / "receipts.jsonl").write_text(case["text"])
    assert verifier.receipts(raw_key(vectors("envelopes")["key"]), tmp_path, case["head"]) == case["fault"]


@each
@cases("segments")
def test_segments(verifier: VectorVerifier, case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / case["writer"] / case["file"]
    path.parent.mkdir()
    path.write_bytes(bytes.fromhex(case["hex"]))
    fault, records, sequence, last = verifier.segment(path)
    assert fault == case["fault"]
    if "records" in case:
        assert records == case["records"]
    if "end" in case:
        assert {"sequence": sequence, "link": last} == case["end"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with tarfile.open(VECTORS / "workspace.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "workspace")


@cases("workspaces")
def test_workspaces(case: dict[str, Any], place: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    shutil.copy(place / "checkpoint.dsse.json", kept)
    for step in case["steps"]:
        change(place, **step)
    wanted = [] if case["first_fault"] is None else [case["first_fault"]]
    found = {name: verifier.workspace(place, None) for name, verifier in ALL.items()}
    assert {name: codes[:1] for name, codes in found.items()} == dict.fromkeys(ALL, wanted)
    assert {name for name, codes in found.items() if not set(case.get("also", ())) <= set(codes)} == set()
    if not wanted:
        assert {name: verifier.workspace(place, kept) for name, verifier in ALL.items()} == {name: [] for name in ALL}


@cases("checkpoints")
def test_checkpoints(case: dict[str, Any], place: Path, tmp_path: Path) -> None:
    """A whole workspace against a checkpoint that somebody with its key could have signed."""
    kept, said = tmp_path / "kept.json", json.loads((place / "checkpoint.dsse.json").read_text())
    payload = json.loads(base64.b64decode(said["payload"]))
    for name, value in case["with"].items():
        *parents, last = name.split(".")
        reduce(lambda part, name: part[name], parents, payload)[last] = value
    kept.write_text(signed(place, text(payload).decode(), case.get("type", "vnd.modelmark.checkpoint+json")))
    wanted = [] if case["fault"] is None else [case["fault"]]
    assert {name: verifier.workspace(place, kept)[:1] for name, verifier in ALL.items()} == dict.fromkeys(ALL, wanted)


@each
def test_a_workspace_that_was_put_back_is_found_by_a_checkpoint_kept_elsewhere(
    verifier: VectorVerifier, place: Path, tmp_path: Path
) -> None:
    """Whole, with database, journal, snapshot and checkpoint: nothing inside it can tell."""
    earlier = tmp_path / "earlier"
    shutil.copytree(place, earlier)
    app = Container.open({"MODELMARK_ACTOR": "ci"}, workspace=place)
    app.people.add("ada", name="Ada Lovelace", roles=[], password="a long enough secret")
    app.checkpoint(to=str(tmp_path / "away"))
    app.database.close()
    (kept,) = (tmp_path / "away").iterdir()
    assert verifier.workspace(place, kept) == []
    assert verifier.workspace(earlier, None) == []
    assert "ROLLED_BACK" in verifier.workspace(earlier, kept)
