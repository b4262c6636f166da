"""Made `tests/golden/v1` once, with the first release: `python tests/golden/make_v1.py FOLDER`.

Kept to show where those files come from. Never run again over them: what a release wrote must be read for ever, and the
private key was thrown away on the spot. A new format gets a new folder and a script of its own.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, checker, helper, numpy_helper

from builders.keys import KEY
from modelmark.contract.read import parse
from modelmark.domain import version as names
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Bound, Check, Evidence, Limit
from modelmark.domain.people import Role
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.routes import Arm, Route, Snapshot
from modelmark.domain.version import Components, Feed, Lineage, Parity, Signature, Version
from modelmark.governance.audit import Audit
from modelmark.journal.tables.receipts import Receipts
from modelmark.journal.wal.frames import SEAL, Header, Seal, encode, frame
from modelmark.journal.wal.records import Labelled, Predicted, Record, Refused, Schema
from modelmark.seal import keys, mark
from modelmark.seal.digests import canonical, digest_bytes, digest_value, plain
from modelmark.seal.snapshot import write_snapshot
from modelmark.stats.profile import reference
from modelmark.testing.ledger import MemoryLedger

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NANOSECONDS = int(NOON.timestamp()) * 10**9
WRITER = "0123456789abcdef" * 2
CONTRACT = """\
modelmark: 1
name: loans
purpose: decides who is called back
intended_uses: [rank applications]
forbidden_uses: [set a price]
people:
  - {role: data_science, name: Ann Lee, signs: true}
  - {role: product, name: Bob Ray, signs: true}
labels: {expected_delay_hours: 24.0}
model: {source: model.joblib, task: binary}
data: {train: train.csv, holdout: holdout.csv, target: late}
inputs:
  - {name: age, type: integer, unit: years, minimum: 0, maximum: 120}
  - {name: income, type: number, unit: EUR/month, minimum: 0, maximum: 100000, on_out_of_range: flag}
  - {name: job, type: category, categories: [clerk, driver, nurse], on_unseen: flag}
outputs: {classes: [0, 1], positive: 1, threshold: 0.4}
objective: {metric: roc_auc}
guardrails:
  - {metric: accuracy, limit: 0.6}
fallback:
  - {kind: previous_version}
  - {kind: constant, value: 0}
serving: {deadline_ms: 5000, p99_ms: 50.0, rate_per_s: 20.0, max_rows: 100}
"""


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    signer = keys.Signer(Ed25519PrivateKey.generate())  # never written down
    (folder / keys.PUBLIC).write_bytes(
        signer.verifier().key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "modelmark.yaml").write_text(CONTRACT)
    contract = parse(CONTRACT.encode(), folder / "modelmark.yaml").contract
    (folder / "contract.json").write_bytes(canonical(contract))
    version = write_version(folder / "version", contract, signer)
    arms = (Arm(version=version.id, name="champion", weight=0.9), Arm(version=version.id, name="canary", weight=0.1))
    route = Route(model=contract.name, arms=arms, previous=version.id)
    write_snapshot(folder / "snapshot.json", Snapshot(sequence=7, issued_at=NOON, routes=(route,)), signer)
    (folder / "audit.json").write_bytes(canonical([plain(event) for event in audit(version)]))
    write_receipts(folder)
    segment, last = journal(version, contract)
    (folder / "000000000000.seg").write_bytes(segment)
    facts = {"version": version.id, "writer": WRITER, "segment_link": last.hex()}
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")


def write_version(folder: Path, contract: Contract, signer: keys.Signer) -> Version:
    folder.mkdir()
    signature = Signature(
        feeds=(
            Feed(graph_input="numbers", columns=("age", "income"), dtype="float32"),
            Feed(graph_input="texts", columns=("job",), dtype="string"),
        ),
        score_output="probabilities",
    )
    draw = np.random.default_rng(20261120)
    train = pd.DataFrame(
        {
            "age": draw.integers(18, 90, 500),
            "income": np.round(draw.gamma(3, 1000, 500), 2),
            "job": draw.choice(["clerk", "driver", "nurse"], 500),
        }
    )
    score = draw.beta(2, 3, 500)
    contents = {
        names.ARTIFACT: model(),
        names.CONTRACT: canonical(contract),
        names.SIGNATURE: canonical(signature),
        names.LOCK: b"scikit-learn==1.9.1\n",
        names.REFERENCE: reference(contract, train, np.stack([1 - score, score], axis=1)),
    }
    parts = Components(
        artifact=digest_bytes(contents[names.ARTIFACT]),
        contract=digest_bytes(contents[names.CONTRACT]),
        preprocessing=digest_bytes(contents[names.SIGNATURE]),
        lock=digest_bytes(contents[names.LOCK]),
    )
    nothing = digest_bytes(b"")
    version = Version(
        id=digest_value(parts),
        model=contract.name,
        number=3,
        components=parts,
        lineage=Lineage(
            source="model.joblib",
            source_digest=nothing,
            train_digest=nothing,
            holdout_digest=nothing,
            git_commit="0" * 40,
            run_id="a1",
        ),
        parity=Parity(rows=500, flipped=1, max_difference=1e-7),
        reference=digest_bytes(contents[names.REFERENCE]),
        created_at=NOON,
        registered_by="ann",
    )
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / names.DESCRIPTION).write_bytes(canonical(version))
    minimum = Check(
        name="minimum",
        measured=0.91,
        low=0.88,
        high=0.94,
        n=500,
        limit=Limit(bound=Bound.AT_LEAST, value=0.8),
        sentence="ROC AUC is 0.91.",
    )
    evidence = Evidence(gate="holdout", candidate=version.id, checks=(minimum,), at=NOON, seconds=1.5)
    seen = mark.evidence_digest([evidence])
    approval = Approval(version=version.id, evidence=seen, role=Role.PRODUCT, name="Bob Ray", at=NOON, comment="fine")
    waiver = Waiver(
        version=version.id,
        gate="load",
        name="Bob Ray",
        reason="runs on a laptop",
        expires_at=NOON + timedelta(days=30),
        at=NOON,
    )
    issued = mark.issue(version, [evidence], [approval], [waiver], at=NOON, folder=folder, signer=signer)
    (folder / names.MARK).write_bytes(issued)
    return version


def model() -> bytes:
    """Probabilities of a logistic regression over two numbers and one text, by hand."""
    weights = numpy_helper.from_array(np.array([[-0.04], [0.0004], [0.5]], np.float32), "weights")
    bias = numpy_helper.from_array(np.array([0.3], np.float32), "bias")
    one = numpy_helper.from_array(np.array([1], np.float32), "one")
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["texts"],
            ["codes"],
            domain="ai.onnx.ml",
            keys_strings=["clerk", "driver", "nurse"],
            values_floats=[0.0, 1.0, 2.0],
            default_float=-1.0,
        ),
        helper.make_node("Concat", ["numbers", "codes"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 2]),
        helper.make_tensor_value_info("texts", TensorProto.STRING, [None, 1]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    graph = helper.make_graph(nodes, "loans", inputs, outputs, [weights, bias, one])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(made)
    return bytes(made.SerializeToString())


def audit(version: Version) -> list[Any]:
    ledger, minute = MemoryLedger(), iter(range(100))
    chain = Audit(ledger, lambda: NOON + timedelta(minutes=next(minute)), lambda: KEY)
    chain.append("ann", "registered", str(version.id), number=3, source="model.joblib")
    chain.append("ann", "checked", str(version.id), gates={"holdout": "pass", "load": "fail"})
    chain.append("Bob Ray", "waived", str(version.id), gate="load", reason="runs on a laptop")
    chain.append("Bob Ray", "released", str(version.id), arm="champion", weight=1.0)
    return list(ledger.events())


def write_receipts(folder: Path) -> None:
    def file(name: str, rows: int) -> dict[str, Any]:
        return {"path": name, "sha256": digest_bytes(name.encode()).hex, "rows": rows}

    table = "predictions/loans"
    retired = {"writer": WRITER, "number": 0, "sequence": 6, "link": "ab" * 32}
    Receipts(folder / "receipts.jsonl").append(
        [
            {"kind": "append", "table": table, "version": 0, "added": [file("a.parquet", 2)], "removed": []},
            {"kind": "append", "table": table, "version": 1, "added": [file("b.parquet", 3)], "removed": []},
            {"kind": "retire", "segments": [retired]},
            {
                "kind": "optimize",
                "table": table,
                "version": 2,
                "added": [file("c.parquet", 5)],
                "removed": ["a.parquet", "b.parquet"],
            },
            {"kind": "damage", "what": f"{WRITER}/000000000001.seg", "why": "the checksum differs", "kept": True},
        ]
    )


def journal(version: Version, contract: Contract) -> tuple[bytes, bytes]:
    """(the segment's bytes, the last link)."""
    header = Header(WRITER, 0, 0, form=1)
    data, last, count = [header.to_bytes()], header.link(), 0
    for record in records(version, contract):
        piece, last = frame(last, count, encode(record), seed=0)
        data.append(piece)
        count += 1
    piece, last = frame(last, count, encode(Seal(count, 0)), SEAL, seed=0)
    return b"".join([*data, piece]), last


def records(version: Version, contract: Contract) -> list[Record]:
    id = f"{NANOSECONDS // 10**6:012x}{WRITER[:8]}{1:012x}"
    numbers = np.array([[41, 1500.5], [30, np.nan]], "<f8").tobytes()
    scores = np.array([[0.75, 0.25], [0.25, 0.75]], "<f8").tobytes()
    return [
        Schema(str(version.id), contract.name, "binary", ["age", "income"], ["job"], [0, 1], 1, 0.4),
        Predicted(
            id,
            NANOSECONDS,
            contract.name,
            str(version.id),
            "champion",
            "model",
            "request-1",
            "customer 7",
            2,
            numbers,
            ["nurse", None],
            [(1, "income", "MISSING"), (1, "job", "MISSING")],
            scores,
            812,
        ),
        Labelled(id, 1, NANOSECONDS + 5, contract.name, 1, "api"),
        Refused(NANOSECONDS + 9, contract.name, "OUT_OF_RANGE", "age", 4),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
