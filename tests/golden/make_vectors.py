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
import struct
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from builders.keys import KEY  # noqa: E402
from golden.vector_workspaces import CASES, CHECKPOINTS  # noqa: E402
from modelmark.app.container import Container  # noqa: E402
from modelmark.journal.wal.frames import FORMAT, FORMATS, SEAL, Header, Seal, encode, frame  # noqa: E402
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
    if "--workspace" in sys.argv:
        archive()
    workspaces()


def texts() -> list[dict[str, Any]]:
    values: list[Any] = [
        {"b": 1, "a": [True, None, False]}, {"é": "ü", "z": "\u0001\n\t\"\\/", "a": "\u2028😀"},
        [], {}, "", {"x": {"b": [], "a": {}}},
        {"tiny": 5e-324, "most": 1.7976931348623157e308, "zero": -0.0, "one": 1.0, "tenth": 0.1, "long": 123456.789e3},
        {"top": 2**64 - 1, "bottom": -(2**63), "\x7f": "\x1f\x7f\x80", "": None},
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
        ("a member more", canonical({**outer, "extra": 1}).decode(), "BAD_ENVELOPE"),
        ("a member twice", '{"payload":"",' + good.decode()[1:], "BAD_ENVELOPE"),
        (
            "without its type",
            canonical({k: v for k, v in outer.items() if k != "payloadType"}).decode(),
            "BAD_ENVELOPE",
        ),
        ("a newline after it", good.decode() + "\n", "BAD_ENVELOPE"),
        ("a mark of byte order before it", "\ufeff" + good.decode(), "BAD_ENVELOPE"),
        ("NaN", '{"payload":NaN,"payloadType":"","signatures":[]}', "BAD_ENVELOPE"),
        ("brackets, many deep", "[" * 30_000, "BAD_ENVELOPE"),
        ("a large number", canonical({**outer, "payload": 10**18}).decode(), "BAD_ENVELOPE"),
        *[
            (what, canonical({**outer, "signatures": signatures}).decode(), fault)
            for what, signatures, fault in _signatures(outer)
        ],
    ]
    key = base64.b64encode(KEY.verifier().key.public_bytes_raw()).decode()
    said = [{"what": what, "envelope": text, "fault": fault} for what, text, fault in cases]
    return {"key": key, "key_id": KEY.verifier().key_id, "type": kind, "cases": said}


def _signatures(outer: dict[str, Any]) -> list[tuple[str, Any, str | None]]:
    (ours,) = outer["signatures"]
    theirs = {"keyid": "sha256:" + "0" * 64, "sig": "AAAA"}
    return [
        ("not signed", [], "WRONG_KEY"),
        ("no list of signatures", {}, "BAD_ENVELOPE"),
        ("signed by another too", [theirs, ours], None),
        ("signed by us twice, first wrongly", [{**ours, "sig": "AAAA"}, ours], "BAD_SIGNATURE"),
        ("a signature with a member more", [{**ours, "by": "ann"}], "BAD_ENVELOPE"),
        ("a signature without its key", [{"sig": ours["sig"]}], "BAD_ENVELOPE"),
        ("a signature that is not base64", [{**ours, "sig": "A" + ours["sig"]}], "BAD_ENVELOPE"),
        ("another's signature that is not base64", [{**theirs, "sig": "A"}, ours], "BAD_ENVELOPE"),
        ("a word for a signature", ["ours"], "BAD_ENVELOPE"),
    ]


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


def told(text: str, **changed: Any) -> tuple[list[dict[str, Any]], str]:
    """One event whose details are this text, and its head."""
    body = {
        "sequence": 1,
        "at": "2026-11-20T12:00:01+00:00",
        "actor": "ann",
        "act": "registered",
        "subject": "a",
        "details": 0,
    }
    said = canonical({**body, **changed}).decode().replace('"details":0', f'"details":{text}')
    previous = START.hex()
    hashed = link(START, said.encode()).hex()
    whole = said.replace(',"sequence"', f',"hash":"{hashed}","previous":"{previous}","sequence"')
    rows = [{"sequence": 1, "at": 1795176001000000, "body": whole}]
    return rows, wrap(
        {"chain": "audit", "sequence": 1, "hash": hashed}, "application/vnd.modelmark.head+json", KEY
    ).decode()


def details() -> list[dict[str, Any]]:
    """What an event may say, and how: every one is under a head that holds."""
    cases: list[tuple[str, tuple[list[dict[str, Any]], str], str | None]] = [
        ("numbers", told('{"a":1e16,"b":-0.0,"c":1e-7,"d":18446744073709551615,"e":0.1,"f":1.0}'), None),
        ("names that are not ASCII", told('{"rows":{"accounts/Łukasz.ø":null},"é":"\u2028😀"}'), None),
        ("NaN in it", told('{"share":NaN}'), "AUDIT_CHANGED"),
        ("a member twice in it", told('{"share":1,"share":1}'), "AUDIT_CHANGED"),
        ("members in another order", told('{"b":1,"a":1}'), "AUDIT_CHANGED"),
        ("a blank in it", told('{"a": 1}'), "AUDIT_CHANGED"),
        ("an escape that nobody needs", told('{"a":"\\u0061"}'), "AUDIT_CHANGED"),
        ("half a character", told('{"a":"\\ud800"}'), "AUDIT_CHANGED"),
        ("a list for details", told("[]"), "AUDIT_CHANGED"),
        ("very deep details", told('{"a":' + "[" * 30_000 + "]" * 30_000 + "}"), "AUDIT_CHANGED"),
        ("a time in another form", told("{}", at="2026-11-20T12:00:01Z"), "AUDIT_CHANGED"),
        ("a time without a place", told("{}", at="2026-11-20T12:00:01"), "AUDIT_CHANGED"),
        ("a time that is none", told("{}", at="today"), "AUDIT_CHANGED"),
        ("a member more, covered by the hash", told("{}", zone="x"), "AUDIT_CHANGED"),
        ("a number that is a word", told("{}", sequence="1"), "AUDIT_CHANGED"),
    ]
    return [{"what": what, "rows": rows, "head": head, "fault": fault} for what, (rows, head), fault in cases]


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
        case(
            "a head of fewer",
            "AUDIT_CUT",
            lambda _: None,
            {"chain": "audit", "sequence": 2, "hash": events()[1]["hash"]},
        ),
        case("a head without its facts", "AUDIT_CUT", lambda _: None, {"chain": "audit"}),
        case(
            "a head of nothing",
            "AUDIT_CUT",
            lambda t: t.clear(),
            {"chain": "audit", "sequence": 0, "hash": START.hex()},
        ),
        case("nothing yet", None, lambda t: t.clear(), None),
        case("a member more", "AUDIT_CHANGED", lambda t: t[1].update(more=1)),
        case("a member less", "AUDIT_CHANGED", lambda t: t[1].pop("actor")),
        case("a link in capitals", "AUDIT_CHANGED", lambda t: t[1].update(previous=t[1]["previous"].upper())),
        case("a link that is none", "AUDIT_CHANGED", lambda t: t[1].update(hash="x")),
        *details(),
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
    first = {**head, "receipts": {"lines": 1, "link": json.loads(whole.splitlines()[0])["link"]}}
    cases: list[tuple[str, str | None, Any, str | None]] = [
        ("whole", whole, head, None),
        ("an unfinished line after them", whole + '{"kind":', head, None),
        ("one line cut off", "".join(whole.splitlines(keepends=True)[:2]), head, "RECEIPTS_CUT"),
        ("gone", None, head, "RECEIPTS_GONE"),
        ("recomputed", changed, head, "RECEIPTS_REWRITTEN"),
        ("one more, unsigned", unsigned, first, "RECEIPT_UNSIGNED"),
        ("a digit changed", whole.replace('"rows":5', '"rows":6'), head, "RECEIPT_DAMAGED"),
        ("another signature", whole.replace('"signature":"', '"signature":"A'), head, "BAD_SIGNATURE"),
        ("a number for a signature", _again(whole, 5), head, "BAD_SIGNATURE"),
        ("null for a signature", _again(unsigned, None), first, "RECEIPT_UNSIGNED"),
        (
            "rewritten, and damaged further on",
            changed.replace('"rows":5', '"rows":5', 1) + "x\n",
            head,
            "RECEIPTS_REWRITTEN",
        ),
        ("in another order", "".join(whole.splitlines(keepends=True)[n] for n in (1, 0, 2)), head, "RECEIPT_DAMAGED"),
        ("a member twice", whole.replace('{"added"', '{"added":[],"added"'), head, "RECEIPT_DAMAGED"),
        ("a blank", whole.replace('"rows":5', '"rows": 5'), head, "RECEIPT_DAMAGED"),
        ("NaN", whole.replace('"rows":5', '"rows":NaN'), head, "RECEIPT_DAMAGED"),
        ("a list", whole + "[]\n", head, "RECEIPT_DAMAGED"),
        ("brackets, many deep", whole + "[" * 30_000 + "\n", head, "RECEIPT_DAMAGED"),
        ("an empty line", whole + "\n", head, "RECEIPT_DAMAGED"),
        ("a line after a carriage return", whole + '\r{"kind":"damage"}\n', head, "RECEIPT_DAMAGED"),
        ("lines that end as on Windows", whole.replace("\n", "\r\n"), head, "RECEIPT_DAMAGED"),
        ("a line of another kind", *text([*bodies, {"kind": "later", "what": "é\u2028"}]), None),
        (
            "a commit that lacks what it removed",
            *text([{"kind": "append", "table": "a", "version": 0, "added": []}]),
            "RECEIPT_DAMAGED",
        ),
        ("an intent that lacks its end", *text([{"kind": "intent", "table": "a", "first": 0}]), "RECEIPT_DAMAGED"),
    ]
    cases = [(what, said, _head(end, said) if isinstance(end, str) else end, fault) for what, said, end, fault in cases]
    return [{"what": what, "text": said, "head": end, "fault": fault} for what, said, end, fault in cases]


def _head(link: str, text: str | None) -> dict[str, Any]:
    return {"receipts": {"lines": (text or "").count("\n"), "link": link}, "writers": {}}


def _again(text: str, signature: Any) -> str:
    """The same lines with this for the last one's signature."""
    *before, last = text.splitlines(keepends=True)
    return "".join(before) + canonical({**json.loads(last), "signature": signature}).decode() + "\n"


def segments() -> list[dict[str, Any]]:
    """In both formats."""
    return [
        {**case, "what": f"{case['what']}{'' if form == FORMAT else f', format {form}'}"}
        for form in FORMATS
        for case in _segments(form)
    ]


def _segments(form: int) -> list[dict[str, Any]]:
    header = Header(WRITER, 0, 0, START, form)
    seed = header.seed()
    data, last = header.to_bytes(), header.link()
    frames = []
    for number in range(3):
        raw, last = frame(last, number, encode(Refused(1, "loans", "OUT_OF_RANGE", "age", number)), seed=seed)
        frames.append(raw)
    seal, last = frame(last, 3, encode(Seal(3, 0)), SEAL, seed=seed)
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
        case("of another number", Header(WRITER, 7, 0, START, form).to_bytes() + whole[len(data) :], "SEGMENT_DAMAGED"),
        case("empty", b"", "SEGMENT_DAMAGED"),
        case("open, and empty", b"", None, ".open"),
        case("open, torn in its header", whole[:50], None, ".open"),
        {**case("open, with a header alone", data, None, ".open"), "records": 0},
        {**case("open, and sealed", whole, None, ".open"), "records": 3, "end": {"sequence": 4, "link": last.hex()}},
        case("open, sealed, and bytes after", whole + b"more", "SEGMENT_DAMAGED", ".open"),
        {**case("open, with noise at the end", whole[: -len(seal)] + b"\xf5MR1" * 30, None, ".open"), "records": 3},
        case("open, of another writer", Header("f" * 32, 0, 0, START, form).to_bytes(), "SEGMENT_DAMAGED", ".open"),
        case("a later format", _header(form=3) + whole[len(data) :], "UNKNOWN_FORMAT"),
        case(
            "flags",
            _header(form=form, flags=1)
            + frame(link(START, _header(form=form, flags=1)), 0, encode(Seal(0, 0)), SEAL, seed=seed)[0],
            "SEGMENT_DAMAGED",
        ),
        case("open, flags", _header(form=form, flags=1), "SEGMENT_DAMAGED", ".open"),
        case("a frame twice", data + frames[0] + frames[0] + b"".join(frames[1:]) + seal, "SEGMENT_DAMAGED"),
        case("a seal twice", whole + seal, "SEGMENT_DAMAGED"),
        case("a seal of other records", _sealed(header, encode(Seal(1, 0))), "SEGMENT_DAMAGED"),
        case("a seal of another first", _sealed(header, encode(Seal(0, 1))), "SEGMENT_DAMAGED"),
        case("a seal of one number", _sealed(header, b"\x91\x00"), "SEGMENT_DAMAGED"),
        case("a seal of three numbers", _sealed(header, b"\x93\x00\x00\x00"), "SEGMENT_DAMAGED"),
        case("a seal with bytes after its numbers", _sealed(header, b"\x92\x00\x00\x00"), "SEGMENT_DAMAGED"),
        case("a seal of words", _sealed(header, b"\x92\xa1a\xa1b"), "SEGMENT_DAMAGED"),
        case("a seal in long numbers", _sealed(header, b"\x92\xcd\x00\x00\xcf" + bytes(8)), None),
        case("frames of the other format", data + _frames(header, 0 if seed else 1), "SEGMENT_DAMAGED"),
        case("a length of more than there is", whole[:84] + b"\xff\xff\xff\xff" + whole[88:], "SEGMENT_DAMAGED"),
    ]


def _header(*, form: int = 1, flags: int = 0) -> bytes:
    """As `Header.to_bytes` writes it, with what that never writes."""
    raw = b"MMRKWAL\n" + struct.pack("<HH16sQQ32s", form, flags, bytes.fromhex(WRITER), 0, 0, START)
    return raw + struct.pack("<I", zlib.crc32(raw))


def _sealed(header: Header, payload: bytes) -> bytes:
    """A segment of nothing but a seal."""
    return header.to_bytes() + frame(header.link(), 0, payload, SEAL, seed=header.seed())[0]


def _frames(header: Header, seed: int) -> bytes:
    """One record and the seal, their checksums begun with this."""
    one, last = frame(header.link(), 0, encode(Refused(1, "loans", "OUT_OF_RANGE", "age", 0)), seed=seed)
    return one + frame(last, 1, encode(Seal(1, 0)), SEAL, seed=seed)[0]


def archive() -> None:
    """An earlier release's workspace, taken over. Only with `--workspace`: its checkpoint is of the time it was made."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with tarfile.open(ROOT / "tests" / "golden" / "v1" / "workspace.tar.gz") as found:
            found.extractall(place, filter="data")
        app = Container.open({"MODELMARK_ACTOR": "ci"}, workspace=place)
        app.checkpoint()
        app.database.close()
        for extra in ("state.db-wal", "state.db-shm", "cache"):
            (place / extra).unlink(missing_ok=True)
        with sqlite3.connect(place / "state.db") as base:
            base.execute("PRAGMA journal_mode=DELETE")
        base.close()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as made:
            made.add(place, ".")
        (OUT / "workspace.tar.gz").write_bytes(buffer.getvalue())


def workspaces() -> None:
    """What must be found in that workspace after each change (`builders.vectors` makes it): the first fault, and those that
    must be among the others."""
    said = [
        {"what": what, "steps": steps, "first_fault": fault, **({"also": list(also)} if also else {})}
        for what, steps, fault, *also in CASES
    ]
    (OUT / "workspaces.json").write_text(json.dumps(said, indent=1) + "\n")
    kept = [{"what": what, "with": changes, "fault": fault, **more} for what, changes, fault, more in CHECKPOINTS]
    (OUT / "checkpoints.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
