"""Taking an alert in hand: somebody has seen it, will see to it, wants to hear of it later, or says that it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from modelmark.domain.audit import Act
from modelmark.domain.errors import Conflict, Rejected
from modelmark.domain.finding import Alert, AlertDetails
from modelmark.domain.people import Permission, Principal
from modelmark.domain.ports import Clock, MonitoringStore
from modelmark.governance.audit import Audit
from modelmark.governance.people import People

#: Characters of a name or a reason.
_MOST: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleAlert:
    """Each act is audited. owner: whose name the audit has where no account acts. Raises Missing (NO_ALERT), Conflict
    (ALERT_OVER) for one that is over, Rejected for an empty or endless text, NotPermitted."""

    monitoring_store: MonitoringStore
    audit: Audit
    people: People
    clock: Clock
    owner: str

    def acknowledge(self, id: int, *, by: Principal | None = None) -> Alert:
        name, now = self._name(by), self.clock()

        def change(details: AlertDetails) -> AlertDetails:
            return replace(details, acknowledged_by=name, acknowledged_at=now)

        return self._act(Act.ACKNOWLEDGED_ALERT, id, by, change)

    def assign(self, id: int, to: str, *, by: Principal | None = None) -> Alert:
        to = _text(to, "to")
        return self._act(Act.ASSIGNED_ALERT, id, by, lambda details: replace(details, assigned_to=to), to=to)

    def snooze(self, id: int, until: datetime, *, by: Principal | None = None) -> Alert:
        if until <= self.clock():
            raise Rejected("that time is over", code="BAD_TIME", field="until", limit="a time to come")
        change: Callable[[AlertDetails], AlertDetails] = lambda details: replace(details, snoozed_until=until)  # noqa: E731
        return self._act(Act.SNOOZED_ALERT, id, by, change, until=until)

    def close(self, id: int, reason: str, *, by: Principal | None = None) -> Alert:
        """It is over because somebody says so; where its monitor still alerts, a new one begins."""
        reason, name = _text(reason, "reason"), self._name(by)
        ended = f"closed by {name}: {reason}"
        with self.monitoring_store.transaction():
            self._act(Act.CLOSED_ALERT, id, by, lambda details: replace(details, ended=ended), reason=reason)
            self.monitoring_store.close_alert(id, self.clock())
            return self.monitoring_store.alert(id)

    def _act(
        self, act: Act, id: int, by: Principal | None, change: Callable[[AlertDetails], AlertDetails], **details: Any
    ) -> Alert:
        self.people.permit(by, Permission.COMMENT)
        with self.monitoring_store.transaction():
            alert = self.monitoring_store.alert(id)
            if alert.closed_at is not None:
                raise Conflict(f"alert {id} is over", code="ALERT_OVER", field="id", hint="modelmark alerts list")
            self.monitoring_store.set_details(id, change(alert.details))
            actor, told = by.login if by else self.owner, f"{alert.monitor} of {alert.topic}, {alert.place}"
            self.audit.append(actor, act, f"alert {id}", name=self._name(by), alert=told, model=alert.model, **details)
            return self.monitoring_store.alert(id)

    def _name(self, by: Principal | None) -> str:
        return by.name if by else self.owner


def _text(text: str, field: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > _MOST:
        raise Rejected(
            f"{field} says nothing, or too much", code="BAD_TEXT", field=field, limit=f"1 to {_MOST} characters"
        )
    return said
