"""What the README says of people is run, word for word, but for the passwords that a terminal would ask for."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from builders.people import PASSWORD

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_first_account_makes_the_others_as_the_readme_says(tmp_path: Path) -> None:
    section = TEXT.split("\n## People\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")}
    said = ""
    for line in block.splitlines():
        if line.startswith("export MODELMARK_KEY="):
            environ["MODELMARK_KEY"] = said.split()[-1]
            continue
        words = [sys.executable, "-m", *shlex.split(line, comments=True), "--password-stdin"]
        given = f"{said.split()[-1]}\n{PASSWORD}\n" if "redeem" in line else PASSWORD + "\n"
        done = subprocess.run(words, cwd=tmp_path, env=environ, input=given, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        said = done.stdout
    assert said.startswith(
        "✓ Ann Lee holds ann, says the workspace's owner; may: approve, comment, register, view, waive"
    )
    assert environ["MODELMARK_KEY"].startswith("mm_")
