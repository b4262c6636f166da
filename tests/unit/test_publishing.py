"""The published snapshot: written in turns, never older than it was, whole on disk before it is seen, and healed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from builders.domain import NOON, digest
from modelmark.domain.routes import Arm, ArmRole, Route, Snapshot
from modelmark.domain.workspace import Workspace
from modelmark.seal import keys
from modelmark.seal.snapshot import read_snapshot, write_snapshot
from modelmark.storage.artifacts import FolderArtifactStore


def snapshot(sequence: int) -> Snapshot:
    route = Route(model="loans", arms=(Arm.of(ArmRole.CHAMPION, digest(f"{sequence}"), 1.0),), previous=None)
    return Snapshot(sequence=sequence, issued_at=NOON, routes=(route,))


def _write(root: Path, numbers: list[int]) -> None:
    signer = keys.signer(root / "keys")
    for number in numbers:
        write_snapshot(root / "snapshot.json", snapshot(number), signer)


def test_nobody_else_may_hold_the_turn_of_writers(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _write(tmp_path, [1])
    finally:
        os.umask(before)
    (lock,) = Workspace(tmp_path).snapshot.parent.glob(".*.lock")
    assert lock.stat().st_mode & 0o777 == 0o600


def test_a_later_write_of_an_older_snapshot_changes_nothing(tmp_path: Path) -> None:
    signer = keys.signer(tmp_path / "keys")
    path = tmp_path / "snapshot.json"
    assert write_snapshot(path, snapshot(6), signer)
    assert not write_snapshot(path, snapshot(5), signer)
    assert read_snapshot(path, signer.verifier()).sequence == 6


@pytest.mark.parametrize("found", [b"", b"garbage", b'{"payload": 1}'])
def test_what_nobody_signed_does_not_stand_in_the_way(tmp_path: Path, found: bytes) -> None:
    signer = keys.signer(tmp_path / "keys")
    (tmp_path / "snapshot.json").write_bytes(found)
    assert write_snapshot(tmp_path / "snapshot.json", snapshot(1), signer)
    assert read_snapshot(tmp_path / "snapshot.json", signer.verifier()).sequence == 1


def test_threads_and_processes_write_at_once_and_a_reader_never_sees_it_go_back(tmp_path: Path) -> None:
    verifier = keys.signer(tmp_path / "keys").verifier()
    path, faults, stop, seen = tmp_path / "snapshot.json", list[Exception](), threading.Event(), [0]

    def read() -> None:
        while not stop.is_set():
            if path.exists():
                seen.append(read_snapshot(path, verifier).sequence)

    def write(numbers: list[int]) -> None:
        try:
            _write(tmp_path, numbers)
        except Exception as error:  # noqa: BLE001  # told below
            faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    numbers = list(range(1, 121))
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=_write, args=(tmp_path, numbers[k::4])) for k in (0, 1)]
    threads = [threading.Thread(target=write, args=(numbers[k::4],)) for k in (2, 3)]
    for one in (*others, *threads):
        one.start()
    for one in (*others, *threads):
        one.join()
    stop.set()
    reader.join()
    assert faults == []
    assert [one.exitcode for one in others] == [0, 0]
    assert seen == sorted(seen)
    assert read_snapshot(path, verifier).sequence == 120
    assert {p.name for p in tmp_path.iterdir()} == {"keys", "snapshot.json", ".snapshot.json.lock"}, "no scratch file"


def test_a_write_that_fails_leaves_no_scratch_file_and_the_old_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = keys.signer(tmp_path / "keys")
    path = tmp_path / "snapshot.json"
    write_snapshot(path, snapshot(1), signer)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_snapshot(path, snapshot(2), signer)
    assert read_snapshot(path, signer.verifier()).sequence == 1
    assert {p.name for p in tmp_path.iterdir()} == {"keys", "snapshot.json", ".snapshot.json.lock"}


def _orders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were synced and renamed, in order."""
    told: list[str] = []
    sync, rename = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        told.append(f"sync {'folder' if name.is_dir() else 'scratch' if name.name.startswith('.') else name.name}")
        sync(descriptor)

    def replace(self: Path, target: Any) -> Path:
        told.append(f"rename to {Path(target).name}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return told


def test_a_snapshot_is_on_disk_before_it_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = keys.signer(tmp_path / "keys")
    told = _orders(monkeypatch)
    write_snapshot(tmp_path / "snapshot.json", snapshot(1), signer)
    assert told == ["sync scratch", "rename to snapshot.json", "sync folder"]


def test_a_file_of_a_version_is_on_disk_before_it_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, id = FolderArtifactStore(Workspace(tmp_path)), digest("one")
    store.folder(id).mkdir(parents=True)
    told = _orders(monkeypatch)
    store.write(id, "mark.json", b"{}")
    assert told == ["sync scratch", "rename to mark.json", "sync folder"]


def test_a_whole_version_is_on_disk_before_it_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, id = FolderArtifactStore(Workspace(tmp_path / "w")), digest("one")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.onnx").write_bytes(b"graph")
    told: list[str] = _orders(monkeypatch)
    move = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, target: (told.append("rename"), move(self, target))[1])
    store.add(id, tmp_path / "files")
    assert told.index("sync model.onnx") < told.index("rename")
    assert told[-2:] == ["rename", "sync folder"]


def test_many_write_the_same_file_of_a_version_at_once(tmp_path: Path) -> None:
    store, id, faults = FolderArtifactStore(Workspace(tmp_path)), digest("one"), list[Exception]()
    store.folder(id).mkdir(parents=True)

    def write(data: bytes) -> None:
        try:
            for _ in range(60):
                store.write(id, "mark.json", data)
        except OSError as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(letter * 9000,)) for letter in (b"a", b"b")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert faults == []
    assert store.read(id, "mark.json") in (b"a" * 9000, b"b" * 9000)
    assert [p.name for p in store.folder(id).iterdir()] == ["mark.json"]
