"""Sending what waits in the outbox."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from modelmark.domain.ports import MonitoringStore, Notifier
from modelmark.steward.alerts import send_due
from modelmark.steward.job import FaultOwner, JobContext, JobFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """A message that cannot be sent waits in the outbox and is a line in the log: telling of it would take a message.

    notifier: None sends nothing.
    """

    name: ClassVar = "messages"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    monitoring_store: MonitoringStore
    notifier: Notifier | None
    jitter: random.Random = field(default_factory=random.Random)

    def run(self, context: JobContext) -> bool:
        if self.notifier is None:
            return True
        _, failures = send_due(self.monitoring_store, self.notifier, context.now, self.jitter)
        for failure in failures:
            sentence = f"a message waits: {failure}"
            context.report(JobFault(subject=self.name, sentence=sentence, owner=FaultOwner.LOG))
        return True
