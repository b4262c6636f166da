"""The acts that take a version from registered to traffic and back. Each is one transaction with its audit event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.audit import Act
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, ModelmarkError, NotPermitted, Rejected
from modelmark.domain.evidence import Evidence
from modelmark.domain.people import Permission, Principal, Role, credential
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import Approval, State, Waiver, WaiverRequest, move
from modelmark.domain.routes import ArmRole, Route, Snapshot
from modelmark.domain.version import MARK, Version
from modelmark.governance.audit import Audit
from modelmark.governance.comments import Announcer, Comments
from modelmark.governance.published import not_published
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.routes import Routes, canary_route, champion_route, promoted, require_no_experiment
from modelmark.governance.signoff import STANDING, Now, SignOff, said_by
from modelmark.governance.standing import no_consent, require_consent, retrainings
from modelmark.governance.statuses import Statuses
from modelmark.seal.digests import digest_bytes
from modelmark.seal.mark import evidence_digest

LONGEST_WAIVER: Final = timedelta(days=366)
#: Issues the mark of a version, writing nothing: (version, evidence, approvals, waivers, at) -> the signed envelope.
MarkIssuer = Callable[[Version, Sequence[Evidence], Sequence[Approval], Sequence[Waiver], datetime], bytes]
#: Publishes a snapshot for workers to follow.
Publisher = Callable[[Snapshot], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep:
    """stage: of the contract's rollout; None: after the last one. itself: nobody was asked, as the contract lets it."""

    stage: int | None
    itself: bool

    @property
    def told(self) -> dict[str, int | bool]:
        """To the audit."""
        return {**({} if self.stage is None else {"stage": self.stage}), **({"itself": True} if self.itself else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What an act does outside the ledger. digests: SHA-256 of every file of a version, by path below the versions.
    marked: the approvals in a version's mark."""

    issue_mark: MarkIssuer
    keep_mark: Callable[[Version, bytes], None]
    publish: Publisher
    digests: Callable[[Version], Mapping[str, str]] = lambda _: {}
    marked: Callable[[Version], Sequence[Approval]] = lambda _: ()
    announce: Announcer = lambda *_: None


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
        effects: Effects,
        sign_off: SignOff,
    ) -> None:
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._contract_of = contract_of
        self._effects = effects
        self._sign_off = sign_off
        self._statuses = Statuses(ledger=ledger, contract_of=contract_of, required=required, sign_off=sign_off)
        self.routes = Routes(ledger, clock)
        self.comments = Comments(
            ledger=ledger, audit=audit, clock=clock, people=sign_off.people, announce=effects.announce
        )

    def register(self, version: Version, *, actor: str, by: Principal | None = None) -> bool:
        """Note a new version; False when the same bytes are known already. Whoever registers one never approves it, so
        once there are accounts it takes one, as everything else does."""
        self._sign_off.people.permit(by, Permission.REGISTER)
        with self._ledger.transaction():
            if any(known.id == version.id for known in self._ledger.versions(version.model)):
                return False
            self._ledger.add_version(version)
            self._audit.append(
                actor, Act.REGISTERED, version.id, model=version.model, number=version.number,
                files=self._effects.digests(version),
                **({"through": by.also} if by and by.also else {}), **credential(by),
            )  # fmt: skip
        return True

    def record(
        self, version: Version, evidence: Sequence[Evidence], *, actor: str, by: Principal | None = None
    ) -> ReleaseStatus:
        """Keep what gates found. Evidence is only ever added; new evidence voids approvals of the old."""
        self._sign_off.people.permit(by, Permission.REGISTER)
        with self._ledger.transaction():
            if self._ledger.state(version.id) is State.REGISTERED:
                self._move(version, State.CHECKED)
            for item in evidence:
                self._ledger.add_evidence(item)
                self._audit.append(
                    actor, Act.MEASURED, version.id, gate=item.gate, verdict=item.verdict.value, model=version.model,
                    **credential(by),
                )  # fmt: skip
        return self._ask_signers(self.status(version))

    def _ask_signers(self, gate_verdicts: ReleaseStatus) -> ReleaseStatus:
        """Tell whoever can sign now that it is their turn: once for the same evidence after the same champion."""
        version, now = gate_verdicts.version, self._now(gate_verdicts.version)
        after = now.champion.short if now.champion else "nothing"
        for person in gate_verdicts.missing if not gate_verdicts.open_gates else ():
            self._effects.announce(
                f"sign-{version.id.short}-{now.evidence.short}-{after}-{person.role}-{person.name}"[:255],
                person.role,
                f"{version.model} {version.label} waits for {person.name or 'a signer'}",
                f"Every gate holds. {person.name or 'Whoever signs'} as {person.role} has not approved this evidence yet: "
                f"see the page of the version, or modelmark approve {version.argument} --role {person.role}.",
            )
        return gate_verdicts

    def ticket(self, version: Version, *, role: Role, name: str, by: Principal | None) -> str:
        """What a signer is shown, as text to approve with, once. Raises NotPermitted for whoever may not."""
        return self._sign_off.ticket(
            version, self._contract_of(version), self._now_for_signing(version), role=role, name=name, by=by
        )

    def approve(
        self,
        version: Version,
        *,
        role: Role,
        name: str,
        comment: str,
        actor: str,
        by: Principal | None = None,
        expected: str | None = None,
    ) -> ReleaseStatus:
        """Ticket and approval in one go, for a command line. expected: what served when the signer decided."""
        self.routes.require_seen(version.model, expected)
        ticket = self.ticket(version, role=role, name=name, by=by)
        return self.redeem(version, ticket, comment=comment, actor=actor, by=by)

    def redeem(self, version: Version, ticket: str, *, comment: str, actor: str, by: Principal | None) -> ReleaseStatus:
        """Turn a ticket into an approval. Raises NotPermitted or Conflict when it may not count, now or any more."""
        opened = self._sign_off.open(ticket)
        with self._ledger.transaction():
            approval = self._sign_off.redeem(
                opened, version, self._contract_of(version), self._now_for_signing(version), by=by, comment=comment
            )
            before = self.status(version)
            if before.open_gates:
                raise NotPermitted(
                    f"{version.label} cannot be approved: " + "; ".join(before.obstacles[: len(before.open_gates)]),
                    code="GATES_OPEN",
                    hint="mend the model, or ask a signer for a waiver: modelmark waive --help",
                )
            self._ledger.add_approval(approval)
            after = self.status(version)
            if after.state is State.CHECKED and not after.missing:
                self._move(version, State.APPROVED)
            self._audit.append(
                actor,
                Act.APPROVED,
                version.id,
                role=approval.role.value,
                name=approval.name,
                evidence=approval.evidence,
                model=version.model,
                seen=self.routes.seen(version.model),
                **credential(by),
            )
        return self.status(version)

    def consent(self, version: Version, *, code: str, actor: str, by: Principal | None = None) -> ReleaseStatus:
        """Approve a retrained version in the names of those who agreed beforehand, when they signed its champion.

        code: digest of the code that trained it. Raises NotPermitted (NO_CONSENT) where they agreed to something else, or where
        somebody has to look: an open gate, a waiver, a change request.
        """
        self._sign_off.people.permit(by, Permission.REGISTER)
        with self._ledger.transaction():
            champion, before = self.champion(version.model), self.status(version)
            if champion is None:
                raise no_consent(version, "nothing serves whose signers could have agreed")
            require_consent(
                version, (self._contract_of(champion), self._contract_of(version)), before, code=code,
                retrained=list(retrainings(self._ledger.events())), champion=champion,
            )  # fmt: skip
            given = {(a.role, a.name): a for a in self._effects.marked(champion)}
            now = self._now_for_signing(version)
            for person in before.missing:
                agreed = given.get((person.role, person.name))
                if agreed is None:
                    raise no_consent(version, f"{person.name} has not signed {champion.label}")
                self._ledger.add_approval(self._sign_off.standing(version, agreed, now, with_=champion.label))
                self._audit.append(
                    actor, Act.APPROVED, version.id, role=person.role.value, name=person.name, evidence=now.evidence,
                    model=version.model, seen=self.routes.seen(version.model), via=STANDING,
                )  # fmt: skip
            after = self.status(version)
            if after.missing:  # an approval without an account counts no more once there are accounts
                raise no_consent(version, f"what {after.missing[0].name} said of {champion.label} counts no longer")
            if after.state is State.CHECKED:
                self._move(version, State.APPROVED)
        return self.status(version)

    def waive(
        self,
        version: Version,
        excuse: WaiverRequest,
        *,
        role: Role,
        name: str,
        actor: str,
        by: Principal | None = None,
        expected: str | None = None,
    ) -> ReleaseStatus:
        """Let what one gate says through, in a signer's name, until a day. Raises Rejected without reason or future.

        expected: what served when the signer decided. Raises Conflict where that, or what the gate says, has changed.
        """
        self._sign_off.people.permit(by, Permission.WAIVE)
        self._sign_off.require_identity(by, role, name)
        with self._ledger.transaction():
            self._waive(version, excuse, role=role, name=name, actor=actor, by=by, expected=expected)
        return self._ask_signers(self.status(version))

    def _waive(
        self, version: Version, excuse: WaiverRequest, *, role: Role, name: str, actor: str, by: Principal | None,
        expected: str | None,
    ) -> None:  # fmt: skip
        seen = self.routes.require_seen(version.model, expected)
        self._sign_off.require_signer(version, self._contract_of(version), role, name)
        self._sign_off.require_another(version, self._now_for_signing(version), name, by)
        evidence = self._ledger.evidence(version.id)
        if excuse.evidence not in ("", evidence_digest(evidence)):
            raise Conflict("the evidence has changed since", code="EVIDENCE_CHANGED", hint="read it again, then decide")
        now, said = self._clock(), said_by(excuse.gate, evidence)
        self._require_reason(version, excuse, now, said)
        waiver = Waiver(
            version=version.id,
            gate=excuse.gate,
            name=name,
            reason=excuse.reason.strip(),
            expires_at=excuse.expires_at,
            at=now,
            owner=excuse.owner.strip() or name,
            login=by.login if by else "",
            evidence=said,
            environment=self._sign_off.environment,
            **credential(by),
        )
        self._ledger.add_waiver(self._sign_off.sign_waiver(waiver))
        self._audit.append(
            actor, Act.WAIVED, version.id, gate=waiver.gate, name=name, reason=waiver.reason, owner=waiver.owner,
            expires_at=waiver.expires_at, model=version.model, seen=seen, **credential(by),
        )  # fmt: skip

    def _require_reason(self, version: Version, excuse: WaiverRequest, now: datetime, said: Digest | None) -> None:
        asked = self.status(version).gates
        if excuse.gate not in asked:
            raise Rejected(
                f"the contract asks for no gate {excuse.gate!r}",
                code="NO_SUCH_GATE",
                field="gate",
                limit=f"asked: {', '.join(asked)}",
            )
        if said is None:
            raise NotPermitted(
                f"the gate {excuse.gate} has said nothing yet that could be waived",
                code="NOT_MEASURED",
                field="gate",
                hint=f"modelmark check {version.argument} --only {excuse.gate}",
            )
        if not excuse.reason.strip():
            raise Rejected("a waiver needs a reason", code="NO_REASON", field="reason", limit="a sentence")
        if excuse.expires_at <= now:
            raise Rejected(
                "a waiver must end later than now",
                code="ALREADY_EXPIRED",
                field="expires",
                limit=f"after {now:%Y-%m-%d}",
            )
        if excuse.expires_at > now + LONGEST_WAIVER:
            raise Rejected(
                "a waiver is for a while, not for good",
                code="TOO_LONG",
                field="expires",
                limit=f"at most {LONGEST_WAIVER.days} days",
            )

    def release(
        self,
        version: Version,
        *,
        share: float = 1.0,
        actor: str,
        by: Principal | None = None,
        expected: str | None = None,
        tell: Publisher = lambda _: None,
        step: RolloutStep | None = None,
    ) -> Snapshot:
        """Give the version its mark and its traffic: all of it (champion), or a share beside the champion (canary).

        tell: queues what people are told, in the same transaction. expected: what served when this was decided, as
        `Routes.seen` names it. Raises NotPermitted, naming every obstacle at once; Conflict where something else serves
        now; NotYet (NOT_PUBLISHED) where the act is done and only workers do not know yet. step: of a rollout, which says
        whether anybody had to be asked.
        """
        if step is None or not step.itself:
            self._sign_off.people.permit(by, Permission.RELEASE)
        if not 0 < share <= 1:
            raise Rejected(
                "a share of traffic is outside its range",
                code="BAD_SHARE",
                field="share",
                limit="more than 0, at most 1",
            )
        with self._ledger.transaction():
            seen = self.routes.require_seen(version.model, expected)
            now = self.releasable(version)
            target = State.CHAMPION if share == 1 else State.CANARY
            move(now.state, target)
            evidence = self._ledger.evidence(version.id)
            mark = self._effects.issue_mark(version, evidence, now.approvals, now.waived, self._clock())
            before = self.route(version.model)
            route = promoted(before, version) if target is State.CHAMPION else canary_route(before, version, share)
            if target is State.CHAMPION:
                self._displace(before, version, State.RETIRED)
            self._ledger.set_state(version.id, target, expected=now.state)
            snapshot = self.routes.next(route)
            act = Act.RELEASED if target is State.CHAMPION else Act.RELEASED_AS_CANARY
            self._audit.append(
                actor, act, version.id, model=version.model, share=share, snapshot=snapshot.sequence, seen=seen,
                files={f"{version.id.hex}/{MARK}": digest_bytes(mark).hex}, **(step.told if step else {}), **credential(by),
            )  # fmt: skip
            tell(snapshot)
            self._effects.keep_mark(version, mark)
        self._publish(snapshot, f"{version.model} {version.label} is released")
        return snapshot

    def releasable(self, version: Version) -> ReleaseStatus:
        """How it stands. Raises NotPermitted where anything holds it up, or where it is champion already."""
        now = self.status(version)
        if now.obstacles:
            raise NotPermitted(
                f"{version.model} {version.label} may not be released: " + "; ".join(now.obstacles),
                code="NOT_RELEASABLE",
                hint="modelmark status shows what is missing",
            )
        if now.state is State.CHAMPION:
            raise NotPermitted(
                f"{version.model} {version.label} is champion already", code="CHAMPION_ALREADY", hint="modelmark status"
            )
        return now

    def rollback(
        self,
        model: str,
        *,
        actor: str,
        reason: str = "",
        by: Principal | None = None,
        expected: str | None = None,
        tell: Callable[[Version, Version, Snapshot], None] = lambda *_: None,
        itself: bool = False,
    ) -> tuple[Version, Version, Snapshot]:
        """End the canary, or else bring back the version before the champion. Returns (left, now serving, snapshot).

        expected, tell, and what it raises: as for `release`. itself: the contract lets it be done without anybody's saying so.
        """
        if not itself:
            self._sign_off.people.permit(by, Permission.RELEASE)
        with self._ledger.transaction():
            seen = self.routes.require_seen(model, expected)
            left, back, route = self._way_back(model)
            self._move(left, State.ROLLED_BACK)
            self._end_shadows(route)
            snapshot = self.routes.next(route)
            self._audit.append(
                actor, Act.ROLLED_BACK, left.id, model=model, to=back.id, reason=reason, snapshot=snapshot.sequence,
                seen=seen, **credential(by),
            )  # fmt: skip
            tell(left, back, snapshot)
        self._publish(snapshot, f"{model} is rolled back from {left.label} to {back.label}")
        return left, back, snapshot

    def _way_back(self, model: str) -> tuple[Version, Version, Route]:
        """(what is left, what serves then, how), the one that comes back made champion."""
        before = self.route(model)
        if before is None:
            raise NotPermitted(f"{model} serves nothing yet", code="NOTHING_TO_ROLL_BACK")
        require_no_experiment(before)
        champion = self._ledger.version(before.champion.version)
        if before.canary is not None:
            return self._ledger.version(before.canary.version), champion, before.without_canary()
        if before.previous is None:
            raise NotPermitted(
                f"{model} {champion.label} is the first release; there is nothing to go back to",
                code="NOTHING_TO_ROLL_BACK",
            )
        back, line = self._ledger.version(before.previous), self.routes.line(model)
        self._move(back, State.CHAMPION)
        return champion, back, champion_route(back, line[-3] if len(line) > 2 else None)  # [-2:]: what is left and back

    def _publish(self, snapshot: Snapshot, done: str) -> None:
        """Let workers know, after the act. Raises NotYet (NOT_PUBLISHED) where that fails; what is done stays done."""
        try:
            self._effects.publish(snapshot)
        except (OSError, ModelmarkError) as error:
            raise not_published(done, error) from error

    def republish(self) -> Snapshot | None:
        """Write the last snapshot again where it is not the published one, so that whatever came between commit and
        publication heals: at the steward's start, then every few seconds."""
        snapshot = self._ledger.snapshot()
        if snapshot is not None:
            self._effects.publish(snapshot)
        return snapshot

    def status(self, version: Version) -> ReleaseStatus:
        return self._statuses.of(version)

    def statuses(self, versions: Iterable[Version]) -> tuple[list[ReleaseStatus], list[ModelmarkError]]:
        """How each stands, and what is wrong with those whose files are gone or changed."""
        return self._statuses.of_all(versions)

    def _now(self, version: Version) -> Now:
        return self._statuses.now(version)

    def _now_for_signing(self, version: Version) -> Now:
        """With whose credential the version was registered, which only signing asks."""
        for event in self._ledger.events():
            if event.act == Act.REGISTERED and event.subject == version.id:
                return replace(self._now(version), registered_through=str(event.details.get("through", "")))
        return self._now(version)

    def route(self, model: str) -> Route | None:
        return self.routes.of(model)

    def champion(self, model: str) -> Version | None:
        return self.routes.champion(model)

    def _move(self, version: Version, then: State) -> None:
        now = self._ledger.state(version.id)
        self._ledger.set_state(version.id, move(now, then), expected=now)

    def _end_shadows(self, after: Route) -> None:
        """Those that the route after has no more: the champion that they were compared with is gone."""
        before = self.route(after.model)
        for arm in before.shadows if before else ():
            if after.of(arm.version) is None:
                self._move(self._ledger.version(arm.version), State.ROLLED_BACK)

    def _displace(self, before: Route | None, version: Version, state: State) -> None:
        for arm in before.arms if before else ():
            if arm.version != version.id:
                other = self._ledger.version(arm.version)
                self._move(other, state if arm.role is ArmRole.CHAMPION else State.ROLLED_BACK)
