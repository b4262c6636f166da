"""The contract a version was registered with."""

from __future__ import annotations

from dataclasses import dataclass

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.ports import ArtifactStore
from modelmark.domain.version import CONTRACT, Version
from modelmark.seal.digests import digest_bytes
from modelmark.seal.values import decode_contract


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContract:
    artifacts: ArtifactStore

    def __call__(self, version: Version) -> Contract:
        """From the version's own bytes, never from the file that somebody edits. Raises Missing (NO_FILES) where they are
        not here and Tampered (CONTRACT_CHANGED) where they are not those of the registration."""
        try:
            data = self.artifacts.read(version.id, CONTRACT)
        except Missing:
            raise Missing(
                f"the files of {version.model} {version.label} are not in this workspace",
                code="NO_FILES",
                hint=f"modelmark fetch {version.argument}",
            ) from None
        if digest_bytes(data) != version.components.contract:
            raise Tampered(f"the contract of {version.model} {version.label} was changed", code="CONTRACT_CHANGED")
        return decode_contract(data)
