"""Sealing a journal that an earlier release wrote without heads: what lies there is told of once, as it was found."""

from __future__ import annotations

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import LOG, Receipts, log_name, table_names
from modelmark.journal.tables.witness import JournalHead, Witness, sealed_ends
from modelmark.seal.digests import digest_file


def take_over(workspace: Workspace, witness: Witness) -> JournalHead | None:
    """A receipt for every file of every table's log, and the head over it all. None where there is no journal yet.

    Call while nobody compacts: at the first opening of an earlier release's workspace.
    """
    if not workspace.receipts.exists() and not table_names(workspace):
        return None
    receipts = Receipts(workspace.receipts)
    receipts.load(repair=True)
    lines = []
    for name in table_names(workspace):
        log = workspace.tables / name / LOG
        files = sorted(path for path in log.iterdir() if path.is_file())
        commits = [int(f.name[:20]) for f in files if f.name[:20].isdigit() and f.name == log_name(int(f.name[:20]))]
        checkpoint = max(
            (int(f.name[:20]) for f in files if ".checkpoint" in f.name and f.name[:20].isdigit()), default=-1
        )
        known = receipts.versions.get(name, -1)
        told = {f.name: digest_file(f).hex for f in files if not _is_later(f.name, known)}
        lines.append({"kind": "took_over", "table": name, "files": told, "checkpoint": checkpoint})
        if commits and max(commits) > known:  # a crash came before their receipts
            lines.append({"kind": "intent", "table": name, "first": known + 1, "last": max(commits)})
    receipts.append(lines, witness.sign)
    head = JournalHead(lines=receipts.lines, link=receipts.link, writers=sealed_ends(workspace, receipts.anchors))
    witness.keep(head)
    return head


def _is_later(file: str, known: int) -> bool:
    return file[:20].isdigit() and file == log_name(int(file[:20])) and int(file[:20]) > known
