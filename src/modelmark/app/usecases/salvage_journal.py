"""What lies in the journal's quarantine, read again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelmark.domain.errors import NotYet
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.salvage import Salvaged, quarantined, salvage
from modelmark.journal.tables.witness import Witness

PATIENCE: Final = 30.0  # seconds that a pass of the steward may take


@dataclass(frozen=True, slots=True, kw_only=True)
class SalvageJournal:
    workspace: Workspace
    witness: Callable[[], Witness]

    def __call__(self) -> list[Salvaged]:
        """One answer for each file. Raises NotYet (COMPACTION_RUNS) when another process commits for too long."""
        if not quarantined(self.workspace):
            return []
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return salvage(self.workspace, Compactor(self.workspace, witness=self.witness()))
            except NotYet as error:
                if error.code != "COMPACTION_RUNS" or time.monotonic() > until:
                    raise
            time.sleep(0.1)
