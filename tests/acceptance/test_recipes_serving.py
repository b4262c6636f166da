"""The recipes for a protocol and a flavour, followed from CONTRIBUTING.md alone in a package of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx2
import pytest

import serving_case as case
from modelmark.domain.contract import Outputs, Serving
from modelmark.domain.metrics import Task
from modelmark.domain.version import Signature
from modelmark.serving.supervisor import running

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def recipe(name: str) -> str:
    """The part of the text from one bold name to the next."""
    found = re.search(rf"^\*\*{name}\*\*.*?(?=^\*\*A |^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no recipe for {name!r}"
    return found[0]


def follow(text: str, package: Path) -> None:
    """Write the recipe's files, and install what its pyproject.toml announces as a wheel would."""
    files = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert files
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    for name, body in files.items():
        (package / name).write_text(body, encoding="utf-8")
    (plugin,) = (value for group in project["entry-points"].values() for value in group)
    info = package / f"{plugin}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n{name} = {value}\n"
        for group, found in project["entry-points"].items()
        for name, value in found.items()
    ]
    (info / "entry_points.txt").write_text("".join(lines))


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """Both recipes, followed; beside them a version of the flavour, for the protocol to answer with."""
    found = tmp_path_factory.mktemp("package")
    follow(recipe("A protocol"), found)
    follow(recipe("A flavour"), found)
    agreed = case.contract(
        name="sums",
        task=Task.REGRESSION,
        inputs=tuple(case.renamed(item, name=name) for item, name in zip(case.numbers(2), "ab", strict=True)),
        outputs=Outputs(minimum=-1e6, maximum=1e6),
        serving=Serving(deadline_ms=5000),
    )
    built = case.build(
        found / "workspace",
        agreed,
        signature=Signature(feeds=(), score_output="value"),
        flavour="linear",
        files={"weights.json": b"[2.0, -1.0, 0.5]"},
    )
    case.release(built)
    shutil.copytree(built.folder, found / "version")
    return found


@pytest.mark.parametrize("test", ["test_lines.py", "test_linear.py"])
def test_the_kit_that_the_recipe_names_passes(package: Path, test: str):
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(package), test]
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_worker_answers_with_both(package: Path, monkeypatch: pytest.MonkeyPatch):
    from modelmark.domain.workspace import Workspace

    monkeypatch.setenv("PYTHONPATH", str(package))
    with running(Workspace(package / "workspace")) as supervisor, httpx2.Client(base_url=supervisor.address) as client:
        answer = client.post("/lines/sums", json=[{"a": 1, "b": 2}, {"a": 10, "b": 0}])
        assert (answer.status_code, answer.json()["values"]) == (200, [0.5, 20.5])
        assert client.post("/models/sums/predict", json={"rows": [{"a": 1, "b": 2}]}).json()["predictions"] == [
            {"value": 0.5}
        ]
        refused = client.post("/lines/sums", json=[{"a": 1e9, "b": 2}])
        assert (refused.status_code, refused.json()) == (422, {"error": "a is out of range"})
        assert client.post("/lines/nobody", json=[]).json() == {"error": "no model of that name is served"}


def test_two_plugins_of_one_name_stop_a_worker_at_once(package: Path, tmp_path: Path):
    for number in (1, 2):
        info = tmp_path / f"other{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: other{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[modelmark.wire]\nlines = other{number}:Lines\n")
    code = "from modelmark.serving.wire import installed; installed()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "two plugins of modelmark.wire go by the name lines" in done.stderr
    assert "Conflict" in done.stderr
