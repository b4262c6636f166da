"""Each recipe of CONTRIBUTING, followed from its text alone, in an interpreter that has never heard of the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.scratch import written

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("scratch"))


@pytest.mark.parametrize("recipe", ["gate", "monitor"])
def test_the_recipe_alone_is_enough(recipe: str, scratch: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(TESTS / "recipes" / f"{recipe}.py"), "-q", "-n", "0", "-p", "no:cacheprovider"],
        env={**environment, "PYTHONPATH": str(scratch), "SCRATCH": str(scratch)},
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
