"""Commands that are cut short: `python bench/interruptions.py [--points 5] [--only register]`.

Each stage on the way from a file to traffic runs as a process that is stopped at one of its writes, by Ctrl-C or by a full
disk, at points spread over all of them; then the same command runs again and must go through, and `modelmark verify` must
find nothing. Prints one JSON document; exit code 1 when a stage did not go on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from _scratch import scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from journey import NAME, Place, small

#: Runs a command and raises at its n-th write below a folder; n of 0 counts them. How many there were stands in a file.
CHILD: Final = """
import atexit, os, pathlib, sys
below, at, how, told = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
seen = 0
def hear(what, given):
    global seen
    if what == "open":
        mode, flags = given[1:3]
        if not (any(c in "wxa+" for c in mode or "") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
    elif what not in ("os.rename", "os.mkdir"):
        return
    name = os.path.abspath(given[0]) if isinstance(given[0], (str, os.PathLike)) else ""
    if name.startswith(below) and not name.endswith((".pyc", "__pycache__")):
        seen += 1
        if seen == at:
            raise KeyboardInterrupt if how == "ctrl-c" else OSError(28, "No space left on device")
atexit.register(lambda: pathlib.Path(told).write_text(str(seen)))
sys.addaudithook(hear)
sys.argv = ["modelmark", *sys.argv[5:]]
from modelmark.cli import main
main()
"""
STAGES: Final[dict[str, tuple[str, ...]]] = {
    "init": ("init", "model.joblib", "--train", "train.csv", "--holdout", "holdout.csv", "--target", "y", "--name", NAME,
             "--out", "new.yaml"),
    "register": ("register",),
    "check": ("check",),
    "approve": ("approve", "--role", "data_science", "--name", "Ann Lee"),
    "release": ("release",),
}  # fmt: skip


def run(place: Place, *words: str, at: int = 0, how: str = "") -> tuple[int, str, int]:
    """(exit code, what was said, how many writes there were)."""
    told = place.folder.with_name(place.folder.name + ".writes")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(place.folder), str(at), how, str(told), *words],
        cwd=place.folder, env=place.environ, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, int(told.read_text()) if told.exists() else 0


def prepared(root: Path, only: str) -> dict[str, Path]:
    """Stage -> a folder in which it can run."""
    place, found = small(root / "start"), dict[str, Path]()
    place.init()
    place.fill_in()
    for stage, words in STAGES.items():
        found[stage] = place.copy(root / f"before-{stage}").folder
        if stage == only:
            break
        if stage == "approve":
            place.sign()
        else:
            place.run(*words)
    return found


def tried(stage: str, before: Path, root: Path, points: int) -> dict[str, Any]:
    """One stage, cut short again and again."""
    words, faults = STAGES[stage], list[str]()
    code, said, writes = run(Place(before).copy(root / f"{stage}-whole"), *words)
    if code != 0:
        return {"writes": writes, "faults": [f"uninterrupted it ends with {code}: {said[-300:]}"]}
    for how in ("ctrl-c", "full disk"):
        for at in sorted({1 + k * (writes - 1) // max(points - 1, 1) for k in range(points)} if writes else ()):
            place = Place(before).copy(root / f"{stage}-{how[:4]}-{at}")
            code, said, _ = run(place, *words, at=at, how=how)
            where = f"{how} at write {at} of {writes}"
            if "itself failed" in said or "Traceback" in said:
                faults.append(f"{where}: not told in a line: {said[-300:]}")
            again, what, _ = run(place, *words)
            if again != 0 and not (code == 0 or _is_done(stage, what)):
                faults.append(f"{where}: the next run ends with {again}: {what[-300:]}")
            found, told, _ = run(place, "verify") if stage == "release" else (0, "", 0)
            if found != 0:
                faults.append(f"{where}: {told[-300:]}")
            shutil.rmtree(place.folder)
    return {"writes": writes, "faults": faults}


def _is_done(stage: str, said: str) -> bool:
    """The act had happened before it was cut short, and a second run says so."""
    return (stage == "release" and "is champion already" in said) or (stage == "init" and "is there already" in said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--only", choices=STAGES, default="")
    given = parser.parse_args()
    with scratch_folder() as folder:
        before = prepared(Path(folder), given.only)
        stages = [given.only] if given.only else list(STAGES)
        found = {stage: tried(stage, before[stage], Path(folder), given.points) for stage in stages}
    print(json.dumps(found, indent=1))
    return 1 if any(stage["faults"] for stage in found.values()) else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
