"""A copy of the contract's folder, and a process group that works in it and leaves nobody behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Unmeasured
from modelmark.sandbox.environment import environment

MOST_BYTES: Final = 2 << 30
_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", "mlruns"})


def copied(folder: Path, target: Path, *, without: Collection[Path] = ()) -> None:
    """Everything but hidden files, caches, environments and `without`, read-only. Raises Unmeasured (TOO_LARGE)."""
    total = 0
    unwanted = {path.resolve() for path in without}

    def left_out(place: str, names: list[str]) -> set[str]:
        nonlocal total
        out = {name for name in names if name.startswith(".") or name in _LEFT_OUT}
        out |= {name for name in names if (Path(place) / name / "pyvenv.cfg").exists()}
        out |= {name for name in names if (Path(place) / name).resolve() in unwanted}
        for name in set(names) - out:
            path = Path(place) / name
            total += path.stat().st_size if path.is_file() else 0
        if total > MOST_BYTES:
            raise Unmeasured(
                "the contract's folder is too large to copy",
                code="TOO_LARGE",
                limit=f"{MOST_BYTES >> 30} GiB",
                hint="keep large files elsewhere, or under a hidden folder",
            )
        return out

    shutil.copytree(folder, target, ignore=left_out, ignore_dangling_symlinks=True)
    for path in [*target.rglob("*"), target]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def spawned(module: str, copy: Path, scratch: Path, seconds: float) -> int | None:
    """Run `python -m module SCRATCH` in `copy`: its exit code, negative for a signal, None when it took too long. All it
    started in its group is gone after it; what it said is in SCRATCH/output.txt."""
    command = [sys.executable, "-s", "-P", "-B", "-m", module, str(scratch)]
    places = {"HOME": str(scratch / "tmp"), "TMPDIR": str(scratch / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    with (scratch / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=copy,
            env=environment() | places,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself and left nobody behind
            finally:
                child.wait()


def crashed(code: int, scratch: Path) -> str:
    """How it ended, and the last line it said."""
    said = (scratch / "output.txt").read_bytes()[-2000:].decode("utf-8", "replace").strip().splitlines()
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"({how}): {said[-1][:300] if said else 'no output'}"
