"""Data quality: are inputs as clean as at training time, and are callers refused more than is tolerated?"""

from __future__ import annotations

from math import isfinite
from typing import Final

from modelmark.domain.catalogue.monitor_settings import QualityMonitor
from modelmark.domain.errors import OF_THE_SERVER
from modelmark.domain.finding import Finding, Outcome
from modelmark.monitors.monitor import MonitorContext
from modelmark.stats.profile import SCORE, UNSURE, Column
from modelmark.stats.rates import clopper_pearson

FALSE_ALARM_RATE: Final = 0.01  # per window, all inputs together
#: Of fewer rows or requests nothing is said: one caller with two odd rows is no rate.
MIN_ROWS: Final = 10
NAME: Final = "quality"


class Quality:
    """One finding per input, about the worse of its two shares (missing; unseen or out of range), or about single values
    that cannot be; and one about refusals.

    Exact intervals (Clopper & Pearson 1934): of few rows an approximate one is sure too early (of one row that is
    missing Wilson's lower end is 0.09, the exact one 0.001).
    """

    name = NAME

    def __init__(self, settings: QualityMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        columns = [column for name, column in view.reference.columns.items() if name != SCORE]
        confidence = 1 - 2 * FALSE_ALARM_RATE / (2 * len(columns) + 1)
        found = [self._input(view, column, confidence) for column in columns]
        return [*found, self._refused(view.of_requests(), confidence)]

    def _input(self, view: MonitorContext, column: Column, confidence: float) -> Finding:
        counts = view.profiles.get(column.name)
        n = 0 if counts is None else int(column.histogram(counts).sum())
        hits = view.implausible.get(column.name, 0)
        if hits and (found := self._implausible(view, column, hits, n, confidence)) is not None:
            return found
        if counts is None or n < MIN_ROWS:
            sentence = f"Cannot tell whether “{column.name}” is clean: {_too_few(n, 'predictions', 'rows')}."
            return view.finding(NAME, column.name, Outcome.CANNOT_TELL, sentence, n=n, column=True)
        outside = "out of range" if column.numeric else "unseen"
        missing = _share(column.missing(column.counts), column)
        shares = [("missing", column.missing(counts), missing, missing)]
        if column.numeric or column.closed:
            shares.append((outside, column.outside(counts), column.unseen(), column.unseen(UNSURE)))
        what, hits, usual, most = max(shares, key=lambda item: item[1] / n - item[3])
        low, high = clopper_pearson(hits, n, confidence)
        limit = most + self._settings.tolerance
        numbers = f"{hits / n:.1%} of “{column.name}” {what} ({hits:,} of {n:,} rows; interval {low:.1%} to {high:.1%})"
        outcome = Outcome.ALERT if low > limit else Outcome.OK
        tail = f"at training time {usual:.1%}, tolerated up to {limit:.1%}."
        return view.finding(
            NAME, column.name, outcome, f"{numbers}; {tail}", n=n, measured=hits / n, low=low, high=high, limit=limit,
            column=True,
        )  # fmt: skip

    def _implausible(
        self, view: MonitorContext, column: Column, hits: int, n: int, confidence: float
    ) -> Finding | None:
        """None where so many may be: they are tolerated, or training had them as often."""
        allowed = self._settings.implausible
        if allowed is None or hits <= allowed or column.bounds is None:
            return None
        trained = int(column.histogram(column.counts).sum())
        usual = clopper_pearson(column.implausible, trained, confidence)[1] if column.implausible else 0.0
        low, high = clopper_pearson(hits, n, confidence)
        if low <= usual:
            return None
        had = f"{column.implausible:,} were" if column.implausible else "none was"
        sentence = (
            f"“{column.name}” held {hits:,} {'value' if hits == 1 else 'values'} that cannot be, of {n:,} rows: outside "
            f"{between(column.bounds)}; of {trained:,} rows of training {had}."
        )
        return view.finding(
            NAME, column.name, Outcome.ALERT, sentence, n=n, measured=hits / n, low=low, high=high,
            limit=max(usual, allowed / n), column=True,
        )  # fmt: skip

    def _refused(self, view: MonitorContext, confidence: float) -> Finding:
        theirs = {why: count for why, count in view.refused.items() if why[0] not in OF_THE_SERVER}
        refused = sum(theirs.values())
        n = refused + view.requests
        limit = self._settings.tolerance
        if n < MIN_ROWS:
            sentence = f"Cannot tell whether callers are refused: {_too_few(n, 'requests', 'requests')}."
            return view.finding(NAME, "requests", Outcome.CANNOT_TELL, sentence, n=n, limit=limit)
        low, high = clopper_pearson(refused, n, confidence)
        sentence = f"{refused / n:.1%} of requests refused ({refused:,} of {n:,}; interval {low:.1%} to {high:.1%})"
        if refused:
            code, field = max(theirs, key=theirs.__getitem__)
            sentence += f", mostly {code}" + (f" in {field}" if field else "")
        outcome = Outcome.ALERT if low > limit else Outcome.OK
        sentence += f"; tolerated up to {limit:.1%}."
        return view.finding(
            NAME, "requests", outcome, sentence, n=n, measured=refused / n, low=low, high=high, limit=limit
        )


def between(bounds: tuple[float, float]) -> str:
    """In words.

    >>> between((913.1, 1108.0)), between((float('-inf'), 5.0))
    ('913.1 to 1108', 'at most 5')
    """
    low, high = bounds
    if isfinite(low) and isfinite(high):
        return f"{low:.6g} to {high:.6g}"
    return f"at least {low:.6g}" if isfinite(low) else f"at most {high:.6g}"


def _too_few(n: int, none: str, some: str) -> str:
    return f"{n} {some}; about {MIN_ROWS - n} more would tell" if n else f"no {none} in this window"


def _share(hits: int, column: Column) -> float:
    rows = int(column.histogram(column.counts).sum())
    return hits / rows if rows else 0.0
