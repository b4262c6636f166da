"""How far a version is on its way to traffic, and what is still missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelmark.domain.evidence import Verdict
from modelmark.domain.people import Person
from modelmark.domain.release import Approval, Comment, State, Waiver
from modelmark.domain.version import Version

NOT_RUN: Final = "not run yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStatus:
    """approvals, waived: those that count now. missing: signers whose approval does not. unfilled: lines of the contract
    that only people can fill. requests: changes that somebody asked for and has not settled. not_run: gates that never ran
    on these bytes; they cannot tell, for want of asking."""

    version: Version
    state: State
    gates: dict[str, Verdict]
    waived: tuple[Waiver, ...]
    approvals: tuple[Approval, ...]
    missing: tuple[Person, ...]
    unfilled: tuple[str, ...]
    requests: tuple[Comment, ...] = ()
    not_run: frozenset[str] = frozenset()

    @property
    def missing_signatures(self) -> tuple[str, ...]:
        return tuple(f"{p.name or 'nobody yet'} ({p.role.replace('_', ' ')})" for p in self.missing)

    @property
    def open_gates(self) -> dict[str, Verdict]:
        """Gates that neither passed nor are waived."""
        excused = {waiver.gate for waiver in self.waived}
        return {g: v for g, v in self.gates.items() if v is not Verdict.PASS and g not in excused}

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why it may not be released now, one sentence each; empty when it may."""
        return (
            *(f"the gate {gate} {self._told(gate)}" for gate in self.open_gates),
            *(f"only a person can fill {field}" for field in self.unfilled),
            *(f"{r.name} asked for a change: {r.text}" for r in self.requests),
            *(f"{who} has not approved this evidence" for who in self.missing_signatures),
        )

    def said(self, gate: str) -> str:
        """The gate's verdict in words; a gate that never ran has none."""
        return NOT_RUN if gate in self.not_run else self.gates[gate].value

    def _told(self, gate: str) -> str:
        return "has not been run yet" if gate in self.not_run else f"says: {self.said(gate)}"
