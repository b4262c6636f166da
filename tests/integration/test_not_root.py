"""Somebody who is not root, has no home folder and an open umask: it works, and what is kept is theirs alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from journey import Place, small

STRANGER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
OPEN = "import os, sys; os.umask(0); sys.argv[0] = 'modelmark'; from modelmark.cli import main; main()"
SECRET = ("keys/mark.key", "state.db", "journal")


def run(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    lived = {k: v for k, v in place.environ.items() if k not in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME")}
    command = [*STRANGER, sys.executable, "-c", OPEN, *words]
    return subprocess.run(command, cwd=place.folder, env=lived, capture_output=True, text=True, timeout=200)


@pytest.mark.skipif(os.getuid() != 0, reason="the whole run is by somebody who is not root")
def test_a_model_is_registered_and_verified_by_somebody_without_rights_or_a_home(tmp_path: Path) -> None:
    place = small(tmp_path / "place")
    place.init()
    place.fill_in()
    for words in (("register",), ("verify",)):
        done = run(place, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Permission" not in done.stderr
    found = {
        p.relative_to(place.workspace).as_posix(): stat.S_IMODE(p.stat().st_mode) for p in place.workspace.rglob("*")
    }
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o022} == {}, "others may write"
    assert {name: oct(mode) for name, mode in found.items() if name.startswith(SECRET) and mode & 0o077} == {}
    assert stat.S_IMODE(place.workspace.stat().st_mode) == 0o700
