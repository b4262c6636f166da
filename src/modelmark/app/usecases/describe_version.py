"""A version with what is known of it, to read or to hold against another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.version import Version, model_files
from modelmark.governance.difference import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeVersion:
    ledger: Ledger
    artifacts: ArtifactStore
    contract_of: Callable[[Version], Contract]

    def __call__(self, version: Version) -> Side:
        """Raises Missing (NO_FILES) where the model is not in this workspace."""
        size = self.artifacts.size(version.id, model_files(version.manifest)[0].path)
        if size is None:
            raise Missing(f"the model of {version.model} {version.label} is not in this workspace", code="NO_FILES")
        return Side(
            version=version,
            contract=self.contract_of(version),
            evidence=self.ledger.evidence(version.id),
            size=size,
        )
