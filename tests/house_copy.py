"""Follows a recipe of CONTRIBUTING.md to the letter, in a copy of the house."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class House:
    """A copy of `src` in which a recipe was followed. made: the new files."""

    root: Path
    made: tuple[str, ...]

    def python(self, *words: str) -> str:
        """What a fresh interpreter over the copy says; it must end well."""
        paths = os.pathsep.join([str(self.root / "src"), str(ROOT / "tests")])
        done = subprocess.run(
            [sys.executable, *words], cwd=self.root, env={**os.environ, "PYTHONPATH": paths},
            capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pytest(self, *files: str) -> str:
        return self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", *files)


def followed(name: str, to: Path) -> House:
    """name: as the recipe begins, such as `A use case`. Each block of code says where it goes in its first line."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (recipe,) = re.findall(rf"^\*\*{name}\*\*:(.*?)(?=^\*\*|^## )", text, re.MULTILINE | re.DOTALL)
    shutil.copytree(ROOT / "src", to / "src")  # with what is compiled already
    made = []
    for block in re.findall(r"^```python\n(.*?)^```$", recipe, re.MULTILINE | re.DOTALL):
        place, code = block.split("\n", 1)
        if place.startswith("# new file "):
            made.append(place.removeprefix("# new file "))
            (to / made[-1]).parent.mkdir(parents=True, exist_ok=True)
            (to / made[-1]).write_text(code, "utf-8")
        else:
            _inserted(to, place.removeprefix("# "), code)
    return House(to, tuple(made))


def _inserted(root: Path, place: str, code: str) -> None:
    file, line = place.split(", above: ")
    lines = (root / file).read_text("utf-8").splitlines(keepends=True)
    (at,) = (i for i, known in enumerate(lines) if known.strip() == line)
    (root / file).write_text("".join([*lines[:at], code, *lines[at:]]), "utf-8")
