"""The report of a version, and beside it the bill of materials where the supply-chain gate listed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.contract import Contract
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.gates.report import write_report
from modelmark.gates.supply_chain.packages import bill_of
from modelmark.governance.release_status import ReleaseStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    workspace: Workspace
    ledger: Ledger
    contract_of: Callable[[Version], Contract]
    clock: Clock

    def __call__(self, status: ReleaseStatus) -> Path:
        """Where the report lies: one offline file, written over the one before."""
        version = status.version
        report, evidence = self.workspace.report(version.id), self.ledger.evidence(version.id)
        write_report(
            report,
            version=version,
            contract=self.contract_of(version),
            evidence=evidence,
            at=self.clock(),
            waivers=status.waived,
        )
        bill = bill_of(evidence)
        if bill is not None:
            self.workspace.bill(version.id).write_bytes(bill)
        return report
