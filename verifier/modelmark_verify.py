#!/usr/bin/env python3
"""Checks a Modelmark workspace without Modelmark: one file, the standard library and `cryptography`.

Written against docs/formats.md, which names every format and every fault used here.

    python modelmark_verify.py WORKSPACE [--key mark.pub] [--checkpoint FILE] [--ledger FILE] [--json]

It reads; it never writes. Exit code 0: all is as it was signed. 1: something is not. 2: it could not be looked at.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sqlite3
import stat
import struct
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

GOVERNED = (
    "versions", "evidence", "approvals", "remarks", "waivers", "snapshots", "accounts", "api_keys", "sessions"
)  # fmt: skip
SUMMED = ("findings", "alerts")
GROWING = ("versions", "evidence", "approvals", "waivers", "remarks", "snapshots")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = bytes(32)


class Fault(Exception):
    """Something that is not as it was signed. code: as docs/formats.md lists it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


# Canonical JSON and digests (docs/formats.md, "Canonical JSON").


class Number(str):
    """A JSON number, kept as the text it was written with."""


def parse(text: str | bytes) -> Any:
    """JSON whose numbers keep their text, so that writing it again changes nothing. Raises ValueError, for NaN too."""
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_no_number)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def canonical(value: Any) -> bytes:
    """Keys sorted, no blanks, UTF-8."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        parts = (
            f"{_string(key)}:{_text(value[key])}"
            for key in sorted(value, key=lambda k: k.encode("utf-8", "surrogatepass"))
        )
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    return (
        {None: "null", True: "true", False: "false"}[value]
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link(previous: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(previous + payload).digest()


# Signatures (docs/formats.md, "Envelopes").


def strict_base64(text: str) -> bytes:
    """The bytes of the one text that base64 has for them. Raises ValueError or TypeError."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("written in another form")
    return raw


class Key:
    """The public key, and what it signed."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self.public = public
        self.id = "sha256:" + sha256(public.public_bytes_raw())

    @classmethod
    def read(cls, path: Path) -> Key:
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except FileNotFoundError:
            raise Fault("NO_KEY", f"there is no key file {path}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm, IsADirectoryError):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise Fault("BAD_KEY", f"{path} is not an Ed25519 public key")
        return cls(key)

    def pem(self) -> bytes:
        return self.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def check(self, kind: str, payload: bytes, signature: str) -> None:
        name = kind.encode()
        message = b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)
        try:
            self.public.verify(strict_base64(signature), message)
        except (InvalidSignature, ValueError, TypeError):
            raise Fault("BAD_SIGNATURE", "the signature does not belong to these bytes and this key") from None

    def open(self, envelope: bytes, kind: str) -> bytes:
        """The payload of a DSSE envelope, after its signature was checked."""
        kind = "application/" + kind
        try:
            outer = json.loads(envelope)
            payload, found = strict_base64(outer["payload"]), outer["payloadType"]
            signatures = [(s["keyid"], s["sig"]) for s in outer["signatures"] if strict_base64(s["sig"])]
            said = [{"keyid": key_id, "sig": signature} for key_id, signature in signatures]
            if canonical({"payload": outer["payload"], "payloadType": found, "signatures": said}) != envelope:
                raise ValueError("written in another form, or it says more")
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Fault("BAD_ENVELOPE", "this is not a DSSE envelope") from None
        if found != kind:
            raise Fault("BAD_ENVELOPE", f"the envelope holds {found!r}, not {kind}")
        ours = [signature for key_id, signature in signatures if key_id == self.id]
        if not ours:
            raise Fault("WRONG_KEY", "the envelope is not signed by this key")
        self.check(kind, payload, ours[0])
        return payload


# The ledger: state.db, or the lines that `modelmark verify --write-ledger` wrote of another database.


class Ledger:
    def __init__(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        self.rows = rows

    @classmethod
    def of(cls, workspace: Path, lines: Path | None) -> Ledger:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if lines is not None:
            for line in lines.read_bytes().splitlines():
                said = json.loads(line)
                rows[said["table"]].append(said["columns"])
            return cls(rows)
        try:
            base = sqlite3.connect(f"file:{workspace / 'state.db'}?mode=ro", uri=True)
            base.text_factory = lambda data: data.decode("utf-8", "replace")
            base.row_factory = sqlite3.Row
            for table, key in [*((t, None) for t in (*GOVERNED, *SUMMED)), ("audit", "sequence"), ("heads", "name")]:
                name = key or base.execute(f"PRAGMA table_info({table})").fetchone()["name"]
                rows[table] = [dict(row) for row in base.execute(f"SELECT * FROM {table} ORDER BY {name}")]
        except (sqlite3.DatabaseError, TypeError) as error:
            raise Fault("DATABASE_DAMAGED", f"state.db cannot be read: {error}") from None
        return cls(rows)

    def head(self, name: str, key: Key) -> Any:
        """The signed head of a chain; None where there is none."""
        body = next((row["body"] for row in self.rows["heads"] if row["name"] == name), None)
        if body is None:
            return None
        try:
            value = json.loads(key.open(str(body).encode(), "vnd.modelmark.head+json"))
        except Fault as fault:
            raise Fault(fault.code, f"the head of the {name} is not as it was signed: {fault}") from None
        if not isinstance(value, dict) or value.get("chain") != name:
            raise Fault("BAD_HEAD", f"the head of the {name} is about another chain")
        return value


class Told:
    """What the audit tells of: SHA-256 of rows and of files, by name."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.files: dict[str, str] = {}

    def take(self, details: Any) -> None:
        for kept, said in ((self.rows, details.get("rows")), (self.files, details.get("files"))):
            for name, digest in said.items() if isinstance(said, dict) else ():
                if digest is None:
                    kept.pop(name, None)
                else:
                    kept[name] = digest


def audit(ledger: Ledger, key: Key, told: Told) -> str:
    bad: Fault | None = None
    previous, count, events = START.hex(), 0, []
    for number, row in enumerate(ledger.rows["audit"], 1):
        try:
            event = _event(number, row)
        except Fault as fault:
            bad = bad or fault
            continue
        told.take(event["details"])
        events.append(event)
    if bad:
        raise bad
    for event in events:
        count += 1
        if int(event["sequence"]) != count:
            raise Fault("AUDIT_GAP", f"audit event {count} is gone: found {event['sequence']}")
        body = {name: event[name] for name in ("sequence", "at", "actor", "act", "subject", "details")}
        ours = link(bytes.fromhex(previous), canonical(body)).hex()
        if event["previous"] != previous or event["hash"] != ours:
            raise Fault("AUDIT_CHANGED", f"audit event {count} was changed ({event['act']})")
        previous = event["hash"]
    head = ledger.head("audit", key)
    if not events and head is None:
        return "nothing happened yet"
    if head is None:
        raise Fault("HEAD_GONE", "the signed head of the audit is gone")
    if (head.get("sequence"), head.get("hash")) != (count, previous if events else None):
        said = head.get("sequence")
        raise Fault("AUDIT_CUT", f"the audit ends with event {count}, its signed head with event {said}")
    return f"{count} events, each linked to the one before, up to the signed head"


EVENT = {"sequence", "at", "actor", "act", "subject", "details", "previous", "hash"}


def _event(number: int, row: dict[str, Any]) -> Any:
    try:
        event = parse(str(row["body"]))
        when = datetime.fromisoformat(event["at"])
        at = (when - EPOCH) // timedelta(microseconds=1)
        same = canonical(event) == str(row["body"]).encode() and (row["sequence"], row["at"]) == (
            int(event["sequence"]),
            at,
        )
        bytes.fromhex(event["previous"] + event["hash"])
        event["details"].get("rows")
        same = same and set(event) == EVENT  # the hash covers no other member
        same = same and when.isoformat() == event["at"] and isinstance(event["sequence"], Number)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Fault("AUDIT_CHANGED", f"audit event {number} cannot be read") from None
    if not same:
        raise Fault("AUDIT_CHANGED", f"audit event {number} was changed")
    return event


def table(name: str, ledger: Ledger, told: Told) -> str:
    expected = {row: digest for row, digest in told.rows.items() if row.split("/")[0] == name}
    rows = ledger.rows[name]
    for row in rows:
        key = f"{name}/{next(iter(row.values()))}"
        said = expected.pop(key, None)
        if said is None:
            raise Fault("ROW_UNKNOWN", f"no act tells of {key}")
        if sha256(canonical({column: _cell(value) for column, value in row.items()})) != said:
            raise Fault("ROW_CHANGED", f"{key} is not as the audit left it")
    if expected:
        raise Fault("ROW_GONE", f"{next(iter(expected))} is gone")
    return f"{len(rows)} rows, as the audit left them"


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, str)) else str(value)


def added_up(name: str, ledger: Ledger, key: Key) -> str:
    """The rows add up to the signed sum (docs/formats.md, "Sums")."""
    rows, head = ledger.rows[name], ledger.head(name, key)
    if head is None:
        if rows:
            raise Fault("HEAD_GONE", f"the signed sum of the {name} is gone")
        return "none yet"
    total = 0
    for row in rows:
        raw = canonical({column: _cell(value) for column, value in row.items()})
        total += int.from_bytes(hashlib.shake_256(raw).digest(256), "little")
    if (len(rows), (total % (1 << 2048)).to_bytes(256, "little").hex()) != (head["count"], head["sum"]):
        raise Fault("SUM_DIFFERS", f"the {name} do not add up to their signed sum")
    return f"{len(rows)} rows, which add up to their signed sum"


def files(folder: str, workspace: Path, told: Told) -> str:
    expected = {name.partition("/")[2]: d for name, d in told.files.items() if name.partition("/")[0] == folder}
    if not expected:
        raise Fault("FOLDER_UNKNOWN", f"no act tells of the folder {folder}")
    root = workspace / "versions" / folder
    found = {
        path.relative_to(root).as_posix(): file_digest(path)
        if stat.S_ISREG(path.lstat().st_mode)
        else "not a plain file"
        for path in root.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and not path.name.startswith(".")
    }
    for name, digest in sorted(expected.items()):
        if name not in found:
            raise Fault("FILE_GONE", f"{name} of version {folder[:12]} is gone")
        if found[name] != digest:
            raise Fault("FILE_CHANGED", f"{name} of version {folder[:12]} was changed")
    if unknown := sorted(set(found) - set(expected)):
        raise Fault("FILE_UNKNOWN", f"no act tells of {unknown[0]} of version {folder[:12]}")
    return f"{len(found)} files, as the audit left them"


def served(ledger: Ledger) -> list[str]:
    """Every version in any snapshot that was ever issued."""
    found = set()
    for row in ledger.rows["snapshots"]:
        try:
            routes = json.loads(str(row["body"]))["routes"]
            found |= {arm["version"].removeprefix("sha256:") for route in routes for arm in route["arms"]}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return sorted(found)


def mark(version: str, workspace: Path, ledger: Ledger, key: Key) -> str:
    folder = workspace / "versions" / version
    try:
        envelope = (folder / "mark.dsse.json").read_bytes()
    except OSError:
        raise Fault("NO_MARK", f"version {version[:12]} carries no mark") from None
    statement = parse(key.open(envelope, "vnd.in-toto+json"))
    try:
        said, kind = statement["predicate"]["version"], statement["predicateType"]
        named = (said["id"], sha256(canonical(said["components"])))
    except (KeyError, TypeError):
        kind = None
    if kind != "https://modelmark.dev/mark/v1":
        raise Fault("BAD_MARK", f"the mark of {version[:12]} is of an unknown kind, or lacks its version")
    if named != (f"sha256:{version}", version):
        raise Fault("WRONG_MARK", f"the mark in {version[:12]} belongs to another version")
    for subject in statement["subject"]:
        path = folder / subject["name"]
        if not path.is_file():
            raise Fault("FILE_GONE", f"{subject['name']} of version {version[:12]} is gone")
        if file_digest(path) != subject["digest"]["sha256"]:
            raise Fault("DIGEST_MISMATCH", f"{subject['name']} of version {version[:12]} was changed")
    row = next((row for row in ledger.rows["versions"] if row["id"] == f"sha256:{version}"), None)
    if row is None or str(row["body"]).encode() != canonical(said):
        raise Fault("MARK_MISMATCH", "the database describes another version than the mark")
    kept = {"sha256:" + sha256(str(row["body"]).encode()) for row in ledger.rows["evidence"]}
    for gate in statement["predicate"]["evidence"]["gates"]:
        if gate["digest"] not in kept:
            raise Fault("EVIDENCE_CHANGED", f"the evidence of gate {gate['gate']} is not what was signed")
    return "files and evidence are as signed"


def approvals(ledger: Ledger, key: Key) -> str:
    kinds = (("approvals", "approval", "nonce"), ("waivers", "waiver", "evidence"))
    for name, kind, named in kinds:
        for row in ledger.rows[name]:
            act = parse(str(row["body"]))
            signature = act.pop("signature", "")
            if not signature and not act.get(named):
                continue  # of the first release, which did not sign them; the audit tells of them
            try:
                key.check(f"application/vnd.modelmark.{kind}+json", canonical(act), signature)
            except Fault:
                raise Fault(f"{kind.upper()}_FORGED", f"the {kind} by {act.get('name')} was not made here") from None
    return f"{len(ledger.rows['approvals'])} approvals and {len(ledger.rows['waivers'])} waivers"


def snapshot(workspace: Path, ledger: Ledger, key: Key) -> str:
    path, rows = workspace / "snapshot.dsse.json", ledger.rows["snapshots"]
    if not path.exists() and not rows:
        return "nothing was released yet"
    if not path.exists():
        raise Fault("SNAPSHOT_GONE", "the published snapshot is gone")
    payload = key.open(path.read_bytes(), "vnd.modelmark.snapshot+json")
    last = max(rows, key=lambda row: row["sequence"], default=None)
    if last is None or payload != str(last["body"]).encode():
        raise Fault("SNAPSHOT_DIFFERS", "the published snapshot is not the last one that was issued")
    return f"number {last['sequence']}"


def newest_checkpoint(workspace: Path, ledger: Ledger, key: Key) -> str:
    path = workspace / "checkpoint.dsse.json"
    body = next((row["body"] for row in ledger.rows["heads"] if row["name"] == "checkpoint"), None)
    if body is None and not path.exists():
        return "none was made yet"
    if body is None or not path.exists():
        raise Fault("CHECKPOINT_GONE", "the newest checkpoint is gone")
    ours = key.open(str(body).encode(), "vnd.modelmark.checkpoint+json")
    try:
        theirs = key.open(path.read_bytes(), "vnd.modelmark.checkpoint+json")
    except Fault as fault:
        raise Fault("CHECKPOINT_CHANGED", f"the checkpoint file: {fault}") from None
    if ours != theirs:
        raise Fault("CHECKPOINT_DIFFERS", "the checkpoint file is not the one in the database")
    return f"number {json.loads(ours)['number']}"


# The journal: receipts, tables and the log (docs/formats.md, "Receipts" and "Segments").


class Receipts:
    """What the receipts add up to."""

    def __init__(self) -> None:
        self.lines, self.link, self.signed = 0, START, False
        self.versions: dict[str, int] = {}
        self.active: dict[str, dict[str, Any]] = defaultdict(dict)
        self.replaced: dict[str, dict[str, Any]] = defaultdict(dict)
        self.logs: dict[str, dict[str, str]] = defaultdict(dict)
        self.checkpoints: dict[str, int] = {}
        self.intents: dict[str, Any] = {}
        self.anchors: dict[str, tuple[int, int, bytes]] = {}

    @classmethod
    def read(cls, workspace: Path, head: Any, key: Key) -> Receipts:
        """They go through the head, and what is after it is signed."""
        found, path = cls(), workspace / "journal" / "receipts.jsonl"
        wanted = int(head["receipts"]["lines"]) if head else 0
        if wanted and not path.exists():
            raise Fault("RECEIPTS_GONE", f"the journal's receipts are gone, {wanted} of them")
        for raw in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
            found._line(raw, key)
            if found.lines == wanted and found.link.hex() != head["receipts"]["link"]:
                raise Fault("RECEIPTS_REWRITTEN", f"journal receipt {wanted} is not the one that was signed")
        if found.lines < wanted:
            raise Fault("RECEIPTS_CUT", f"the journal has {found.lines} receipts, its signed head tells of {wanted}")
        if found.lines > wanted and not found.signed:
            raise Fault("RECEIPT_UNSIGNED", f"journal receipt {found.lines} is not signed")
        return found

    def _line(self, raw: bytes, key: Key) -> None:
        self.lines += 1
        try:
            line = json.loads(raw)
            whole = canonical(line) == raw
            claimed, signature = line.pop("link"), line.pop("signature", None)
            self.link = link(self.link, canonical(line))
            if not whole or self.link.hex() != claimed:
                raise ValueError
            self._take(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Fault("RECEIPT_DAMAGED", f"journal receipt {self.lines} is damaged") from None
        self.signed = signature is not None
        if signature is not None:
            key.check("application/vnd.modelmark.receipt", self.link, signature)

    def _take(self, line: Any) -> None:
        kind = line["kind"]
        named = kind in ("append", "optimize", "vacuum", "intent", "checkpoint", "took_over")
        name = str(line["table"]) if named else ""
        if kind in ("append", "optimize", "vacuum"):
            self.versions[name] = line["version"]
            for path in line["removed"]:
                if path in self.active[name]:
                    self.replaced[name][path] = self.active[name].pop(path)
            self.active[name].update({item["path"]: item for item in line["added"]})
            if "log" in line:
                self.logs[name][f"{line['version']:020d}.json"] = line["log"]
        elif kind == "intent":
            self.intents[name] = {"first": line["first"], "last": line["last"], "checkpoint": line.get("checkpoint")}
        elif kind in ("checkpoint", "took_over"):
            self.logs[name].update(line["files"])
            self.checkpoints[name] = line["version"] if kind == "checkpoint" else line["checkpoint"]
        elif kind == "retire":
            for item in line["segments"]:
                self.anchors[item["writer"]] = (item["number"], item["sequence"], bytes.fromhex(item["link"]))


def journal(workspace: Path, ledger: Ledger, key: Key) -> Iterator[tuple[str, str]]:
    head, place = ledger.head("journal", key), workspace / "journal" / "tables"
    on_disk = {
        log.parent.relative_to(place).as_posix()
        for log in [*place.glob("*/_delta_log"), *place.glob("predictions/*/_delta_log")]
    }
    if head is not None and not {"receipts", "writers"} <= set(head):
        raise Fault("BAD_HEAD", "the head of the journal lacks its facts")
    if head is None and (on_disk or (workspace / "journal" / "receipts.jsonl").exists()):
        raise Fault("HEAD_GONE", "there are tables or receipts, and no signed head of the journal")
    receipts = Receipts.read(workspace, head, key)
    yield "receipts", f"{receipts.lines} lines"
    for name in sorted(set(receipts.versions) | on_disk):
        yield name, f"{_table_of(workspace, name, receipts)} rows"
    quarantine = workspace / "journal" / "quarantine"
    if held := sorted(path for path in quarantine.rglob("*") if path.is_file()):
        raise Fault("QUARANTINED", f"journal segment {held[0].name} was found damaged and set aside")
    seen_segments(workspace, head, receipts)
    log = workspace / "journal" / "wal"
    for folder in sorted(p for p in log.iterdir() if p.is_dir() and not p.name.startswith(".")) if log.is_dir() else ():
        yield f"log of writer {folder.name[:8]}", f"{_writer(folder, receipts.anchors.get(folder.name))} records"


def _table_of(workspace: Path, name: str, receipts: Receipts) -> int:
    folder, known = workspace / "journal" / "tables" / name, receipts.versions.get(name, -1)
    logs, intent = receipts.logs[name], receipts.intents.get(name)
    for file, digest in sorted(logs.items()):
        path = folder / "_delta_log" / file
        if not path.is_file():
            if file[:20].isdigit() and int(file[:20]) < receipts.checkpoints.get(name, -1):
                continue
            raise Fault("LOG_GONE", f"table {name}: {file} of its log is gone")
        if file_digest(path) != digest:
            raise Fault("LOG_CHANGED", f"table {name}: {file} of its log was changed")
    for path in sorted((folder / "_delta_log").glob("*")):
        if path.name in logs:
            continue
        number = int(path.name[:20]) if path.name[:20].isdigit() else None
        commit = number is not None and path.name == f"{number:020d}.json"
        if number is not None and commit and number > known:
            _intended(workspace, path, name, number, intent)
        elif commit or not (_checkpoint_comes(path.name, number, intent) or path.name.endswith(".tmp")):
            raise Fault("LOG_UNACCOUNTED", f"table {name}: {path.name} of its log has no receipt")
    for file, item in sorted(receipts.active[name].items()):
        if not (folder / file).is_file():
            raise Fault("FILE_MISSING", f"table {name}: file {file} is missing")
        if file_digest(folder / file) != item["sha256"]:
            raise Fault("FILE_CHANGED", f"table {name}: file {file} was changed")
    for file, item in sorted(receipts.replaced[name].items()):
        if (folder / file).exists() and file_digest(folder / file) != item["sha256"]:
            raise Fault("FILE_CHANGED", f"table {name}: file {file} was changed")
    return sum(item["rows"] for item in receipts.active[name].values())


def _checkpoint_comes(file: str, number: int | None, intent: Any) -> bool:
    coming = intent.get("checkpoint") if intent else None
    return coming is not None and (number == coming or file == "_last_checkpoint")


def _intended(workspace: Path, path: Path, name: str, number: int, intent: Any) -> None:
    """A commit without a receipt: only where a crash came between intent and receipt, and the log still holds its rows."""
    facts: Any = {}
    try:
        for raw in path.read_text("utf-8").splitlines():
            told = json.loads(raw).get("commitInfo", {}).get("modelmark")
            facts = (json.loads(told) if isinstance(told, str) else told) or facts
    except (OSError, ValueError, AttributeError, RecursionError):
        raise Fault("TABLE_DAMAGED", f"table {name}: commit {number} cannot be read") from None
    ours = bool(facts) and intent is not None and intent["first"] <= number <= intent["last"]
    for writer, segment in (facts.get("newest") or {}).items() if ours else ():
        ours = ours and (workspace / "journal" / "wal" / writer / f"{segment:012d}.seg").is_file()
    if not ours:
        raise Fault("FOREIGN_COMMIT", f"table {name}: commit {number} is not ours")


def seen_segments(workspace: Path, head: Any, receipts: Receipts) -> None:
    """What a head or checkpoint saw sealed is compacted since, or is there as it was."""
    for writer, end in sorted((head or {"writers": {}})["writers"].items()):
        number, compacted = int(end["segment"]), receipts.anchors.get(writer)
        place = f"journal segment {writer[:8]}/{number:012d}.seg"
        if compacted is not None and compacted[0] >= number:
            if compacted[0] == number and compacted[2].hex() != end["link"]:
                raise Fault("SEGMENT_GONE", f"{place} was compacted with another end than the witnessed one")
            continue
        path = workspace / "journal" / "wal" / writer / f"{number:012d}.seg"
        if not path.is_file():
            raise Fault("SEGMENT_GONE", f"{place} is gone")
        _, sequence, last = _segment(path, writer, number, None)
        if (sequence, last.hex()) != (int(end["sequence"]), end["link"]):
            raise Fault("SEGMENT_GONE", f"{place} is not the one that was witnessed")


HEADER, FRAME = struct.Struct("<8sHH16sQQ32s"), struct.Struct("<4sIIQ32s")
RECORD, SEAL = b"\xf5MR1", b"\xf5MS1"


def _writer(folder: Path, anchor: tuple[int, int, bytes] | None) -> int:
    numbers = {int(p.stem): p for suffix in ("*.open", "*.seg") for p in folder.glob(suffix) if p.stem.isdigit()}
    records, after = 0, anchor or (-1, 0, START)
    for number in sorted(n for n in numbers if n > after[0]):  # others are retired: only a crash keeps them
        count, sequence, last = _segment(numbers[number], folder.name, number, after)
        after = (number, sequence, last) if count >= 0 else after
        records += max(count, 0)
    return records


def _segment(path: Path, writer: str, number: int, after: tuple[int, int, bytes] | None) -> tuple[int, int, bytes]:
    """(records, next sequence, last link). A segment that is still open may end in a torn frame."""
    data, is_open = path.read_bytes(), path.suffix == ".open"

    def bad(offset: int, why: str) -> Fault:
        return Fault("SEGMENT_DAMAGED", f"journal segment {writer[:8]}/{path.name} is damaged at byte {offset}: {why}")

    size = HEADER.size + 4
    if len(data) < size and is_open:
        return -1, 0, START
    if len(data) < size or struct.unpack_from("<I", data, HEADER.size)[0] != zlib.crc32(data[: HEADER.size]):
        raise bad(0, "the header is damaged")
    magic, form, flags, owner, segment, first, previous = HEADER.unpack_from(data)
    if magic != b"MMRKWAL\n":
        raise bad(0, "the header is damaged")
    if form not in (1, 2):
        raise Fault("UNKNOWN_FORMAT", f"journal segment {writer[:8]}/{path.name} has format {form}")
    if flags:
        raise bad(0, "its header has flags that are not known")
    if owner.hex() != writer or segment != number:
        raise bad(0, f"it is segment {segment} of writer {owner.hex()[:8]}")
    if after is not None and (segment != after[0] + 1 or previous != after[2] or first != after[1]):
        raise bad(0, "it does not continue the segment before it")
    offset, sequence, last, records, sealed = size, first, link(previous, data[:size]), 0, False
    seed = zlib.crc32(last) if form > 1 else 0
    while offset < len(data):
        found = _frame(data, offset, seed)
        if found is None:
            if is_open and not sealed and not _sound_after(data, offset + 1, seed):
                break
            raise bad(offset, "the frame is damaged")
        kind, at, claimed, payload, end = found
        if sealed or at != sequence or claimed != link(last, payload):
            raise bad(offset, "the chain is broken")
        offset, sequence, last = end, sequence + 1, claimed
        if kind == SEAL:
            sealed = True
            if _two_numbers(payload) != (records, first):
                raise bad(offset, "the seal counts other records")
        else:
            records += 1
    if not sealed and not is_open:
        raise bad(offset, "the seal is missing")
    return records, sequence, last


def _frame(data: bytes, offset: int, seed: int) -> tuple[bytes, int, bytes, bytes, int] | None:
    if len(data) - offset < FRAME.size:
        return None
    kind, length, crc, sequence, claimed = FRAME.unpack_from(data, offset)
    end = offset + FRAME.size + length
    if kind not in (RECORD, SEAL) or length > 64 * 1024 * 1024 or end > len(data):
        return None
    payload = data[offset + FRAME.size : end]
    if zlib.crc32(payload, zlib.crc32(struct.pack("<Q32s", sequence, claimed), zlib.crc32(kind, seed))) != crc:
        return None
    return kind, sequence, claimed, payload, end


def _sound_after(data: bytes, offset: int, seed: int) -> bool:
    marks = re.compile(re.escape(RECORD) + b"|" + re.escape(SEAL))
    return any(_frame(data, found.start(), seed) for found in marks.finditer(data, offset))


def _two_numbers(payload: bytes) -> tuple[int, int] | None:
    """MessagePack: an array of two unsigned numbers."""
    values, at = [], 1
    if payload[:1] != b"\x92":
        return None
    for _ in range(2):
        if at >= len(payload):
            return None
        size = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(payload[at], 0)
        values.append(int.from_bytes(payload[at + 1 : at + 1 + size], "big") if size else payload[at])
        at += 1 + size
    return (values[0], values[1]) if at == len(payload) else None


# A checkpoint that was kept elsewhere (docs/formats.md, "Checkpoints").


def against(seen: Any, workspace: Path, ledger: Ledger, key: Key, verdicts: Verdicts) -> None:
    name = f"number {seen['number']}"
    verdicts.add("checkpoint", f"{name}: key", partial(_same_key, workspace, key))
    verdicts.add("checkpoint", f"{name}: number", partial(_same_number, seen, ledger, key))
    verdicts.add("checkpoint", f"{name}: audit", partial(_same_audit, seen["audit"], ledger))
    verdicts.add("checkpoint", f"{name}: rows", partial(_same_rows, seen, ledger))
    verdicts.add("checkpoint", f"{name}: journal", partial(_same_journal, seen["journal"], workspace, key))


def _same_key(workspace: Path, key: Key) -> str:
    if Key.read(workspace / "keys" / "mark.pub").id != key.id:
        raise Fault("KEY_REPLACED", "the workspace's public key is not the one that signed the checkpoint")
    return "the workspace's key signed it"


def _same_number(seen: Any, ledger: Ledger, key: Key) -> str:
    body = next((row["body"] for row in ledger.rows["heads"] if row["name"] == "checkpoint"), None)
    number = 0 if body is None else json.loads(key.open(str(body).encode(), "vnd.modelmark.checkpoint+json"))["number"]
    if number < seen["number"]:
        raise Fault("ROLLED_BACK", f"the newest checkpoint here is number {number}")
    return f"the newest here is number {number}"


def _same_audit(seen: Any, ledger: Ledger) -> str:
    if seen is None:
        return "there was no audit yet"
    row = next((row for row in ledger.rows["audit"] if row["sequence"] == seen["sequence"]), None)
    if row is None:
        raise Fault("ROLLED_BACK", f"the audit ends before event {seen['sequence']}, which the checkpoint saw")
    if json.loads(str(row["body"])).get("hash") != seen["hash"]:
        raise Fault("AUDIT_REWRITTEN", f"audit event {seen['sequence']} is not the one that the checkpoint saw")
    return f"event {seen['sequence']} is the one that was seen"


def _same_rows(seen: Any, ledger: Ledger) -> str:
    for name, count in sorted(seen["counts"].items()):
        if len(ledger.rows[name]) < count:
            raise Fault("ROLLED_BACK", f"{name}: {len(ledger.rows[name])} rows; the checkpoint saw {count}")
    if seen["snapshot"] is not None:
        last = max(ledger.rows["snapshots"], key=lambda row: row["sequence"], default={"sequence": 0, "body": ""})
        if last["sequence"] < seen["snapshot"]["sequence"]:
            raise Fault(
                "ROLLED_BACK", f"the last snapshot is number {last['sequence']}, the checkpoint saw a later one"
            )
        same = "sha256:" + sha256(str(last["body"]).encode()) == seen["snapshot"]["digest"]
        if last["sequence"] == seen["snapshot"]["sequence"] and not same:
            raise Fault("SNAPSHOT_DIFFERS", "the last snapshot is not the one that the checkpoint saw")
    return "every table has at least the rows that were seen"


def _same_journal(seen: Any, workspace: Path, key: Key) -> str:
    if seen is None:
        return "there was no journal yet"
    seen_segments(workspace, seen, Receipts.read(workspace, seen, key))
    return f"receipt {seen['receipts']['lines']} is the one that was seen"


def signing_key(workspace: Path, key: Key) -> str:
    path = workspace / "keys" / "mark.key"
    if not path.exists():
        raise Fault("KEY_GONE", f"the signing key {path} is gone")
    if path.stat().st_mode & 0o077 or path.parent.stat().st_mode & 0o022:
        raise Fault("KEY_EXPOSED", f"the signing key {path} may be read or replaced by others")
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, IsADirectoryError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise Fault("BAD_KEY", f"{path} is not an Ed25519 private key")
    ours, none = Key(private.public_key()), serialization.NoEncryption()
    if ours.id != key.id:
        raise Fault("KEYS_DIFFER", f"the signing key {path} is not the half of mark.pub")
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
    if path.read_bytes() != pem or (path.parent / "mark.pub").read_bytes() != ours.pem():
        raise Fault("BAD_KEY", "the key files are not in the form in which they were written")
    return "its owner's alone, and the half of the public one"


class Verdicts:
    """One item each; a fault in one does not hide the next."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def add(self, kind: str, name: str, check: Callable[[], str]) -> None:
        try:
            said: tuple[str, str | None] = (check(), None)
        except Fault as fault:
            said = (str(fault), fault.code)
        except Exception as error:  # noqa: BLE001  # whatever a changed byte leads to is a fault with a name
            said = (f"it cannot be read: {type(error).__name__}", "UNREADABLE")
        self.items.append({"kind": kind, "name": name, "sentence": said[0], "fault": said[1]})


def verify(workspace: Path, *, key: Path | None, checkpoint: Path | None, lines: Path | None) -> list[dict[str, Any]]:
    """Every item of a workspace. Raises Fault where there is no key or no ledger to begin with."""
    public = Key.read(key or workspace / "keys" / "mark.pub")
    ledger, told, verdicts = Ledger.of(workspace, lines), Told(), Verdicts()
    if checkpoint is not None:
        seen = json.loads(public.open(checkpoint.read_bytes(), "vnd.modelmark.checkpoint+json"))
        against(seen, workspace, ledger, public, verdicts)
    verdicts.add("key", "signing key", lambda: signing_key(workspace, public))
    verdicts.add("audit", "chain", lambda: audit(ledger, public, told))
    for name in sorted({row.split("/")[0] for row in told.rows} | {t for t in GOVERNED if ledger.rows[t]}):
        verdicts.add("rows", name, partial(table, name, ledger, told))
    for name in SUMMED:
        verdicts.add("rows", name, partial(added_up, name, ledger, public))
    there = {p.name for p in (workspace / "versions").glob("*") if not p.name.startswith(".new-")}
    for folder in sorted({name.split("/")[0] for name in told.files} | there):
        verdicts.add("files", folder[:12], partial(files, folder, workspace, told))
    for version in served(ledger):
        verdicts.add("mark", version[:12], partial(mark, version, workspace, ledger, public))
    verdicts.add("approvals", "signatures", lambda: approvals(ledger, public))
    verdicts.add("snapshot", "release snapshot", lambda: snapshot(workspace, ledger, public))
    verdicts.add("checkpoint", "newest", lambda: newest_checkpoint(workspace, ledger, public))
    parts = journal(workspace, ledger, public)
    while True:
        ended: list[bool] = []

        def step(ended: list[bool] = ended) -> str:
            try:
                name, sentence = next(parts)
            except StopIteration:
                ended.append(True)
                return ""
            return f"{name}: {sentence}"

        verdicts.add("journal", "journal", step)
        if ended:
            verdicts.items.pop()
            return verdicts.items
        if verdicts.items[-1]["fault"]:
            return verdicts.items


def main(words: list[str] | None = None) -> int:
    reader = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    reader.add_argument("workspace", type=Path)
    reader.add_argument("--key", type=Path, help="the public key, kept elsewhere [default: keys/mark.pub]")
    reader.add_argument("--checkpoint", type=Path, help="a checkpoint kept elsewhere")
    reader.add_argument(
        "--ledger", type=Path, help="lines of `modelmark verify --write-ledger`, where there is no state.db"
    )
    reader.add_argument("--json", action="store_true", help="one JSON document instead of sentences")
    given = reader.parse_args(words)
    try:
        items = verify(given.workspace, key=given.key, checkpoint=given.checkpoint, lines=given.ledger)
    except (Fault, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error} [{getattr(error, 'code', 'UNREADABLE')}]\n")
        return 2
    bad = [item for item in items if item["fault"]]
    say = sys.stdout.write
    if given.json:
        say(json.dumps({"verdict": "fail" if bad else "pass", "items": items}, indent=2, ensure_ascii=False) + "\n")
        return 1 if bad else 0
    for item in items:
        say(f"{'✕' if item['fault'] else '✓'} {item['kind']:<10} {item['name']}: {item['sentence']}\n")
    end = (
        f"✕ {len(bad)} faults, the first: {bad[0]['sentence']} [{bad[0]['fault']}]"
        if bad
        else "✓ All is as it was signed."
    )
    say(f"\n{end}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
