"""One process at a time writes tables and receipts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from modelmark.domain.errors import NotYet
from modelmark.domain.workspace import Workspace


@contextmanager
def only_committer(workspace: Workspace) -> Iterator[None]:
    """Raises NotYet (COMPACTION_RUNS) while another process, or thread, compacts this workspace, and FileNotFoundError where
    there is no workspace: to make another would hide that it was moved."""
    folder = workspace.tables.parent
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / "compact.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotYet("another process compacts this journal", code="COMPACTION_RUNS") from None
        yield
    finally:
        os.close(descriptor)
