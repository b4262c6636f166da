"""Ctrl-C and a full disk, wherever they come: nothing is half done, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from builders import workspace as made
from builders.domain import digest, evidence
from builders.workspace import ANN, BOB, Lived
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.errors import ModelmarkError, NotYet
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.registry import mlflow_database
from modelmark.registry.mlflow import Tracking
from modelmark.storage.artifacts import FolderArtifactStore


@contextmanager
def ended_at(statement: int, error: BaseException) -> Iterator[list[int]]:
    """The database raises at its n-th statement from now on."""
    count = [0]

    def before(*_: Any) -> None:
        count[0] += 1
        if count[0] >= statement:
            raise error

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield count
    finally:
        event.remove(Engine, "before_cursor_execute", before)


FULL = OSError(28, "No space left on device")


@pytest.mark.xdist_group("mlflow set-up")
def test_mlflow_s_set_up_is_cut_short_again_and_again_and_then_goes_through(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    tracking = Tracking(workspace=place)
    for statement in (1, 560):
        with ended_at(statement, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
            tracking.start("loans", {}, {})
        with ended_at(statement, FULL), pytest.raises((NotYet, OSError)):
            tracking.start("loans", {}, {})
        assert not place.mlflow_database.exists()
        assert {path.name for path in tmp_path.iterdir()} == {".mlflow.lock"}, "nothing is left"
    assert tracking.start("loans", {}, {})
    told: list[str] = []
    assert Tracking(workspace=place, progress=told.append).start("loans", {}, {})
    assert told == [], "once is enough"


@pytest.mark.xdist_group("mlflow set-up")
@pytest.mark.parametrize("statement", [560])
def test_a_set_up_that_an_earlier_version_left_half_done_is_done_again(tmp_path: Path, statement: int) -> None:
    """`table scorers already exists` used to be all that such a workspace ever said."""
    place = Workspace(tmp_path)
    with ended_at(statement, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        mlflow_database._make(tmp_path / "begun.db", place.mlflow_artifacts.as_uri())
    (tmp_path / "begun.db").rename(place.mlflow_database)
    assert place.mlflow_database.stat().st_size > 0
    assert Tracking(workspace=place).start("loans", {}, {})


class Disk:
    """Raises at the n-th write to a file below a folder: a file opened for writing, a name given, a folder made."""

    def __init__(self) -> None:
        self.below, self.left, self.error = "", 0, BaseException()
        sys.addaudithook(self._hear)  # it stays for the life of the process; without `below` it does nothing

    def _hear(self, what: str, arguments: tuple[Any, ...]) -> None:
        if not self.below or not _writes(what, arguments) or self.below not in str(arguments[0]):
            return
        self.left -= 1
        if self.left == 0:
            raise self.error

    @contextmanager
    def fails(self, below: Path, at: int, error: BaseException) -> Iterator[None]:
        self.below, self.left, self.error = str(below), at, error
        try:
            yield
        finally:
            self.below = ""


def _writes(what: str, arguments: tuple[Any, ...]) -> bool:
    if what == "open":
        mode, flags = arguments[1:3]
        return any(letter in "wxa+" for letter in mode or "") or bool(
            flags and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
    return what in ("os.rename", "os.mkdir")


disk = Disk()
ACTS: dict[str, Callable[[ControlPlane, Version], Any]] = {
    "approve": lambda app, one: app.releases.approve(one, role=ANN.role, name=ANN.name, comment="", actor="ann"),
    "release": lambda app, one: app.release(one),
    "rollback": lambda app, one: app.rollback(one.model),
    "record": lambda app, one: app.releases.record(one, [evidence(one.id, gate="extra")], actor="ann"),
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Version]:
    """Two versions served, a third that is checked and signed."""
    place, case = Lived.at(tmp_path_factory.mktemp("lived") / "w"), made.quiet()
    for number in (1, 2, 3):
        one = place.register(case, number, place.now)
        place.check(case, one, place.now)
        if number < 3:
            place.release(case, one, place.now)
    for person in (ANN, BOB):
        place.app.releases.approve(one, role=person.role, name=person.name, comment="", actor="ann")
    place.app.database.close()
    return place.app.workspace.root, one


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL], ids=["ctrl-c", "a full disk"])
@pytest.mark.parametrize("act", ACTS)
def test_an_act_that_is_cut_short_has_happened_or_not_and_the_next_one_goes_on(
    tmp_path: Path, lived: tuple[Path, Version], act: str, error: BaseException
) -> None:
    (sound, one), cut = lived, 0
    for at in range(1, 60):
        root = tmp_path / f"{at}"
        shutil.copytree(sound, root)
        app = ControlPlane.open({"MODELMARK_ACTOR": "ann"}, workspace=root)
        before, code = len(app.ledger.events()), ""
        try:
            with disk.fails(root, at, error):
                ACTS[act](app, one)
        except (KeyboardInterrupt, OSError, ModelmarkError) as told:
            code, cut = str(getattr(told, "code", "")), cut + 1
        if disk.left > 0:
            break  # there are no further writes
        done = len(app.ledger.events()) > before
        assert done or code != "NOT_PUBLISHED"
        app.database.close()
        again = ControlPlane.open({"MODELMARK_ACTOR": "ann"}, workspace=root)
        if done and act == "rollback":  # another one would go back further; the steward does this
            again.catch_up()
        elif done and act == "release":
            with pytest.raises(ModelmarkError, match="champion already"):
                ACTS[act](again, one)
        elif not done:
            ACTS[act](again, one)
        faults = [item for item in again.verify() if item.fault]
        assert faults == [], (at, faults)
        left = [p.name for p in (*root.iterdir(), *again.workspace.version(one.id).iterdir()) if p.name.startswith(".")]
        assert all(name.endswith(".lock") for name in left), left
        again.database.close()
    assert at < 59
    assert cut > 2 or act in ("approve", "record"), "those write into the database alone"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL], ids=["ctrl-c", "a full disk"])
def test_a_version_whose_copy_is_cut_short_is_not_there_and_is_put_there_by_the_next_run(
    tmp_path: Path, error: BaseException
) -> None:
    (tmp_path / "files" / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (tmp_path / "files" / name).write_bytes(b"bytes")
    place = Workspace(tmp_path / "w")
    store, id, cut = FolderArtifactStore(place), digest("one"), 0
    for at in range(1, 30):
        shutil.rmtree(place.root, ignore_errors=True)
        try:
            with disk.fails(place.root, at, error):
                store.add(id, tmp_path / "files")
        except (KeyboardInterrupt, OSError, shutil.Error):
            cut += 1
            assert not store.folder(id).exists()
            store.add(id, tmp_path / "files")
        assert {p.name for p in store.folder(id).rglob("*")} == {"a", "deep", "b"}
        assert [p.name for p in place.versions.iterdir()] == [id.hex]
    assert cut >= 4
