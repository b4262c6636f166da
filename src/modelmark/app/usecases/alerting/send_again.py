"""Sending again what never arrived."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from modelmark.domain.audit import Act
from modelmark.domain.errors import Missing
from modelmark.domain.people import Permission, Principal
from modelmark.domain.ports import Clock, MonitoringStore
from modelmark.governance.audit import Audit
from modelmark.governance.people import People


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAgain:
    """The steward sends it in its next step. owner: whose name the audit has where no account acts."""

    monitoring_store: MonitoringStore
    audit: Audit
    people: People
    clock: Clock
    owner: str

    def __call__(self, keys: Collection[str] = (), *, by: Principal | None = None) -> int:
        """keys: of messages; none for every dead letter. Returns how many are due now. Raises NotPermitted, and Missing
        (NO_MESSAGE) for a key under which nothing waits."""
        self.people.permit(by, Permission.COMMENT)
        store = self.monitoring_store
        with store.transaction():
            waiting = {one.key: one for one in store.undelivered()}
            gone = [key for key in keys if key not in waiting]
            if gone:
                raise Missing(
                    "nothing waits under that key", code="NO_MESSAGE", field="key", hint="modelmark deliveries list"
                )
            chosen = list(keys) or [key for key, one in waiting.items() if one.is_dead]
            count = store.send_again(chosen, self.clock())
            if count:
                name, actor = (by.name, by.login) if by else (self.owner, self.owner)
                self.audit.append(actor, Act.SENT_AGAIN, "messages", name=name, count=count, keys=chosen[:20])
        return count
