"""Does the user's own test suite for preprocessing and model pass, and how much of the modules does it run?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from modelmark.domain.catalogue.gate_settings import TestsGate
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Unmeasured
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.suite import Suite, SuiteRun
from modelmark.gates.case import Case
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.seal.digests import digest_file, digest_value

_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class UserTests:
    """What ran and failed is a failure. What could not run at all (a crash, a timeout) is could not measure."""

    settings: TestsGate
    name: ClassVar[str] = "tests"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = False
    settled: ClassVar[bool] = False
    __test__: ClassVar[bool] = False

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        path = case.contract.tests
        if path is None:
            raise Unmeasured(
                "the contract names no test suite", field="tests", hint="tests: a folder or file beside it"
            )
        if case.suites is None:
            raise Unmeasured("nothing here can run a test suite")
        suite = Suite(
            folder=case.base,
            path=path,
            modules=self.settings.modules,
            seconds=self.settings.seconds,
            memory_bytes=self.settings.memory_mib << 20,
        )
        progress(0, 1)
        run = case.suites.run(suite)
        return Measurement(
            checks=tuple(self._checks(run)),
            notes=tuple(_notes(run)),
            tables=tuple(_tables(run)),
            looked_at={"tests": _digest(case.base, path, run)},
        )

    def _checks(self, run: SuiteRun) -> Iterator[Check]:
        ran = run.passed + len(run.failed)
        limit = Limit(bound=Bound.AT_LEAST, value=1)
        if run.trouble or not ran:
            why = run.trouble or f"no test ran; {run.skipped:,} were skipped"
            yield Check(name="tests ran", measured=None, n=ran, limit=limit, sentence=f"Could not measure: {why}.")
        else:
            words = f"{ran:,} tests ran in {run.seconds:.1f} s; {run.skipped:,} were skipped."
            yield Check(name="tests ran", measured=float(ran), n=ran, limit=limit, sentence=words)
        if ran:
            yield self._passed(run, ran)
            yield self._coverage(run)

    def _passed(self, run: SuiteRun, ran: int) -> Check:
        first = "; ".join(f"{item.name}: {item.why}" for item in run.failed[:3])
        more = f" and {len(run.failed) - 3} more" if len(run.failed) > 3 else ""
        detail = f": {first}{more}" if run.failed else ""
        return Check(
            name="every test passed",
            measured=float(len(run.failed)),
            n=ran,
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"{len(run.failed):,} of {ran:,} tests failed{detail}.",
        )

    def _coverage(self, run: SuiteRun) -> Check:
        statements = sum(module.statements for module in run.coverage)
        share = 1 - sum(module.missed for module in run.coverage) / statements if statements else None
        least = self.settings.min_coverage
        limit = Limit(bound=Bound.AT_LEAST, value=least or 0.0)
        if share is None:
            sentence = "Cannot tell the coverage: the tests import no module from beside the contract."
        else:
            rule = "no least share is agreed" if least is None else f"at least {least:.0%} is asked"
            sentence = (
                f"The tests run {share:.1%} of the {statements:,} statements in {len(run.coverage):,} modules; {rule}."
            )
        return Check(
            name="coverage",
            measured=share,
            estimate=share,
            n=statements,
            limit=limit,
            sentence=sentence,
            decides=least is not None,
        )


def _notes(run: SuiteRun) -> Iterator[str]:
    if not run.network_cut and not run.trouble:
        yield "The kernel granted no network namespace, so the tests could have used the network."


def _tables(run: SuiteRun) -> Iterator[Table]:
    if run.failed:
        failed = tuple((item.name, item.why) for item in run.failed[:_SHOWN])
        yield Table(title="Tests that failed", columns=("test", "last line"), rows=failed)
    if run.coverage:
        rows = tuple(
            (m.name, m.statements, m.missed, f"{1 - m.missed / m.statements:.1%}" if m.statements else "")
            for m in run.coverage[:_SHOWN]
        )
        yield Table(title="Coverage", columns=("module", "statements", "not run", "covered"), rows=rows)


def _digest(base: Path, path: str, run: SuiteRun) -> Digest:
    """Of the suite's Python files and the modules it covered, by their names."""
    root = base / path
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*.py") if "__pycache__" not in p.parts)
    files += [base / module.name for module in run.coverage]
    return digest_value({str(file.relative_to(base)): digest_file(file) for file in files})
