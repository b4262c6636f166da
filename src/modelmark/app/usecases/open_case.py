"""The candidate before its gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
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
            earlier_looks=earlier_looks(version, self.ledger.versions(), self.ledger.evidence),
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
    """How many other versions the holdout gate judged on the same table before it first judged this one.

    versions: of every model. The table is known by its digest: another name for the model makes it no fresher.
    """
    digest = version.lineage.holdout_digest

    def first_look(id: Digest) -> datetime | None:
        looks = (i.at for i in evidence(id) if i.gate == "holdout" and (i.looked_at or {}).get("holdout") == digest)
        return min(looks, default=None)

    ours = first_look(version.id)
    others = (first_look(v.id) for v in versions if v.id != version.id and v.lineage.holdout_digest == digest)
    return sum(at is not None and (ours is None or at < ours) for at in others)
