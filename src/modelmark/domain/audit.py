"""The audit chain's events: every act of governance that is kept for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class Act(StrEnum):
    """Everything that is audited, as the chain spells it. Stored for ever: members are added, never renamed."""

    REGISTERED = "registered"
    MEASURED = "measured"
    APPROVED = "approved"
    WAIVED = "waived"
    RELEASED = "released"
    RELEASED_AS_CANARY = "released as canary"
    ROLLED_BACK = "rolled back"
    RETRAINED = "retrained"
    STAGED = "staged"
    SHADOWED = "shadowed"
    WITHDRAWN = "withdrawn"
    HELD_ROLLOUT = "held rollout"
    RESUMED_ROLLOUT = "resumed rollout"
    PREREGISTERED = "preregistered experiment"
    BEGAN_EXPERIMENT = "began experiment"
    ENDED_EXPERIMENT = "ended experiment"
    COMMENTED = "comment"
    REQUESTED_CHANGE = "change_request"
    SETTLED_CHANGE = "settled"
    ADDED_ACCOUNT = "added account"
    CHANGED_ACCOUNT = "changed account"
    DISABLED_ACCOUNT = "disabled account"
    CHANGED_PASSWORD = "changed password"  # noqa: S105  # what was done, not a password
    ISSUED_LINK = "issued link"
    REDEEMED_LINK = "redeemed link"
    CONFIRMED_ACCOUNT = "confirmed account"
    ISSUED_KEY = "issued key"
    REVOKED_KEY = "revoked key"
    CREATED_ENDPOINT_KEY = "created endpoint key"
    REVOKED_ENDPOINT_KEY = "revoked endpoint key"
    TOOK_OVER = "took over"
    ACKNOWLEDGED_ALERT = "acknowledged alert"
    SNOOZED_ALERT = "snoozed alert"
    ASSIGNED_ALERT = "assigned alert"
    CLOSED_ALERT = "closed alert"
    CHANGED_MONITORS = "changed monitors"
    RESET_MONITORS = "reset monitors"
    RATED_ALERT = "rated alert"
    SENT_AGAIN = "sent again"
    SIGNED_IN = "signed in"
    FAILED_TO_SIGN_IN = "failed to sign in"
    SIGNED_OUT = "signed out"


#: The acts that give a version traffic.
RELEASES: Final = (Act.RELEASED, Act.RELEASED_AS_CANARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One act in the audit chain. hash covers every other field and `previous`.

    act: one of `Act`, unless somebody changed the row; then the chain does not hold, and verification says where.
    """

    sequence: int
    at: datetime
    actor: str
    act: str
    subject: str
    details: Mapping[str, Any]
    previous: str
    hash: str
