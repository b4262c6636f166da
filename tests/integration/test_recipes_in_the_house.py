"""The recipes for a use case and a steward job lead there, followed from the text of CONTRIBUTING.md alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from house_copy import ROOT, followed

WIRED = """
from pathlib import Path
from modelmark.app.container import Container
print(Container.open({}, workspace=Path("workspace")).open_requests("loans"))
"""
IN_THE_TABLE = """
from datetime import UTC, datetime
from pathlib import Path
from modelmark.domain.workspace import Workspace
from modelmark.steward.jobs import builtin
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.monitoring_store import MemoryMonitoringStore
serving, book, space = ServingVersions(list), MemoryMonitoringStore(), Workspace(Path.cwd())
step = Steward(builtin(space, book, serving, None), serving, book, lambda: None).step(datetime(2026, 3, 1, tzinfo=UTC))
print(step.errors, book.checkpoint("free space"))
"""


def test_a_use_case_from_its_recipe_works_on_twins_and_on_a_real_workspace_and_keeps_the_walls(tmp_path: Path) -> None:
    house = followed("A use case", tmp_path / "house")
    shutil.copy(ROOT / "tests" / "unit" / "test_walls.py", tmp_path / "house" / "tests" / "unit")
    said = house.pytest(*(path for path in house.made if path.startswith("tests/")), "tests/unit/test_walls.py")
    assert "failed" not in said
    assert house.python("-c", WIRED) == "[]\n"


def test_a_steward_job_from_its_recipe_is_run_when_due_and_its_fault_is_a_finding(tmp_path: Path) -> None:
    house = followed("A steward job", tmp_path / "house")
    assert "1 passed" in house.pytest(*(path for path in house.made if path.startswith("tests/")))
    assert house.python("-c", IN_THE_TABLE) == "[] {'at': '2026-03-01T00:00:00+00:00'}\n"
