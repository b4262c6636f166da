"""A signed checkpoint of everything: kept here, and copied to where the operator of this workspace cannot reach."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from modelmark.domain.errors import Missing, ModelmarkError
from modelmark.domain.printable import one_line
from modelmark.domain.workspace import Workspace
from modelmark.governance.checkpoints import Checkpoints
from modelmark.journal.tables.witness import Witness, see
from modelmark.seal.checkpoint import Checkpoint, checkpoint_turn, keep_checkpoint
from modelmark.seal.files import turn
from modelmark.storage.exports import export


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCheckpoint:
    """witness: keeps how far the log is sealed. target: where copies go; None keeps it here."""

    workspace: Workspace
    checkpoints: Checkpoints
    witness: Witness
    target: str | None

    def __call__(self, *, to: str | None = None) -> tuple[Checkpoint, str]:
        """The checkpoint, and a sentence on where it went. Raises NotYet (EXPORT_FAILED) after it was kept here, and Missing
        (NO_WORKSPACE) where the workspace was moved away."""
        if not self.workspace.root.is_dir():
            raise Missing(f"there is no workspace {self.workspace.root}", code="NO_WORKSPACE", field="--workspace")
        if self.workspace.receipts.parent.is_dir():
            see(self.workspace, self.witness)
        with turn(checkpoint_turn(self.workspace)):
            made, envelope = self.checkpoints.make()
            self.catch_up()
        target = to or self.target
        if target is None:
            return (
                made,
                f"kept in {self.workspace.checkpoint}: copy it to where nobody who can change this workspace can",
            )
        return made, export(target, f"checkpoint-{made.number:08d}.dsse.json", envelope)

    def catch_up(self) -> None:
        """Write the newest one beside the ledger where it is not there: whoever made it may have been cut short."""
        newest = self.checkpoints.newest()
        if newest is not None:
            keep_checkpoint(self.workspace.checkpoint, newest, self.checkpoints.signer().verifier())

    def last(self) -> None:
        """At the steward's end, which comes whatever becomes of this; people are told."""
        try:
            self()
        except ModelmarkError as error:
            if error.code == "NOTHING_YET":
                return
            sys.stderr.write(one_line(f"warning: no checkpoint was made or copied: {error.message}") + "\n")
