"""Letting what was seen fade with age: findings and profiles become coarser, then go; so do messages that were sent.

The journal keeps everything from which these were computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from modelmark.domain.ports import MonitoringStore
from modelmark.monitors.monitor import REQUESTS
from modelmark.stats.profile import SCORE, Counts, merge, pack, unpack
from modelmark.steward.job import FaultOwner, JobContext
from modelmark.steward.profiler import Profiler
from modelmark.steward.service import HOUR

DAY: Final = timedelta(days=1)
QUARTER: Final = timedelta(days=90)
#: Findings are a handful a look for these; for others there may be one for every column.
FEW: Final = ("performance", "service", "steward")
#: How long each look's findings stay whole: those about columns, and those of `FEW`.
LOOKS: Final = timedelta(minutes=15)
LOOKS_OF_FEW: Final = DAY
#: How long one of each hour stays; afterwards one of each day does, until `QUARTER`.
HOURS: Final = timedelta(days=2)
HOURS_OF_FEW: Final = timedelta(days=30)
#: How long profiles are kept as finely as they were counted, at least; by the hour until `PROFILED`.
FINE: Final = timedelta(hours=2)
PROFILED: Final = timedelta(days=30)
#: Hours of profiles that one run makes coarser.
AT_ONCE: Final = 48
PLACE: Final = "prune/profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Of several findings in an hour or a day the newest stays, one that alerts before all others."""

    name: ClassVar = "pruning"
    interval: ClassVar = timedelta(minutes=10)
    checkpoint: ClassVar = "prune"
    owner: ClassVar = FaultOwner.VERSIONS
    monitoring_store: MonitoringStore
    profiler: Profiler

    def run(self, context: JobContext) -> bool:
        now, store = context.now, self.monitoring_store
        store.thin_findings(now - LOOKS, HOUR, but=FEW)
        store.thin_findings(now - HOURS, DAY, but=FEW)
        store.thin_findings(now - LOOKS_OF_FEW, HOUR)
        store.thin_findings(now - HOURS_OF_FEW, DAY)
        store.drop_findings(now - QUARTER)
        store.drop_messages(now - QUARTER)
        windows = [timedelta(minutes=watched.contract.monitors.window_minutes) for watched in context.serving]
        latest = now - max((self.profiler.lag(watched.model) for watched in context.serving), default=timedelta())
        self._coarsen(latest - max([FINE, *(2 * window for window in windows)]))
        store.drop_profiles(before=latest - max([PROFILED, *(2 * window for window in windows)]))
        return True

    def _coarsen(self, before: datetime) -> None:
        """Hour by hour, each version's own way up to `before`."""
        store, left = self.monitoring_store, AT_ONCE
        done = dict(store.checkpoint(PLACE))
        for model, version, oldest in store.profiled():
            at = datetime.fromisoformat(done.get(version, _hour(oldest).isoformat()))
            kinds = (REQUESTS, SCORE)  # what came, and what it is about, may be of other hours
            active = [bucket for kind in kinds for bucket in store.active_buckets(model, kind, at, _hour(before))]
            hours = sorted({_hour(bucket) for bucket in active})
            for hour in hours[:left]:
                self._one_hour(model, version, hour)
            done[version] = (_hour(before) if len(hours) <= left else hours[left]).isoformat()
            left -= min(left, len(hours))
        store.set_checkpoint(PLACE, done)

    def _one_hour(self, model: str, version: str, at: datetime) -> None:
        """All but requests, by which silence is told: they stay as they are until they go."""
        found: dict[str, Counts] = {}
        with self.monitoring_store.transaction():
            for _, column, counts in self.monitoring_store.profiles(model, version, at, at + HOUR):
                if column != REQUESTS:
                    found = merge(found, {column: unpack(counts)})
            if found:
                self.monitoring_store.drop_profiles(before=at + HOUR, since=at, of=(model, version), but=REQUESTS)
            for column, total in found.items():
                self.monitoring_store.add_profile(model, version, at, column, pack(total))


def _hour(at: datetime) -> datetime:
    return datetime.fromtimestamp(at.timestamp() // 3600 * 3600, UTC)
