"""Runs people's own training code in a child: a copy of their folder, one table, one seed, no network, limits."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Malformed, Missing, Rejected, TimedOut
from modelmark.domain.training import FUNCTION, Trained, Training
from modelmark.registry.user_code.apart import MOST_BYTES, copied, crashed, spawned

_CHILD: Final = "modelmark.registry.user_code.training_child"


class ChildTraining:
    """Implements `domain.ports.Trainer`."""

    def train(self, asked: Training) -> Trained:
        """Raises Missing (NO_ENTRY) where there is no such file; Rejected (TRAINING_FAILED) with the last line it said;
        TimedOut (TOO_SLOW); Malformed (NO_MODEL) where it leaves none; Unmeasured where its folder is too large."""
        if FUNCTION.fullmatch(asked.entry) and not (asked.folder / asked.entry.partition(":")[0]).is_file():
            raise Missing(
                f"there is no training code {asked.entry.partition(':')[0]} beside the contract",
                code="NO_ENTRY", field="retraining.entry", hint="FILE.py:FUNCTION, or a command with {train} and {out}",
            )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="modelmark-training-", ignore_cleanup_errors=True) as name:
            scratch = Path(name).resolve()
            copied(asked.folder, scratch / "copy", without=(asked.table,))
            for place in ("tmp", "out"):
                (scratch / place).mkdir()
            request = {
                "entry": asked.entry,
                "table": str(asked.table.resolve()),
                "seed": asked.seed,
                "memory_bytes": asked.memory_bytes,
                "cpu_seconds": int(asked.seconds * 2) + 1,
                "file_bytes": MOST_BYTES,
            }
            (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
            started = time.perf_counter()
            code = spawned(_CHILD, scratch / "copy", scratch, asked.seconds)
            return _trained(code, scratch, time.perf_counter() - started, asked)


def _trained(code: int | None, scratch: Path, seconds: float, asked: Training) -> Trained:
    if code is None:
        raise TimedOut(
            "the training code took too long and was ended", code="TOO_SLOW", field="retraining.minutes",
            limit=f"{asked.seconds / 60:g} minutes",
        )  # fmt: skip
    said = scratch / "result.json"
    if code != 0 or not said.is_file():
        raise Rejected(
            f"the training code {asked.entry} failed {crashed(code, scratch)}", code="TRAINING_FAILED",
            field="retraining.entry", hint=f"try it by hand on {asked.table}, which stays until the next time",
        )  # fmt: skip
    left = sorted(path for path in (scratch / "out").iterdir() if not path.name.startswith("."))
    if len(left) != 1:
        raise Malformed(
            f"the training code left {len(left)} files where one model belongs", code="NO_MODEL",
            field="retraining.entry", limit="one file",
        )  # fmt: skip
    return Trained(
        model=_bytes(left[0]), name=left[0].name, seconds=seconds,
        network_cut=bool(json.loads(said.read_bytes())["network_cut"]),
    )  # fmt: skip


def _bytes(path: Path) -> bytes:
    """Of a plain file alone: a link could lead anywhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Malformed("the training code left no plain file", code="NO_MODEL", field="retraining.entry")
        return file.read(MOST_BYTES)
