"""Queuing what webhooks are told: what became of alerts, and the acts of the audit that lead to a release and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

from modelmark.domain.alerts.events import OutboundEvent, alert_event, version_event
from modelmark.domain.alerts.outbox import HOOK
from modelmark.domain.alerts.webhooks import Webhook
from modelmark.domain.audit import Act, Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing
from modelmark.domain.finding import Alert
from modelmark.domain.ports import Ledger, MonitoringStore
from modelmark.domain.routes import ArmRole
from modelmark.domain.version import Version
from modelmark.steward.job import FaultOwner, JobContext
from modelmark.steward.responses import Responses
from modelmark.steward.stories import MANY

AT_ONCE: Final = 500
_TOLD: Final = {
    Act.REGISTERED: "version.registered",
    Act.MEASURED: "version.checked",
    Act.APPROVED: "version.approved",
    Act.RELEASED: "version.released",
    Act.RELEASED_AS_CANARY: "version.released",
    Act.ROLLED_BACK: "version.rolled_back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEvents:
    """Compares what is with what was told last, so nothing is lost when it is killed, and nothing told twice: one transaction
    queues and notes. Each webhook has a message of its own. What was before there were webhooks is not told."""

    name: ClassVar = "events"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = "events"
    owner: ClassVar = FaultOwner.VERSIONS
    monitoring_store: MonitoringStore
    ledger: Ledger
    hooks: Sequence[Webhook]
    environment: str
    public_url: str = ""

    def run(self, context: JobContext) -> bool:
        store = self.monitoring_store
        with store.transaction():
            before = store.checkpoint(self.checkpoint)
            last = self.ledger.last_event()
            newest = last.sequence if last else 0
            standing = {str(alert.id): alert for alert in store.alerts(open_only=True, limit=MANY)}
            now: dict[str, Any] = {"alerts": {id: _state(alert) for id, alert in standing.items()}, "event": newest}
            if before and self.hooks:
                acts = self.ledger.events(after=before["event"], limit=AT_ONCE) if newest > before["event"] else ()
                now["event"] = acts[-1].sequence if acts else before["event"]
                responses = Responses.known(context.serving, self.public_url)
                self._queue(
                    [*self._of_acts(acts), *self._of_alerts(before["alerts"], standing, responses, context)], context
                )
            if now != before:
                store.set_checkpoint(self.checkpoint, now)
        return True

    def _queue(self, told: Sequence[OutboundEvent], context: JobContext) -> None:
        for event in told:
            for hook in self.hooks:
                key = f"hook-{hook.id}-{event.id}"
                self.monitoring_store.queue_message(
                    key, event.type, event.body, context.now, audience=f"{HOOK}{hook.id}"
                )

    def _of_alerts(
        self, before: Mapping[str, Any], standing: Mapping[str, Alert], responses: Responses, context: JobContext
    ) -> Iterator[OutboundEvent]:
        def event(type: str, alert: Alert) -> OutboundEvent:
            agreed = responses.to(alert)
            return alert_event(
                type, alert, context.now, environment=self.environment, owner=agreed.owner or "",
                runbook=agreed.runbook or "", link=responses.link(alert),
            )  # fmt: skip

        for id, alert in standing.items():
            reopened, escalated = before.get(id, (-1, False))
            if alert.details.reopened > reopened:
                yield event("alert.back" if alert.details.reopened else "alert.opened", alert)
            elif alert.details.escalated_at and not escalated:
                yield event("alert.escalated", alert)
        for id in before:
            if id not in standing:
                yield event("alert.closed", self.monitoring_store.alert(int(id)))

    def _of_acts(self, acts: Sequence[Event]) -> Iterator[OutboundEvent]:
        gates: dict[str, str] = {}
        for i, act in enumerate(acts):
            type = _TOLD.get(Act(act.act)) if act.act in set(Act) else None
            version = self._version(act.subject) if type else None
            if type is None or version is None:
                continue
            if act.act == Act.MEASURED:
                gates[str(act.details.get("gate", ""))] = str(act.details.get("verdict", ""))
                after = acts[i + 1] if i + 1 < len(acts) else None
                if after is not None and (after.act, after.subject) == (act.act, act.subject):
                    continue  # one check of several gates is one event
            yield self._event(type, version, act, **_more(act, gates))
            gates = {}
            retired = self._retired(act, version)
            if retired is not None:
                yield self._event("version.retired", retired, act, to=version.label)

    def _event(self, type: str, version: Version, act: Event, **more: Any) -> OutboundEvent:
        return version_event(type, version, act.at, environment=self.environment, by=act.actor, hash=act.hash, **more)

    def _version(self, id: str) -> Version | None:
        try:
            return self.ledger.version(Digest(id))
        except (Missing, ValueError):
            return None  # the audit names what is gone: verification tells

    def _retired(self, act: Event, version: Version) -> Version | None:
        """The champion that this act took all traffic from."""
        champion = str(act.details.get("seen", "")).partition("+")[0]
        if act.act != Act.RELEASED or champion == version.label:
            return None
        return next((one for one in self.ledger.versions(version.model) if one.label == champion), None)


def _state(alert: Alert) -> list[Any]:
    return [alert.details.reopened, alert.details.escalated_at is not None]


def _more(act: Event, gates: Mapping[str, str]) -> dict[str, Any]:
    said = act.details
    match act.act:
        case Act.REGISTERED:
            return {"number": said.get("number")}
        case Act.MEASURED:
            return {"gates": dict(gates)}
        case Act.APPROVED:
            return {"role": str(said.get("role", "")), "name": str(said.get("name", ""))}
        case Act.ROLLED_BACK:
            facts = {"to": str(said.get("to", "")), "reason": str(said.get("reason", ""))}
            return {**facts, "snapshot": said.get("snapshot")}
        case _:
            arm = ArmRole.CANARY if act.act == Act.RELEASED_AS_CANARY else ArmRole.CHAMPION
            share, seen = float(said.get("share", 1.0)), str(said.get("seen", ""))
            return {"arm": arm.value, "share": share, "snapshot": said.get("snapshot"), "before": seen}
