"""The model card: facts from receipts with their dates, signed by those who approved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.errors import Tampered
from modelmark.domain.ports import Clock
from modelmark.domain.version import Version
from modelmark.governance.card import Card, model_card
from modelmark.governance.difference import Side
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.signatures import Signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    status: Callable[[Version], ReleaseStatus]
    describe: Callable[[Version], Side]
    signatures: Callable[[ReleaseStatus], Signatures]
    clock: Clock

    def __call__(self, version: Version) -> Card:
        """The card as of now. Raises Tampered (BAD_MARK) where the mark that holds its signatures cannot be read."""
        status = self.status(version)
        signed = self.signatures(status)
        if signed.fault:
            raise Tampered(signed.fault, code="BAD_MARK", hint="modelmark verify")
        return model_card(self.describe(version), signed.approvals, signed.missing, self.clock(), status.waived)
