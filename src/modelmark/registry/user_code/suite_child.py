"""The process in which people's own tests run: `python -s -P -B -m modelmark.registry.suite_child SCRATCH`.

The only module that imports pytest and coverage. It works in a copy of the contract's folder, without a network where
the kernel grants that, under limits; what it found lies in SCRATCH/result.json, which the parent reads as plain values.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from modelmark.registry import namespaces, sandbox_child

_LINE: Final = 300


class Outcomes:
    """A pytest plugin that remembers what became of each test. A test fails once, in whichever phase."""

    def __init__(self, measured: Any) -> None:
        self.measured = measured
        self.passed = self.skipped = 0
        self.failed: dict[str, str] = {}
        self.uncollected: list[str] = []

    def pytest_load_initial_conftests(self) -> None:
        self.measured.start()  # not before: tracing the import of every installed plugin takes a second

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.setdefault(report.nodeid, _last_line(report))
        elif report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.passed += 1

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.uncollected.append(f"{report.nodeid}: {_last_line(report)}")


def _last_line(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
    text = crash.message.splitlines()[0] if crash is not None and crash.message else lines[-1] if lines else ""
    return text.strip()[:_LINE]


def main(scratch: Path) -> None:
    """Arm, run, report."""
    namespaces.die_with_parent()
    isolated = namespaces.cut_network()
    request = json.loads((scratch / "request.json").read_bytes())
    sandbox_child.limit(
        memory_bytes=request["memory_bytes"], cpu_seconds=request["cpu_seconds"], file_bytes=request["file_bytes"]
    )
    folder = Path.cwd()
    sys.path.insert(0, str(folder))  # as `python -m pytest` does
    outcomes, code, covered = _run(request, folder)
    facts = {
        "passed": outcomes.passed,
        "skipped": outcomes.skipped,
        "failed": [{"name": name, "why": why} for name, why in outcomes.failed.items()],
        "uncollected": outcomes.uncollected,
        "coverage": covered,
        "exit": code,
        "network_cut": isolated,
    }
    (scratch / "result.json").write_text(json.dumps(facts), encoding="utf-8")


def _run(request: dict[str, Any], folder: Path) -> tuple[Outcomes, int, list[dict[str, Any]]]:
    import coverage
    import pytest

    suite = request["path"]
    measured = coverage.Coverage(data_file=None, config_file=False, include=[f"{folder}/*"])
    outcomes = Outcomes(measured)
    words = [suite, "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", f"--basetemp={request['temporary']}"]
    try:
        code = int(pytest.main(words, plugins=[outcomes]))
    finally:
        measured.stop()
    named = [folder / name for name in request["modules"]]
    own = (folder / suite).resolve()
    files = named or [
        path
        for path in map(Path, sorted(measured.get_data().measured_files()))
        if not path.is_relative_to(own) and path.name != "conftest.py"
    ]
    return outcomes, code, [_covered(measured, path, folder) for path in files]


def _covered(measured: Any, path: Path, folder: Path) -> dict[str, Any]:
    _, statements, _, missed, _ = measured.analysis2(str(path))
    return {"name": str(path.relative_to(folder)), "statements": len(statements), "missed": len(missed)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
