"""How many of our alerts were worth somebody's time, by their own word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.errors import Rejected
from modelmark.domain.finding import Alert, Rating
from modelmark.domain.ports import Clock, MonitoringStore
from modelmark.stats.rates import clopper_pearson

CONFIDENCE: Final = 0.95
MOST_DAYS: Final = 3_650
_EVERY: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """name: a monitor or a model. alerts: that began; rated: of which somebody said what they were worth; useful: of those.
    share: useful of rated, None where nobody said anything; low, high: its exact 95% interval."""

    name: str
    alerts: int
    rated: int
    useful: int
    share: float | None
    low: float
    high: float

    @property
    def sentence(self) -> str:
        of = f"{self.rated:,} of {self.alerts:,} alerts rated"
        if self.share is None:
            return f"Cannot tell: {of}."
        interval = f"95% interval {self.low:.0%} to {self.high:.0%}"
        return f"{self.share:.0%} useful ({self.useful:,} of {self.rated:,}; {interval}); {of}."


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionReport:
    """Of alerts that began since then. A share of those rated: who rates only the worst makes it look worse."""

    since: datetime
    until: datetime
    days: int
    total: Precision
    monitors: tuple[Precision, ...]
    models: tuple[Precision, ...]

    @property
    def sentence(self) -> str:
        return f"Alert precision of the last {self.days} days: {self.total.sentence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPrecision:
    """Alerts stay for ever, so any span of time can be looked at."""

    monitoring_store: MonitoringStore
    clock: Clock

    def __call__(self, *, days: int = 90, model: str | None = None) -> PrecisionReport:
        """Raises Rejected (BAD_DAYS)."""
        if not 1 <= days <= MOST_DAYS:
            raise Rejected("this is no span of time", code="BAD_DAYS", field="days", limit=f"1 to {MOST_DAYS}")
        now = self.clock()
        since = now - timedelta(days=days)
        found = [a for a in self.monitoring_store.alerts(model=model, limit=_EVERY) if since <= a.opened_at <= now]
        return PrecisionReport(
            since=since, until=now, days=days, total=_precision("all", found),
            monitors=_by(found, lambda alert: alert.monitor), models=_by(found, lambda alert: alert.model),
        )  # fmt: skip


def _by(alerts: Sequence[Alert], kind: Callable[[Alert], str]) -> tuple[Precision, ...]:
    names = sorted({kind(alert) for alert in alerts})
    return tuple(_precision(name, (alert for alert in alerts if kind(alert) == name)) for name in names)


def _precision(name: str, alerts: Iterable[Alert]) -> Precision:
    mine = list(alerts)
    rated = sum(alert.details.rated is not None for alert in mine)
    useful = sum(alert.details.rated is Rating.USEFUL for alert in mine)
    low, high = clopper_pearson(useful, rated, CONFIDENCE)
    share = useful / rated if rated else None
    return Precision(name=name, alerts=len(mine), rated=rated, useful=useful, share=share, low=low, high=high)
