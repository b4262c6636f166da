"""Runs people's own tests in a child: a copy of their folder, no network, limits, and nothing of it left afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Unmeasured
from modelmark.domain.suite import CoveredModule, FailedTest, Suite, SuiteRun
from modelmark.sandbox.environment import environment

_MOST_BYTES: Final = 2 << 30
_RESULT_BYTES: Final = 16 << 20
_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", "mlruns"})
_NOTHING_RAN: Final = {2: "pytest was interrupted", 3: "pytest itself broke", 4: "pytest was called wrongly"}


class ChildSuites:
    """Implements `domain.ports.SuiteRunner`."""

    def run(self, suite: Suite) -> SuiteRun:
        """Raises Unmeasured when there is no such suite beside the contract, or its folder is too large to copy."""
        path = (suite.folder / suite.path).resolve()
        if not path.exists() or not path.is_relative_to(suite.folder.resolve()):
            raise Unmeasured(
                f"there is no test suite {suite.path!r} beside the contract", code="NO_SUITE", field="tests"
            )
        for name in suite.modules:
            if not (suite.folder / name).is_file():
                raise Unmeasured(f"there is no module {name!r} beside the contract", code="NO_MODULE", field="tests")
        with tempfile.TemporaryDirectory(prefix="modelmark-tests-", ignore_cleanup_errors=True) as name:
            scratch = Path(name).resolve()
            copy = scratch / "copy"
            _copy(suite.folder, copy)
            (scratch / "tmp").mkdir()
            granted = {
                "path": suite.path,
                "modules": list(suite.modules),
                "memory_bytes": suite.memory_bytes,
                "cpu_seconds": int(suite.seconds * 2) + 1,  # two threads may run
                "file_bytes": _MOST_BYTES,
                "temporary": str(scratch / "tmp" / "pytest"),
            }
            (scratch / "request.json").write_text(json.dumps(granted), encoding="utf-8")
            started = time.perf_counter()
            code = _spawn(copy, scratch, suite.seconds)
            return _run_of(code, scratch, time.perf_counter() - started, suite)


def _copy(folder: Path, target: Path) -> None:
    """Everything but hidden files, caches and environments, read-only."""
    total = 0

    def left_out(place: str, names: list[str]) -> set[str]:
        nonlocal total
        out = {name for name in names if name.startswith(".") or name in _LEFT_OUT}
        out |= {name for name in names if (Path(place) / name / "pyvenv.cfg").exists()}
        for name in set(names) - out:
            path = Path(place) / name
            total += path.stat().st_size if path.is_file() else 0
        if total > _MOST_BYTES:
            raise Unmeasured(
                "the contract's folder is too large to copy for the tests",
                code="TOO_LARGE",
                limit=f"{_MOST_BYTES >> 30} GiB",
                hint="keep large files elsewhere, or under a hidden folder",
            )
        return out

    shutil.copytree(folder, target, ignore=left_out, ignore_dangling_symlinks=True)
    for path in [*target.rglob("*"), target]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _spawn(copy: Path, scratch: Path, seconds: float) -> int | None:
    """The exit code, negative for a signal, None when it took too long. All it started in its group is gone after it."""
    command = [sys.executable, "-s", "-P", "-B", "-m", "modelmark.registry.suite_child", str(scratch)]
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


def _run_of(code: int | None, scratch: Path, seconds: float, suite: Suite) -> SuiteRun:
    if code is None:
        return SuiteRun(seconds=seconds, trouble=f"the tests took longer than {suite.seconds:g} s and were ended")
    facts = _facts(scratch / "result.json")
    if code != 0 or facts is None:
        said = (scratch / "output.txt").read_bytes()[-2000:].decode("utf-8", "replace").strip().splitlines()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return SuiteRun(seconds=seconds, trouble=f"the tests crashed ({how}): {said[-1] if said else 'no output'}")
    uncollected = facts["uncollected"]
    trouble = f"{len(uncollected)} files could not be collected; first: {uncollected[0]}" if uncollected else ""
    return SuiteRun(
        passed=facts["passed"],
        skipped=facts["skipped"],
        failed=tuple(FailedTest(**item) for item in facts["failed"]),
        coverage=tuple(CoveredModule(**item) for item in facts["coverage"]),
        seconds=seconds,
        network_cut=facts["network_cut"],
        trouble=trouble or _NOTHING_RAN.get(facts["exit"], ""),
    )


def _facts(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file() or not 0 < path.stat().st_size <= _RESULT_BYTES:
        return None
    found: Mapping[str, Any] = json.loads(path.read_bytes())
    return found
