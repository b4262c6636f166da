"""Makes `tests/vectors` anew: `python tests/golden/make_vectors.py`. Needed only when docs/formats.md gains something.

Each vector says what a verifier is given and which fault it must find; none: null. A fixed key signs, so the files are the
same each time, but for the workspace, which is an earlier release's own.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from builders.keys import KEY  # noqa: E402
from modelmark.app.container import Container  # noqa: E402
from modelmark.journal.wal.frames import SEAL, Header, Seal, encode, frame  # noqa: E402
from modelmark.journal.wal.records import Refused  # noqa: E402
from modelmark.seal.chain import START, link  # noqa: E402
from modelmark.seal.digests import canonical, digest_bytes  # noqa: E402
from modelmark.seal.envelope import wrap  # noqa: E402
from modelmark.seal.heads import sign_receipt  # noqa: E402

OUT = ROOT / "tests" / "vectors"
WRITER = "0123456789abcdef" * 2


def main() -> None:
    for name, made in (("canonical", texts()), ("envelopes", envelopes()), ("audit", audits()), ("receipts", receipts()),
                       ("segments", segments())):  # fmt: skip
        (OUT / f"{name}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    workspaces()


def texts() -> list[dict[str, Any]]:
    values: list[Any] = [
        {"b": 1, "a": [True, None, False]}, {"é": "ü", "z": "\u0001\n\t\"\\/", "a": "\u2028😀"},
        [], {}, "", {"x": {"b": [], "a": {}}},
        {"share": 0.25, "big": 1e16, "small": 1e-7, "n": -0.5, "i": 12345678901234567890}, {"￿": 1, "😀": 2, "a": 3},
    ]  # fmt: skip
    return [{"text": canonical(v).decode(), "sha256": digest_bytes(canonical(v)).hex} for v in values]


def envelopes() -> dict[str, Any]:
    kind = "application/vnd.modelmark.snapshot+json"
    good = wrap({"sequence": 3, "routes": []}, kind, KEY)
    outer = json.loads(good)
    other = copy.deepcopy(outer)
    other["signatures"][0]["keyid"] = "sha256:" + "0" * 64
    bad = copy.deepcopy(outer)
    bad["payload"] = base64.b64encode(b'{"routes":[],"sequence":4}').decode()
    loose = copy.deepcopy(outer)
    loose["payload"] = loose["payload"].rstrip("=")
    cases = [
        ("as it was signed", good.decode(), None),
        ("another payload", canonical(bad).decode(), "BAD_SIGNATURE"),
        ("another key's name", canonical(other).decode(), "WRONG_KEY"),
        (
            "signed as something else",
            wrap({"sequence": 3}, "application/vnd.modelmark.head+json", KEY).decode(),
            "BAD_ENVELOPE",
        ),
        ("with blanks", json.dumps(outer), "BAD_ENVELOPE"),
        ("base64 without its padding", canonical(loose).decode(), "BAD_ENVELOPE"),
        ("no JSON", "hello", "BAD_ENVELOPE"),
        ("a list", "[]", "BAD_ENVELOPE"),
    ]
    key = base64.b64encode(KEY.verifier().key.public_bytes_raw()).decode()
    said = [{"what": what, "envelope": text, "fault": fault} for what, text, fault in cases]
    return {"key": key, "key_id": KEY.verifier().key_id, "type": kind, "cases": said}


def events() -> list[dict[str, Any]]:
    previous, made = START.hex(), []
    for number, details in enumerate(
        ({"rows": {"versions/a": "1" * 64}}, {"share": 0.25}, {"rows": {"versions/a": None}}), 1
    ):
        body = {"sequence": number, "at": f"2026-11-20T12:00:0{number}+00:00", "actor": "ann", "act": "registered",
                "subject": "a", "details": details}  # fmt: skip
        hashed = link(bytes.fromhex(previous), canonical(body)).hex()
        made.append({**body, "previous": previous, "hash": hashed})
        previous = hashed
    return made


def audits() -> list[dict[str, Any]]:
    def case(
        what: str, fault: str | None, change: Callable[[list[dict[str, Any]]], Any], head: Any = ...
    ) -> dict[str, Any]:
        told = events()
        end = {"chain": "audit", "sequence": 3, "hash": told[-1]["hash"]} if head is ... else head
        change(told)
        rows = [
            {"sequence": e["sequence"], "at": 1795176000000000 + 10**6 * e["sequence"], "body": canonical(e).decode()}
            for e in told
        ]
        sealed = None if end is None else wrap(end, "application/vnd.modelmark.head+json", KEY).decode()
        return {"what": what, "rows": rows, "head": sealed, "fault": fault}

    return [
        case("whole", None, lambda _: None),
        case("an actor changed", "AUDIT_CHANGED", lambda t: t[1].update(actor="bob")),
        case("one gone", "AUDIT_GAP", lambda t: t.pop(1)),
        case("cut", "AUDIT_CUT", lambda t: t.pop()),
        case("all gone", "AUDIT_CUT", lambda t: t.clear()),
        case("no head", "HEAD_GONE", lambda _: None, None),
        case("the journal's head", "BAD_HEAD", lambda _: None, {"chain": "journal", "sequence": 3, "hash": "0" * 64}),
        case("two changed places", "AUDIT_GAP", lambda t: t.reverse()),
    ]


def receipts() -> list[dict[str, Any]]:
    bodies: list[dict[str, Any]] = [
        {"kind": "intent", "table": "labels", "first": 0, "last": 0},
        {"kind": "append", "table": "labels", "version": 0, "removed": [], "log": "2" * 64,
         "added": [{"path": "a.parquet", "sha256": "3" * 64, "rows": 5}]},
        {"kind": "retire", "segments": [{"writer": WRITER, "number": 0, "sequence": 7, "link": "4" * 64, "records": 6}]},
    ]  # fmt: skip

    def text(lines: list[dict[str, Any]], *, signed: bool = True) -> tuple[str, str]:
        said, previous = b"", START
        for number, body in enumerate(lines, 1):
            previous = link(previous, canonical(body))
            more = {"signature": sign_receipt(KEY, previous)} if signed and number == len(lines) else {}
            said += canonical({**body, "link": previous.hex(), **more}) + b"\n"
        return said.decode(), previous.hex()

    whole, end = text(bodies)
    head = {"receipts": {"lines": 3, "link": end}, "writers": {}}
    unsigned, _ = text([*bodies, {"kind": "damage", "what": "x", "why": "y", "kept": True}], signed=False)
    changed, _ = text([bodies[0], {**bodies[1], "removed": ["b"]}, bodies[2]])
    cases = [
        ("whole", whole, head, None),
        ("an unfinished line after them", whole + '{"kind":', head, None),
        ("one line cut off", "".join(whole.splitlines(keepends=True)[:2]), head, "RECEIPTS_CUT"),
        ("gone", None, head, "RECEIPTS_GONE"),
        ("recomputed", changed, head, "RECEIPTS_REWRITTEN"),
        ("one more, unsigned", unsigned, {**head, "receipts": {"lines": 1, "link": json.loads(whole.splitlines()[0])["link"]}},
         "RECEIPT_UNSIGNED"),
        ("a digit changed", whole.replace('"rows":5', '"rows":6'), head, "RECEIPT_DAMAGED"),
        ("another signature", whole.replace('"signature":"', '"signature":"A'), head, "BAD_SIGNATURE"),
    ]  # fmt: skip
    return [{"what": what, "text": said, "head": end, "fault": fault} for what, said, end, fault in cases]


def segments() -> list[dict[str, Any]]:
    header = Header(WRITER, 0, 0, START)
    data, last = header.to_bytes(), header.link()
    frames = []
    for number in range(3):
        raw, last = frame(last, number, encode(Refused(1, "loans", "OUT_OF_RANGE", "age", number)))
        frames.append(raw)
    seal, last = frame(last, 3, encode(Seal(3, 0)), SEAL)
    whole = data + b"".join(frames) + seal
    at = len(data) + 60

    def case(what: str, raw: bytes, fault: str | None, suffix: str = ".seg") -> dict[str, Any]:
        return {"what": what, "writer": WRITER, "file": f"{0:012d}{suffix}", "hex": raw.hex(), "fault": fault}

    return [
        {**case("whole", whole, None), "records": 3, "end": {"sequence": 4, "link": last.hex()}},
        case("a bit flipped", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "SEGMENT_DAMAGED"),
        case("without its seal", whole[: -len(seal)], "SEGMENT_DAMAGED"),
        {**case("open, without its seal", whole[: -len(seal)], None, ".open"), "records": 3},
        {**case("open, torn in a frame", whole[: -len(seal) - 5], None, ".open"), "records": 2},
        case("open, damaged before sound frames", whole[:at] + b"\0" + whole[at + 1 :], "SEGMENT_DAMAGED", ".open"),
        case("a frame left out", data + frames[0] + frames[2] + seal, "SEGMENT_DAMAGED"),
        case("bytes after the seal", whole + b"more", "SEGMENT_DAMAGED"),
        case("a damaged header", b"X" + whole[1:], "SEGMENT_DAMAGED"),
        case("of another number", Header(WRITER, 7, 0, START).to_bytes() + whole[len(data) :], "SEGMENT_DAMAGED"),
        case("empty", b"", "SEGMENT_DAMAGED"),
    ]


def workspaces() -> None:
    """An earlier release's workspace, taken over, with what must be found after each change."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with tarfile.open(ROOT / "tests" / "golden" / "v1" / "workspace.tar.gz") as archive:
            archive.extractall(place, filter="data")
        app = Container.open({"MODELMARK_ACTOR": "ci"}, workspace=place)
        app.checkpoint()
        app.database.close()
        for extra in ("state.db-wal", "state.db-shm", "cache"):
            (place / extra).unlink(missing_ok=True)
        with sqlite3.connect(place / "state.db") as base:
            base.execute("PRAGMA journal_mode=DELETE")
        base.close()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(place, ".")
        (OUT / "workspace.tar.gz").write_bytes(buffer.getvalue())
    changes = [
        ("nothing", None, None, None), ("a signing key of nobody", "write", "keys/mark.key", "BAD_KEY"),
        ("receipts gone", "delete", "journal/receipts.jsonl", "RECEIPTS_GONE"),
        ("the last receipt gone", "cut", "journal/receipts.jsonl", "RECEIPTS_CUT"),
        ("the journal gone", "delete", "journal", "RECEIPTS_GONE"),
        ("the snapshot gone", "delete", "snapshot.dsse.json", "SNAPSHOT_GONE"),
        ("the checkpoint gone", "delete", "checkpoint.dsse.json", "CHECKPOINT_GONE"),
        ("a version gone", "delete", "versions/*", "FILE_GONE"),
        ("a mark gone", "delete", "versions/*/mark.dsse.json", "FILE_GONE"),
        ("parity changed", "write", "versions/*/parity.json", "FILE_CHANGED"),
        ("a model changed", "write", "versions/*/model.onnx", "FILE_CHANGED"),
        ("a table's log changed", "write", "journal/tables/predictions/loans/_delta_log/*.json", "LOG_CHANGED"),
        ("rows changed", "write", "journal/tables/predictions/loans/*.parquet", "FILE_CHANGED"),
        ("a state", "sql", "UPDATE versions SET state = 'registered' WHERE number = 1", "ROW_CHANGED"),
        ("an approval gone", "sql", "DELETE FROM approvals WHERE id = 1", "ROW_GONE"),
        ("an event gone", "sql", "DELETE FROM audit WHERE sequence = 4", "AUDIT_GAP"),
        ("the end of the audit gone", "sql", "DELETE FROM audit WHERE sequence > 20", "AUDIT_CUT"),
        ("heads gone", "sql", "DELETE FROM heads", "HEAD_GONE"),
        ("evidence moved", "sql", "UPDATE evidence SET version = (SELECT max(id) FROM versions) WHERE id = 1", "ROW_CHANGED"),
        ("an account put in", "sql", "INSERT INTO accounts VALUES ('eve', '{}')", "ROW_UNKNOWN"),
    ]  # fmt: skip
    said = [{"what": what, "how": how, "where": where, "first_fault": fault} for what, how, where, fault in changes]
    (OUT / "workspaces.json").write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
