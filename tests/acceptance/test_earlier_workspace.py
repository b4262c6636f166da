"""A workspace of the first release opens, verifies, serves and rolls back, with the commands of today."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelmark import Client
from modelmark.app.control_plane import ControlPlane
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.query import counts

ARCHIVE = Path(__file__).resolve().parents[1] / "golden" / "v1" / "workspace.tar.gz"
ROW = {"age": 0.1, "income": 1.2, "debt": -0.4, "years": 0.3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / ".modelmark", filter="data")
    return tmp_path


def modelmark(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modelmark", *words], cwd=folder, capture_output=True, text=True, timeout=120
    )


@contextmanager
def endpoint(folder: Path) -> Iterator[Client]:
    words = [sys.executable, "-m", "modelmark", "serve", "--port", "0"]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        ready = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert ready is not None
        yield Client(ready[0])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_it_verifies_and_says_how_each_version_stands(folder: Path):
    found = modelmark(folder, "verify")
    assert found.returncode == 0, found.stdout + found.stderr
    told = json.loads(modelmark(folder, "status", "--json").stdout)
    versions = {
        each["label"]: (each["state"], each["traffic"])
        for each in (told if isinstance(told, list) else told["versions"])
    }
    assert versions == {"v1": ("retired", ""), "v2": ("champion", "75%"), "v3": ("canary", "25%")}


def test_its_log_and_tables_go_on(folder: Path):
    app = ControlPlane.open({"MODELMARK_ACTOR": "ci"}, workspace=folder / ".modelmark")
    space = app.workspace
    assert counts(space) == {"labels": 34, "predictions/loans": 100}
    assert compact(space, app.witness).rows == {"predictions/loans": 40, "labels": 14}
    assert counts(space) == {"labels": 48, "predictions/loans": 140}
    assert modelmark(folder, "verify").returncode == 0


def test_it_serves_as_it_did_and_rolls_back(folder: Path):
    with endpoint(folder) as client:
        answered = {client.predict("loans", [ROW], entity=f"e{i}").version for i in range(40)}
        assert answered == {"v2", "v3"}
    ended = modelmark(folder, "rollback", "--reason", "the canary is over")
    assert ended.returncode == 0, ended.stderr
    back = modelmark(folder, "rollback", "--reason", "as before")
    assert back.returncode == 0, back.stderr
    with endpoint(folder) as client:
        assert {client.predict("loans", [ROW], entity=f"e{i}").version for i in range(20)} == {"v1"}
    assert modelmark(folder, "verify").returncode == 0
