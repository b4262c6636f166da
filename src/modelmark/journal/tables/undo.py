"""What a crash left between an intent and its receipt is undone, not believed: after a power cut nothing tells whether the
bytes of a commit that was never synced are the ones that were written.

Its rows are still in the log, or in quarantine: a segment goes only after the receipt. They come again.
"""

from __future__ import annotations

from pathlib import Path

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import LOG, Receipts, commit_facts, log_name
from modelmark.journal.wal.disk import sync_folder


def undo_unfinished(workspace: Workspace, receipts: Receipts) -> None:
    """Remove from each table's log what was intended and has no receipt. Commits of somebody else stay, to be told."""
    for name, intent in receipts.intents.items():
        for staged in (workspace.tables / name / LOG).glob("*.json#*"):
            staged.unlink()  # deltalake writes a commit there before it has its name
        log = workspace.tables / name / LOG
        known = receipts.versions.get(name, -1)
        numbers = [n for n in range(max(intent.first, known + 1), intent.last + 1) if _is_ours(log.parent, n)]
        files = [log / log_name(number) for number in reversed(numbers)]
        if intent.checkpoint is not None and receipts.checkpoints.get(name) != intent.checkpoint:
            files += [*log.glob(f"{intent.checkpoint:020d}.checkpoint*"), log / "_last_checkpoint"]
        for path in files:
            path.unlink(missing_ok=True)
        if files and log.is_dir():
            sync_folder(log)


def _is_ours(table: Path, version: int) -> bool:
    """Anything but a commit that says it is somebody else's: ours may not have reached the disk whole."""
    path = table / LOG / log_name(version)
    if not path.is_file():
        return False
    try:
        facts, _, _ = commit_facts(table, version)
    except (ValueError, KeyError, TypeError, AttributeError):
        return True
    return bool(facts) or b'"commitInfo"' not in path.read_bytes()
