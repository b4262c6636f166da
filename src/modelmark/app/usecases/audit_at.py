"""What was live at some moment, who had agreed to it, through which credential, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.audit import RELEASES, Act, Event
from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Evidence
from modelmark.domain.ports import Ledger
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.version import Version
from modelmark.seal.digests import digest_value
from modelmark.seal.mark import evidence_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class GateThen:
    """One piece of evidence. digest: of all of it, as the mark names it."""

    gate: str
    verdict: str
    at: datetime
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A version that had traffic. share: its part. event, since, by: the act that gave it. contract: its digest."""

    model: str
    version: Digest
    label: str
    arm: str
    share: float
    event: int
    since: datetime
    by: str
    via: str
    contract: Digest
    approvals: tuple[Approval, ...]
    waivers: tuple[Waiver, ...]
    gates: tuple[GateThen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """events: how many acts there were until then."""

    at: datetime
    events: int
    live: tuple[Live, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAt:
    """Read from the chain of acts and what they were about; the mark of a version may be newer."""

    ledger: Ledger

    def __call__(self, at: datetime) -> Moment:
        events = [event for event in self.ledger.events() if event.at <= at]
        models = dict.fromkeys(str(e.details["model"]) for e in events if e.act in RELEASES)
        return Moment(
            at=at, events=len(events), live=tuple(live for name in models for live in self._live(name, events))
        )

    def _live(self, model: str, events: Sequence[Event]) -> Iterator[Live]:
        champion: Event | None = None
        canary: Event | None = None
        experiment: Event | None = None
        before: dict[int, str | None] = {}  # act -> the champion that it followed
        given: dict[str, Event] = {}  # version -> the release that made it champion last
        for event in events:
            if event.details.get("model") != model:
                continue
            if event.act in (*RELEASES, Act.BEGAN_EXPERIMENT):
                before[event.sequence] = champion.subject if champion else None
            if event.act == Act.RELEASED:
                champion, canary, given[event.subject] = event, None, event
            elif event.act == Act.RELEASED_AS_CANARY:
                canary = event
            elif event.act == Act.BEGAN_EXPERIMENT:
                experiment = event
            elif event.act == Act.ENDED_EXPERIMENT:
                experiment = None
            elif event.act == Act.ROLLED_BACK:
                canary, champion = None, champion if canary else given.get(str(event.details["to"]), champion)
        arms = experiment.details["arms"] if experiment else {}
        share = float(canary.details["share"]) if canary else sum(float(arm["share"]) for arm in arms.values())
        for arm, act, part in (("champion", champion, 1 - share), ("canary", canary, share)):
            if act is not None:
                yield self._agreed(act, Digest(act.subject), arm, part, before[act.sequence])
        if experiment is None:
            return
        for name, arm_then in arms.items():
            part, followed = float(arm_then["share"]), before[experiment.sequence]
            yield self._agreed(experiment, Digest(arm_then["version"]), f"{experiment.subject}: {name}", part, followed)

    def _agreed(self, act: Event, id: Digest, arm: str, share: float, followed: str | None) -> Live:
        """What stood behind a release when it was made."""
        version: Version = self.ledger.version(id)
        known: list[Evidence] = [item for item in self.ledger.evidence(version.id) if item.at <= act.at]
        seen = evidence_digest(known)
        approvals = [
            a
            for a in self.ledger.approvals(version.id)
            if a.at <= act.at and a.evidence == seen and a.predecessor == followed
        ]
        waivers = [w for w in self.ledger.waivers(version.id) if w.at <= act.at < w.expires_at]
        return Live(
            model=version.model, version=version.id, label=version.label, arm=arm, share=round(share, 12),
            event=act.sequence, since=act.at, by=act.actor, via=str(act.details.get("via", "")),
            contract=version.components.contract, approvals=tuple(approvals), waivers=tuple(waivers),
            gates=tuple(
                GateThen(gate=i.gate, verdict=i.verdict.value, at=i.at, digest=digest_value(i)) for i in known
            ),
        )  # fmt: skip
