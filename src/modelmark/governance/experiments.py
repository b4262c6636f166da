"""The acts about experiments: registered and begun, ended. Each is one transaction with its events.

What is agreed goes into the audit before the first request meets an arm, with its digest and the versions that the arms name.
How an experiment stands is what the audit tells, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from modelmark.domain.audit import Act, Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, Missing, ModelmarkError, NotPermitted
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.plan import ExperimentPlan
from modelmark.domain.people import Permission, Role, credential
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import State, move
from modelmark.domain.routes import Arm, ArmRole, Route, Snapshot
from modelmark.domain.version import MARK, Version
from modelmark.governance.audit import Audit
from modelmark.governance.comments import Announcer
from modelmark.governance.people import People
from modelmark.governance.published import not_published
from modelmark.governance.releases import Effects, Releases
from modelmark.governance.rollouts import Hand, Rollouts
from modelmark.governance.routes import experiment_route, without_experiment
from modelmark.seal.digests import digest_bytes, digest_value, plain
from modelmark.seal.values import restore


def about(name: str) -> str:
    """The subject of its events."""
    return f"experiment {name}"


def registered_digest(plan: ExperimentPlan, versions: Mapping[str, Digest]) -> str:
    """Of everything that was agreed, the bytes of the arms included."""
    return digest_value({"plan": plain(plan), "versions": plain(versions)}).hex


def tell_everybody(
    announce: Announcer | None, name: str, title: str, *, said: str = ""
) -> Callable[[str, Snapshot | None], None]:
    """What a hand tells, to every role, in the transaction of its act."""

    def tell(done: str, snapshot: Snapshot | None) -> None:
        body = "\n\n".join(filter(None, (done, said, f"See it: modelmark experiment report {name}")))
        for role in Role:
            if announce is not None:
                announce(f"experiment-{name}-{snapshot.sequence if snapshot else 0}-{role}", role, title, body)

    return tell


def experiments_of(events: Iterable[Event]) -> tuple[Experiment, ...]:
    """Every experiment that these events tell of, oldest first. Raises Tampered for a plan that cannot be read."""
    found: dict[str, Experiment] = {}
    for event in events:
        if event.act == Act.PREREGISTERED:
            plan = restore(ExperimentPlan, event.details["plan"])
            versions = {arm: Digest(id) for arm, id in event.details["versions"].items()}
            found[event.subject] = Experiment(
                plan=plan, digest=str(event.details["digest"]), versions=versions, registered=event.at,
                registered_by=event.actor, event=event.sequence,
            )  # fmt: skip
        elif event.act == Act.BEGAN_EXPERIMENT:
            found[event.subject] = replace(found[event.subject], event=event.sequence)
        elif event.act == Act.ENDED_EXPERIMENT:
            told = event.details
            found[event.subject] = replace(
                found[event.subject], event=event.sequence, ended=event.at, ended_by=event.actor,
                reason=str(told.get("reason", "")), verdict=str(told.get("verdict", "")),
            )  # fmt: skip
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiments:
    """Over a ledger, beside `Releases` and `Rollouts`."""

    ledger: Ledger
    audit: Audit
    clock: Clock
    releases: Releases
    rollouts: Rollouts
    effects: Effects
    people: People

    def all(self, model: str | None = None) -> tuple[Experiment, ...]:
        """The newest first."""
        found = experiments_of(self.ledger.events())
        return tuple(one for one in reversed(found) if model in (None, one.plan.model))

    def running(self) -> tuple[Experiment, ...]:
        return tuple(one for one in self.all() if one.ended is None)

    def named(self, name: str) -> Experiment:
        """Raises Missing (NO_EXPERIMENT)."""
        found = next((one for one in self.all() if one.name == name), None)
        if found is None:
            raise Missing(
                f"there is no experiment {name[:60]!r}",
                code="NO_EXPERIMENT",
                field="name",
                hint="modelmark experiment list",
            )
        return found

    def start(self, plan: ExperimentPlan, versions: Mapping[str, Version], hand: Hand) -> Experiment:
        """Register what is agreed, give the arms their marks and their shares. versions: by arm.

        Raises NotPermitted: whoever may not release, a name that is taken, a control that is not the champion, an arm that may
        not be released, another experiment or a rollout of the model.
        """
        self.people.permit(hand.by, Permission.RELEASE)
        control = versions[plan.control.name]
        with self.ledger.transaction():
            seen = self.releases.routes.require_seen(plan.model, hand.expected)
            route = self._free(plan, control)
            ids = {arm.name: versions[arm.name].id for arm in plan.arms}
            digest = registered_digest(plan, ids)
            self.audit.append(
                hand.actor, Act.PREREGISTERED, about(plan.name), model=plan.model, plan=plain(plan), versions=plain(ids),
                digest=digest, **credential(hand.by),
            )  # fmt: skip
            others = {version.id: version for version in versions.values() if version.id != control.id}
            marks = {id: self._marked(version) for id, version in others.items()}
            arms = tuple(
                Arm.of(ArmRole.EXPERIMENT, ids[arm.name], arm.share, name=f"{plan.name}.{arm.name}")
                for arm in plan.arms
            )
            snapshot = self.releases.routes.next(experiment_route(route, arms, salt=digest[:32]))
            self.audit.append(
                hand.actor, Act.BEGAN_EXPERIMENT, about(plan.name), model=plan.model, digest=digest, snapshot=snapshot.sequence,
                seen=seen, arms={arm.name: {"version": ids[arm.name], "share": arm.share} for arm in plan.arms},
                files={f"{id.hex}/{MARK}": digest_bytes(mark).hex for id, mark in marks.items()}, **credential(hand.by),
            )  # fmt: skip
            hand.tell(f"it began: {plan.hypothesis}", snapshot)
            for id, mark in marks.items():
                self.effects.keep_mark(others[id], mark)
        self._publish(snapshot, f"the experiment {plan.name} began")
        return self.named(plan.name)

    def stop(
        self, experiment: Experiment, hand: Hand, *, reason: str, verdict: str, harmed: bool = False
    ) -> Experiment:
        """The champion answers everything again. harmed: its versions were found worse; else they wait, staged.

        Raises NotPermitted (EXPERIMENT_ENDED) for one that has ended, Conflict (EXPERIMENT_CHANGED) where it was not as it was
        seen.
        """
        if not hand.itself:
            self.people.permit(hand.by, Permission.RELEASE)
        plan = experiment.plan
        with self.ledger.transaction():
            now = self.named(experiment.name)
            if now.ended is not None:
                raise NotPermitted(
                    f"the experiment {now.name} ended on {now.ended:%Y-%m-%d %H:%M} UTC", code="EXPERIMENT_ENDED",
                    hint=f"modelmark experiment report {now.name}",
                )  # fmt: skip
            if hand.event is not None and hand.event != now.event:
                raise Conflict(
                    f"the experiment {now.name} is no more as it was seen", code="EXPERIMENT_CHANGED", hint="look again"
                )
            route = self._route(plan.model)
            for id in dict.fromkeys(arm.version for arm in route.experiment):
                if id != route.champion.version:
                    state = self.ledger.state(id)
                    after = move(state, State.ROLLED_BACK if harmed else State.STAGED)
                    self.ledger.set_state(id, after, expected=state)
            snapshot = self.releases.routes.next(without_experiment(route))
            self.audit.append(
                hand.actor, Act.ENDED_EXPERIMENT, about(plan.name), model=plan.model, digest=now.digest, reason=reason,
                verdict=verdict, snapshot=snapshot.sequence, **({"itself": True} if hand.itself else {}),
                **credential(hand.by),
            )  # fmt: skip
            hand.tell(f"it ended: {reason or 'no reason was given'}", snapshot)
        self._publish(snapshot, f"the experiment {plan.name} ended")
        return self.named(plan.name)

    def _free(self, plan: ExperimentPlan, control: Version) -> Route:
        """The route on which it may begin."""
        if any(one.name == plan.name for one in self.all()):
            raise NotPermitted(
                f"there was an experiment {plan.name} already, and what was agreed cannot change",
                code="EXPERIMENT_KNOWN", field="name", limit="a name of its own",
            )  # fmt: skip
        if self.rollouts.going(plan.model):
            raise NotPermitted(
                f"a version of {plan.model} is in a rollout", code="ROLLOUT_RUNS", hint="modelmark rollout status"
            )
        route = self._route(plan.model)
        if route.champion.version != control.id:
            champion = self.ledger.version(route.champion.version)
            raise NotPermitted(
                f"the control is {control.label}, and {champion.label} is champion", code="CONTROL_NOT_CHAMPION",
                field="arms[0].version", limit=champion.label,
            )  # fmt: skip
        return route

    def _route(self, model: str) -> Route:
        route = self.releases.route(model)
        if route is None:
            raise NotPermitted(
                f"{model} has no champion beside which an experiment could run", code="NO_CHAMPION",
                hint="release a version with the whole traffic first",
            )  # fmt: skip
        return route

    def _marked(self, version: Version) -> bytes:
        """Its mark, once nothing holds it up, and its new state."""
        now = self.releases.releasable(version)
        move(now.state, State.EXPERIMENT)
        mark = self.effects.issue_mark(
            version, self.ledger.evidence(version.id), now.approvals, now.waived, self.clock()
        )
        self.ledger.set_state(version.id, State.EXPERIMENT, expected=now.state)
        return mark

    def _publish(self, snapshot: Snapshot, done: str) -> None:
        try:
            self.effects.publish(snapshot)
        except (OSError, ModelmarkError) as error:
            raise not_published(done, error) from error
