"""Running a version's gates: what they look at, and what becomes of what they say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Evidence, Verdict, worst
from modelmark.domain.ports import Clock
from modelmark.domain.progress import Progress
from modelmark.domain.version import Version

if TYPE_CHECKING:
    from modelmark.app import App
    from modelmark.gates.case import Case, Champion
    from modelmark.governance.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `check` found: this run's evidence, how the version stands after it, and its verdict on the gates asked now."""

    evidence: tuple[Evidence, ...]
    standing: Standing
    verdict: Verdict
    report: Path
    reused: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        failed = [item.gate for item in self.evidence if item.verdict is Verdict.FAIL]
        unsure = [item.gate for item in self.evidence if item.verdict is Verdict.CANNOT_TELL]
        stands = [i.gate for i in self.evidence if i.gate not in failed and self.standing.gates[i.gate] is Verdict.FAIL]
        if stands:
            failed_now = f"{', '.join(failed)} failed; " if failed else ""
            return f"{failed_now}{', '.join(stands)} failed before on these same bytes, and one failure stays"
        if failed:
            return f"{len(failed)} of {len(self.evidence)} gates failed: {', '.join(failed)}"
        if unsure:
            return f"{len(unsure)} of {len(self.evidence)} gates could not measure: {', '.join(unsure)}"
        return f"all {len(self.evidence)} gates passed"


def check(
    app: App,
    version: Version,
    path: Path,
    *,
    progress: Progress,
    clock: Clock,
    only: Collection[str] = (),
    fast: bool = False,
    again: bool = False,
) -> Checked:
    """See `App.check`."""
    from modelmark.gates.runner import build, run_gates

    base = (path if path.is_dir() else path.parent).resolve()
    known = app.ledger.evidence(version.id)
    gates = build(app.contract_of(version), only, fast=fast)
    case = case_of(app, version, base, clock)
    evidence = run_gates(case, gates=gates, known=() if again else known, progress=progress)
    new = [item for item in evidence if item not in known]
    standing = app.releases.record(version, new, actor=app.actor, by=app.principal)
    return Checked(
        evidence=evidence,
        standing=standing,
        verdict=worst(standing.gates[item.gate] for item in evidence),
        report=renew_papers(app, version, standing, clock),
        reused=tuple(item.gate for item in evidence if item in known),
    )


def renew_papers(app: App, version: Version, standing: Standing, clock: Clock) -> Path:
    """The report, and beside it the bill of materials where the supply-chain gate listed one."""
    from modelmark.gates.report import write_report
    from modelmark.gates.supply_chain.packages import bill_of

    report, evidence = app.workspace.report(version.id), app.ledger.evidence(version.id)
    write_report(
        report,
        version=version,
        contract=app.contract_of(version),
        evidence=evidence,
        at=clock(),
        waivers=standing.waived,
    )
    bill = bill_of(evidence)
    if bill is not None:
        app.workspace.bill(version.id).write_bytes(bill)
    return report


def case_of(app: App, version: Version, base: Path, clock: Clock) -> Case:
    """The candidate before its gates."""
    from modelmark.gates.case import Case
    from modelmark.registry.suite import ChildSuites
    from modelmark.serving.predictor import LocalPredictor
    from modelmark.serving.staging import LocalStaging

    folder = app.workspace.version(version.id)
    return Case(
        version=version,
        contract=app.contract_of(version),
        base=base,
        folder=folder,
        predictor=LocalPredictor.of_candidate(folder, version.id),
        staging=LocalStaging(),
        clock=clock,
        workspace=app.workspace,
        suites=ChildSuites(),
        sources=app.tracking,
        champion=_champion(app, version),
        earlier_looks=earlier_looks(version, app.ledger.versions(version.model), app.ledger.evidence),
    )


def _champion(app: App, version: Version) -> Champion | None:
    from modelmark.gates.case import Champion
    from modelmark.serving.predictor import LocalPredictor

    found = app.releases.champion(version.model)
    if found is None or found.id == version.id:
        return None
    predictor = LocalPredictor.of_marked(app.workspace.version(found.id), app.verifier, found.id)
    return Champion(label=found.label, id=found.id, predictor=predictor)


def earlier_looks(
    version: Version, versions: Sequence[Version], evidence: Callable[[Digest], Sequence[Evidence]]
) -> int:
    """How many other versions the holdout gate has judged on the table this one is judged on."""
    return sum(
        any(
            item.gate == "holdout" and (item.looked_at or {}).get("holdout") == version.lineage.holdout_digest
            for item in evidence(other.id)
        )
        for other in versions
        if other.id != version.id
    )
