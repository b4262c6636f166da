"""From a contract and a trained model to a version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelmark.app.golden_answers import golden_answers
from modelmark.app.retrained import require_agreed_code
from modelmark.app.training import describe
from modelmark.contract.read import load
from modelmark.domain.people import Permission, Principal
from modelmark.domain.ports import ArtifactStore, Clock, Ledger
from modelmark.domain.progress import Progress, Steps
from modelmark.domain.version import Version
from modelmark.gates.case import holdout_metrics
from modelmark.governance.people import People
from modelmark.governance.releases import Releases
from modelmark.registry.mlflow import Tracking
from modelmark.registry.register import Registration, register


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """remember: keeps where the contract of a model is. owner: whose name the audit has where no account acts."""

    ledger: Ledger
    artifacts: ArtifactStore
    tracking: Tracking
    people: People
    releases: Releases
    clock: Clock
    remember: Callable[[str, Path], None]
    owner: str

    def __call__(self, path: Path, *, progress: Progress, by: Principal | None = None) -> tuple[Version, bool]:
        """A version of the contract at `path`, and whether its bytes are new to this workspace."""
        self.people.permit(by, Permission.REGISTER)
        document = load(path)
        require_agreed_code(document)
        known = [version.number for version in self.ledger.versions(document.contract.name)]
        actor, steps = by.login if by else self.owner, Steps(progress)
        how = Registration(
            base=document.path.resolve().parent,
            artifacts=self.artifacts,
            tracking=self.tracking,
            reference=describe,
            number=max(known, default=0) + 1,
            by=actor,
            clock=self.clock,
            progress=steps,
            golden=golden_answers,
            metrics=holdout_metrics,
        )
        version = register(document.contract, how)
        new = self.releases.register(version, actor=actor, by=by)
        self.remember(version.model, document.path)
        steps.end()
        return version, new
