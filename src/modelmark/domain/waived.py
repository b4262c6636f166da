"""A waiver in one sentence, the same wherever people read it."""

from __future__ import annotations

from modelmark.domain.release import Waiver


def waived(waiver: Waiver) -> str:
    """Who lets which gate through, until when, who sees to it, and why."""
    reason = " ".join(waiver.reason.split()).rstrip(".")
    how = f" ({waiver.credential})" if waiver.issued_by or waiver.via.startswith("key ") else ""
    return (
        f"{waiver.name}{how} lets the gate {waiver.gate.replace('_', ' ')} through until {waiver.expires_at:%Y-%m-%d}; "
        f"{waiver.owner or waiver.name} sees to it by then: {reason}."
    )
