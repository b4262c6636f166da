"""Drift: do inputs and scores still look like the reference? An effect size, its interval and what chance gives; no
p-value."""

from __future__ import annotations

from typing import Final

from modelmark.domain.catalogue.monitor_settings import DriftMonitor
from modelmark.domain.finding import Finding, Outcome
from modelmark.monitors.monitor import MonitorContext, named, subject_of
from modelmark.stats.drift import Drift as Measured
from modelmark.stats.drift import drifts
from modelmark.stats.profile import SCORE

NAME: Final = "drift"


class Drift:
    """One finding per input and one for the score."""

    name = NAME

    def __init__(self, settings: DriftMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        pairs, found = {}, []
        for name, column in view.reference.columns.items():
            counts = view.profiles.get(name)
            n = 0 if counts is None else int(column.histogram(counts).sum())
            if counts is None or n < self._settings.min_rows or not column.histogram(column.counts).sum():
                found.append(self._too_few(view, name, n))
            else:
                pairs[name] = column.compared(counts)
        for name, measured in drifts(pairs, false_alarm_rate=self._settings.false_alarm_rate).items():
            found.append(self._finding(view, name, measured))
        return found

    def _too_few(self, view: MonitorContext, name: str, n: int) -> Finding:
        more = max(self._settings.min_rows - n, 1)
        sentence = f"Cannot tell whether {named(name)} moved: {n:,} rows; about {more:,} more would tell."
        limit = self._settings.tolerance
        return view.finding(NAME, subject_of(name), Outcome.CANNOT_TELL, sentence, n=n, limit=limit, column=True)

    def _finding(self, view: MonitorContext, name: str, measured: Measured) -> Finding:
        tolerance = self._settings.tolerance
        alarms = measured.alarms(tolerance)
        said = "moved away from" if alarms else "looks like"
        who = "The score" if name == SCORE else named(name)
        sentence = (
            f"{who} {said} the reference: Jensen-Shannon distance {measured.debiased:.2f} "
            f"(95% interval {measured.low:.2f} to {measured.high:.2f}; {measured.n:,} rows); "
            f"tolerated up to {tolerance:g}."
        )
        return view.finding(
            NAME,
            subject_of(name),
            Outcome.ALERT if alarms else Outcome.OK,
            sentence,
            n=measured.n,
            measured=measured.debiased,
            low=measured.low,
            high=measured.high,
            limit=tolerance,
            column=True,
        )
