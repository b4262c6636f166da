"""Closing what is open about versions that no longer serve, but for what their labels say while these are judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.domain.ports import MonitoringStore
from modelmark.steward.alerts import close_departed
from modelmark.steward.job import FaultOwner, JobContext
from modelmark.steward.responses import Responses
from modelmark.steward.serving_versions import ServingVersions


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseDeparted:
    """told: whether closing becomes a message."""

    name: ClassVar = "departed alerts"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    monitoring_store: MonitoringStore
    serving: ServingVersions
    told: bool
    public_url: str = ""

    def run(self, context: JobContext) -> bool:
        serving = {(watched.model, watched.version) for watched in context.serving}
        judged = {(watched.model, watched.version) for watched in self.serving.left(context.now)}
        responses = Responses.known(context.serving, self.public_url)
        close_departed(self.monitoring_store, serving, judged, context.now, queue=self.told, responses=responses)
        return True
