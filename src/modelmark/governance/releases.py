"""The acts that take a version from registered to traffic and back. Each is one transaction with its audit event."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from modelmark.domain.contract import Contract, Person, Role
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, NotPermitted, Rejected
from modelmark.domain.evidence import Evidence, Verdict, standing
from modelmark.domain.people import Permission, Principal
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import (
    SERVING,
    Approval,
    Arm,
    Remark,
    RemarkKind,
    Route,
    Snapshot,
    State,
    Waiver,
    move,
    open_requests,
)
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit
from modelmark.governance.signoff import Now, SignOff
from modelmark.seal.mark import evidence_digest

LONGEST_REMARK: Final = 4000
#: Writes the mark of a version into its folder: (version, evidence, approvals, waivers, at) -> nothing.
MarkWriter = Callable[[Version, Sequence[Evidence], Sequence[Approval], Sequence[Waiver], datetime], None]
#: Publishes a snapshot for workers to follow.
Publisher = Callable[[Snapshot], None]
#: Tells a role something: (key, role, title, body). The same key is told once.
Announcer = Callable[[str, Role, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a version is, and what is still missing."""

    version: Version
    state: State
    gates: dict[str, Verdict]
    waived: tuple[Waiver, ...]
    approvals: tuple[Approval, ...]
    missing: tuple[Person, ...]
    unfilled: tuple[str, ...]
    requests: tuple[Remark, ...] = ()

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
            *(f"the gate {gate} says: {verdict.value}" for gate, verdict in self.open_gates.items()),
            *(f"only a person can fill {field}" for field in self.unfilled),
            *(f"{r.name} asked for a change: {r.text}" for r in self.requests),
            *(f"{who} has not approved this evidence" for who in self.missing_signatures),
        )


class Releases:
    """The release state machine over a ledger. `contract_of` and `required` come from the version's own bytes."""

    def __init__(
        self,
        ledger: Ledger,
        audit: Audit,
        clock: Clock,
        *,
        contract_of: Callable[[Version], Contract],
        required: Callable[[Contract], Collection[str]],
        write_mark: MarkWriter,
        publish: Publisher,
        sign_off: SignOff,
        announce: Announcer = lambda *_: None,
    ) -> None:
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._contract_of = contract_of
        self._required = required
        self._write_mark = write_mark
        self._publish = publish
        self._sign_off = sign_off
        self._announce = announce

    def register(self, version: Version, *, actor: str) -> bool:
        """Note a new version; False when the same bytes are known already."""
        with self._ledger.transaction():
            if any(known.id == version.id for known in self._ledger.versions(version.model)):
                return False
            self._ledger.add_version(version)
            self._audit.append(actor, "registered", version.id, model=version.model, number=version.number)
        return True

    def record(self, version: Version, evidence: Sequence[Evidence], *, actor: str) -> Standing:
        """Keep what gates found. Evidence is only ever added; new evidence voids approvals of the old."""
        with self._ledger.transaction():
            for item in evidence:
                self._ledger.add_evidence(item)
                self._audit.append(
                    actor, "measured", version.id, gate=item.gate, verdict=item.verdict.value, model=version.model
                )
            if self._ledger.state(version.id) is State.REGISTERED:
                self._move(version, State.CHECKED)
        after = self.standing(version)
        if not after.open_gates:
            self._ask_signers(after)
        return after

    def _ask_signers(self, standing: Standing) -> None:
        version = standing.version
        seen = evidence_digest(self._ledger.evidence(version.id))
        for person in standing.missing:
            self._announce(
                f"sign-{version.id.short}-{seen.short}-{person.role}-{person.name}"[:255],
                person.role,
                f"{version.model} {version.label} waits for {person.name or 'a signer'}",
                f"Every gate holds. {person.name or 'Whoever signs'} as {person.role} has not approved this evidence yet: "
                f"see the page of the version, or modelmark approve {version.label} --role {person.role}.",
            )

    def ticket(self, version: Version, *, role: Role, name: str, by: Principal | None) -> str:
        """What a signer is shown, as text to approve with, once. Raises NotPermitted for whoever may not."""
        return self._sign_off.ticket(
            version, self._contract_of(version), self._now(version), role=role, name=name, by=by
        )

    def approve(
        self, version: Version, *, role: Role, name: str, comment: str, actor: str, by: Principal | None = None
    ) -> Standing:
        """Ticket and approval in one go, for a command line."""
        ticket = self.ticket(version, role=role, name=name, by=by)
        return self.redeem(version, ticket, comment=comment, actor=actor, by=by)

    def redeem(self, version: Version, ticket: str, *, comment: str, actor: str, by: Principal | None) -> Standing:
        """Turn a ticket into an approval. Raises NotPermitted or Conflict when it may not count, now or any more."""
        opened = self._sign_off.open(ticket)
        with self._ledger.transaction():
            approval = self._sign_off.redeem(
                opened, version, self._contract_of(version), self._now(version), by=by, comment=comment
            )
            before = self.standing(version)
            if before.open_gates:
                raise NotPermitted(
                    f"{version.label} cannot be approved: " + "; ".join(before.obstacles[: len(before.open_gates)]),
                    code="GATES_OPEN",
                    hint="mend the model, or ask a signer for a waiver: modelmark waive --help",
                )
            self._ledger.add_approval(approval)
            self._audit.append(
                actor, "approved", version.id, role=approval.role.value, name=approval.name, evidence=approval.evidence
            )
            after = self.standing(version)
            if after.state is State.CHECKED and not after.missing:
                self._move(version, State.APPROVED)
        return self.standing(version)

    def waive(
        self,
        version: Version,
        *,
        gate: str,
        role: Role,
        name: str,
        reason: str,
        expires_at: datetime,
        actor: str,
        owner: str = "",
        by: Principal | None = None,
    ) -> Standing:
        """Let one failed gate through, in a signer's name, until a day. Raises Rejected without reason or future."""
        self._sign_off.people.permit(by, Permission.WAIVE)
        self._sign_off.hold_identity(by, role, name)
        self._sign_off.hold_signer(version, self._contract_of(version), role, name)
        now = self._clock()
        self._hold_waiver(version, gate, reason, expires_at, now)
        waiver = Waiver(
            version=version.id,
            gate=gate,
            name=name,
            reason=reason,
            expires_at=expires_at,
            at=now,
            owner=owner or name,
            login=by.login if by else "",
        )
        with self._ledger.transaction():
            self._ledger.add_waiver(waiver)
            self._audit.append(actor, "waived", version.id, gate=gate, name=name, reason=reason, expires_at=expires_at)
        return self.standing(version)

    def _hold_waiver(self, version: Version, gate: str, reason: str, expires_at: datetime, now: datetime) -> None:
        if not reason.strip():
            raise Rejected("a waiver needs a reason", code="NO_REASON", field="reason", limit="a sentence")
        if expires_at <= now:
            raise Rejected("a waiver must end later than now", code="ALREADY_EXPIRED", field="expires")
        asked = self.standing(version).gates
        if gate not in asked:
            raise Rejected(
                f"the contract asks for no gate {gate!r}",
                code="NO_SUCH_GATE",
                field="gate",
                limit=f"asked: {', '.join(asked)}",
            )

    def remark(
        self, version: Version, *, kind: RemarkKind, name: str, text: str, by: Principal | None, about: str = ""
    ) -> Remark:
        """Say something beside the evidence. Only whoever asked for a change may settle it."""
        self._sign_off.people.permit(by, Permission.COMMENT)
        if not text.strip() or len(text) > LONGEST_REMARK:
            raise Rejected(
                "a remark is empty or too long",
                code="BAD_REMARK",
                field="text",
                limit=f"1 to {LONGEST_REMARK} characters",
            )
        said = Remark(
            id=secrets.token_hex(8),
            version=version.id,
            evidence=evidence_digest(self._ledger.evidence(version.id)),
            kind=kind,
            name=by.name if by else name,
            login=by.login if by else "",
            text=text.strip(),
            at=self._clock(),
            about=about,
        )
        with self._ledger.transaction():
            if kind is RemarkKind.SETTLED:
                self._hold_settling(version, said)
            self._ledger.add_remark(said)
            self._audit.append(said.login or said.name, kind.value, version.id, name=said.name, text=said.text)
        if kind is RemarkKind.CHANGE_REQUEST:
            self._announce(
                f"change-{said.id}",
                Role.DATA_SCIENCE,
                f"{said.name} asks for a change of {version.model} {version.label}",
                said.text,
            )
        return said

    def _hold_settling(self, version: Version, said: Remark) -> None:
        asked = {request.id: request for request in open_requests(self._ledger.remarks(version.id))}
        if said.about not in asked:
            raise Missing("there is no open change request of that id", code="NO_REQUEST", field="about")
        if (asked[said.about].name, asked[said.about].login) != (said.name, said.login):
            raise NotPermitted(
                f"only {asked[said.about].name} can say that this is settled", code="NOT_YOUR_REQUEST", field="about"
            )

    def release(self, version: Version, *, share: float = 1.0, actor: str, by: Principal | None = None) -> Snapshot:
        """Give the version its mark and its traffic: all of it (champion), or a share beside the champion (canary).

        Raises NotPermitted, naming every obstacle at once.
        """
        self._sign_off.people.permit(by, Permission.RELEASE)
        if not 0 < share <= 1:
            raise Rejected(
                "a share of traffic is outside its range",
                code="BAD_SHARE",
                field="share",
                limit="more than 0, at most 1",
            )
        with self._ledger.transaction():
            now = self.standing(version)
            if now.obstacles:
                raise NotPermitted(
                    f"{version.model} {version.label} may not be released: " + "; ".join(now.obstacles),
                    code="NOT_RELEASABLE",
                    hint="modelmark status shows what is missing",
                )
            target = State.CHAMPION if share == 1 else State.CANARY
            if now.state is State.CHAMPION:
                raise NotPermitted(
                    f"{version.model} {version.label} is champion already",
                    code="CHAMPION_ALREADY",
                    hint="modelmark status",
                )
            move(now.state, target)
            evidence = self._ledger.evidence(version.id)
            self._write_mark(version, evidence, now.approvals, now.waived, self._clock())
            before = self.route(version.model)
            route = _champion(before, version) if target is State.CHAMPION else _canary(before, version, share)
            if target is State.CHAMPION:
                self._displace(before, version, State.RETIRED)
            self._ledger.set_state(version.id, target, expected=now.state)
            snapshot = self._next(route)
            act = "released" if target is State.CHAMPION else "released as canary"
            self._audit.append(actor, act, version.id, model=version.model, share=share, snapshot=snapshot.sequence)
        self._publish(snapshot)
        return snapshot

    def rollback(
        self, model: str, *, actor: str, reason: str = "", by: Principal | None = None
    ) -> tuple[Version, Version, Snapshot]:
        """End the canary, or else bring back the version before the champion. Returns (left, now serving, snapshot)."""
        self._sign_off.people.permit(by, Permission.RELEASE)
        with self._ledger.transaction():
            before = self.route(model)
            if before is None:
                raise NotPermitted(f"{model} serves nothing yet", code="NOTHING_TO_ROLL_BACK")
            champion = self._ledger.version(before.arms[0].version)
            if len(before.arms) > 1:
                left = self._ledger.version(before.arms[1].version)
                route = replace(before, arms=(replace(before.arms[0], weight=1.0),))
                back = champion
            else:
                if before.previous is None:
                    raise NotPermitted(
                        f"{model} {champion.label} is the first release; there is nothing to go back to",
                        code="NOTHING_TO_ROLL_BACK",
                    )
                left, back = champion, self._ledger.version(before.previous)
                earlier = self._champion_before(back)
                route = Route(model=model, arms=(_arm(back),), previous=earlier)
                self._move(back, State.CHAMPION)
            self._move(left, State.ROLLED_BACK)
            snapshot = self._next(route)
            self._audit.append(
                actor, "rolled back", left.id, model=model, to=back.id, reason=reason, snapshot=snapshot.sequence
            )
        self._publish(snapshot)
        return left, back, snapshot

    def republish(self) -> Snapshot | None:
        """Write the last snapshot again, so that a crash between commit and publication heals at the next start."""
        snapshot = self._ledger.snapshot()
        if snapshot is not None:
            self._publish(snapshot)
        return snapshot

    def standing(self, version: Version) -> Standing:
        contract = self._contract_of(version)
        evidence, state = self._ledger.evidence(version.id), self._ledger.state(version.id)
        approvals = self._sign_off.counting(
            self._ledger.approvals(version.id), self._now(version), serving=state in SERVING
        )
        signed = {(a.role, a.name) for a in approvals}
        return Standing(
            version=version,
            state=state,
            gates=standing(evidence, candidate=version.id, required=self._required(contract)),
            waived=tuple(w for w in self._ledger.waivers(version.id) if w.holds(self._clock())),
            approvals=approvals,
            missing=tuple(p for p in contract.signers() if (p.role, p.name) not in signed),
            unfilled=contract.unfilled(),
            requests=open_requests(self._ledger.remarks(version.id)),
        )

    def _now(self, version: Version) -> Now:
        route = self.route(version.model)
        seen = evidence_digest(self._ledger.evidence(version.id))
        return Now(evidence=seen, champion=route.arms[0].version if route else None)

    def route(self, model: str) -> Route | None:
        snapshot = self._ledger.snapshot()
        return next((r for r in snapshot.routes if r.model == model), None) if snapshot else None

    def champion(self, model: str) -> Version | None:
        route = self.route(model)
        return self._ledger.version(route.arms[0].version) if route else None

    def _move(self, version: Version, then: State) -> None:
        now = self._ledger.state(version.id)
        self._ledger.set_state(version.id, move(now, then), expected=now)

    def _displace(self, before: Route | None, version: Version, state: State) -> None:
        for arm in before.arms if before else ():
            if arm.version != version.id:
                other = self._ledger.version(arm.version)
                self._move(other, state if arm.name == "champion" else State.ROLLED_BACK)

    def _champion_before(self, version: Version) -> Digest | None:
        """What the audit says served before this version first became champion."""
        earlier: Digest | None = None
        for event in self._ledger.events():
            if event.act == "released" and event.details.get("model") == version.model:
                if event.subject == version.id:
                    return earlier
                earlier = Digest(event.subject)
        return None

    def _next(self, route: Route) -> Snapshot:
        last = self._ledger.snapshot()
        others = tuple(r for r in last.routes if r.model != route.model) if last else ()
        snapshot = Snapshot(
            sequence=last.sequence + 1 if last else 1,
            issued_at=self._clock(),
            routes=tuple(sorted((*others, route), key=lambda r: r.model)),
        )
        self._ledger.set_snapshot(snapshot)
        return snapshot


def _arm(version: Version, name: str = "champion", weight: float = 1.0) -> Arm:
    return Arm(version=version.id, name=name, weight=weight)


def _champion(before: Route | None, version: Version) -> Route:
    previous = before.arms[0].version if before and before.arms[0].version != version.id else None
    return Route(model=version.model, arms=(_arm(version),), previous=previous or (before.previous if before else None))


def _canary(before: Route | None, version: Version, share: float) -> Route:
    if before is None:
        raise NotPermitted(
            f"{version.model} has no champion beside which a canary could run",
            code="NO_CHAMPION",
            hint="release it with the whole traffic first",
        )
    champion = before.arms[0]
    if len(before.arms) > 1 and before.arms[1].version != version.id:
        raise NotPermitted(f"{version.model} has a canary already", code="CANARY_RUNS", hint="roll it back first")
    return replace(before, arms=(replace(champion, weight=1 - share), _arm(version, "canary", share)))
