"""Volume and freshness: does as much come as usual at this time of the week, and do labels still come?

That nobody asks at all is the service's to tell, within two looks. Here half the callers may be gone while others ask on, or
one sends everything twice. The window is compared with the least, or the largest, of the same hours of earlier weeks (or days, or
just the windows before it), so a holiday, or a week that was busy, has to be surpassed by as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from modelmark.domain.catalogue.monitor_settings import Cycle, VolumeMonitor
from modelmark.domain.finding import Finding, Outcome
from modelmark.monitors.arrivals import WEEK, Arrivals
from modelmark.monitors.monitor import MonitorContext, long
from modelmark.stats.watching.volume import ratio

NAME: Final = "volume"
#: Of each look, on each side.
FALSE_ALARM_RATE: Final = 0.001
#: One span alone may have been an odd one.
LEAST_SPANS: Final = 2
_OF: Final = {Cycle.WEEK: "weeks", Cycle.DAY: "days", Cycle.NONE: "windows"}
_HOUR: Final = timedelta(hours=1)


class Volume:
    """One finding about requests and one about labels."""

    name = NAME

    def __init__(self, settings: VolumeMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        arrivals, view = view.observed.arrivals, view.of_requests()
        if arrivals is None:
            return [
                view.finding(NAME, subject, Outcome.CANNOT_TELL, f"Cannot tell {what}: nothing is recorded yet.", n=0)
                for subject, what in (("volume", "whether as many ask as usual"), ("labels", "whether labels come"))
            ]
        return [self._requests(view, arrivals), self._labels(view, arrivals)]

    def _requests(self, view: MonitorContext, arrivals: Arrivals) -> Finding:
        n, usual, kind = arrivals.requests, arrivals.usual, _OF[self._settings.cycle]
        if not n:
            return _unsure(view, "volume", "whether as many ask as usual", "nobody asked in this window", 0)
        if len(usual) < LEAST_SPANS:
            why = f"the same hours of {LEAST_SPANS} {kind} would tell, and {len(usual)} are known"
            return _unsure(view, "volume", "whether as many ask as usual", why, n)
        return self._compared(view, "volume", n, usual, "requests", f"the same hours of {len(usual)} {kind} before")

    def _labels(self, view: MonitorContext, arrivals: Arrivals) -> Finding:
        labels, window = arrivals.labels, view.window.end - view.window.start
        if labels.last is None:
            return self._none_yet(view, arrivals, window)
        pause = view.now - labels.last
        if labels.known < WEEK:
            why = f"labels have come for {long(labels.known)}, and a week would tell what is usual"
            return _unsure(view, "labels", "whether labels come as usual", why, labels.count)
        limit = max(2 * labels.longest, window, 2 * _HOUR)
        if pause > limit and labels.owed:
            sentence = (
                f"No label has come for {long(pause)}, since {labels.last:%Y-%m-%d %H:%M} UTC, though labels are due; the longest "
                f"pause before was {long(labels.longest)}."
            )
            return _waited(view, Outcome.ALERT, sentence, labels.count, pause, limit)
        if len(labels.usual) < LEAST_SPANS or pause > limit:
            due = "" if labels.owed else "; none is due"
            sentence = f"Labels come: the last {long(pause)} ago{due}; pauses up to {long(limit)} are usual."
            return _waited(view, Outcome.OK, sentence, labels.count, pause, limit)
        weeks = f"the {len(labels.usual)} weeks before"
        return self._compared(view, "labels", labels.count, labels.usual, "labels in seven days", weeks)

    def _none_yet(self, view: MonitorContext, arrivals: Arrivals, window: timedelta) -> Finding:
        """Only what was agreed says when the first should have come."""
        hours = view.contract.labels.expected_delay_hours
        if hours is None or arrivals.first is None:
            why = "none has, and the contract does not say when they should (labels.expected_delay_hours)"
            return _unsure(view, "labels", "whether labels come", why if hours is None else "nobody has asked yet", 0)
        waited, limit = view.now - arrivals.first, timedelta(hours=min(2 * hours, 87_600)) + window
        if waited <= limit:
            return _unsure(view, "labels", "whether labels come", f"none is due before {long(limit)} of traffic", 0)
        sentence = (
            f"No label has come for anything that was answered in {long(waited)}; agreed are {hours:g} hours, so nothing says "
            "whether answers are right."
        )
        return _waited(view, Outcome.ALERT, sentence, 0, waited, limit)

    def _compared(
        self, view: MonitorContext, subject: str, n: int, usual: Sequence[int], what: str, when: str
    ) -> Finding:
        found = ratio(n, usual, confidence=1 - 2 * FALSE_ALARM_RATE)
        most, least = 1 / (1 - self._settings.tolerance), 1 - self._settings.tolerance
        span = f"{min(usual):,} to {max(usual):,}"
        if found is None:  # there was a span with none
            return view.finding(
                NAME, subject, Outcome.OK, f"{n:,} {what}; in {when} {span}.", n=n, measured=1.0, limit=least
            )
        outcome = Outcome.ALERT if found.high < least or found.low > most else Outcome.OK
        limit = most if found.measured > 1 else least
        sentence = f"{n:,} {what}; in {when} {span}"
        if found.measured != 1:
            end, told = ("most", "above") if found.measured > 1 else ("least", "below")
            numbers = f"{found.measured:.2f} times the {end} of these (interval {found.low:.2f} to {found.high:.2f})"
            sentence += f": {numbers}, told {told} {limit:.2f}"
        return view.finding(
            NAME,
            subject,
            outcome,
            f"{sentence}.",
            n=n,
            measured=found.measured,
            low=found.low,
            high=found.high,
            limit=limit,
        )


def _unsure(view: MonitorContext, subject: str, what: str, why: str, n: int) -> Finding:
    return view.finding(NAME, subject, Outcome.CANNOT_TELL, f"Cannot tell {what}: {why}.", n=n)


def _waited(
    view: MonitorContext, outcome: Outcome, sentence: str, n: int, pause: timedelta, limit: timedelta
) -> Finding:
    """measured, limit: hours."""
    return view.finding(NAME, "labels", outcome, sentence, n=n, measured=pause / _HOUR, limit=limit / _HOUR)
