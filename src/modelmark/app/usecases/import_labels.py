"""What turned out to be true, from a file into the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing
from modelmark.domain.ports import Clock
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.feedback.labels import LabelImport, import_labels
from modelmark.journal.wal.writer import Sync, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLabels:
    """workspace: where the journal lies. champion: what serves for a model now, or None."""

    workspace: Workspace
    champion: Callable[[str], Version | None]
    contract_of: Callable[[Version], Contract]
    clock: Clock

    def __call__(self, model: str, path: Path) -> LabelImport:
        """What became of every line. Labels count as soon as the steward has compacted them."""
        champion = self.champion(model)
        if champion is None:
            raise Missing(f"{model} serves nothing, so there is nothing to label", code="NOTHING_SERVES")
        with Writer(self.workspace.wal, sync=Sync.ALWAYS) as writer:
            return import_labels(path, model, self.contract_of(champion), self.workspace, writer, self.clock())
