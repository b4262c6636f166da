"""Running a version's gates, and what becomes of what they say."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Evidence, Verdict, worst
from modelmark.domain.people import Principal
from modelmark.domain.ports import Ledger
from modelmark.domain.progress import Progress
from modelmark.domain.version import Version
from modelmark.gates.case import Case
from modelmark.gates.runner import build, run_gates
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.releases import Releases


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What the gates found: this run's evidence, how the version stands after it, and its verdict on the gates asked now."""

    evidence: tuple[Evidence, ...]
    status: ReleaseStatus
    verdict: Verdict
    report: Path
    reused: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        failed = [item.gate for item in self.evidence if item.verdict is Verdict.FAIL]
        unsure = [item.gate for item in self.evidence if item.verdict is Verdict.CANNOT_TELL]
        stands = [i.gate for i in self.evidence if i.gate not in failed and self.status.gates[i.gate] is Verdict.FAIL]
        if stands:
            failed_now = f"{', '.join(failed)} failed; " if failed else ""
            return f"{failed_now}{', '.join(stands)} failed before on these same bytes, and one failure stays"
        if failed:
            return f"{len(failed)} of {len(self.evidence)} gates failed: {', '.join(failed)}"
        if unsure:
            return f"{len(unsure)} of {len(self.evidence)} gates could not measure: {', '.join(unsure)}"
        return (
            f"all {len(self.evidence)} gates passed" if len(self.evidence) != 1 else f"{self.evidence[0].gate} passed"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckVersion:
    """open_case: puts a version before its gates. report: writes the report of a version, and says where it lies.
    owner: whose name the audit has where no account acts."""

    ledger: Ledger
    releases: Releases
    contract_of: Callable[[Version], Contract]
    open_case: Callable[[Version, Path], Case]
    report: Callable[[ReleaseStatus], Path]
    owner: str

    def __call__(
        self,
        version: Version,
        path: Path,
        *,
        progress: Progress,
        only: Collection[str] = (),
        fast: bool = False,
        again: bool = False,
        by: Principal | None = None,
    ) -> CheckResult:
        """Run the gates on the tables beside the contract at `path`; keep the evidence and write the report.

        The version's own contract decides, not the file: editing limits makes another version. What a gate said about
        the same bytes, tables and champion stands, unless `again`.
        """
        known = self.ledger.evidence(version.id)
        gates = build(self.contract_of(version), only, fast=fast)
        case = self.open_case(version, (path if path.is_dir() else path.parent).resolve())
        evidence = run_gates(case, gates=gates, known=() if again else known, progress=progress)
        new = [item for item in evidence if item not in known]
        status = self.releases.record(version, new, actor=by.login if by else self.owner, by=by)
        return CheckResult(
            evidence=evidence,
            status=status,
            verdict=worst(status.gates[item.gate] for item in evidence),
            report=self.report(status),
            reused=tuple(item.gate for item in evidence if item in known),
        )
