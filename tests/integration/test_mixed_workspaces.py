"""Two workspaces whose files were mixed, odd masks and homes: refused by name, or as ever."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import workspace as made
from builders.workspace import Lived
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.version import MARK
from modelmark.domain.workspace import Workspace

Swap = Callable[[Workspace, Workspace], None]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same versions released in two workspaces, each with its own key."""
    roots = []
    for name in ("ours", "theirs"):
        lived, case = Lived.at(tmp_path_factory.mktemp(name) / "w"), made.quiet()
        for number in (1, 2):
            one = lived.register(case, number, lived.now)
            lived.check(case, one, lived.now)
            lived.release(case, one, lived.now)
        lived.app.database.close()
        roots.append(lived.app.workspace.root)
    return roots[0], roots[1]


def _their_snapshot(ours: Workspace, theirs: Workspace) -> None:
    shutil.copy(theirs.snapshot, ours.snapshot)


def _their_mark(ours: Workspace, theirs: Workspace) -> None:
    for folder in ours.versions.iterdir():
        shutil.copy(theirs.versions / folder.name / MARK, folder / MARK)


def _their_versions(ours: Workspace, theirs: Workspace) -> None:
    shutil.rmtree(ours.versions)
    shutil.copytree(theirs.versions, ours.versions)


def _their_keys(ours: Workspace, theirs: Workspace) -> None:
    shutil.rmtree(ours.keys)
    shutil.copytree(theirs.keys, ours.keys)


def _their_database(ours: Workspace, theirs: Workspace) -> None:
    shutil.copy(theirs.database, ours.database)


@pytest.mark.parametrize(
    ("swap", "bad"),
    [
        (_their_snapshot, {"snapshot"}),
        (_their_mark, {"mark"}),
        (_their_versions, {"mark"}),
        (_their_keys, {"mark", "approvals", "snapshot"}),
        (_their_database, {"approvals"}),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_is_of_another_workspace_is_named(
    tmp_path: Path, two: tuple[Path, Path], swap: Swap, bad: set[str]
) -> None:
    shutil.copytree(two[0], tmp_path / "w")
    swap(Workspace(tmp_path / "w"), Workspace(two[1]))
    app = ControlPlane.open({"MODELMARK_ACTOR": "ann"}, workspace=tmp_path / "w")
    found = {item.kind: item for item in app.verify() if item.fault}
    assert bad <= set(found), found
    assert all(item.sentence for item in found.values())
    app.database.close()


def test_an_approval_of_another_workspace_counts_for_nothing(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """With their database, and our keys: nothing of what they had agreed lets anything go here."""
    shutil.copytree(two[0], tmp_path / "w")
    _their_database(Workspace(tmp_path / "w"), Workspace(two[1]))
    app = ControlPlane.open({"MODELMARK_ACTOR": "ann"}, workspace=tmp_path / "w")
    one = app.find("v1")
    assert app.releases.status(one).approvals == ()
    with pytest.raises(ModelmarkError, match="has not approved"):
        app.releases.release(one, actor="ann")
    app.database.close()


def _run(folder: Path, *words: str, mask: int) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")}
    command = [sys.executable, "-m", "modelmark", *words]
    done = subprocess.run(
        command, cwd=folder, env=kept, input="a long enough secret\n", capture_output=True, text=True, timeout=100,
        umask=mask,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


ADD = ("account", "add", "bob", "--name", "Bob Ray", "--role", "product", "--password-stdin")
KEY = ("account", "key", "bob", "--scope", "view", "--password-stdin", "--json")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077], ids=oct)
def test_nothing_of_a_workspace_may_be_written_by_others_whatever_the_mask(tmp_path: Path, mask: int) -> None:
    _run(tmp_path, *ADD, mask=mask)
    _run(tmp_path, "status", mask=mask)
    assert json.loads(_run(tmp_path, *KEY, mask=mask))["login"] == "bob"
    for path in (tmp_path / ".modelmark", *(tmp_path / ".modelmark").rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022, path
