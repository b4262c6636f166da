"""Which findings are one story, and when a story begins, comes back and is over.

Columns that alert together are one story. They are believed when they alert in two looks running, since a value at its limit
goes to and fro; what comes back soon after it was over is the same story again, and has to be quiet twice as long
each time. A story whose version has no traffic any more is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.finding import Alert, Finding, Outcome
from modelmark.domain.ports import MonitoringStore
from modelmark.monitors.performance import NAME as PERFORMANCE
from modelmark.steward.expiries import NAME as STEWARD

MANY: Final = 10_000
NO_TRAFFIC: Final = "there is no traffic any more"
#: Those who speak of something else than the window's traffic.
_NOT_OF_TRAFFIC: Final = frozenset({PERFORMANCE, STEWARD, "service", "volume", "calibration"})
_NAMED: Final = 5

Key = tuple[Digest, str]  # version, monitor


@dataclass(slots=True, kw_only=True)
class Changes:
    """What one look changed. again: alerts that had been over and are back."""

    opened: list[Alert] = field(default_factory=list)
    again: list[Alert] = field(default_factory=list)
    closed: list[Alert] = field(default_factory=list)


class Stories:
    """The alerts of one model, as one look finds them. idle: versions without any traffic in the window."""

    def __init__(
        self,
        book: MonitoringStore,
        model: str,
        findings: Sequence[Finding],
        now: datetime,
        *,
        every: timedelta,
        idle: Collection[Digest] = (),
    ) -> None:
        self._book, self._model, self._now, self._every, self._idle = book, model, now, every, idle
        self._by = {(f.version, f.monitor, f.subject): f for f in findings}
        self._open = list(book.alerts(model=model, open_only=True, limit=MANY))
        self._over = [a for a in book.alerts(model=model) if a.closed_at is not None and not a.details.ended]
        self._columns = any(finding.column for finding in findings)
        self._changes = Changes()

    def follow(self) -> Changes:
        """Open, bring back and close."""
        seen = {tuple(one) for one in self._book.checkpoint(self._place).get("alerted", ())}
        waiting: list[tuple[str, str, str]] = []
        for (version, monitor), alerting in self._alerting():
            fresh = self._see(version, monitor, alerting)
            fresh = self._come_back(version, monitor, fresh)
            believed = [s for s, f in fresh.items() if not f.column or (str(version), monitor, s) in seen]
            if believed:
                self._begin(fresh)
            else:
                waiting += [(str(version), monitor, subject) for subject in fresh]
        if self._columns:
            self._book.set_checkpoint(self._place, {"alerted": waiting})
        self._end()
        return self._changes

    @property
    def _place(self) -> str:
        return f"alerts/{self._model}"

    def _alerting(self) -> Iterator[tuple[Key, Mapping[str, Finding]]]:
        """Of each version and monitor the columns that alert, together; whatever else alerts, each by itself."""
        together: dict[Key, dict[str, Finding]] = defaultdict(dict)
        for (version, monitor, subject), finding in self._by.items():
            if finding.outcome is Outcome.ALERT and finding.column:
                together[version, monitor][subject] = finding
            elif finding.outcome is Outcome.ALERT:
                yield (version, monitor), {subject: finding}
        yield from together.items()

    def _see(self, version: Digest, monitor: str, alerting: Mapping[str, Finding]) -> dict[str, Finding]:
        """Open alerts count up; what began within a window of the newest of them is part of it. Returns what is left."""
        held = [alert for alert in self._open if self._is_akin(alert, version, monitor, alerting)]
        fresh = dict(alerting)
        for alert in held:
            for subject in alert.subjects:
                fresh.pop(subject, None)
        newest = max(held, key=lambda alert: (alert.opened_at, alert.id), default=None)
        for alert in held:
            joins = fresh if alert is newest and self._now - alert.opened_at < _recent(alerting, self._every) else {}
            mine = {s: f for s, f in alerting.items() if s in alert.subjects} | joins
            if mine:
                self._update(alert, mine, joins)
            if joins:
                fresh = {}
        return fresh

    def _is_akin(self, alert: Alert, version: Digest, monitor: str, alerting: Mapping[str, Finding]) -> bool:
        if (alert.version, alert.monitor) != (version, monitor):
            return False
        if any(finding.column for finding in alerting.values()):
            known = self._by.get((version, monitor, alert.subject))
            return known is not None and known.column
        return alert.subject in alerting

    def _update(self, alert: Alert, mine: Mapping[str, Finding], joins: Mapping[str, Finding]) -> Alert:
        told = replace(_worst(mine), subject=alert.subject, sentence=_sentence(mine))
        now, _ = self._book.open_alert(told, self._now)
        if joins:
            now = replace(now, details=replace(alert.details, subjects=(*alert.subjects, *joins)))
            self._book.set_details(alert.id, now.details)
        self._open = [now if other.id == alert.id else other for other in self._open]
        return now

    def _come_back(self, version: Digest, monitor: str, fresh: dict[str, Finding]) -> dict[str, Finding]:
        """What was over a moment ago goes on, and takes the others with it. Returns what is left."""
        for alert in self._over if fresh else ():
            soon = alert.closed_at is not None and self._now - alert.closed_at < _recent(fresh, self._every)
            if soon and (alert.version, alert.monitor) == (version, monitor) and set(alert.subjects) & set(fresh):
                details = replace(alert.details, reopened=alert.details.reopened + 1)
                self._book.reopen_alert(alert.id)
                self._book.set_details(alert.id, details)
                back = replace(alert, closed_at=None, details=details)
                back = self._update(back, fresh, {s: f for s, f in fresh.items() if s not in alert.subjects})
                self._over.remove(alert)
                self._open.append(back)
                self._changes.again.append(back)
                return {}
        return fresh

    def _begin(self, fresh: Mapping[str, Finding]) -> None:
        first = next(iter(fresh))
        alert, _ = self._book.open_alert(replace(_worst(fresh), subject=first, sentence=_sentence(fresh)), self._now)
        if len(fresh) > 1:
            details = replace(alert.details, subjects=tuple(fresh))
            self._book.set_details(alert.id, details)
            alert = replace(alert, details=details)
        self._open.append(alert)
        self._changes.opened.append(alert)

    def _end(self) -> None:
        for alert in self._open:
            if alert.seen_at == self._now:
                continue
            ended = NO_TRAFFIC if alert.version in self._idle and alert.monitor not in _NOT_OF_TRAFFIC else ""
            if ended or self._is_well(alert):
                self._book.close_alert(alert.id, self._now)
                details = replace(alert.details, ended=ended)
                if ended:
                    self._book.set_details(alert.id, details)
                self._changes.closed.append(replace(alert, closed_at=self._now, details=details))

    def _is_well(self, alert: Alert) -> bool:
        """Everything it is about was well, in two looks running, or for longer where it came back before."""
        said = [self._by.get((alert.version, alert.monitor, subject)) for subject in alert.subjects]
        known = [finding for finding in said if finding is not None]
        if not known or any(finding.outcome is not Outcome.OK for finding in known):
            return False
        longest = max(known[0].window.end - known[0].window.start, 1.5 * self._every)
        quiet = min(1.5 * self._every * 2 ** min(alert.details.reopened, 16), longest)
        return bool(self._now - alert.seen_at >= quiet)


def _recent(findings: Mapping[str, Finding], every: timedelta) -> timedelta:
    """How far apart what belongs together may begin: the window, since what moved at one time crosses its limit within it."""
    return max([10 * every, *(finding.window.end - finding.window.start for finding in findings.values())])


def _excess(finding: Finding) -> float:
    return finding.measured - finding.limit if finding.measured is not None and finding.limit is not None else 0.0


def _worst(findings: Mapping[str, Finding]) -> Finding:
    return max(findings.values(), key=_excess)


def _sentence(findings: Mapping[str, Finding]) -> str:
    """Of several columns, how many and which, the furthest beyond its limit first, and what is said of that one."""
    if len(findings) == 1:
        return next(iter(findings.values())).sentence
    ranked = sorted(findings.values(), key=_excess, reverse=True)
    names = ", ".join(f"“{finding.subject}”" for finding in ranked[:_NAMED])
    more = f" and {len(ranked) - _NAMED} more" if len(ranked) > _NAMED else ""
    return f"{len(ranked)} columns together: {names}{more}. The furthest: {ranked[0].sentence}"
