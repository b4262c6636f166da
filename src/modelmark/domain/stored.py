"""A stored row as verification sees it, and where the chains stand that cover it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: The head of the audit chain, and that of the journal.
AUDIT_HEAD: Final = "audit"
JOURNAL_HEAD: Final = "journal"
#: The newest checkpoint over all of them.
CHECKPOINT_HEAD: Final = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a governed table, undecoded. columns: every column by name; times in microseconds since the epoch."""

    table: str
    key: str
    columns: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As the audit tells of it, such as `approvals/3`."""
        return f"{self.table}/{self.key}"
