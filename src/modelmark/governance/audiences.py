"""What each role reads of the evidence, most important first: where it signs, and in release notes."""

from __future__ import annotations

from collections.abc import Iterable

from modelmark.contract.catalogue import shown_gates
from modelmark.domain.people import Role


def read_by(role: Role, gates: Iterable[str]) -> tuple[str, ...]:
    """Those of the gates that the role reads."""
    rows = [row for row in shown_gates(gates) if role in row.audiences]
    return tuple(row.name for row in sorted(rows, key=lambda row: row.audiences[role]))
