"""What other systems are told of alerts and versions: one JSON document an event, with a published schema.

The envelope is that of Standard Webhooks 1.0.0: type, timestamp, data. Fields are only ever added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelmark.domain.alerts.harm import Severity, severity_of
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.finding import Alert
from modelmark.domain.version import Version

ALERT_EVENTS: Final = {
    "alert.opened": "Something needs a look.",
    "alert.back": "An alert that was over has come back.",
    "alert.escalated": "Nobody took an alert in hand in the time that its contract gives.",
    "alert.closed": "An alert is over.",
}
VERSION_EVENTS: Final = {
    "version.registered": "A version is in the workspace.",
    "version.checked": "Gates measured a version.",
    "version.approved": "Somebody agreed to a version.",
    "version.released": "A version answers traffic, all of it or a canary's share.",
    "version.rolled_back": "A version lost its traffic to an earlier one.",
    "version.retired": "A version lost its traffic to a later one.",
}
#: Sent by `modelmark deliveries test` alone.
TRIAL_EVENT: Final = "trial"
#: Columns that an alert names; there may be hundreds.
_MOST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundEvent:
    """id: the same whenever it is told again. body: the JSON document as it is signed and sent."""

    id: str
    type: str
    body: str


def alert_event(
    type: str,
    alert: Alert,
    at: datetime,
    *,
    environment: str,
    owner: str = "",
    runbook: str = "",
    link: str = "",
) -> OutboundEvent:
    """link: of the alert's page; empty where no public address is known."""
    details = alert.details
    data: dict[str, Any] = {
        "id": alert.id,
        "environment": environment,
        "model": alert.model,
        "version": str(alert.version),
        "label": details.label,
        "arm": details.arm,
        "monitor": alert.monitor,
        "subjects": list(alert.subjects[:_MOST]),
        "severity": severity_of(alert).value,
        "sentence": alert.sentence,
        "next": "" if alert.closed_at else next_step(alert),
        "opened_at": _iso(alert.opened_at),
        "closed_at": None if alert.closed_at is None else _iso(alert.closed_at),
        "ended": details.ended,
        "acknowledged_by": details.acknowledged_by,
        "assigned_to": details.assigned_to,
        "owner": owner,
        "runbook": runbook,
        "link": link,
    }
    named = (alert.model, str(alert.version), alert.id, _iso(alert.opened_at), details.reopened)
    return _event(type, at, data, environment, *named)


def version_event(
    type: str, version: Version, at: datetime, *, environment: str, by: str, hash: str, **more: Any
) -> OutboundEvent:
    """hash: of the audit's event that it follows from. by: whose act it was. more: what that kind of event has beside."""
    data = {
        "environment": environment,
        "model": version.model,
        "version": str(version.id),
        "label": version.label,
        "by": by,
        **more,
    }
    return _event(type, at, data, environment, hash, str(version.id))


def trial_event(at: datetime, *, environment: str) -> OutboundEvent:
    return _event(TRIAL_EVENT, at, {"environment": environment}, environment, _iso(at))


def _event(type: str, at: datetime, data: Mapping[str, Any], *named: object) -> OutboundEvent:
    said = json.dumps([type, *map(str, named)]).encode()
    body = json.dumps({"type": type, "timestamp": _iso(at), "data": data}, allow_nan=False)
    return OutboundEvent(id=f"msg_{hashlib.sha256(said).hexdigest()[:32]}", type=type, body=body)


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_OF_ALERT: Final[dict[str, Any]] = {
    "id": {"type": "integer"}, "environment": _TEXT, "model": _TEXT, "version": _TEXT, "label": _TEXT, "arm": _TEXT,
    "monitor": _TEXT, "subjects": {"type": "array", "items": _TEXT, "minItems": 1},
    "severity": {"enum": [one.value for one in Severity]}, "sentence": _TEXT, "next": _TEXT, "opened_at": _TIME,
    "closed_at": {"type": ["string", "null"], "format": "date-time"}, "ended": _TEXT, "acknowledged_by": _TEXT,
    "assigned_to": _TEXT, "owner": _TEXT, "runbook": _TEXT, "link": _TEXT,
}  # fmt: skip
_OF_VERSION: Final[dict[str, Any]] = dict.fromkeys(("environment", "model", "version", "label", "by"), _TEXT)
_MORE: Final[Mapping[str, dict[str, Any]]] = {
    "version.registered": {"number": {"type": "integer"}},
    "version.checked": {"gates": {"type": "object", "additionalProperties": _TEXT}},
    "version.approved": {"role": _TEXT, "name": _TEXT},
    "version.released": {"arm": {"enum": ["champion", "canary"]}, "share": {"type": "number"}, "snapshot": {"type": "integer"},
                         "before": _TEXT},
    "version.rolled_back": {"to": _TEXT, "reason": _TEXT, "snapshot": {"type": "integer"}},
    "version.retired": {"to": _TEXT},
}  # fmt: skip


def event_schema(type: str) -> dict[str, Any]:
    """The JSON Schema of one kind of event. Receivers must take fields that came later."""
    data: dict[str, Any] = {"environment": _TEXT}
    if type in ALERT_EVENTS:
        data = _OF_ALERT
    elif type in VERSION_EVENTS:
        data = {**_OF_VERSION, **_MORE[type]}
    return {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": type},
            "timestamp": _TIME,
            "data": {"type": "object", "required": list(data), "properties": data},
        },
    }
