"""docs/formats.md says it all: verifiers that share no code agree on every vector, and with `modelmark verify`."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builders.standalone import StandAlone, VectorVerifier, raw_key
from modelmark.app.container import Container

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
VERIFIERS = [pytest.param(StandAlone(), id="stand-alone")]
each = pytest.mark.parametrize("verifier", VERIFIERS)


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


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with tarfile.open(VECTORS / "workspace.tar.gz") as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    return tmp_path / "workspace"


def change(place: Path, case: dict[str, Any]) -> None:
    how, where = case["how"], case["where"]
    if how == "sql":
        with sqlite3.connect(place / "state.db") as base:
            base.execute(where)
        base.close()
        return
    for path in sorted(place.glob(where))[:1] if where else ():
        if how == "write":
            data = path.read_bytes()
            path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
        elif how == "cut":
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@each
@cases("workspaces")
def test_workspaces(verifier: VectorVerifier, case: dict[str, Any], place: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    shutil.copy(place / "checkpoint.dsse.json", kept)
    change(place, case)
    wanted = [] if case["first_fault"] is None else [case["first_fault"]]
    assert verifier.workspace(place, None)[:1] == wanted
    assert bool(verifier.workspace(place, kept)) == bool(wanted)
    app = Container.open({"MODELMARK_ACTOR": "auditor"}, workspace=place)
    assert [item.fault for item in app.verify() if item.fault][:1] == wanted


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
    again = Container.open({"MODELMARK_ACTOR": "auditor"}, workspace=earlier)
    assert [i.fault for i in again.verify() if i.fault] == []
    assert "ROLLED_BACK" in {i.fault for i in again.verify.against(kept, place / "keys" / "mark.pub")}
