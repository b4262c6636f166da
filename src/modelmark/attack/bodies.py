"""Bodies of predictions: what no JSON is, what no row is, and what was one before a seeded hand changed it."""

from __future__ import annotations

import gzip
import json
import random
import unicodedata
import zlib
from collections.abc import Iterator
from typing import Any, Final

from modelmark.attack.case import READ, REFUSED, TAKEN, Case, Target, request

_UNREADABLE: Final = frozenset({400, 413, 422, 429})
#: What is no JSON, though parsers have taken it.
_BROKEN: Final = (
    b"", b" ", b"{", b"}", b"[", b"]", b'"', b"nul", b"NULL", b"True", b"'a'", b"{'a':1}", b"{a:1}", b"[1,]", b"[,1]", b"[1 2]",
    b"{,}",
    b'{"a":}', b'{"a" 1}', b'{"a":1,}', b'{"a":1 "b":2}', b"[1][2]", b"{}{}", b"// x\n{}", b"/* */{}", b"[01]", b"[+1]", b"[.5]",
    b"[5.]",
    b"[1e]", b"[1e+]", b"[0x10]", b"[--1]", b"[1_000]", b"[Infinity]", b"[-Infinity]", b'["\t"]', b'["\n"]', b'["\\x41"]',
    b'["\\u12"]',
    b'["\\uD800\\u"]', b'["unfinished', b'["\\', b"\xef\xbb\xbf", b"\xff\xfe{\x00}\x00", b"\x00\x00\x00{", b"\x80",
    b'["\xed\xa0\x80"]',
    b'["\xc0\xaf"]', b'["\xf5\x80\x80\x80"]', b'["\xe2\x82"]', b"{}\x00", b"\x1f\x8b\x08", b"<xml/>", b"a=b", b"--boundary--",
    b"\x93NUMPY",
    b"NaN,", b"[undefined]", b"[1,\x0b2]", b"[\xc2\xa01]", b"\xe2\x80\xa8{}",
)  # fmt: skip
_NUMBERS: Final = (
    b"NaN", b"Infinity", b"-Infinity", b"-0", b"-0.0", b"1e400", b"-1e400", b"1e-400", b"5e-324", b"1.7976931348623157e308",
    b"1.7976931348623159e308", b"1e39", b"-1e39", b"3.4028236e38", b"9007199254740991", b"9007199254740993", b"9223372036854775807",
    b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809", b"1" * 10_000, b"0." + b"0" * 10_000 + b"1",
    b"1e" + b"9" * 400,
    b"0.1" + b"0" * 5000, b"1E5", b"1e+5", b"1e0005", b"0e0", b"123456789.123456789123456789",
)  # fmt: skip
_OTHERS: Final = (
    b'"1"',
    b"true",
    b"false",
    b"null",
    b"[]",
    b"[1]",
    b"{}",
    b'{"a":1}',
    b'""',
    b'"\\u0000"',
    b"[[[1]]]",
    b"1.5",
)
_TEXTS: Final = (
    "", " ", "\t", "\u0000", "a" * 1_000_000, "\u202egnp.exe", "A\u0301" * 5000, "\ud800", "\udfff", "😀" * 1000, "NULL", "nan",
    "'; DROP TABLE x",
    "<script>alert(1)</script>", "../../etc/passwd", "=1+1", "%s%s%n", "${jndi:ldap://x}", "\ufeff", "\u0085", "ß", "İ", "ﬁ",
    "\r\nX: y",
)  # fmt: skip


def bodies(target: Target, rng: random.Random, changed: int) -> Iterator[Case]:
    """changed: how many seeded changes of a good body."""
    path = f"/models/{target.model}/predict"
    good = json.dumps({"rows": [dict(target.row)]}).encode()
    yield Case("good", request(path, good), TAKEN, why="what the model describes of itself")
    for broken in _BROKEN:
        for body in (broken, b'{"rows":' + broken + b"}"):
            yield Case("syntax", request(path, body), _UNREADABLE, why=_shown(broken))
    yield from _cells(target, path)
    yield from _columns(target, path)
    yield from _shapes(target, path)
    yield from _packed(target, path, good)
    for _ in range(changed):
        yield Case("changed", request(path, change(good, rng)), READ)


def _cells(target: Target, path: str) -> Iterator[Case]:
    names = [str(item["name"]) for item in target.inputs][:5]
    for name in names:
        numeric = name in target.of_type("number", "integer", "boolean")
        for value in (*_NUMBERS, *_OTHERS):
            family = "numbers" if value in _NUMBERS else "types"
            yield Case(family, request(path, _with(target, name, value)), READ, why=f"{name}: {_shown(value)}")
        for text in _TEXTS:
            value = json.dumps(text).encode() if not _lone(text) else b'"\\ud800"'
            allowed = REFUSED if numeric else READ
            yield Case("texts", request(path, _with(target, name, value)), allowed, why=f"{name}: {_shown(value)}")


def _columns(target: Target, path: str) -> Iterator[Case]:
    names = [str(item["name"]) for item in target.inputs]
    first = names[0]
    row = {name: json.dumps(value).encode() for name, value in target.row.items()}
    yield Case("columns", request(path, _body(row, names[1:])), REFUSED, why="one is missing")
    yield Case("columns", request(path, _body(row, names[::-1])), TAKEN, why="another order")
    yield Case("columns", request(path, _body({**row, "no such": b"1"}, [*names, "no such"])), REFUSED, why="one more")
    yield Case("columns", request(path, _body(row, [*names, first])), REFUSED, why="one twice")
    alike = {first.swapcase(), unicodedata.normalize("NFD", first + "é"), f" {first}", f"{first}\u200b"}
    for other in sorted(alike - {*names}):
        odd = [other, *names[1:]]
        yield Case(
            "columns", request(path, _body({**row, other: row[first]}, odd)), REFUSED, why=f"{other!r} for {first!r}"
        )
    many = {f"c{i}": b"1" for i in range(10_000)}
    yield Case("columns", request(path, _body(many, list(many))), REFUSED, why="ten thousand")


def _shapes(target: Target, path: str) -> Iterator[Case]:
    row = json.dumps(dict(target.row)).encode()
    for body in (
        b"[]", b"null", b'"rows"', b"{}", b'{"rows":[]}', b'{"rows":null}', b'{"rows":{}}', b'{"rows":[[]]}', b'{"rows":[null]}',
        b'{"rows":[' + row + b'],"rows":[]}', b'{"rows":[' + row + b'],"row":' + row + b"}", b'{"rows":[' + row + b'],"x":1}',
        b'{"rows":[' + b",".join([row] * (target.max_rows + 1)) + b"]}", b'{"rows":[' + row + b',{}]}', b'{"row":[' + row + b"]}",
        b'{"rows":[' + row + b'],"entity":7}', b'{"rows":[' + row + b'],"entity":"' + b"e" * 300 + b'"}',
    ):  # fmt: skip
        yield Case("shapes", request(path, body), REFUSED, why=_shown(body))
    for depth in (10, 31, 32, 33, 64, 1000, 100_000):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            body = opening * depth + b"1" + closing * depth
            yield Case("depth", request(path, body), REFUSED, why=f"{depth} deep")
            yield Case("depth", request(path, opening * depth), REFUSED, why=f"{depth} deep and open")


def _packed(target: Target, path: str, good: bytes) -> Iterator[Case]:
    packed = gzip.compress(good, mtime=0)
    for name, body, allowed in (
        ("gzip", packed, READ), ("deflate", zlib.compress(good), READ), ("gzip", packed[:-4], REFUSED),
        ("gzip", packed[:9], REFUSED),
        ("gzip", good, REFUSED), ("deflate", good, REFUSED), ("br", good, REFUSED),
        ("gzip, gzip", gzip.compress(packed, mtime=0), REFUSED),
        ("identity", good, READ), ("x" * 200, good, REFUSED),
        ("gzip", gzip.compress(b" " * (4 * target.max_body), mtime=0), REFUSED),
    ):  # fmt: skip
        sent = request(path, body, f"Content-Encoding: {name}")
        yield Case("packed", sent, allowed, why=f"{name[:20]}, {len(body)} bytes")
    for kind in (
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        ";",
        "é",
    ):
        yield Case("media types", request(path, good, kind=kind), READ, why=kind)


def change(body: bytes, rng: random.Random) -> bytes:
    """One to four seeded changes: bits, bytes, pieces taken out, doubled, moved, or cut off; or digits grown."""
    found = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        if not found:
            return bytes(found)
        at, size = rng.randrange(len(found)), rng.randint(1, 16)
        kind = rng.randrange(7)
        if kind == 0:
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[at] = rng.choice(b'\x00\xff{}[]",:\\0-+eEnt ')
        elif kind == 2:
            del found[at : at + size]
        elif kind == 3:
            found[at:at] = found[at : at + size]
        elif kind == 4:
            piece = bytes(found[at : at + size])
            del found[at : at + size]
            place = rng.randrange(len(found) + 1)
            found[place:place] = piece
        elif kind == 5:
            del found[at:]
        else:
            found[at:at] = bytes(rng.choice(b"0123456789") for _ in range(size * 4))
    return bytes(found)


def _with(target: Target, name: str, value: bytes) -> bytes:
    row = {key: json.dumps(kept).encode() for key, kept in target.row.items()} | {name: value}
    return _body(row, list(row))


def _body(row: dict[str, bytes], names: list[str]) -> bytes:
    return b'{"rows":[{' + b",".join(json.dumps(name).encode() + b":" + row[name] for name in names) + b"}]}"


def _lone(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _shown(value: Any) -> str:
    return repr(value)[:40]
