"""A second verifier, begun from docs/formats.md alone and changed since only with that page; it shares no line with the first.

Every check gives the codes of what it finds, one after the other; `Broken` ends the one check that meets it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
import stat
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Codes = Iterator[str]
Rows = dict[str, list[dict[str, Any]]]
START = bytes(32)
GOVERNED = ["versions", "evidence", "approvals", "remarks", "waivers", "snapshots", "accounts", "api_keys", "sessions"]
EVENT = {"act", "actor", "at", "details", "hash", "previous", "sequence", "subject"}
COMMIT = ("table", "version", "added", "removed")
MEMBERS = {"intent": ("table", "first", "last"), "checkpoint": ("table", "version", "files"), "retire": ("segments",),
           "took_over": ("table", "checkpoint", "files"), "append": COMMIT, "optimize": COMMIT, "vacuum": COMMIT}  # fmt: skip


class Broken(Exception):
    """What was read is not what it says it is. Its text is the code."""


class Number(str):
    """A number as it was written."""


# Texts.


def loads(text: str) -> Any:
    def no(name: str) -> Any:
        raise ValueError(name)

    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=no)


def text_of(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{text_of(key)}:{text_of(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def parse(raw: bytes, code: str) -> dict[str, Any]:
    """The object of a canonical text. Raises Broken(code) for any other."""
    try:
        value = loads(raw.decode())
        if isinstance(value, dict) and text_of(value).encode() == raw:
            return value
    except (ValueError, RecursionError):
        pass
    raise Broken(code)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def link(before: bytes, value: dict[str, Any], *without: str) -> bytes:
    return hashlib.sha256(before + text_of({k: v for k, v in value.items() if k not in without}).encode()).digest()


def unbase(text: Any, code: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Broken(code) from None
    if base64.b64encode(raw).decode() != text:
        raise Broken(code)
    return raw


# Signatures and keys.


def check(key: bytes, kind: str, payload: bytes, signature: bytes, code: str = "BAD_SIGNATURE") -> None:
    named = f"application/{kind}".encode()
    try:
        said = b"DSSEv1 %d %s %d %s" % (len(named), named, len(payload), payload)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, said)
    except InvalidSignature:
        raise Broken(code) from None


def opened(key: bytes, kind: str, envelope: bytes) -> bytes:
    outer, bad = parse(envelope, "BAD_ENVELOPE"), Broken("BAD_ENVELOPE")
    if set(outer) != {"payload", "payloadType", "signatures"} or outer["payloadType"] != f"application/{kind}":
        raise bad
    payload, ours = unbase(outer["payload"], "BAD_ENVELOPE"), []
    if not isinstance(outer["signatures"], list):
        raise bad
    for item in outer["signatures"]:
        if not isinstance(item, dict) or set(item) != {"keyid", "sig"}:
            raise bad
        signature = unbase(item["sig"], "BAD_ENVELOPE")
        ours += [signature] if item["keyid"] == "sha256:" + sha(key) else []
    if not ours:
        raise Broken("WRONG_KEY")
    check(key, kind, payload, ours[0])
    return payload


def head_of(key: bytes, name: str, heads: dict[str, bytes]) -> dict[str, Any] | None:
    if name not in heads:
        return None
    said = parse(opened(key, "vnd.modelmark.head+json", heads[name]), "BAD_HEAD")
    if said.get("chain") != name or (name == "journal" and not {"receipts", "writers"} <= set(said)):
        raise Broken("BAD_HEAD")
    return said


def public_key(path: Path) -> tuple[bytes, bytes]:
    """The raw key, and the text that its file should have."""
    if not path.exists():
        raise Broken("NO_KEY")
    try:
        key = pem.load_pem_public_key(path.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm, IsADirectoryError):
        raise Broken("BAD_KEY") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Broken("BAD_KEY")
    return key.public_bytes_raw(), key.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)


def private_key(folder: Path) -> Codes:
    path, (raw, text) = folder / "mark.key", public_key(folder / "mark.pub")
    if not path.exists():
        raise Broken("KEY_GONE")
    if path.stat().st_mode & 0o077 or folder.stat().st_mode & 0o022:
        raise Broken("KEY_EXPOSED")
    try:
        half = pem.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, IsADirectoryError):
        raise Broken("BAD_KEY") from None
    if not isinstance(half, Ed25519PrivateKey):
        raise Broken("BAD_KEY")
    if half.public_key().public_bytes_raw() != raw:
        raise Broken("KEYS_DIFFER")
    ours = half.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    if (ours, text) != (path.read_bytes(), (folder / "mark.pub").read_bytes()):
        yield "BAD_KEY"


# The database.


def database(path: Path) -> Rows:
    """The rows of every table that is verified, in the order of their keys."""
    found: Rows = {}
    try:
        base = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        base.text_factory = lambda raw: raw.decode(errors="replace")
        for name in [*GOVERNED, "findings", "alerts", "heads", "audit"]:
            cursor = base.execute(f"SELECT * FROM {name} ORDER BY 1")  # the key is each table's first column
            columns = [column[0] for column in cursor.description]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
        base.close()
    except sqlite3.Error:
        raise Broken("DATABASE_DAMAGED") from None
    return found


def text(cell: Any) -> bytes:
    """A column that holds text; what is none is like no text of ours."""
    return cell.encode() if isinstance(cell, str) else b"\0"


def row_text(row: dict[str, Any]) -> bytes:
    def value(cell: Any) -> Any:
        return (
            Number(cell) if isinstance(cell, int) else cell if cell is None or isinstance(cell, str) else [repr(cell)]
        )

    return text_of({name: value(cell) for name, cell in row.items()}).encode()


def audit(key: bytes, rows: list[dict[str, Any]], heads: dict[str, bytes], told: dict[str, dict[str, Any]]) -> Codes:
    """Fills `told` with what events say of rows and files."""
    events, bad = [], False
    for row in rows:
        try:
            events.append(event_of(row))
            for part in ("rows", "files"):
                told[part].update(events[-1]["details"].get(part, {}))
        except Broken:
            bad = True
    if bad:
        raise Broken("AUDIT_CHANGED")
    last = START
    for number, event in enumerate(events, 1):
        if event["sequence"] != str(number):
            raise Broken("AUDIT_GAP")
        before, last = last, link(last, event, "hash", "previous")
        if (event["previous"], event["hash"]) != (before.hex(), last.hex()):
            raise Broken("AUDIT_CHANGED")
    head = head_of(key, "audit", heads)
    if head is None and events:
        yield "HEAD_GONE"
    elif head is not None and (
        not events or (head.get("sequence"), head.get("hash")) != (str(len(events)), last.hex())
    ):
        yield "AUDIT_CUT"


def event_of(row: dict[str, Any]) -> dict[str, Any]:
    event = parse(text(row["body"]), "AUDIT_CHANGED")
    try:
        when = datetime.fromisoformat(event["at"])
        at = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (KeyError, ValueError, TypeError):
        raise Broken("AUDIT_CHANGED") from None
    whole = set(event) == EVENT and isinstance(event["details"], dict) and when.isoformat() == event["at"]
    if (
        not whole
        or not isinstance(event["sequence"], Number)
        or (str(row["sequence"]), row["at"]) != (event["sequence"], at)
    ):
        raise Broken("AUDIT_CHANGED")
    return event


def governed(base: Rows, told: dict[str, Any]) -> Codes:
    for table in sorted(GOVERNED):
        wanted = {name: digest for name, digest in told.items() if name.split("/")[0] == table and digest}
        for row in base[table]:
            digest = wanted.pop(f"{table}/{next(iter(row.values()))}", None)
            if digest != sha(row_text(row)):
                yield "ROW_CHANGED" if digest else "ROW_UNKNOWN"
        yield from ("ROW_GONE" for _ in wanted)


def sums(key: bytes, name: str, rows: list[dict[str, Any]], heads: dict[str, bytes]) -> Codes:
    head = head_of(key, name, heads)
    total = sum(int.from_bytes(hashlib.shake_256(row_text(row)).digest(256), "little") for row in rows) % 2**2048
    if head is None and rows:
        yield "HEAD_GONE"
    elif head is not None and (head["count"], head["sum"]) != (str(len(rows)), total.to_bytes(256, "little").hex()):
        yield "SUM_DIFFERS"


# Versions, who agreed, and the release snapshot.


def files(folder: Path, wanted: dict[str, str]) -> Codes:
    if not wanted:
        raise Broken("FOLDER_UNKNOWN")
    found = {
        path.relative_to(folder).as_posix(): sha(path.read_bytes()) if stat.S_ISREG(path.lstat().st_mode) else ""
        for path in folder.rglob("*")
        if not path.name.startswith(".") and (path.is_symlink() or not path.is_dir())
    }
    for name, digest in sorted(wanted.items()):
        there = found.pop(name, None)
        if there != digest:
            yield "FILE_GONE" if there is None else "FILE_CHANGED"
    yield from ("FILE_UNKNOWN" for _ in found)


def mark(key: bytes, version: str, folder: Path, base: Rows) -> Codes:
    if not (folder / "mark.dsse.json").is_file():
        raise Broken("NO_MARK")
    said = parse(opened(key, "vnd.in-toto+json", (folder / "mark.dsse.json").read_bytes()), "BAD_MARK")
    if said.get("predicateType") != "https://modelmark.dev/mark/v1":
        raise Broken("BAD_MARK")
    try:
        row, gates = said["predicate"]["version"], said["predicate"]["evidence"]["gates"]
        subject = [(folder / item["name"], item["digest"]["sha256"]) for item in said["subject"]]
        named = {row["id"], "sha256:" + sha(text_of(row["components"]).encode())}
        proofs = {gate["digest"] for gate in gates}
    except (KeyError, TypeError):
        raise Broken("BAD_MARK") from None
    if named != {version}:
        raise Broken("WRONG_MARK")
    for path, digest in subject:
        if not path.is_file() or sha(path.read_bytes()) != digest:
            raise Broken("DIGEST_MISMATCH" if path.is_file() else "FILE_GONE")
    if text_of(row).encode() not in [text(other["body"]) for other in base["versions"] if other["id"] == version]:
        raise Broken("MARK_MISMATCH")
    if not proofs <= {"sha256:" + sha(text(item["body"])) for item in base["evidence"]}:
        yield "EVIDENCE_CHANGED"


def served(base: Rows) -> set[str]:
    """Every version in an arm of any snapshot that can be read; one that cannot is a row that was changed."""
    found = set()
    for row in base["snapshots"]:
        try:
            found |= {arm["version"] for route in loads(row["body"])["routes"] for arm in route["arms"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def agreed(key: bytes, rows: list[dict[str, Any]], kind: str, named: str) -> Codes:
    code = f"{kind.upper()}_FORGED"
    for row in rows:
        body = parse(text(row["body"]), code)
        if body.get("signature") or body.get(named):  # else: of the first release, which did not sign
            signature = unbase(body.pop("signature", ""), code)
            check(key, f"vnd.modelmark.{kind}+json", text_of(body).encode(), signature, code)
    yield from ()


def snapshot(key: bytes, path: Path, rows: list[dict[str, Any]]) -> Codes:
    if rows and not path.exists():
        yield "SNAPSHOT_GONE"
    elif path.exists():
        payload = opened(key, "vnd.modelmark.snapshot+json", path.read_bytes())
        if not rows or payload != text(rows[-1]["body"]):
            yield "SNAPSHOT_DIFFERS"


# The journal.


def receipts(key: bytes, path: Path, head: dict[str, Any] | None) -> list[dict[str, Any]]:
    count = int(head["receipts"]["lines"]) if head else 0
    if count and not path.exists():
        raise Broken("RECEIPTS_GONE")
    lines: list[dict[str, Any]] = []
    last = START
    for raw in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        line = parse(raw, "RECEIPT_DAMAGED")
        last = link(last, line, "link", "signature")
        if line.get("link") != last.hex() or not set(MEMBERS.get(line.get("kind", ""), ())) <= set(line):
            raise Broken("RECEIPT_DAMAGED")
        lines.append(line)
        if line.get("signature") is not None:
            check(key, "vnd.modelmark.receipt", last, unbase(line["signature"], "BAD_SIGNATURE"))
        if head and len(lines) == count and last.hex() != head["receipts"]["link"]:
            raise Broken("RECEIPTS_REWRITTEN")
    if len(lines) < count:
        raise Broken("RECEIPTS_CUT")
    if len(lines) > count and lines[-1].get("signature") is None:
        raise Broken("RECEIPT_UNSIGNED")
    return lines


def table(folder: Path, lines: list[dict[str, Any]], wal: Path) -> Codes:
    active: dict[str, str] = {}
    gone: dict[str, str] = {}
    logs: dict[str, str] = {}
    known, newest, intent = -1, -1, None
    for line in lines:
        if line["kind"] == "intent":
            intent = line
        elif line["kind"] in ("checkpoint", "took_over"):
            newest = int(line["version" if line["kind"] == "checkpoint" else "checkpoint"])
            logs |= line["files"]
        elif line["kind"] in ("append", "optimize", "vacuum"):
            known = int(line["version"])
            gone |= {path: active.pop(path) for path in line["removed"] if path in active}
            active |= {item["path"]: item["sha256"] for item in line["added"]}
            logs |= {f"{known:020d}.json": line["log"]} if "log" in line else {}
    for name, digest in sorted(logs.items()):
        path = folder / "_delta_log" / name
        if path.is_file() and sha(path.read_bytes()) != digest:
            yield "LOG_CHANGED"
        if not path.is_file() and not (name[:20].isdigit() and int(name[:20]) < newest):
            yield "LOG_GONE"
    for path in sorted((folder / "_delta_log").glob("*")):
        if path.name not in logs:
            yield from unaccounted(path, known, intent, wal)
    for name, digest in sorted(active.items()):
        if not (folder / name).is_file() or sha((folder / name).read_bytes()) != digest:
            yield "FILE_CHANGED" if (folder / name).is_file() else "FILE_MISSING"
    for name, digest in sorted(gone.items()):
        if (folder / name).is_file() and sha((folder / name).read_bytes()) != digest:
            yield "FILE_CHANGED"


def unaccounted(path: Path, known: int, intent: dict[str, Any] | None, wal: Path) -> Codes:
    """A file of a table's log without a receipt: an intent announced it, or it is a fault."""
    number = int(path.name[:20]) if path.name[:20].isdigit() else -1
    if path.name != f"{number:020d}.json":
        coming = intent.get("checkpoint") if intent else None
        announced = coming is not None and (str(number) == coming or path.name == "_last_checkpoint")
        yield from () if announced or path.name.endswith(".tmp") else ["LOG_UNACCOUNTED"]
    elif number <= known:
        yield "LOG_UNACCOUNTED"
    else:
        try:
            told = [json.loads(line).get("commitInfo", {}).get("modelmark") for line in path.read_text().splitlines()]
            newest = [json.loads(facts)["newest"] for facts in told if facts]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise Broken("TABLE_DAMAGED") from None
        ours = newest and intent and int(intent["first"]) <= number <= int(intent["last"])
        if not ours or not all((wal / w / f"{n:012d}.seg").is_file() for w, n in newest[-1].items()):
            yield "FOREIGN_COMMIT"


def journal(key: bytes, folder: Path, heads: dict[str, bytes]) -> Codes:
    head, place, wal = head_of(key, "journal", heads), folder / "tables", folder / "wal"
    logs = [*place.glob("*/_delta_log"), *place.glob("predictions/*/_delta_log")]
    if head is None and (logs or (folder / "receipts.jsonl").exists()):
        raise Broken("HEAD_GONE")
    lines = receipts(key, folder / "receipts.jsonl", head)
    committed = {line["table"] for line in lines if line["kind"] in ("append", "optimize", "vacuum")}
    for name in sorted(committed | {log.parent.relative_to(place).as_posix() for log in logs}):
        yield from table(place / name, [line for line in lines if line.get("table") == name], wal)
    if any(path.is_file() for path in (folder / "quarantine").rglob("*")):
        yield "QUARANTINED"
    retired = {item["writer"]: item for line in lines if line["kind"] == "retire" for item in line["segments"]}
    yield from seen(wal, head, retired)
    for writer in sorted(p for p in wal.iterdir() if p.is_dir() and not p.name.startswith(".")) if wal.is_dir() else ():
        chain(writer, retired.get(writer.name))


def seen(wal: Path, head: dict[str, Any] | None, retired: dict[str, Any]) -> Codes:
    """The segments that a head saw sealed are there, or were retired."""
    for writer, end in sorted(head["writers"].items()) if head else ():
        path, past = wal / writer / f"{int(end['segment']):012d}.seg", retired.get(writer)
        if past and int(past["number"]) >= int(end["segment"]):
            if past["number"] == end["segment"] and past["link"] != end["link"]:
                yield "SEGMENT_GONE"
            continue
        found = segment(path, None) if path.is_file() else None
        if found is None or found[1:] != (int(end["sequence"]), bytes.fromhex(end["link"])):
            yield "SEGMENT_GONE"


def chain(folder: Path, past: dict[str, Any] | None) -> None:
    number, sequence, last = (
        (int(past["number"]), int(past["sequence"]), bytes.fromhex(past["link"])) if past else (-1, 0, START)
    )
    there = {int(p.stem): p for end in ("open", "seg") for p in folder.glob(f"*.{end}") if p.stem.isdigit()}
    for found in sorted(n for n in there if n > number):
        records, after, end = segment(there[found], (number + 1, sequence, last))
        if records >= 0:
            number, sequence, last = found, after, end


def segment(path: Path, place: tuple[int, int, bytes] | None) -> tuple[int, int, bytes]:
    """Records (-1: not even a header yet), next sequence, last link. place: the number, first sequence and previous link that
    it must have, as far as they are known."""
    data, still_open, bad = path.read_bytes(), path.suffix == ".open", Broken("SEGMENT_DAMAGED")
    if len(data) < 80 and still_open:
        return -1, 0, START
    if len(data) < 80 or zlib.crc32(data[:76]) != int.from_bytes(data[76:80], "little") or data[:8] != b"MMRKWAL\n":
        raise bad
    form, flags, owner, number, first, before = struct.unpack_from("<HH16sQQ32s", data, 8)
    if form not in (1, 2):
        raise Broken("UNKNOWN_FORMAT")
    if (
        flags
        or (owner.hex(), number) != (path.parent.name, int(path.stem))
        or place not in (None, (number, first, before))
    ):
        raise bad
    last, at, records, sealed = hashlib.sha256(before + data[:80]).digest(), 80, 0, False
    seed = zlib.crc32(last) if form == 2 else 0
    while at < len(data):
        found = None if sealed else frame(data, at, seed)
        if found is None:
            marks = re.compile(b"\xf5M[RS]1").finditer(data, at + 1)
            if still_open and not sealed and not any(frame(data, later.start(), seed) for later in marks):
                break
            raise bad
        is_seal, sequence, claimed, payload = found
        before, last = last, hashlib.sha256(last + payload).digest()
        if (sequence, claimed) != (first + records, last) or (is_seal and two_numbers(payload) != [records, first]):
            raise bad
        sealed, records, at = is_seal, records + (not is_seal), at + 52 + len(payload)
    if not sealed and not still_open:
        raise bad
    return records, first + records + sealed, last


def frame(data: bytes, at: int, seed: int) -> tuple[bool, int, bytes, bytes] | None:
    """Whether it is the seal, sequence, link, payload; None where no sound frame begins."""
    if data[at : at + 4] not in (b"\xf5MR1", b"\xf5MS1") or at + 52 > len(data):
        return None
    size, crc, sequence, last = struct.unpack_from("<IIQ32s", data, at + 4)
    payload = data[at + 52 : at + 52 + size]
    if size > 64 * 2**20 or len(payload) < size:
        return None
    sound = zlib.crc32(data[at : at + 4] + data[at + 12 : at + 52] + payload, seed) == crc
    return (data[at + 2] == ord("S"), sequence, last, payload) if sound else None


def two_numbers(payload: bytes) -> list[int]:
    numbers, at = [], 1
    while payload[:1] == b"\x92" and at < len(payload):
        size = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(payload[at], 0)
        numbers.append(int.from_bytes(payload[at + 1 : at + 1 + size], "big") if size else payload[at])
        at += 1 + size
    return numbers


# Checkpoints, and the whole.


def newest(key: bytes, path: Path, heads: dict[str, bytes]) -> Codes:
    if not path.exists() and "checkpoint" not in heads:
        return
    if not path.exists() or "checkpoint" not in heads:
        raise Broken("CHECKPOINT_GONE")
    ours = opened(key, "vnd.modelmark.checkpoint+json", heads["checkpoint"])
    try:
        theirs = opened(key, "vnd.modelmark.checkpoint+json", path.read_bytes())
    except Broken:
        raise Broken("CHECKPOINT_CHANGED") from None
    if ours != theirs:
        yield "CHECKPOINT_DIFFERS"


def through(key: bytes, place: Path, said: dict[str, Any], base: Rows, heads: dict[str, bytes]) -> Codes:
    """The workspace goes through a checkpoint that was kept elsewhere."""
    own = heads.get("checkpoint")
    if own is None or int(parse(opened(key, "vnd.modelmark.checkpoint+json", own), "UNREADABLE")["number"]) < int(
        said["number"]
    ):
        yield "ROLLED_BACK"
    end, last = said["audit"], base["snapshots"][-1:]
    event = [row for row in base["audit"] if end and row["sequence"] == int(end["sequence"])]
    if end and not event:
        yield "ROLLED_BACK"
    elif end and parse(text(event[0]["body"]), "UNREADABLE")["hash"] != end["hash"]:
        yield "AUDIT_REWRITTEN"
    if any(len(base.get(name, ())) < int(count) for name, count in said["counts"].items()):
        yield "ROLLED_BACK"
    if said["snapshot"]:
        number = int(said["snapshot"]["sequence"])
        if not last or last[0]["sequence"] < number:
            yield "ROLLED_BACK"
        elif last[0]["sequence"] == number and "sha256:" + sha(text(last[0]["body"])) != said["snapshot"]["digest"]:
            yield "SNAPSHOT_DIFFERS"
    if said["journal"]:
        lines = receipts(key, place / "journal" / "receipts.jsonl", said["journal"])
        retired = {item["writer"]: item for line in lines if line["kind"] == "retire" for item in line["segments"]}
        yield from seen(place / "journal" / "wal", said["journal"], retired)


def attempt(codes: Codes) -> Codes:
    """The codes of a check, and where it could not go on, why."""
    try:
        yield from codes
    except Broken as broken:
        yield str(broken)
    except (OSError, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        yield "UNREADABLE"


def verify(place: Path, kept: Path | None) -> Codes:
    key, base = public_key(place / "keys" / "mark.pub")[0], database(place / "state.db")
    heads = {row["name"]: text(row["body"]) for row in base["heads"]}
    told: dict[str, dict[str, Any]] = {"rows": {}, "files": {}}
    if kept is not None:
        said = parse(opened(key, "vnd.modelmark.checkpoint+json", kept.read_bytes()), "UNREADABLE")
        yield from attempt(through(key, place, said, base, heads))
    yield from attempt(private_key(place / "keys"))
    yield from attempt(audit(key, base["audit"], heads, told))
    yield from attempt(governed(base, told["rows"]))
    for name in ("findings", "alerts"):
        yield from attempt(sums(key, name, base[name], heads))
    versions = place / "versions"
    wanted: dict[str, dict[str, str]] = {p.name: {} for p in versions.glob("*") if not p.name.startswith(".new-")}
    for name, digest in told["files"].items():
        if digest is not None:
            wanted.setdefault(name.split("/")[0], {})[name.partition("/")[2]] = digest
    for name in sorted(wanted):
        yield from attempt(files(versions / name, wanted[name]))
    for version in sorted(served(base)):
        yield from attempt(mark(key, version, versions / version.removeprefix("sha256:"), base))
    yield from attempt(agreed(key, base["approvals"], "approval", "nonce"))
    yield from attempt(agreed(key, base["waivers"], "waiver", "evidence"))
    yield from attempt(snapshot(key, place / "snapshot.dsse.json", base["snapshots"]))
    yield from attempt(newest(key, place / "checkpoint.dsse.json", heads))
    yield from islice(attempt(journal(key, place / "journal", heads)), 1)


class Second:
    """This verifier behind the vectors' interface."""

    def canonical(self, text: str) -> bytes:
        return text_of(loads(text)).encode()

    def envelope(self, key: bytes, kind: str, envelope: str) -> str | None:
        return self._first(lambda: opened(key, kind.removeprefix("application/"), envelope.encode()))

    def audit(self, key: bytes, rows: list[dict[str, Any]], head: str | None) -> str | None:
        heads = {} if head is None else {"audit": head.encode()}
        return next(attempt(audit(key, rows, heads, {"rows": {}, "files": {}})), None)

    def receipts(self, key: bytes, folder: Path, head: dict[str, Any]) -> str | None:
        return self._first(lambda: receipts(key, folder / "journal" / "receipts.jsonl", head))

    def segment(self, path: Path) -> tuple[str | None, int, int, str]:
        try:
            records, after, last = segment(path, None)
        except Broken as broken:
            return str(broken), 0, 0, ""
        return None, records, after, last.hex()

    def workspace(self, folder: Path, checkpoint: Path | None) -> list[str]:
        return list(attempt(verify(folder, checkpoint)))

    def _first(self, look: Any) -> str | None:
        try:
            look()
        except Broken as broken:
            return str(broken)
        return None
