"""What makes one person's yes count: the right person, one version, its evidence as it is now, here, after what serves now."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, NotPermitted
from modelmark.domain.evidence import Evidence
from modelmark.domain.people import Permission, Principal, Role, credential
from modelmark.domain.ports import Clock
from modelmark.domain.release import Approval, Ticket, Waiver
from modelmark.domain.version import Version
from modelmark.governance.people import People
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.mark import evidence_digest
from modelmark.seal.tickets import authentic, issue_ticket, open_ticket, signed

#: How long somebody may read before deciding.
READING: Final = timedelta(hours=8)
#: By what somebody approves who agreed beforehand.
STANDING: Final = "standing consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What an approval must be about to count: evidence and champion as they stand. champion None: nothing serves yet.

    since: when the version was last rolled back; what was said before that says nothing about it now. registered_through:
    who issued the credential by which the version was registered, where that is not whoever it was registered by.
    """

    evidence: Digest
    champion: Digest | None
    since: datetime | None = None
    registered_through: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """signer: makes the workspace's key where there is none. environment: where these releases go."""

    people: People
    clock: Clock
    environment: str
    signer: Callable[[], Signer]
    verifier: Callable[[], Verifier]

    def ticket(
        self, version: Version, contract: Contract, now: Now, *, role: Role, name: str, by: Principal | None
    ) -> str:
        """The text that `redeem` takes once. Raises NotPermitted for whoever may not approve this version."""
        self._may(version, contract, now, role, name, by)
        return issue_ticket(
            Ticket(
                version=version.id,
                evidence=now.evidence,
                environment=self.environment,
                predecessor=now.champion,
                role=role,
                name=name,
                login=by.login if by else "",
                nonce=secrets.token_hex(16),
                expires_at=self.clock() + READING,
            ),
            self.signer(),
        )

    def open(self, text: str) -> Ticket:
        return open_ticket(text, self.signer().verifier())

    def redeem(
        self, ticket: Ticket, version: Version, contract: Contract, now: Now, *, by: Principal | None, comment: str
    ) -> Approval:
        """The signed approval. Raises NotPermitted or Conflict, naming what has changed since the ticket was made."""
        if ticket.login != (by.login if by else ""):
            raise NotPermitted("this ticket was made out to somebody else", code="NOT_YOUR_TICKET", field="ticket")
        self._may(version, contract, now, ticket.role, ticket.name, by)
        self._is_of_now(ticket, version, now)
        approval = Approval(
            version=version.id,
            evidence=ticket.evidence,
            role=ticket.role,
            name=ticket.name,
            at=self.clock(),
            comment=comment,
            environment=ticket.environment,
            predecessor=ticket.predecessor,
            login=ticket.login,
            nonce=ticket.nonce,
            **credential(by),
        )
        return self.sign_approval(approval)

    def standing(self, version: Version, agreed: Approval, now: Now, *, with_: str) -> Approval:
        """The signed yes of somebody who agreed beforehand. agreed: what they said of the champion, whose contract says so.
        with_: that champion's label. Raises NotPermitted for whoever could not approve this version by themselves."""
        if version.registered_by in {agreed.name, agreed.login or agreed.name}:
            raise NotPermitted(
                f"{agreed.name} registered {version.label} and cannot approve it", code="SELF_APPROVAL",
                hint="let the steward's own key register it",
            )  # fmt: skip
        return self.sign_approval(
            Approval(
                version=version.id,
                evidence=now.evidence,
                role=agreed.role,
                name=agreed.name,
                at=self.clock(),
                comment=f"agreed beforehand, with {with_}",
                environment=self.environment,
                predecessor=now.champion,
                login=agreed.login,
                nonce=secrets.token_hex(16),
                via=STANDING,
            )
        )

    def named(self) -> bool:
        """Whether there are accounts, so that whoever acts has a name."""
        return bool(self.people.accounts())

    def valid_approvals(
        self, approvals: Sequence[Approval], now: Now, *, serving: bool, named: bool
    ) -> tuple[Approval, ...]:
        """Those that count now. serving: the version has its traffic already, so its predecessor is gone by nature.
        named: as `named` says.

        Once there are accounts, what was said without one, or through a credential that was not recorded, no longer counts
        for a release.
        """
        about = [
            a
            for a in approvals
            if a.evidence == now.evidence
            and a.environment == self.environment
            and (now.since is None or a.at > now.since)
            and (serving or (a.predecessor == now.champion and ((a.login and a.via) or not named)))
        ]
        return tuple(a for a in about if authentic(a, self.verifier()))

    def valid_waivers(
        self, waivers: Sequence[Waiver], evidence: Sequence[Evidence], *, at: datetime, serving: bool, named: bool
    ) -> tuple[Waiver, ...]:
        """Those that hold at a moment: made here, not over, about what their gate says now, and in the name of somebody who is
        known, as for approvals."""
        about = [
            w
            for w in waivers
            if w.holds(at)
            and w.environment == self.environment
            and w.evidence == said_by(w.gate, evidence)
            and (serving or (w.login and w.via) or not named)
        ]
        return tuple(w for w in about if authentic(w, self.verifier()))

    def sign_approval(self, approval: Approval) -> Approval:
        return signed(approval, self.signer())

    def sign_waiver(self, waiver: Waiver) -> Waiver:
        return signed(waiver, self.signer())

    def require_signer(self, version: Version, contract: Contract, role: Role, name: str) -> None:
        """Raises NotPermitted unless the contract names this person as a signer in this role."""
        if not any(person.role is role and person.name == name and person.signs for person in contract.people):
            signers = ", ".join(f"{p.name or '(empty)'} as {p.role}" for p in contract.signers()) or "nobody"
            raise NotPermitted(
                f"the contract of {version.label} names no signer {name!r} as {role}",
                code="NOT_A_SIGNER",
                limit=f"signers: {signers}",
            )

    def require_identity(self, by: Principal | None, role: Role, name: str) -> None:
        """Raises NotPermitted when an account speaks in another's name, or in a role it does not hold."""
        if by is None:
            return
        if by.name != name or role not in by.account.roles:
            roles = ", ".join(by.account.roles) or "no role"
            raise NotPermitted(
                f"{by.login} cannot speak as {name} ({role})", code="NOT_YOU", limit=f"{by.name}: {roles}"
            )

    def _may(self, version: Version, contract: Contract, now: Now, role: Role, name: str, by: Principal | None) -> None:
        self.people.permit(by, Permission.APPROVE)
        self.require_identity(by, role, name)
        self.require_signer(version, contract, role, name)
        self.require_another(version, now, name, by)

    def require_another(self, version: Version, now: Now, name: str, by: Principal | None) -> None:
        """Raises NotPermitted for whoever registered the version, and for whoever could have: the one who issued the key
        or the password by which it was registered."""
        if version.registered_by in {name, by.login if by else name}:
            raise NotPermitted(
                f"{name} registered {version.label} and cannot approve it, nor waive a gate of it",
                code="SELF_APPROVAL",
                hint="let somebody else register it, such as your CI",
            )
        if by is not None and by.login == now.registered_through:
            raise NotPermitted(
                f"{by.login} issued the credential by which {version.registered_by} registered {version.label}, and so "
                "cannot approve it, nor waive a gate of it",
                code="SELF_APPROVAL",
                hint="let an administrator who does not sign issue the key of your CI",
            )

    def _is_of_now(self, ticket: Ticket, version: Version, now: Now) -> None:
        if ticket.version != version.id:
            raise NotPermitted("this ticket is about another version", code="WRONG_VERSION", field="ticket")
        if ticket.environment != self.environment:
            raise NotPermitted(
                f"this ticket is for the environment {ticket.environment!r}",
                code="WRONG_ENVIRONMENT",
                limit=f"here: {self.environment}",
            )
        if ticket.expires_at <= self.clock():
            raise NotPermitted("this ticket has expired", code="TICKET_EXPIRED", hint="open the page again")
        if now.since is not None and ticket.expires_at - READING <= now.since:
            raise Conflict("the version was rolled back since", code="ROLLED_BACK_SINCE", hint="read why, then decide")
        if ticket.evidence != now.evidence:
            raise Conflict("the evidence has changed since", code="EVIDENCE_CHANGED", hint="read it again, then decide")
        if ticket.predecessor != now.champion:
            raise Conflict(
                "another version serves now than when this was read", code="PREDECESSOR_CHANGED", hint="read it again"
            )


def said_by(gate: str, evidence: Sequence[Evidence]) -> Digest | None:
    """One digest over all that one gate said; None where it said nothing."""
    about = [item for item in evidence if item.gate == gate]
    return evidence_digest(about) if about else None
