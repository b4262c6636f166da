"""Which versions serve now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.steward.job import FaultOwner, JobContext
from modelmark.steward.profiler import Profiler
from modelmark.steward.serving_versions import ServingVersions


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowReleases:
    """Asks, and has the profiler know the bins of each."""

    name: ClassVar = "versions"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    serving: ServingVersions
    profiler: Profiler

    def run(self, context: JobContext) -> bool:
        for watched in self.serving.refresh():
            self.profiler.watch(watched)
        return True
