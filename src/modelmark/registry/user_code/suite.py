"""Runs people's own tests in a child: a copy of their folder, no network, limits, and nothing of it left afterwards."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Unmeasured
from modelmark.domain.suite import CoveredModule, FailedTest, Suite, SuiteRun
from modelmark.registry.user_code.apart import MOST_BYTES, copied, crashed, spawned

_RESULT_BYTES: Final = 16 << 20
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
            copied(suite.folder, copy)
            (scratch / "tmp").mkdir()
            granted = {
                "path": suite.path,
                "modules": list(suite.modules),
                "memory_bytes": suite.memory_bytes,
                "cpu_seconds": int(suite.seconds * 2) + 1,  # two threads may run
                "file_bytes": MOST_BYTES,
                "temporary": str(scratch / "tmp" / "pytest"),
            }
            (scratch / "request.json").write_text(json.dumps(granted), encoding="utf-8")
            started = time.perf_counter()
            code = spawned("modelmark.registry.user_code.suite_child", copy, scratch, suite.seconds)
            return _run_of(code, scratch, time.perf_counter() - started, suite)


def _run_of(code: int | None, scratch: Path, seconds: float, suite: Suite) -> SuiteRun:
    if code is None:
        return SuiteRun(seconds=seconds, trouble=f"the tests took longer than {suite.seconds:g} s and were ended")
    facts = _facts(scratch / "result.json")
    if code != 0 or facts is None:
        return SuiteRun(seconds=seconds, trouble=f"the tests crashed {crashed(code, scratch)}")
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
