"""How many seeded changes of a workspace each verifier catches, by kind: `modelmark verify`, the stand-alone, the second.

    .venv/bin/python bench/tamper.py --changes 1000

Makes a workspace with releases, approvals, waivers, rollbacks, accounts and predictions, and a second one; then changes
one thing at a time, asks each verifier, and puts it back. A change counts as caught when a fault names what was changed; the
second verifier gives codes alone, and any of them counts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from _scratch import scratch_folder

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from modelmark.app.container import Container  # noqa: E402
from modelmark.domain.release import WaiverRequest  # noqa: E402
from modelmark.journal.wal.writer import Writer  # noqa: E402
from modelmark.seal.chain import START, link  # noqa: E402
from modelmark.seal.digests import canonical, digest_file  # noqa: E402

second: Any = importlib.import_module("second_verifier").Second()
standalone: Any = importlib.import_module("builders.standalone").module()
kit: Any = importlib.import_module("builders.workspace")  # of tests/, which benches borrow their workspaces from
#: Governed tables: name of the row in findings of both verifiers, by SQL table.
TABLES = {
    "versions": "versions", "evidence": "evidence", "approvals": "approvals", "remarks": "comments", "waivers": "waivers",
    "snapshots": "snapshots", "accounts": "accounts", "api_keys": "keys", "sessions": "sessions",
    "findings": "findings", "alerts": "alerts",
}  # fmt: skip
#: Files that no decision leans on, with the reason in docs/journal.md.
LEFT_OUT = ("run/", "cache/", "reports/", "mlflow", "state.db", ".lock", "/lock")


@dataclass(slots=True)
class Place:
    """A workspace, an earlier state of it, another workspace, and a checkpoint and key kept elsewhere."""

    root: Path
    earlier: Path
    other: Path
    checkpoint: Path
    key: Path

    def files(self) -> list[Path]:
        found = sorted(p for p in self.root.rglob("*") if p.is_file() and not p.name.startswith("."))
        return [p for p in found if not any(part in p.relative_to(self.root).as_posix() for part in LEFT_OUT)]


@dataclass(frozen=True, slots=True)
class Change:
    """What was changed, in words that a finding must contain one of. None: nothing was, draw again. outside: only the
    checkpoint can tell."""

    what: str
    names: tuple[str, ...]
    outside: bool = False


def build(folder: Path, predictions: int, seed: int) -> Place:
    """The workspace that is tampered with. Everything in it was done by the acts that do it."""
    place = Place(folder / "one", folder / "earlier", folder / "other", folder / "kept.json", folder / "mark.pub")
    life = _live(place.root, predictions, seed, earlier=place.earlier)
    _live(place.other, max(predictions // 20, 50), seed + 1, earlier=None)
    made, _ = life.app.checkpoint()
    shutil.copy(place.root / "checkpoint.dsse.json", place.checkpoint)
    shutil.copy(place.root / "keys" / "mark.pub", place.key)
    life.app.database.close()
    assert made.number > 1
    for root in (place.root, place.earlier, place.other):
        _settle(root / "state.db")
    return place


def _settle(database: Path) -> None:
    """Everything into the one file: what is changed is that file, not a log beside it."""
    base = sqlite3.connect(database)
    assert base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    base.close()


def _live(root: Path, predictions: int, seed: int, *, earlier: Path | None) -> Any:
    now = datetime.now(UTC)
    life, case = kit.Lived.at(root, now), kit.quiet()
    start, clock = now - timedelta(days=3), iter(range(1000))

    def at() -> datetime:
        return start + timedelta(minutes=next(clock))

    first = life.register(case, 1 + 10 * seed, at())
    life.check(case, first, at())
    life.release(case, first, at())
    life.predict("churn", kit.spread(start, now, predictions // 2, seed), seed=seed, label_after=timedelta(hours=1))
    _people(life, case, at)
    if earlier is not None:
        life.app.checkpoint()
        life.app.database.close()
        shutil.copytree(root, earlier)
    for number in (2, 3):
        version = life.register(case, number + 10 * seed, at())
        life.check(case, version, at())
        if number == 2:
            life.release(case, version, at())
    life.predict("churn", kit.spread(start, now, predictions - predictions // 2, seed + 1), seed=seed + 1, refused=3)
    life.app.releases.rollback("churn", actor="ann", reason="worse than hoped")
    life.watch(now - timedelta(hours=6))
    _leave_in_log(life)
    return life


def _people(life: Any, case: Any, at: Callable[[], datetime]) -> None:
    """A waiver and a comment by the workspace's owner, then accounts and a key."""
    version = life.register(case, 90, at())
    life.check(case, version, at(), holdout=0.1)
    gate = sorted(life.app.releases.status(version).gates)[0]
    excuse = WaiverRequest(gate=gate, reason="seen by the board", expires_at=datetime.now(UTC) + timedelta(days=30))
    life._clock = None
    life.app.releases.waive(version, excuse, role=kit.BOB.role, name=kit.BOB.name, actor="bob", by=None)


def _leave_in_log(life: Any) -> None:
    """A sealed segment that nobody compacts, but that the last checkpoint sees."""
    from modelmark.journal.wal.records import Refused

    with Writer(life.app.workspace.wal) as writer:
        writer.append_many([Refused(time.time_ns(), "churn", "OUT_OF_RANGE", "age", n) for n in range(1, 40)])


class Changer:
    """One change at a time, drawn by seed, put back afterwards."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self.place, self.chance = place, chance
        self.kinds: dict[str, Callable[[], Change | None]] = {
            "flip": self.flip, "delete": self.delete, "insert": self.insert, "reorder": self.reorder,
            "truncate": self.truncate, "move": self.move, "roll back": self.roll_back, "swap": self.swap,
            "rewrite": self.rewrite,
        }  # fmt: skip

    @contextmanager
    def change(self, kind: str) -> Iterator[Change]:
        backup = self.place.root.with_name("backup")
        shutil.rmtree(backup, ignore_errors=True)
        shutil.copytree(self.place.root, backup, symlinks=True, copy_function=_link)
        try:
            for _ in range(100):
                made = self.kinds[kind]()
                if made is not None:
                    yield made
                    return
            raise RuntimeError(f"no change of the kind {kind} could be made")
        finally:
            shutil.rmtree(self.place.root)
            backup.rename(self.place.root)

    # What is changed: half of the time a row, half of the time a file.

    def flip(self) -> Change | None:
        return self._cell() if self.chance.random() < 0.5 else self._bytes(lambda d: _flipped(d, self.chance))

    def delete(self) -> Change | None:
        draw = self.chance.random()
        if draw < 0.45:
            return self._sql("DELETE FROM {table} WHERE {key} = ?")
        if draw < 0.9:
            path = self.chance.choice(self.place.files())
            path.unlink()
            return self._named(path)
        folder = self.chance.choice(["journal", "journal/tables", "journal/wal", "versions", "keys"])
        shutil.rmtree(self.place.root / folder)
        return Change(folder, ("receipts", "segment", "gone", "missing", "NO_KEY", "cannot be read"))

    def insert(self) -> Change | None:
        draw = self.chance.random()
        if draw < 0.4:
            return self._copied_row()
        if draw < 0.8:
            junk = self.chance.randbytes(self.chance.randint(1, 40)).replace(b"\n", b"") + b"\n"
            return self._bytes(lambda d: _inserted(d, junk, self.chance))
        folder = self.chance.choice(sorted((self.place.root / "versions").iterdir()))
        (folder / f"extra{self.chance.randint(0, 9)}.onnx").write_bytes(b"more")
        return Change("a file more", (folder.name[:12],))

    def reorder(self) -> Change | None:
        draw = self.chance.random()
        if draw < 0.4:
            return self._swapped_bodies()
        if draw < 0.6:
            path = self.place.root / "journal" / "receipts.jsonl"
            lines = path.read_bytes().splitlines(keepends=True)
            i, j = self.chance.sample(range(len(lines)), 2)
            lines[i], lines[j] = lines[j], lines[i]
            _written(path, b"".join(lines))
            return Change("two receipts", ("receipt",))
        one, two = self.chance.sample(self.place.files(), 2)
        first, second = one.read_bytes(), two.read_bytes()
        if first == second:
            return None
        _written(one, second)
        _written(two, first)
        return Change(f"{one.name} and {two.name}", (*self._named(one).names, *self._named(two).names))

    def truncate(self) -> Change | None:
        if self.chance.random() < 0.3:
            table = self.chance.choice(["audit", *TABLES])
            with self._base() as base:
                keys = [row[0] for row in base.execute(f"SELECT {_key(table)} FROM {table} ORDER BY 1")]
                if not keys:
                    return None
                kept = self.chance.randrange(len(keys))
                base.execute(f"DELETE FROM {table} WHERE {_key(table)} >= ?", (keys[kept],))
            return Change(f"{table} from {kept}", (TABLES.get(table, table), "audit"))
        return self._bytes(lambda d: d[: self.chance.randrange(len(d))] if d else None)

    def move(self) -> Change | None:
        if self.chance.random() < 0.5:
            return self._moved_row()
        folders = sorted((self.place.root / "versions").iterdir())
        one, two = self.chance.sample(folders, 2)
        name = self.chance.choice(sorted(p.name for p in one.iterdir()))
        if (two / name).exists() and (two / name).read_bytes() == (one / name).read_bytes():
            return None
        (one / name).replace(two / name)
        return Change(f"{name} to another version", (one.name[:12], two.name[:12]))

    def roll_back(self) -> Change | None:
        draw = self.chance.random()
        root, earlier = self.place.root, self.place.earlier
        if draw < 0.34:
            for part in ("state.db", "journal", "snapshot.dsse.json", "checkpoint.dsse.json", "versions"):
                _take(earlier / part, root / part)
            return Change("everything", ("checkpoint saw", "checkpoint"), outside=True)
        parts = ["state.db", "journal", "journal/receipts.jsonl", "journal/tables", "snapshot.dsse.json", "versions",
                 "checkpoint.dsse.json"]  # fmt: skip
        chosen = self.chance.sample(parts, self.chance.randint(1, 3))
        if {"state.db", "journal"} <= set(chosen):
            return None
        for part in chosen:
            _take(earlier / part, root / part)
        names = (
            "receipt",
            "journal",
            "table",
            "snapshot",
            "checkpoint",
            "version",
            "segment",
            "chain",
            "folder",
            "gone",
        )
        return Change(" and ".join(chosen), names)

    def swap(self) -> Change | None:
        """Something of another workspace in place of ours."""
        draw = self.chance.random()
        if draw < 0.4:
            return self._their_row()
        parts = ["state.db", "journal", "journal/receipts.jsonl", "journal/tables", "snapshot.dsse.json", "keys",
                 "keys/mark.key", "keys/mark.pub", "checkpoint.dsse.json", "versions"]  # fmt: skip
        if draw < 0.8:
            part = self.chance.choice(parts)
            _take(self.place.other / part, self.place.root / part)
            return Change(
                part, ("signed", "key", "receipt", "snapshot", "checkpoint", "folder", "gone", "journal", "table")
            )
        ours = self.chance.choice(sorted((self.place.root / "versions").rglob("*.*")))
        theirs = self.chance.choice(sorted((self.place.other / "versions").rglob(ours.name)) or [ours])
        if theirs.read_bytes() == ours.read_bytes():
            return None
        _written(ours, theirs.read_bytes())
        return Change(ours.name, (ours.parent.name[:12],))

    def rewrite(self) -> Change | None:
        """With every chain recomputed, as far as that goes without the key."""
        return self.chance.choice([self._rewritten_audit, self._rewritten_receipts, self._rewritten_log])()

    # How it is changed.

    def _named(self, path: Path) -> Change:
        """A file, and what a finding about it may be called."""
        place = path.relative_to(self.place.root)
        if place.parts[0] == "versions":
            return Change(place.as_posix(), (place.parts[1][:12],))
        if place.parts[0] == "keys":
            return Change(place.as_posix(), ("mark.key", "mark.pub", "key"))
        if "wal" in place.parts:
            return Change(place.as_posix(), (place.parts[-2][:8], "segment"))
        if "tables" in place.parts:
            table = "/".join(place.parts[2:-2] if "_delta_log" in place.parts else place.parts[2:-1])
            return Change(place.as_posix(), (f"table {table}",))
        return Change(place.as_posix(), {"receipts.jsonl": ("receipt",), "snapshot.dsse.json": ("snapshot",),
                                         "checkpoint.dsse.json": ("checkpoint",)}[place.name])  # fmt: skip

    def _bytes(self, change: Callable[[bytes], bytes | None]) -> Change | None:
        path = self.chance.choice(self.place.files())
        before = path.read_bytes()
        after = change(before)
        if after is None or after == before or _same_receipts(path, before, after):
            return None
        _written(path, after)
        return self._named(path)

    @contextmanager
    def _base(self) -> Iterator[sqlite3.Connection]:
        path = self.place.root / "state.db"
        _written(path, path.read_bytes())
        base = sqlite3.connect(path)
        base.execute("PRAGMA journal_mode=DELETE")
        try:
            yield base
            base.commit()
        finally:
            base.close()

    def _row(self, base: sqlite3.Connection) -> tuple[str, Any, dict[str, Any]] | None:
        table = self.chance.choice(["audit", *TABLES])
        base.row_factory = sqlite3.Row
        rows = [dict(row) for row in base.execute(f"SELECT * FROM {table}")]
        if not rows:
            return None
        row = self.chance.choice(rows)
        return table, row[_key(table)], row

    def _sql(self, statement: str) -> Change | None:
        with self._base() as base:
            if (found := self._row(base)) is None:
                return None
            table, key, _ = found
            base.execute(statement.format(table=table, key=_key(table)), (key,))
        return Change(f"{table} {key}", (TABLES.get(table, table), "audit"))

    def _cell(self) -> Change | None:
        with self._base() as base:
            if (found := self._row(base)) is None:
                return None
            table, key, row = found
            column = self.chance.choice(sorted(row))
            value = row[column]
            other = _another(value, self.chance)
            if other == value:
                return None
            try:
                base.execute(f'UPDATE {table} SET "{column}" = ? WHERE {_key(table)} = ?', (other, key))
            except sqlite3.IntegrityError:
                return None
        return Change(f"{table} {key} {column}", (TABLES.get(table, table), "audit"))

    def _copied_row(self) -> Change | None:
        with self._base() as base:
            if (found := self._row(base)) is None:
                return None
            table, key, row = found
            row[_key(table)] = 100_000 + self.chance.randrange(1000) if isinstance(key, int) else f"{key}x"
            for unique in ("number", "nonce", "digest", "subject"):
                if unique in row and unique != _key(table):
                    row[unique] = self.chance.randrange(10**6) if unique == "number" else f"{self.chance.random()}"
            marks = ", ".join("?" * len(row))
            columns = ", ".join(f'"{c}"' for c in row)
            base.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))
        return Change(f"{table} {key} again", (TABLES.get(table, table), "audit"))

    def _swapped_bodies(self) -> Change | None:
        with self._base() as base:
            if (found := self._row(base)) is None:
                return None
            table = found[0]
            if "body" not in found[2]:
                return None
            rows = base.execute(f"SELECT {_key(table)}, body FROM {table}").fetchall()
            if len(rows) < 2:
                return None
            (one, first), (two, second) = self.chance.sample([tuple(r) for r in rows], 2)
            for key, body in ((one, second), (two, first)):
                base.execute(f"UPDATE {table} SET body = ? WHERE {_key(table)} = ?", (body, key))
        return None if first == second else Change(f"bodies of {table}", (TABLES.get(table, table), "audit"))

    def _moved_row(self) -> Change | None:
        table = self.chance.choice(["approvals", "waivers", "evidence"])
        with self._base() as base:
            rows = base.execute(f"SELECT id, version, body FROM {table}").fetchall()
            versions = [row[0] for row in base.execute("SELECT id FROM versions")]
            if not rows:
                return None
            key, version, body = self.chance.choice(rows)
            target = self.chance.choice([v for v in versions if v != version])
            moved = body.replace(version, target)
            base.execute(f"UPDATE {table} SET version = ?, body = ? WHERE id = ?", (target, moved, key))
        return Change(f"{table} {key} to another version", (TABLES[table],))

    def _their_row(self) -> Change | None:
        theirs = sqlite3.connect(self.place.other / "state.db")
        try:
            table = self.chance.choice(["audit", "versions", "evidence", "approvals", "snapshots", "heads"])
            rows = theirs.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        finally:
            theirs.close()
        row = self.chance.choice(rows)
        with self._base() as base:
            before = base.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            try:
                base.execute(f"REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            except sqlite3.IntegrityError:
                return None
            if base.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() == before:
                return None
        return Change(
            f"their {table} row", (TABLES.get(table, table), "audit", "head", "journal", "chain", "checkpoint")
        )

    def _rewritten_audit(self) -> Change | None:
        with self._base() as base:
            rows = base.execute("SELECT sequence, body FROM audit ORDER BY sequence").fetchall()
            chosen, previous = self.chance.randrange(len(rows)), START.hex()
            for n, (sequence, body) in enumerate(rows):
                event = json.loads(body)
                if n == chosen:
                    event["actor"] = f"{event['actor']}x"
                event["previous"] = previous
                said = {k: event[k] for k in ("sequence", "at", "actor", "act", "subject", "details")}
                event["hash"] = previous = link(bytes.fromhex(previous), canonical(said)).hex()
                base.execute("UPDATE audit SET body = ? WHERE sequence = ?", (canonical(event).decode(), sequence))
        return Change("the audit, recomputed", ("audit",))

    def _rewritten_receipts(self) -> Change | None:
        path = self.place.root / "journal" / "receipts.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        appended = [n for n, line in enumerate(lines) if line["kind"] in ("append", "retire")]
        chosen, previous, data = self.chance.choice(appended), START, b""
        table = lines[chosen].get("table")
        for n, line in enumerate(lines):
            body = {k: v for k, v in line.items() if k != "link"}
            if n == chosen and table is not None:  # the data file is changed, and its receipt follows
                item = self.chance.choice(body["added"])
                file = self.place.root / "journal" / "tables" / table / item["path"]
                if not file.exists():
                    return None
                _written(file, _flipped(file.read_bytes(), self.chance))
                item["sha256"] = digest_file(file).hex
            elif n == chosen:
                body["segments"][0]["records"] += 1
            unsigned = {k: v for k, v in body.items() if k != "signature"}
            previous = link(previous, canonical(unsigned))
            data += canonical({**body, "link": previous.hex()}) + b"\n"
        _written(path, data)
        return Change("receipts, recomputed", ("receipt", "signature"))

    def _rewritten_log(self) -> Change | None:
        from modelmark.journal.wal.frames import SEAL, Seal, encode, frame, read_header, walk

        paths = sorted((self.place.root / "journal" / "wal").rglob("*.seg"))
        path = self.chance.choice(paths)
        data = path.read_bytes()
        header = read_header(data)
        assert header is not None
        items = list(walk(data, header))
        dropped, last, out, sequence = (
            self.chance.randrange(len(items) - 1),
            header.link(),
            header.to_bytes(),
            header.first,
        )
        for n, item in enumerate(items[:-1]):
            if n == dropped:
                continue
            raw, last = frame(last, sequence, encode(item.record), seed=header.seed())  # type: ignore[union-attr]
            out, sequence = out + raw, sequence + 1
        raw, _ = frame(last, sequence, encode(Seal(len(items) - 2, header.first)), SEAL, seed=header.seed())
        _written(path, out + raw)
        return Change("a log segment, recomputed", ("segment",))


def _key(table: str) -> str:
    return {
        "snapshots": "sequence",
        "audit": "sequence",
        "accounts": "login",
        "sessions": "digest",
        "heads": "name",
    }.get(table, "id")


def _link(source: str, target: str) -> None:
    """A backup by hard link: whatever is changed is written anew, never in place."""
    os.link(source, target)


def _written(path: Path, data: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    scratch = path.with_name(path.name + ".scratch")
    scratch.write_bytes(data)
    scratch.chmod(mode)
    scratch.replace(path)


def _take(source: Path, target: Path) -> None:
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _inserted(data: bytes, junk: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + junk + data[at:]


def _same_receipts(path: Path, before: bytes, after: bytes) -> bool:
    """Bytes after the last whole receipt are a torn write to every reader."""
    return path.name == "receipts.jsonl" and after.startswith(before) and b"\n" not in after[len(before) :]


def _another(value: Any, chance: random.Random) -> Any:
    if value is None:
        return "something"
    if isinstance(value, int):
        return value + chance.choice([-1, 1, 10])
    at = chance.randrange(len(value)) if value else 0
    draw = chance.random()
    if draw < 0.7:
        return value[:at] + chance.choice("0123456789abcdefxyz{}\"' ") + value[at + 1 :]
    return value[:at] + value[at + 1 :] if draw < 0.85 else None


def ask(place: Place, other: Any) -> dict[str, list[dict[str, Any]]]:
    """The faults of each verifier, with the checkpoint and without."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, checkpoint in (("inside", None), ("checkpoint", place.checkpoint)):
        found[f"modelmark {name}"] = _ours(place, checkpoint)
        try:
            items = other.verify(place.root, key=place.key if checkpoint else None, checkpoint=checkpoint, lines=None)
            found[f"stand-alone {name}"] = [item for item in items if item["fault"]]
        except other.Fault as fault:
            found[f"stand-alone {name}"] = [{"name": "", "sentence": str(fault), "fault": fault.code}]
        codes = second.workspace(place.root, checkpoint)
        found[f"second {name}"] = [{"name": "", "sentence": code, "fault": code} for code in codes]
    return found


def _ours(place: Place, checkpoint: Path | None) -> list[dict[str, Any]]:
    from modelmark.domain.errors import ModelmarkError

    try:
        app = Container.open({"MODELMARK_ACTOR": "auditor"}, workspace=place.root)
        try:
            items = [*(app.verify.against(checkpoint, place.key) if checkpoint else ()), *app.verify()]
            return [{"name": i.name, "sentence": i.sentence, "fault": i.fault} for i in items if i.fault]
        finally:
            app.database.close()
    except ModelmarkError as error:
        return [{"name": "", "sentence": error.message, "fault": error.code}]


def _names(who: str, change: Change, faults: list[dict[str, Any]]) -> bool:
    if who.startswith("second"):
        return bool(faults)
    said = " ".join(f"{f['name']} {f['sentence']} {f['fault']}" for f in faults)
    return any(name in said for name in change.names)


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--changes", type=int, default=1000, help="of each kind")
    reader.add_argument("--predictions", type=int, default=20_000)
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument("--kind", action="append", help="only these")
    given = reader.parse_args()
    other, missed = standalone, Counter[str]()
    with scratch_folder() as name:
        place = build(Path(name), given.predictions, given.seed)
        clean = ask(place, other)
        if any(clean.values()):
            sys.stdout.write(f"the untouched workspace has faults: {clean}\n")
            return 1
        for kind in given.kind or Changer(place, random.Random()).kinds:
            chance, started = random.Random(f"{given.seed} {kind}"), time.monotonic()
            changer, caught, named = Changer(place, chance), Counter[str](), Counter[str]()
            for _ in range(given.changes):
                with changer.change(kind) as change:
                    found = ask(place, other)
                for who, faults in found.items():
                    caught[who] += bool(faults)
                    named[who] += _names(who, change, faults)
                    if not _names(who, change, faults) and not (change.outside and who.endswith("inside")):
                        missed[kind] += 1
                        sys.stdout.write(
                            f"  {who} missed {kind}: {change.what}: {[f['sentence'] for f in faults][:2]}\n"
                        )
            took = time.monotonic() - started
            figures = ", ".join(f"{who} {named[who]}/{given.changes}" for who in caught)
            sys.stdout.write(f"{kind:<10} caught and named: {figures} ({took:.0f} s)\n")
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
