"""The changes that tests/vectors/workspaces.json makes to a workspace, one `how` each."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def change(place: Path, how: str, where: str, **more: Any) -> None:
    """where: a path below the workspace, of which the first that matches is meant; a statement (sql); or a head's
    name (sign)."""
    if how == "sql":
        run(place, where)
    elif how == "sign":
        run(place, "REPLACE INTO heads VALUES (?, ?)", (where, signed(place, **more)))
    elif how == "seal":
        (place / where).write_text(signed(place, **more))
    elif how == "tell":
        told(place, **more)
    elif how == "put":
        (place / where).parent.mkdir(parents=True, exist_ok=True)
        (place / where).write_bytes(bytes.fromhex(more["hex"]) if "hex" in more else more["text"].encode())
    elif how == "folder":
        os.makedirs(os.fsencode(place / where))
    else:
        found = sorted(place.glob(where))[0]
        FILES[how](found, place, **more)


def run(place: Path, statement: str, values: tuple[Any, ...] = ()) -> None:
    with sqlite3.connect(place / "state.db") as base:
        base.execute(statement, values)
    base.close()


def signed(place: Path, payload: str, type: str = "vnd.modelmark.head+json") -> str:
    """An envelope under the workspace's own key: what somebody who holds it could have written."""
    key = signing_key(place)
    kind, said = f"application/{type}".encode(), payload.encode()
    signature = key.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(said), said))
    key_id = "sha256:" + hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()
    outer = {
        "payload": base64.b64encode(said).decode(),
        "payloadType": kind.decode(),
        "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return text(outer).decode()


def signing_key(place: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key((place / "keys" / "mark.key").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def told(place: Path, lines: list[dict[str, Any]]) -> None:
    """Receipts after the last, under the workspace's own key. The head goes on telling of those before."""
    path = place / "journal" / "receipts.jsonl"
    last = bytes.fromhex(json.loads(path.read_bytes().splitlines()[-1])["link"])
    with path.open("ab") as file:
        for line in lines:
            last = hashlib.sha256(last + text(line)).digest()
            kind = b"application/vnd.modelmark.receipt"
            signature = signing_key(place).sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(last), last))
            file.write(text({**line, "link": last.hex(), "signature": base64.b64encode(signature).decode()}) + b"\n")


def text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def delete(path: Path, _: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def write(path: Path, _: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])


def cut(path: Path, _: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def append(path: Path, _: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


def replace(path: Path, _: Path, old: str, new: str) -> None:
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode(), 1))


def turn(path: Path, _: Path) -> None:
    """The first two lines change places."""
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))


def link(path: Path, place: Path) -> None:
    """A symbolic link to the same bytes, elsewhere."""
    away = place.parent / "away"
    path.rename(away)
    path.symlink_to(away)


def hollow(path: Path, _: Path) -> None:
    """A folder of that name instead."""
    path.unlink()
    path.mkdir(mode=0o700)


def copy(path: Path, place: Path, to: str) -> None:
    target = place / to if "*" not in to else sorted(place.glob(to))[-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def mode(path: Path, _: Path, bits: str) -> None:
    path.chmod(int(bits, 8))


FILES = {f.__name__: f for f in (delete, write, cut, append, replace, turn, link, hollow, copy, mode)}
