"""What tests/vectors/workspaces.json says: changes to a workspace, the first fault they must lead to, and others among the rest."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import Any

V = "versions/202fbc2f4c1704bfefa2c65806fca60b5a6127cafcccb007c21604e2c2f563f5"
WRITER = "9c0b64c9133b5af1f340c23e1e7a2b63"
LABELS, LOG = "journal/tables/labels", "journal/tables/labels/_delta_log"
OLD = "part-00000-f5738268-ac43-4b77-8bec-143a150ab93a-c000.zstd.parquet"
CHECKPOINT = "vnd.modelmark.checkpoint+json"
Step = dict[str, Any]


def step(how: str, where: str, **more: Any) -> Step:
    return {"how": how, "where": where, **more}


def sql(statement: str) -> list[Step]:
    return [step("sql", statement)]


def put(where: str, text: str = "more") -> Step:
    return step("put", where, text=text)


def tell(*lines: dict[str, Any]) -> Step:
    return step("tell", "", lines=list(lines))


def head(name: str, cell: str) -> list[Step]:
    return sql(f"UPDATE heads SET body = {cell} WHERE name = '{name}'")


def commit(facts: dict[str, Any] | None, *actions: dict[str, Any]) -> str:
    info = {"timestamp": 1795851944778, "operation": "WRITE"} | ({"modelmark": json.dumps(facts)} if facts else {})
    return "".join(json.dumps(action) + "\n" for action in ({"commitInfo": info}, *actions))


def mark(statement: dict[str, Any]) -> Step:
    """A mark that says this, in one version's folder, under the workspace's key."""
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"))
    return step("seal", f"{V}/mark.dsse.json", type="vnd.in-toto+json", payload=payload)


def numbered(version: int) -> str:
    return f"{LOG}/{version:020d}.json"


def intent(first: int, last: int, **more: Any) -> dict[str, Any]:
    return {"kind": "intent", "table": "labels", "first": first, "last": last, **more}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def segment(number: int, *, first: int = 0, form: int = 1) -> Step:
    """An open segment without a record, of a writer that no head and no receipt knows."""
    header = b"MMRKWAL\n" + struct.pack("<HH16sQQ32s", form, 0, bytes(16), number, first, bytes(32))
    data = header + struct.pack("<I", zlib.crc32(header))
    return step("put", f"journal/wal/{'0' * 32}/{number:012d}.open", hex=data.hex())


def pem(kind: str, text: str) -> str:
    return f"-----BEGIN {kind} KEY-----\n{text}\n-----END {kind} KEY-----\n"


ANOTHER_PUB = pem("PUBLIC", "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
ANOTHER_KEY = pem("PRIVATE", "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
AGREEMENT_PUB = pem("PUBLIC", "MCowBQYDK2VuAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
DEEP = "replace(hex(zeroblob(30000)), '00', '[')"
OURS = {"kind": "append", "newest": {WRITER: 1}}
ADD = {"add": {"path": "new.parquet", "partitionValues": {}, "size": 4, "modificationTime": 1, "dataChange": False}}
REMOVE = {"remove": {"path": OLD, "deletionTimestamp": 1, "dataChange": False}}
REWRITTEN = commit(OURS, REMOVE, ADD)
OPTIMIZED = [
    put(numbered(1), REWRITTEN),
    put(f"{LABELS}/new.parquet"),
    tell(
        intent(1, 1),
        {
            "kind": "optimize",
            "table": "labels",
            "version": 1,
            "removed": [OLD],
            "log": sha(REWRITTEN),
            "added": [{"path": "new.parquet", "rows": 34, "sha256": sha("more")}],
        },
    ),
]

KEYS = [
    ("a signing key of nobody", [step("write", "keys/mark.key")], "BAD_KEY"),
    ("the signing key gone", [step("delete", "keys/mark.key")], "KEY_GONE"),
    ("the public key gone", [step("delete", "keys/mark.pub")], "NO_KEY"),
    ("both keys gone", [step("delete", "keys")], "NO_KEY"),
    ("a signing key that others may read", [step("mode", "keys/mark.key", bits="640")], "KEY_EXPOSED"),
    ("a signing key that its owner may only read", [step("mode", "keys/mark.key", bits="400")], None),
    ("a folder of keys that others may write", [step("mode", "keys", bits="777")], "KEY_EXPOSED"),
    ("another's public key", [put("keys/mark.pub", ANOTHER_PUB)], "KEYS_DIFFER", "WRONG_KEY"),
    ("another's signing key", [put("keys/mark.key", ANOTHER_KEY)], "KEYS_DIFFER"),
    ("a public key of another kind", [put("keys/mark.pub", AGREEMENT_PUB)], "BAD_KEY"),
    ("a public key in two lines", [step("append", "keys/mark.pub", text="\n")], "BAD_KEY"),
    ("words after the signing key", [step("append", "keys/mark.key", text="x")], "BAD_KEY"),
    ("a folder for a signing key", [step("hollow", "keys/mark.key")], "BAD_KEY"),
    ("a folder for a public key", [step("hollow", "keys/mark.pub")], "BAD_KEY"),
]
HEADS = [
    ("heads gone", sql("DELETE FROM heads"), "HEAD_GONE"),
    ("the journal's head gone", sql("DELETE FROM heads WHERE name = 'journal'"), "HEAD_GONE"),
    ("a head of no alerts gone", sql("DELETE FROM heads WHERE name = 'alerts'"), None),
    ("a head with a member more", head("audit", """'{"extra":1,' || substr(body, 2)"""), "BAD_ENVELOPE"),
    ("a head with a member twice", head("audit", """'{"payload":"",' || substr(body, 2)"""), "BAD_ENVELOPE"),
    ("a head that is no text", head("audit", "CAST(body AS BLOB)"), "BAD_ENVELOPE"),
    ("a head that is not UTF-8", head("audit", "CAST(x'7bff7d' AS TEXT)"), "BAD_ENVELOPE"),
    ("a journal's head that is not UTF-8", head("journal", "CAST(x'7bff7d' AS TEXT)"), "BAD_ENVELOPE"),
    ("a head of the findings that is not UTF-8", head("findings", "CAST(x'7bff7d' AS TEXT)"), "BAD_ENVELOPE"),
    ("a deep head", head("audit", DEEP), "BAD_ENVELOPE"),
    ("an empty head", head("findings", "''"), "BAD_ENVELOPE"),
    ("a number for a head", head("journal", "1"), "BAD_ENVELOPE"),
    ("one head for another", head("audit", "(SELECT body FROM heads WHERE name = 'journal')"), "BAD_HEAD"),
    ("a list for a head", [step("sign", "audit", payload="[]")], "BAD_HEAD"),
    ("a journal's head without its facts", [step("sign", "journal", payload='{"chain":"journal"}')], "BAD_HEAD"),
    ("an audit's head without its facts", [step("sign", "audit", payload='{"chain":"audit"}')], "AUDIT_CUT"),
]
AUDIT = [
    ("an event gone", sql("DELETE FROM audit WHERE sequence = 4"), "AUDIT_GAP"),
    ("the first event gone", sql("DELETE FROM audit WHERE sequence = 1"), "AUDIT_GAP"),
    ("the end of the audit gone", sql("DELETE FROM audit WHERE sequence > 20"), "AUDIT_CUT"),
    ("the audit gone", sql("DELETE FROM audit"), "AUDIT_CUT"),
    (
        "an event with a member more",
        sql("""UPDATE audit SET body = '{"aa":1,' || substr(body, 2) WHERE sequence = 4"""),
        "AUDIT_CHANGED",
    ),
    (
        "an event with a member twice",
        sql("""UPDATE audit SET body = '{"act":"x",' || substr(body, 2) WHERE sequence = 4"""),
        "AUDIT_CHANGED",
    ),
    ("an event with a blank", sql("UPDATE audit SET body = body || ' ' WHERE sequence = 4"), "AUDIT_CHANGED"),
    ("an event at another time", sql("UPDATE audit SET at = at + 1 WHERE sequence = 4"), "AUDIT_CHANGED"),
    ("an event that is no text", sql("UPDATE audit SET body = CAST(body AS BLOB) WHERE sequence = 4"), "AUDIT_CHANGED"),
    (
        "an event that is not UTF-8",
        sql("UPDATE audit SET body = CAST(x'ff' AS TEXT) WHERE sequence = 4"),
        "AUDIT_CHANGED",
    ),
    ("a deep event", sql(f"UPDATE audit SET body = {DEEP} WHERE sequence = 4"), "AUDIT_CHANGED"),
    (
        "a changed event after a gap",
        sql("DELETE FROM audit WHERE sequence = 4") + sql("UPDATE audit SET at = 0 WHERE sequence = 9"),
        "AUDIT_CHANGED",
    ),
    ("an event more", sql("INSERT INTO audit SELECT 23, at, body FROM audit WHERE sequence = 22"), "AUDIT_CHANGED"),
]
ROWS = [
    ("a state", sql("UPDATE versions SET state = 'registered' WHERE number = 1"), "ROW_CHANGED"),
    ("an approval gone", sql("DELETE FROM approvals WHERE id = 1"), "ROW_GONE"),
    ("evidence moved", sql("UPDATE evidence SET version = (SELECT max(id) FROM versions) WHERE id = 1"), "ROW_CHANGED"),
    ("an account put in", sql("INSERT INTO accounts VALUES ('eve', '{}')"), "ROW_UNKNOWN"),
    ("a row under another key", sql("UPDATE approvals SET id = 9 WHERE id = 1"), "ROW_UNKNOWN"),
    (
        "rows of two tables",
        sql("UPDATE evidence SET gate = 'x' WHERE id = 1") + sql("DELETE FROM approvals WHERE id = 3"),
        "ROW_GONE",
        "ROW_CHANGED",
    ),
    ("a NULL", sql("UPDATE approvals SET nonce = NULL WHERE id = 1"), "ROW_CHANGED"),
    (
        "text that is not UTF-8",
        sql("UPDATE versions SET model = CAST(x'6cff' AS TEXT) WHERE number = 1"),
        "ROW_CHANGED",
    ),
    ("bytes for text", sql("UPDATE versions SET model = CAST(model AS BLOB) WHERE number = 1"), "ROW_CHANGED"),
    ("a fraction", sql("UPDATE evidence SET at = at + 0.5 WHERE id = 1"), "ROW_CHANGED"),
    ("a large fraction", sql("UPDATE evidence SET at = 1e300 WHERE id = 1"), "ROW_CHANGED"),
    ("an infinity", sql("UPDATE evidence SET at = 9e999 WHERE id = 1"), "ROW_CHANGED"),
    ("a word for a number", sql("UPDATE evidence SET at = 'soon' WHERE id = 1"), "ROW_CHANGED"),
    ("the largest integer", sql("UPDATE versions SET number = 9223372036854775807 WHERE number = 1"), "ROW_CHANGED"),
    (
        "a body with a member twice",
        sql("""UPDATE snapshots SET body = '{"sequence":9,' || substr(body, 2) WHERE sequence = 1"""),
        "ROW_CHANGED",
    ),
    ("a deep body", sql(f"UPDATE snapshots SET body = {DEEP} WHERE sequence = 1"), "ROW_CHANGED"),
    ("a comment put in", sql("INSERT INTO remarks VALUES ('x', 'y', 1, '{}')"), "ROW_UNKNOWN"),
    (
        "evidence changed",
        sql("UPDATE evidence SET body = replace(body, '500', '501') WHERE id = 2"),
        "ROW_CHANGED",
        "EVIDENCE_CHANGED",
    ),
    (
        "a version told of otherwise",
        sql("""UPDATE versions SET body = replace(body, '"root"', '"eve"') WHERE number = 2"""),
        "ROW_CHANGED",
        "MARK_MISMATCH",
    ),
    (
        "an approval by another",
        sql("UPDATE approvals SET body = replace(body, 'Ann', 'Eve') WHERE id = 1"),
        "ROW_CHANGED",
        "APPROVAL_FORGED",
    ),
]
SUMS = [
    ("a finding changed", sql("UPDATE findings SET body = replace(body, 'clean', 'fine') WHERE id = 1"), "SUM_DIFFERS"),
    ("a finding gone", sql("DELETE FROM findings WHERE id = 3"), "SUM_DIFFERS"),
    ("findings gone", sql("DELETE FROM findings"), "SUM_DIFFERS"),
    ("the head of the findings gone", sql("DELETE FROM heads WHERE name = 'findings'"), "HEAD_GONE"),
    (
        "findings and their head gone",
        sql("DELETE FROM heads WHERE name = 'findings'") + sql("DELETE FROM findings"),
        None,
    ),
    (
        "a finding that is not UTF-8",
        sql("UPDATE findings SET subject = CAST(x'ff' AS TEXT) WHERE id = 1"),
        "SUM_DIFFERS",
    ),
    ("a finding of bytes", sql("UPDATE findings SET subject = CAST(subject AS BLOB) WHERE id = 1"), "SUM_DIFFERS"),
    (
        "an alert put in",
        sql("INSERT INTO alerts VALUES (1, 'loans', 'v', 'drift', 'age', 'It moved.', 1, 1, 1, NULL)"),
        "SUM_DIFFERS",
    ),
]
FILES = [
    ("a version gone", [step("delete", "versions/*")], "FILE_GONE"),
    ("a mark gone", [step("delete", "versions/*/mark.dsse.json")], "FILE_GONE", "NO_MARK"),
    ("parity changed", [step("write", "versions/*/parity.json")], "FILE_CHANGED"),
    ("a model changed", [step("write", "versions/*/model.onnx")], "FILE_CHANGED", "DIGEST_MISMATCH"),
    (
        "a mark of another version",
        [step("copy", f"{V}/mark.dsse.json", to="versions/78*/mark.dsse.json")],
        "FILE_CHANGED",
        "WRONG_MARK",
    ),
    ("a mark of another kind", [mark({"predicateType": "https://example.com/mark"})], "FILE_CHANGED", "BAD_MARK"),
    (
        "a mark without a version",
        [mark({"predicateType": "https://modelmark.dev/mark/v1", "predicate": {}})],
        "FILE_CHANGED",
        "BAD_MARK",
    ),
    ("a link to a model", [step("link", f"{V}/model.onnx")], "FILE_CHANGED"),
    ("a link to a version", [step("link", V)], None),
    ("a folder for a file", [step("hollow", f"{V}/lock.txt")], "FILE_GONE"),
    ("a file more", [put(f"{V}/model.onnx.bak")], "FILE_UNKNOWN"),
    ("an unfinished write", [put(f"{V}/.model.onnx.1f")], None),
    ("a file in a hidden folder", [put(f"{V}/.hidden/model.onnx")], "FILE_UNKNOWN"),
    ("a folder with nothing in it", [step("folder", f"{V}/empty")], None),
    ("a file whose name is not ASCII", [put(f"{V}/größe 😀.json")], "FILE_UNKNOWN"),
    ("a file whose name is not UTF-8", [put(f"{V}/\udcff.json")], "FILE_UNKNOWN"),
    ("a version nobody told of", [put(f"versions/{'0' * 64}/model.onnx")], "FOLDER_UNKNOWN"),
    ("a folder that is no version", [put("versions/.other/x")], "FOLDER_UNKNOWN"),
    ("a file beside the versions", [put("versions/read me.txt")], "FOLDER_UNKNOWN"),
    ("a version on its way in", [put("versions/.new-1/model.onnx")], None),
]
SNAPSHOTS = [
    ("the snapshot gone", [step("delete", "snapshot.dsse.json")], "SNAPSHOT_GONE"),
    ("a newline after the snapshot", [step("append", "snapshot.dsse.json", text="\n")], "BAD_ENVELOPE"),
    (
        "a snapshot with a member more",
        [step("replace", "snapshot.dsse.json", old="{", new='{"extra":1,')],
        "BAD_ENVELOPE",
    ),
    (
        "another snapshot",
        [
            step(
                "seal",
                "snapshot.dsse.json",
                type="vnd.modelmark.snapshot+json",
                payload='{"issued_at":"2026-11-28T07:43:14.916070+00:00","routes":[],"sequence":2}',
            )
        ],
        "SNAPSHOT_DIFFERS",
    ),
    ("a folder for a snapshot", [step("hollow", "snapshot.dsse.json")], "UNREADABLE"),
    ("the checkpoint gone", [step("delete", "checkpoint.dsse.json")], "CHECKPOINT_GONE"),
    ("the checkpoint in the database gone", sql("DELETE FROM heads WHERE name = 'checkpoint'"), "CHECKPOINT_GONE"),
    ("a checkpoint changed", [step("write", "checkpoint.dsse.json")], "CHECKPOINT_CHANGED"),
    (
        "a snapshot for a checkpoint",
        [step("copy", "snapshot.dsse.json", to="checkpoint.dsse.json")],
        "CHECKPOINT_CHANGED",
    ),
    (
        "another checkpoint",
        [
            step(
                "seal",
                "checkpoint.dsse.json",
                type=CHECKPOINT,
                payload=(
                    '{"at":"2026-11-29T18:53:09.022296+00:00","audit":null,"counts":{},"journal":null,'
                    '"key":"Ju+SPXOD6aW8Jz3FRHTADlia9KxE/qX6wqofjJGksMw=","number":9,"snapshot":null}'
                ),
            )
        ],
        "CHECKPOINT_DIFFERS",
    ),
    ("a checkpoint in the database that is not UTF-8", head("checkpoint", "CAST(x'ff' AS TEXT)"), "BAD_ENVELOPE"),
]
RECEIPTS = [
    ("receipts gone", [step("delete", "journal/receipts.jsonl")], "RECEIPTS_GONE"),
    ("the last receipt gone", [step("cut", "journal/receipts.jsonl")], "RECEIPTS_CUT"),
    ("the journal gone", [step("delete", "journal")], "RECEIPTS_GONE"),
    ("receipts in another order", [step("turn", "journal/receipts.jsonl")], "RECEIPT_DAMAGED"),
    ("an unfinished receipt", [step("append", "journal/receipts.jsonl", text='{"kind"\r:')], None),
    ("a word after the receipts", [step("append", "journal/receipts.jsonl", text="x\n")], "RECEIPT_DAMAGED"),
    (
        "a line after a carriage return",
        [step("append", "journal/receipts.jsonl", text='\r{"kind":"damage"}\n')],
        "RECEIPT_DAMAGED",
    ),
    (
        "a carriage return in a receipt",
        [step("replace", "journal/receipts.jsonl", old="\n", new="\r\n")],
        "RECEIPT_DAMAGED",
    ),
    ("a folder for receipts", [step("hollow", "journal/receipts.jsonl")], "UNREADABLE"),
    (
        "a signed receipt that lacks its table",
        [tell({"kind": "append", "version": 1, "added": [], "removed": []})],
        "RECEIPT_DAMAGED",
    ),
    ("a receipt of another release", [tell({"kind": "later", "what": "x"})], None),
    ("a receipt of damage", [tell({"kind": "damage", "what": "x", "why": "y", "kept": True})], None),
]
TABLES = [
    ("a table's log changed", [step("write", "journal/tables/predictions/loans/_delta_log/*.json")], "LOG_CHANGED"),
    ("a table's log gone", [step("delete", numbered(0))], "LOG_GONE"),
    ("a folder for a table's log", [step("hollow", numbered(0))], "LOG_GONE"),
    ("rows changed", [step("write", "journal/tables/predictions/loans/*.parquet")], "FILE_CHANGED"),
    ("rows gone", [step("delete", f"{LABELS}/{OLD}")], "FILE_MISSING"),
    ("a table gone", [step("delete", LABELS)], "LOG_GONE"),
    ("rows that no commit adds", [put(f"{LABELS}/part-1.parquet")], None),
    ("a commit that Delta did not finish", [put(f"{LOG}/_commit_1.json.tmp")], None),
    ("the same while a checkpoint comes", [tell(intent(0, 0, checkpoint=0)), put(f"{LOG}/_commit_1.json.tmp")], None),
    ("a checkpoint of nobody", [put(f"{LOG}/_last_checkpoint", '{"version":0,"size":1}')], "LOG_UNACCOUNTED"),
    ("a commit of nobody", [put(numbered(1), commit(None))], "FOREIGN_COMMIT"),
    ("a commit like ours", [put(numbered(1), commit(OURS))], "FOREIGN_COMMIT"),
    ("a commit that cannot be read", [put(numbered(1), "hello")], "TABLE_DAMAGED"),
    ("a commit far ahead", [put(numbered(5), commit(None))], "FOREIGN_COMMIT"),
    (
        "a table of nobody",
        [put("journal/tables/other/_delta_log/00000000000000000000.json", commit(None))],
        "FOREIGN_COMMIT",
    ),
    ("a commit that was announced", [tell(intent(1, 1)), put(numbered(1), commit(OURS))], None),
    ("an announced commit of others", [tell(intent(1, 1)), put(numbered(1), commit(None))], "FOREIGN_COMMIT"),
    (
        "an announced commit of records that are gone",
        [tell(intent(1, 1)), put(numbered(1), commit({"kind": "append", "newest": {WRITER: 7}}))],
        "FOREIGN_COMMIT",
    ),
    (
        "a commit announced before another",
        [tell(intent(1, 1), intent(5, 5)), put(numbered(1), commit(OURS))],
        "FOREIGN_COMMIT",
    ),
    (
        "an earlier commit without a receipt, of the number of a checkpoint that comes",
        [
            tell(
                {"kind": "append", "table": "labels", "version": 2, "added": [], "removed": []},
                intent(3, 3, checkpoint=1),
            ),
            put(numbered(1), commit(OURS)),
        ],
        "LOG_UNACCOUNTED",
    ),
    ("rows rewritten", OPTIMIZED, None),
    ("rewritten rows gone", [*OPTIMIZED, step("delete", f"{LABELS}/new.parquet")], "FILE_MISSING"),
    ("replaced rows gone", [*OPTIMIZED, step("delete", f"{LABELS}/{OLD}")], None),
    ("replaced rows changed", [*OPTIMIZED, step("write", f"{LABELS}/{OLD}")], "FILE_CHANGED"),
    ("a commit changed that has a receipt", [*OPTIMIZED, step("append", numbered(1), text="\n")], "LOG_CHANGED"),
]
WAL = f"journal/wal/{WRITER}"
SEGMENTS = [
    ("a segment changed", [step("write", f"{WAL}/*.seg")], "SEGMENT_DAMAGED"),
    ("a segment gone", [step("delete", f"{WAL}/*.seg")], "SEGMENT_GONE"),
    ("a folder for a segment", [step("hollow", f"{WAL}/*.seg")], "SEGMENT_GONE"),
    (
        "a sealed segment open again",
        [step("copy", f"{WAL}/*.seg", to=f"{WAL}/000000000001.open"), step("delete", f"{WAL}/*.seg")],
        "SEGMENT_GONE",
    ),
    ("the log gone", [step("delete", "journal/wal")], "SEGMENT_GONE"),
    ("a retired segment that is still there", [put(f"{WAL}/000000000000.seg")], None),
    ("a segment that was just begun", [put(f"{WAL}/000000000002.open", "")], None),
    ("an open segment of something else", [put(f"{WAL}/000000000002.open", "x" * 99)], "SEGMENT_DAMAGED"),
    ("a writer of nobody", [put("journal/wal/eve/000000000000.seg", "x" * 99)], "SEGMENT_DAMAGED"),
    ("another writer from its start", [segment(0)], None),
    ("another writer whose first segment is gone", [segment(1)], "SEGMENT_DAMAGED"),
    ("another writer, begun after its start", [segment(0, first=1)], "SEGMENT_DAMAGED"),
    ("a segment of a later format", [segment(0, form=3)], "UNKNOWN_FORMAT"),
    ("a segment set aside", [put("journal/quarantine/x/000000000000.seg")], "QUARANTINED"),
]
DATABASE = [
    ("a database of something else", [put("state.db", "hello")], "DATABASE_DAMAGED"),
    ("the table of heads gone", sql("DROP TABLE heads"), "DATABASE_DAMAGED"),
    ("a table of the database gone", sql("DROP TABLE remarks"), "DATABASE_DAMAGED"),
]
CASES = [
    ("nothing", [], None),
    *KEYS,
    *HEADS,
    *AUDIT,
    *ROWS,
    *SUMS,
    *FILES,
    *SNAPSHOTS,
    *RECEIPTS,
    *TABLES,
    *SEGMENTS,
    *DATABASE,
]
#: What is said otherwise than the newest checkpoint says it, by name, and the first fault.
CHECKPOINTS: list[tuple[str, dict[str, Any], str | None, dict[str, str]]] = [
    ("the newest", {}, None, {}),
    ("a later one", {"number": 2}, "ROLLED_BACK", {}),
    ("an earlier one", {"number": 0, "at": "2026-11-28T18:53:09+00:00"}, None, {}),
    ("of before there was anything", {"audit": None, "journal": None, "snapshot": None, "counts": {}}, None, {}),
    ("another event", {"audit.hash": "0" * 64}, "AUDIT_REWRITTEN", {}),
    ("an earlier event that is another", {"audit.sequence": 21}, "AUDIT_REWRITTEN", {}),
    ("a later event", {"audit.sequence": 23}, "ROLLED_BACK", {}),
    ("more evidence", {"counts.evidence": 13}, "ROLLED_BACK", {}),
    ("less evidence", {"counts.evidence": 11}, None, {}),
    ("rows of a table that there is not", {"counts.opinions": 1}, "ROLLED_BACK", {}),
    ("a later snapshot", {"snapshot.sequence": 4}, "ROLLED_BACK", {}),
    ("an earlier snapshot", {"snapshot.sequence": 2, "snapshot.digest": "sha256:" + "0" * 64}, None, {}),
    ("another snapshot", {"snapshot.digest": "sha256:" + "0" * 64}, "SNAPSHOT_DIFFERS", {}),
    ("more receipts", {"journal.receipts.lines": 6}, "RECEIPTS_CUT", {}),
    ("other receipts", {"journal.receipts.link": "0" * 64}, "RECEIPTS_REWRITTEN", {}),
    ("another end of a segment", {f"journal.writers.{WRITER}.link": "0" * 64}, "SEGMENT_GONE", {}),
    ("more records in a segment", {f"journal.writers.{WRITER}.sequence": 195}, "SEGMENT_GONE", {}),
    ("a later segment", {f"journal.writers.{WRITER}.segment": 2}, "SEGMENT_GONE", {}),
    (
        "a segment that was retired",
        {
            f"journal.writers.{WRITER}": {
                "segment": 0,
                "sequence": 137,
                "link": ("f06b5299698483a71a2c086cadd9b3d71abe045760e94c6848e8f9541ec59bbc"),
            }
        },
        None,
        {},
    ),
    (
        "a segment that was retired as another",
        {f"journal.writers.{WRITER}": {"segment": 0, "sequence": 137, "link": "0" * 64}},
        "SEGMENT_GONE",
        {},
    ),
    (
        "a writer that there is not",
        {"journal.writers." + "0" * 32: {"segment": 0, "sequence": 1, "link": "0" * 64}},
        "SEGMENT_GONE",
        {},
    ),
    ("a head for a checkpoint", {}, "BAD_ENVELOPE", {"type": "vnd.modelmark.head+json"}),
]
