"""Taking an alert in hand: somebody has seen it, will see to it, wants to hear of it later, says that it is over, or what it
was worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from modelmark.domain.alerts.handling import Acknowledge, Assign, Close, Handling, Rate, Snooze
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
    """Each act is audited. owner: whose name the audit has where no account acts."""

    monitoring_store: MonitoringStore
    audit: Audit
    people: People
    clock: Clock
    owner: str

    def __call__(self, id: int, handling: Handling, *, by: Principal | None = None) -> Alert:
        """The alert as it then is. Raises Missing (NO_ALERT), Conflict (ALERT_OVER), NotPermitted, and Rejected for a text
        that is empty or endless (BAD_TEXT) or a time that is over (BAD_TIME)."""
        self.people.permit(by, Permission.COMMENT)
        store, name = self.monitoring_store, by.name if by else self.owner
        with store.transaction():
            alert = store.alert(id)
            if alert.closed_at is not None and not isinstance(handling, Rate):  # one that is over is judged best
                raise Conflict(f"alert {id} is over", code="ALERT_OVER", field="id", hint="modelmark alerts list")
            act, details, told = self._handled(alert.details, handling, name)
            store.set_details(id, details)
            if isinstance(handling, Close):
                store.close_alert(id, self.clock())
            about = f"{alert.monitor} of {alert.topic}, {alert.place}"
            actor = by.login if by else self.owner
            self.audit.append(actor, act, f"alert {id}", name=name, alert=about, model=alert.model, **told)
            return store.alert(id)

    def _handled(
        self, details: AlertDetails, handling: Handling, name: str
    ) -> tuple[Act, AlertDetails, dict[str, Any]]:
        """What it is called in the audit, what stands with the alert afterwards, and what the audit has beside."""
        match handling:
            case Acknowledge():
                seen = replace(details, acknowledged_by=name, acknowledged_at=self.clock())
                return Act.ACKNOWLEDGED_ALERT, seen, {}
            case Assign(to=given):
                to = _text(given, "to")
                return Act.ASSIGNED_ALERT, replace(details, assigned_to=to), {"to": to}
            case Snooze(until=until):
                if until <= self.clock():
                    raise Rejected("that time is over", code="BAD_TIME", field="until", limit="a time to come")
                return Act.SNOOZED_ALERT, replace(details, snoozed_until=until), {"until": until}
            case Rate(rating=rating):
                rated = replace(details, rated=rating, rated_by=name, rated_at=self.clock())
                return Act.RATED_ALERT, rated, {"rating": rating.value}
            case Close(reason=given):
                reason = _text(given, "reason")
                return Act.CLOSED_ALERT, replace(details, ended=f"closed by {name}: {reason}"), {"reason": reason}


def _text(text: str, field: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > _MOST:
        raise Rejected(
            f"{field} says nothing, or too much", code="BAD_TEXT", field=field, limit=f"1 to {_MOST} characters"
        )
    return said
