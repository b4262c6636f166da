"""The candidate before its gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Evidence
from modelmark.domain.ports import ArtifactStore, Clock, Ledger, Sources, Staging, SuiteRunner
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.gates.case import Case, Champion
from modelmark.seal.keys import Verifier
from modelmark.serving.predictor import LocalPredictor


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCase:
    """workspace: where the journal of real traffic lies. champion: what serves for a model now, or None."""

    workspace: Workspace
    ledger: Ledger
    artifacts: ArtifactStore
    contract_of: Callable[[Version], Contract]
    champion: Callable[[str], Version | None]
    verifier: Callable[[], Verifier]
    staging: Staging
    suites: SuiteRunner
    sources: Sources
    clock: Clock

    def __call__(self, version: Version, base: Path) -> Case:
        """The version with the tables in the folder `base`, and beside it the champion. Raises Missing where files are
        gone and Tampered where they were changed."""
        folder = self.artifacts.folder(version.id)
        return Case(
            version=version,
            contract=self.contract_of(version),
            base=base,
            folder=folder,
            predictor=LocalPredictor.of_candidate(folder, version.id),
            staging=self.staging,
            clock=self.clock,
            workspace=self.workspace,
            suites=self.suites,
            sources=self.sources,
            champion=self._champion(version),
            earlier_looks=earlier_looks(version, self.ledger.versions(version.model), self.ledger.evidence),
        )

    def _champion(self, version: Version) -> Champion | None:
        found = self.champion(version.model)
        if found is None or found.id == version.id:
            return None
        predictor = LocalPredictor.of_marked(self.artifacts.folder(found.id), self.verifier(), found.id)
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
