"""A disk that loses its power: what a process did to files below a folder, and every state that its syncs allow.

A write that no sync of its file followed may be there or not, sector by sector; the name of a file may be there or not
until its folder is synced. What other libraries did (deltalake writes from Rust) is noticed at the next call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

SECTOR: Final = 512


@dataclass(slots=True)
class Node:
    """A file or a folder as it was before anything was recorded. names: of a folder."""

    data: bytes = b""
    names: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Did:
    """what: write, cut (to a size), name (in a folder; inode None removes it) or sync. upto: acts before it are on disk."""

    what: str
    inode: int
    at: int = 0
    data: bytes = b""
    names: tuple[tuple[int, str, int | None], ...] = ()
    upto: int = 0


@dataclass(slots=True)
class Power:
    """acts: in order. wrote: (act of the write, what it held), for whoever asks what must be there."""

    root: Path
    acts: list[Did] = field(default_factory=list)
    wrote: list[tuple[int, Sequence[int]]] = field(default_factory=list)
    nodes: dict[int, Node] = field(default_factory=dict)
    _inodes: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    @contextmanager
    def batch(self, values: Sequence[int]) -> Iterator[None]:
        """These are written in the block, in one write; a header or a seal beside it is shorter."""
        with self.lock:
            start = len(self.acts)
            yield
            writes = [n for n in range(start, len(self.acts)) if self.acts[n].what == "write"]
            self.wrote.append((max(writes, key=lambda n: len(self.acts[n].data)), values))

    def promised(self, at: int) -> set[int]:
        """What a sync that had ended before act `at` covers."""
        upto = self._upto(at)
        return {v for act, values in self.wrote if act < upto.get(self.acts[act].inode, 0) for v in values}

    def written(self, at: int) -> set[int]:
        return {v for act, values in self.wrote if act < at for v in values}

    def image(self, into: Path, at: int, chance: Random, share: float) -> None:
        """One state of the disk when the power goes before act `at`. share: of what is not synced, how much is there."""
        upto = self._upto(at)
        files: dict[int, bytearray] = {n: bytearray(node.data) for n, node in self.nodes.items() if node.names is None}
        names: dict[int, dict[str, int]] = {n: dict(v.names) for n, v in self.nodes.items() if v.names is not None}
        truth = {n: bytearray(data) for n, data in files.items()}
        for number, act in enumerate(self.acts[:at]):
            firm = number < upto.get(act.inode, 0)
            if act.what == "write":
                _write(files[act.inode], truth[act.inode], act, firm, chance, share)
            elif act.what == "cut":
                del truth[act.inode][act.at :]
                if firm or chance.random() < share:
                    del files[act.inode][act.at :]
            elif act.what == "name":
                firm = any(number < upto.get(folder, 0) for folder, _, _ in act.names)
                if firm or chance.random() < share:
                    for folder, name, inode in act.names:
                        names[folder].pop(name, None)
                        if inode is not None:
                            names[folder][name] = inode
        _lay(into, self._inodes[""], files, names)

    def _upto(self, at: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for act in self.acts[:at]:
            if act.what == "sync":
                found[act.inode] = max(found.get(act.inode, 0), act.upto)
        return found

    # What happened

    def begin(self) -> None:
        """What is there already is on disk."""
        self._inodes[""] = self._new(Node(names={}))  # "" is the root
        for path in sorted(self.root.rglob("*")):
            self._add(path.relative_to(self.root), quiet=True)

    def notice(self) -> None:
        """What came or went below our calls."""
        there = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*")}
        for gone in sorted(set(self._seen) - there, reverse=True):
            self._name((gone, None))
        for name in sorted(there):
            if self._seen.get(name) != _mark(self.root / name):
                self._add(Path(name))

    def _add(self, path: Path, *, quiet: bool = False) -> None:
        """A file or folder that came, or was replaced."""
        name, full = path.as_posix(), self.root / path
        inode = self._new(Node(names={} if full.is_dir() else None))
        if quiet:
            self.nodes[inode].data = b"" if full.is_dir() else full.read_bytes()
            names = self.nodes[self._folder(name)].names
            assert names is not None
            names[path.name] = inode
            self._inodes[name] = inode
        else:
            self._name((name, inode))
            if not full.is_dir():
                self.acts.append(Did("write", inode, 0, full.read_bytes()))
        self._seen[name] = _mark(full)

    def _new(self, node: Node) -> int:
        inode = len(self.nodes) + 1
        self.nodes[inode] = node
        return inode

    def _folder(self, name: str) -> int:
        return self._inodes[Path(name).parent.as_posix().removeprefix(".")]

    def _name(self, *changes: tuple[str, int | None]) -> None:
        """Entries that change together."""
        entries = tuple((self._folder(name), Path(name).name, inode) for name, inode in changes)
        self.acts.append(Did("name", entries[0][0], names=entries))
        for name, inode in changes:
            moved = [key for key in self._inodes if key == name or key.startswith(f"{name}/")]
            for key in moved:
                del self._inodes[key]
                self._seen.pop(key, None)
            if inode is not None:
                self._inodes[name] = inode

    def _inside(self, path: Any) -> str | None:
        place = Path(os.fsdecode(path))
        return place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else None

    def _again(self, name: str) -> None:
        """A known file changed by a call of ours."""
        if (self.root / name).exists():
            self._seen[name] = _mark(self.root / name)
        for path in (self.root / name).rglob("*") if (self.root / name).is_dir() else ():
            inner = path.relative_to(self.root).as_posix()
            if inner in self._inodes:
                self._seen[inner] = _mark(path)

    def inode(self, descriptor: int) -> int | None:
        """Of an open file or folder below root."""
        name = self._inside(os.readlink(f"/proc/self/fd/{descriptor}"))
        if name is None:
            return None
        self.notice()
        return self._inodes.get("" if name == "." else name)

    def did(self, what: str, inode: int, at: int, data: bytes = b"") -> None:
        self.acts.append(Did(what, inode, at, data))
        for name, found in self._inodes.items():
            if found == inode and name:
                self._again(name)

    def moved(self, one: Any, two: Any) -> None:
        source, target = self._inside(one), self._inside(two)
        if source is None or target is None:
            return
        inode = self._inodes[source]
        inner = {key.removeprefix(source): n for key, n in self._inodes.items() if key.startswith(f"{source}/")}
        self._name((source, None), (target, inode))
        self._inodes |= {f"{target}{rest}": n for rest, n in inner.items()}
        self._again(target)


def _lay(into: Path, inode: int, files: dict[int, bytearray], names: dict[int, dict[str, int]]) -> None:
    into.mkdir()
    for name, found in names[inode].items():
        if found in names:
            _lay(into / name, found, files, names)
        else:
            (into / name).write_bytes(files.get(found, b""))


def _mark(path: Path) -> tuple[int, int, int]:
    """Tells a file that was replaced or written to. A folder stays itself."""
    found = path.stat()
    return (found.st_ino, 0, 0) if path.is_dir() else (found.st_ino, found.st_size, found.st_mtime_ns)


def _write(data: bytearray, truth: bytearray, act: Did, firm: bool, chance: Random, share: float) -> None:
    """A sector that reaches the disk takes what was written to it before along. truth: as the process sees the file."""
    end = act.at + len(act.data)
    truth.extend(bytes(max(end - len(truth), 0)))
    truth[act.at : end] = act.data
    for sector in range(act.at // SECTOR * SECTOR, end, SECTOR):
        stop = min(end, sector + SECTOR)
        if firm or chance.random() < share:
            data.extend(bytes(max(stop - len(data), 0)))
            data[sector:stop] = truth[sector:stop]
    if len(data) < end and chance.random() < 0.5:
        data.extend(bytes(end - len(data)))  # the size came, the bytes did not


@contextmanager
def recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Power]:
    """Everything this process does below root while the block runs, threads included."""
    power = Power(root)
    power.begin()
    changed = ("write", "ftruncate", "fsync", "fdatasync", "rename", "replace", "unlink", "remove", "mkdir", "rmdir")
    real = {name: getattr(os, name) for name in changed}

    def wrapped(name: str, tell: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            with power.lock:
                return tell(real[name], *given, **more)

        return call

    def writing(do: Any, descriptor: int, data: bytes) -> int:
        inode, at = power.inode(descriptor), os.fstat(descriptor).st_size
        count: int = do(descriptor, data)
        if inode is not None:
            power.did("write", inode, at, bytes(data[:count]))
        return count

    def cutting(do: Any, descriptor: int, size: int) -> None:
        inode = power.inode(descriptor)
        do(descriptor, size)
        if inode is not None:
            power.did("cut", inode, size)

    def syncing(do: Any, descriptor: int) -> None:
        inode, upto = power.inode(descriptor), len(power.acts)
        do(descriptor)
        if inode is not None:
            power.acts.append(Did("sync", inode, upto=upto))

    def moving(do: Any, source: Any, target: Any, *given: Any, **more: Any) -> None:
        power.notice()
        do(source, target, *given, **more)
        power.moved(source, target)

    def other(do: Any, path: Any, *given: Any, **more: Any) -> None:
        do(path, *given, **more)
        power.notice()

    tells = {
        "write": writing,
        "ftruncate": cutting,
        "fsync": syncing,
        "fdatasync": syncing,
        "rename": moving,
        "replace": moving,
    }
    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(os, name, wrapped(name, tells.get(name, other)))
        yield power
        power.notice()
