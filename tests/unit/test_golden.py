"""What earlier releases wrote is read and verified for ever. `tests/golden/make_v1.py` made the files, once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelmark.contract.catalogue import required_gates
from modelmark.contract.read import load
from modelmark.domain import version as names
from modelmark.domain.audit import Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError, Tampered
from modelmark.governance.audit import verify_chain
from modelmark.journal.tables.receipts import DataFile, Receipts
from modelmark.journal.wal.reader import SegmentFile, read_segment
from modelmark.journal.wal.records import Labelled, Predicted, Refused, Schema
from modelmark.seal import keys
from modelmark.seal.mark import open_marked
from modelmark.seal.snapshot import read_snapshot
from modelmark.seal.values import decode_contract, restore
from modelmark.serving.predictor import LocalPredictor
from modelmark.stats.profile import SCORE, Reference

V1 = Path(__file__).resolve().parents[1] / "golden" / "v1"
FACTS = json.loads((V1 / "facts.json").read_text())
ID = Digest(FACTS["version"])
SEGMENT = "000000000000.seg"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The release's files, to be damaged."""
    return shutil.copytree(V1, tmp_path / "v1")


def segment(folder: Path):
    return read_segment(SegmentFile(FACTS["writer"], 0, folder / SEGMENT))


def marked(folder: Path):
    return open_marked(folder / "version", keys.verifier(folder), expected=ID)


def snapshot(folder: Path):
    return read_snapshot(folder / "snapshot.json", keys.verifier(folder))


def audit(folder: Path) -> list[Event]:
    try:
        events = [restore(Event, item) for item in json.loads((folder / "audit.json").read_bytes())]
    except ValueError as error:
        raise Tampered(str(error)) from None
    verify_chain(events)
    return events


def receipts(folder: Path) -> Receipts:
    found = Receipts(folder / "receipts.jsonl")
    found.load()
    return found


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x04
    path.write_bytes(data)


def test_a_journal_segment_of_version_1_reads_as_it_was_written():
    found = segment(V1)
    assert found.sealed
    assert found.end.link.hex() == FACTS["segment_link"]
    schema, predicted, labelled, refused = found.records
    assert isinstance(schema, Schema)
    assert (schema.version, schema.numeric, schema.text, schema.classes) == (ID, ["age", "income"], ["job"], [0, 1])
    assert isinstance(predicted, Predicted)
    assert (predicted.entity, predicted.path, predicted.rows, predicted.micros) == ("customer 7", "model", 2, 812)
    np.testing.assert_array_equal(np.frombuffer(predicted.numbers, "<f8"), [41, 1500.5, 30, np.nan])
    assert np.frombuffer(predicted.scores, "<f8").tolist() == [0.75, 0.25, 0.25, 0.75]
    assert predicted.texts == ["nurse", None]
    assert predicted.flags == [(1, "income", "MISSING"), (1, "job", "MISSING")]
    assert isinstance(labelled, Labelled)
    assert (labelled.prediction, labelled.row, labelled.label) == (predicted.id, 1, 1)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.field, refused.count) == ("OUT_OF_RANGE", "age", 4)


def test_every_flipped_byte_of_the_segment_is_noticed(copy: Path):
    size = (copy / SEGMENT).stat().st_size
    for offset in range(size):
        flip(copy / SEGMENT, offset)
        with pytest.raises(Tampered):
            segment(copy)
        flip(copy / SEGMENT, offset)
    assert segment(copy).sealed


def test_a_mark_of_version_1_still_holds():
    found = marked(V1)
    assert (found.version.label, found.version.model, found.contract.name) == ("v3", "loans", "loans")
    assert found.version.lineage.run_id == "a1"
    assert found.signature.feeds[1].columns == ("job",)
    predicate = found.statement["predicate"]
    assert predicate["approvals"][0]["name"] == "Bob Ray"
    assert predicate["waivers"][0]["gate"] == "load"


def test_a_marked_version_of_version_1_still_answers_as_it_did():
    predictor = LocalPredictor.of_marked(V1 / "version", keys.verifier(V1), ID)
    rows = [{"age": 41, "income": 1500.5, "job": "nurse"}, {"age": 30, "income": 0, "job": "never seen"}]
    odds = [-0.04 * 41 + 0.0004 * 1500.5 + 0.5 * 2 + 0.3, -0.04 * 30 - 0.5 + 0.3]
    positive = 1 / (1 + np.exp(-np.array(odds)))
    np.testing.assert_allclose(predictor.predict(rows), np.stack([1 - positive, positive], 1), rtol=1e-5)


@pytest.mark.parametrize("name", [*names.SIGNED_FILES, names.MARK])
def test_every_part_of_a_marked_version_is_covered(copy: Path, name: str):
    path = copy / "version" / name
    size = path.stat().st_size
    for offset in range(0, size, max(1, size // 40)):
        flip(path, offset)
        with pytest.raises(Tampered):
            marked(copy)
        flip(path, offset)
    assert marked(copy).version.id == ID


def test_a_snapshot_of_version_1_is_believed_and_a_changed_one_is_not(copy: Path):
    found = snapshot(copy)
    (route,) = found.routes
    assert (found.sequence, route.model, route.previous) == (7, "loans", ID)
    assert [(arm.name, arm.weight, arm.version) for arm in route.arms] == [("champion", 0.9, ID), ("canary", 0.1, ID)]
    path = copy / "snapshot.json"
    for offset in range(0, path.stat().st_size, 7):
        flip(path, offset)
        with pytest.raises(Tampered):
            snapshot(copy)
        flip(path, offset)


def test_a_contract_of_version_1_reads_the_same_from_yaml_and_from_json():
    found = load(V1 / "modelmark.yaml").contract
    stored = decode_contract((V1 / "contract.json").read_bytes())
    assert replace(stored, gates=found.gates) == found
    assert required_gates(stored) == ("data_contract", "holdout", "edge_cases", "parity", "load"), (
        "later gates were never asked"
    )
    assert [step.kind for step in found.fallback] == ["previous_version", "constant"]
    assert (found.outputs.threshold, found.serving.max_rows, found.inputs[1].unit) == (0.4, 100, "EUR/month")


def test_a_reference_of_version_1_still_compares():
    found = Reference.from_bytes((V1 / "version" / names.REFERENCE).read_bytes())
    assert found.rows == 500
    assert list(found.columns) == ["age", "income", "job", SCORE]
    age, job = found.columns["age"], found.columns["job"]
    assert int(age.histogram(age.counts).sum()) == int(job.counts.sum()) == 500
    counts = age.tally(np.array([30.0, 200.0, np.nan]))
    assert (age.missing(counts), age.outside(counts)) == (1, 1)
    assert job.outside(job.tally(["nurse", "pilot"])) == 1


def test_an_audit_chain_of_version_1_verifies_and_a_changed_one_does_not(copy: Path):
    assert [event.act for event in audit(copy)] == ["registered", "checked", "waived", "released"]
    path = copy / "audit.json"
    for offset in range(2, path.stat().st_size - 2, 5):
        before = path.read_bytes()
        flip(path, offset)
        try:
            changed = json.loads(path.read_bytes()) != json.loads(before)
        except ValueError:
            changed = True
        if changed:
            with pytest.raises((ModelmarkError, ValueError)):
                audit(copy)
        flip(path, offset)


def test_receipts_of_version_1_add_up_and_a_changed_line_is_named(copy: Path):
    found = receipts(copy)
    assert found.lines == 5
    assert found.versions == {"predictions/loans": 2}
    (kept,) = found.files["predictions/loans"].values()
    assert isinstance(kept, DataFile)
    assert (kept.path, kept.rows) == ("c.parquet", 5)
    assert found.anchors[FACTS["writer"]].sequence == 6
    second = (copy / "receipts.jsonl").read_bytes().index(b"b.parquet")
    flip(copy / "receipts.jsonl", second)
    with pytest.raises(Tampered) as caught:
        receipts(copy)
    assert caught.value.row == 2
