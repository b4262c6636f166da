"""Telling somebody else of an alert that nobody took in hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from modelmark.domain.alerts.harm import severity_of
from modelmark.domain.catalogue.monitor_settings import Escalation
from modelmark.domain.finding import Alert
from modelmark.domain.ports import MonitoringStore
from modelmark.steward.alerts import line
from modelmark.steward.job import FaultOwner, JobContext
from modelmark.steward.responses import Responses
from modelmark.steward.stories import MANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Once an alert, as its contract says after how long and to whom. told: whether that becomes a message; the alert and the
    webhooks say it either way."""

    name: ClassVar = "escalation"
    interval: ClassVar = timedelta(seconds=10)
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    monitoring_store: MonitoringStore
    public_url: str = ""
    told: bool = False

    def run(self, context: JobContext) -> bool:
        responses, now = Responses.known(context.serving, self.public_url), context.now
        if not any(
            one.escalation for settings in responses.of_version.values() for one in (settings.alerts or {}).values()
        ):
            return True
        for alert in self.monitoring_store.alerts(open_only=True, limit=MANY):
            agreed = responses.to(alert).escalation
            if agreed is None or alert.is_in_hand or alert.details.escalated_at or alert.is_snoozed(now):
                continue
            if now - alert.opened_at >= timedelta(minutes=agreed.after_minutes):
                self._escalate(alert.id, agreed, responses, context)
        return True

    def _escalate(self, id: int, agreed: Escalation, responses: Responses, context: JobContext) -> None:
        store, now = self.monitoring_store, context.now
        with store.transaction():
            alert = store.alert(id)  # somebody may have taken it since
            if alert.is_in_hand or alert.closed_at is not None:
                return
            told = replace(alert, details=replace(alert.details, escalated_to=agreed.to.value, escalated_at=now))
            store.set_details(id, told.details)
            if self.told:
                title = f"{told.place}: {told.monitor} of {told.topic}: nobody took it in hand for {_long(now, told)}"
                body, key = line(told, responses), f"escalated-{id}-{told.details.reopened}"
                store.queue_message(key, title, body, now, audience=agreed.to, severity=severity_of(told))


def _long(now: datetime, alert: Alert) -> str:
    minutes = (now - alert.opened_at).total_seconds() / 60
    return f"{minutes:,.0f} minutes"
