"""One promise for every store of versions' files, ours and the in-memory twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.domain import digest
from modelmark.domain.errors import Missing
from modelmark.domain.ports import ArtifactStore
from modelmark.domain.workspace import Workspace
from modelmark.storage.artifacts import FolderArtifactStore
from modelmark.testing.artifacts import MemoryArtifactStore

ONE, OTHER = digest("one"), digest("other")


@pytest.fixture(params=["folders", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return FolderArtifactStore(Workspace(tmp_path / "ws")) if request.param == "folders" else MemoryArtifactStore()


def files(folder: Path, **contents: bytes) -> Path:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_version_that_was_added_is_whole_and_no_other_is_there(store: ArtifactStore, tmp_path: Path) -> None:
    given = files(tmp_path / "made", model=b"weights", lock=b"")
    (given / "deep").mkdir()
    (given / "deep" / "part").write_bytes(b"more")
    store.add(ONE, given)
    assert (store.read(ONE, "model"), store.size(ONE, "lock"), store.read(ONE, "deep/part")) == (b"weights", 0, b"more")
    folder = store.folder(ONE)
    assert sorted(p.name for p in folder.iterdir()) == ["deep", "lock", "model"]
    assert (folder / "model").read_bytes() == b"weights"
    assert sorted(p.name for p in given.iterdir()) == ["deep", "lock", "model"], "it was copied, not taken"
    assert store.size(OTHER, "model") is None
    assert not store.folder(OTHER).exists() or not list(store.folder(OTHER).iterdir())


def test_adding_again_leaves_nothing_of_a_half_made_version(store: ArtifactStore, tmp_path: Path) -> None:
    store.add(ONE, files(tmp_path / "half", model=b"old", scratch=b"?"))
    store.add(ONE, files(tmp_path / "made", model=b"new"))
    assert (store.read(ONE, "model"), store.size(ONE, "scratch")) == (b"new", None)


def test_one_file_is_written_whole_into_a_version_that_is_there(store: ArtifactStore, tmp_path: Path) -> None:
    store.add(ONE, files(tmp_path / "made", model=b"weights"))
    store.write(ONE, "mark", b"first")
    store.write(ONE, "mark", b"second")
    assert store.read(ONE, "mark") == b"second"
    assert sorted(p.name for p in store.folder(ONE).iterdir()) == ["mark", "model"]
    store.write(ONE, "deep/part", b"more")
    assert store.read(ONE, "deep/part") == b"more"
    with pytest.raises(Missing):
        store.write(OTHER, "mark", b"of nothing")


def test_what_is_not_there_is_missing_by_name(store: ArtifactStore) -> None:
    with pytest.raises(Missing, match=f"model of version {ONE.short} is not in this workspace") as caught:
        store.read(ONE, "model")
    assert caught.value.code == "NO_FILES"


def test_an_add_that_dies_half_way_leaves_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Workspace(tmp_path / "ws")
    store = FolderArtifactStore(space)
    store.add(ONE, files(tmp_path / "made", model=b"old"))

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("modelmark.storage.artifacts._sync", full)
    with pytest.raises(OSError, match="disk full"):
        store.add(ONE, files(tmp_path / "again", model=b"new"))
    assert store.read(ONE, "model") == b"old"
    assert [p.name for p in space.versions.iterdir()] == [ONE.hex], "no scratch folder stays"
