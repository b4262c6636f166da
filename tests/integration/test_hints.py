"""Two models in one workspace: the folder's contract says which is meant, and every hint works when it is pasted."""

from __future__ import annotations

import dataclasses
import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from builders import workspace as made
from builders.workspace import Lived
from spoken import spoken

#: Ends of a hint that are words for people, not for a shell.
_SAID = re.compile(r"(?:next|see it|serve it|undo it): (modelmark .+?)(?=$|   )", re.MULTILINE)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, Path]:
    """A folder whose contract names churn, and a workspace elsewhere that holds churn (v1 serves, v2 waits) and loans."""
    root = tmp_path_factory.mktemp("two models") / "work space"
    lived, case = Lived.at(root), made.quiet()
    other = dataclasses.replace(case, contract=dataclasses.replace(case.contract, name="loans"))
    at = lived.now - timedelta(hours=1)
    first, second = (lived.register(case, number, at) for number in (1, 2))
    for one in (first, second):
        lived.check(case, one, at)
    lived.release(case, first, at + timedelta(minutes=5))
    lived.register(other, 1, at)
    lived._clock = None
    folder = tmp_path_factory.mktemp("folder")
    (folder / "modelmark.yaml").write_text(f"modelmark: 1\nname: {case.contract.name}\n")
    return folder, root


def test_the_contract_of_the_folder_says_which_model_is_meant(two, tmp_path):
    folder, root = two
    name = re.search(r"name: (.*)", (folder / "modelmark.yaml").read_text())[1]
    here = spoken("notes", "--workspace", str(root), folder=folder)
    assert (here.returncode, here.stdout.splitlines()[0]) == (0, f"# {name} v2 for product")
    nowhere = spoken("notes", "--workspace", str(root), folder=tmp_path)
    assert nowhere.returncode == 3
    assert f"several models could be meant → say --model {name}|loans" in nowhere.stderr
    (tmp_path / "modelmark.yaml").write_text("modelmark: 1\nname: elsewhere\n")
    stranger = spoken("release", "--workspace", str(root), folder=tmp_path)
    assert stranger.returncode == 3
    assert "the contract here names 'elsewhere', which is not registered in this workspace" in stranger.stderr


def test_every_hint_of_the_way_to_traffic_works_when_it_is_pasted(two):
    """From what `status` says on: each hint is run as it stands, and leads to the next."""
    folder, root = two
    given, tried = ["modelmark status"], list[str]()
    while given:
        tried.append(hint := given.pop(0))
        command = shlex.split(hint)[1:]
        done = spoken(*command, *(() if "--workspace" in command else ("--workspace", str(root))), folder=folder)
        if command[0] == "check":  # it finds the version; its tables are no files that anybody has
            assert "of the candidate is gone" in done.stderr
        else:
            assert done.returncode == 0, (hint, done.stderr)
        given += [new for new in _SAID.findall(done.stdout) if new not in (*tried, *given) and " serve " not in new]
    assert {shlex.split(hint)[1] for hint in tried} == {"check", "approve", "release", "status", "rollback"}


def test_status_names_the_model_of_every_obstacle(two):
    folder, root = two
    said = spoken("status", "--workspace", str(root), folder=folder).stdout
    waits = [line for line in said.splitlines() if "has not been run yet" in line]
    assert waits
    assert all(line.startswith("  loans v1: ") for line in waits)
