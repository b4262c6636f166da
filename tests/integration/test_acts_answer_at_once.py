"""Release and rollback answer once they are done and published; nobody waits for the rest, which still comes."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from builders import workspace as made
from builders.workspace import ANN, BOB, Lived
from journey import until
from modelmark.seal.checkpoint import open_checkpoint
from modelmark.seal.files import turn
from modelmark.seal.snapshot import read_snapshot

#: What takes seconds or much memory to import, or works on what grows with the journal.
HEAVY = {"mlflow", "numpy", "pandas", "pyarrow", "deltalake", "duckdb", "onnxruntime", "sklearn", "httpx2", "jinja2"}


def modelmark(root: Path, *words: str) -> tuple[float, set[str], str]:
    """(seconds until the answer, the libraries that were imported for it, what was said)."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "modelmark", *words, "--workspace", str(root)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return time.monotonic() - began, set(re.findall(r"^import time:.*\| +(\w+)", done.stderr, re.M)), done.stdout


def test_an_act_answers_when_it_is_published_and_the_rest_comes_behind_it(tmp_path: Path) -> None:
    place, case = Lived.at(tmp_path / "w"), made.quiet()
    for number in (1, 2, 3):
        one = place.register(case, number, place.now)
        place.check(case, one, place.now)
        if number < 3:
            place.release(case, one, place.now)
    for person in (ANN, BOB):
        place.app.releases.approve(one, role=person.role, name=person.name, comment="", actor="ann")
    app, root = place.app, place.app.workspace.root
    acts, peers = [], []
    with turn(app.workspace.runtime / "acts"):  # whoever would finish them waits for us, and no act for them
        for number, words in enumerate((("release", "v3"), ("rollback",), ("rollback",)), 3):
            peers.append(modelmark(root, "status")[0])
            seconds, imported, _ = modelmark(root, *words)
            acts.append(seconds)
            assert not imported & HEAVY, words
            assert read_snapshot(app.workspace.snapshot, app.verifier).sequence == number, "before the answer"
            last = app.ledger.last_event()
            assert last is not None
            assert last.details["snapshot"] == number
            if number == 3:
                said = json.loads(modelmark(root, "verify", "--json")[2])
                assert said["verdict"] == "pass", said["first_bad"]
                assert sum(item["kind"] == "pending" for item in said["items"]) == 2
    assert statistics.median(acts) < 2 * statistics.median(peers) + 0.5, (acts, peers)
    until(lambda: not app.finish.pending(), seconds=60)
    kept = open_checkpoint(app.workspace.checkpoint.read_bytes(), app.verifier)
    assert kept.snapshot is not None
    assert kept.snapshot["sequence"] == 5
    assert "last act" not in modelmark(root, "verify")[2]
