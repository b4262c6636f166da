"""The one plain sentence that opens each panel. If we cannot tell, the sentence says so and what would settle it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.classes import class_text, positive_index
from modelmark.domain.contract import Contract
from modelmark.domain.finding import Alert, Finding, Outcome
from modelmark.domain.metrics import Task
from modelmark.journal.tables.timeline import Span

#: Subjects that are no input, as people call them.
ASIDE: Final = {"score": "the score", "requests": "the share of refused requests"}
NOTHING_RELEASED: Final = "Nothing is released yet."


def overall(alerts: Sequence[Alert], models: int, serving: int) -> str:
    """Is anything wrong, and with which model?"""
    if not models:
        return "No model is here yet."
    if not alerts:
        return f"Nothing needs you: {_count(serving, 'model')} {_verb(serving)}, no alert is open."
    each = Counter(alert.model for alert in alerts)
    named = [f"{model} ({_count(n, 'alert')})" for model, n in each.most_common(3)]
    more = f" and {len(each) - 3} more" if len(each) > 3 else ""
    needs = "needs" if len(each) == 1 else "need"
    if models == 1:
        return f"{named[0]} needs a look."
    return f"{len(each)} of {_count(models, 'model')} {needs} a look: {', '.join(named)}{more}."


def whole(fault: str) -> str:
    """What a job says, as a sentence.

    >>> whole("the disk is full")
    'The disk is full.'
    """
    return f"{fault[:1].upper()}{fault[1:]}."


def card(alerts: Sequence[Alert], released: bool) -> str:
    """One model in one sentence."""
    if alerts:
        return alerts[0].sentence
    return "No alert is open." if released else NOTHING_RELEASED


def traffic(span: Span, seconds: float, refused: int) -> str:
    if not span.requests:
        return "No request was answered in this span." + (f" {refused:,} {_were(refused)} refused." if refused else "")
    rows = "" if span.rows == span.requests else f" ({span.rows:,} rows)"
    said = f"{_count(span.requests, 'request')}{rows} answered, {rate(span.requests, seconds)}; "
    said += f"{refused:,} {_were(refused)} refused." if refused else "none was refused."
    return said + (f" {_count(span.fallbacks, 'row')} got a fallback's answer." if span.fallbacks else "")


def rate(requests: int, seconds: float) -> str:
    """In the unit that leaves a number people can read.

    >>> rate(7200, 3600), rate(90, 3600), rate(20, 86400)
    ('2.0 a second', '1.5 a minute', '0.8 an hour')
    """
    for unit, length in (("a second", 1), ("a minute", 60)):
        if requests * length >= seconds:
            return f"{requests * length / seconds:,.1f} {unit}"
    return f"{requests * 3600 / seconds:,.1f} an hour"


def latency(span: Span, contract: Contract) -> str:
    if span.p99_micros is None or span.p50_micros is None:
        return "Cannot tell: no request was answered in this span."
    p99 = span.p99_micros / 1000
    promise = contract.serving.p99_ms
    word = "as agreed" if p99 <= promise else "slower than agreed"
    return (
        f"99 of 100 requests took at most {p99:.2f} ms in the server, {word} (≤ {promise:g} ms); "
        f"half took at most {span.p50_micros / 1000:.2f} ms; n = {span.requests:,}."
    )


def scores(span: Span, contract: Contract, reference: Sequence[float] | None) -> str:
    if contract.model.task is Task.REGRESSION:
        return _values(span, contract)
    if not span.decided:
        return "Cannot tell: no row carries a score in this span."
    total = sum(span.decided.values())
    if contract.model.task is Task.MULTICLASS:
        name, most = max(span.decided.items(), key=lambda item: item[1])
        return (
            f"“{name}” was the answer most often, for {most / total:.0%} of rows; the chosen class had a probability "
            f"of {span.mean_score or 0:.0%} on average; n = {total:,}."
        )
    classes = contract.outputs.classes
    positive = class_text(classes[positive_index(classes, contract.outputs.positive)])
    share = span.decided.get(positive, 0) / total
    then = ""
    if reference:
        edge = round(contract.outputs.threshold * len(reference))
        then = f"; on the holdout about {sum(reference[edge:]):.0%}"
    threshold = f"{contract.outputs.threshold:g}"
    return f"{share:.0%} of rows were decided as “{positive}” (score ≥ {threshold}){then}; n = {total:,}."


def _values(span: Span, contract: Contract) -> str:
    if span.values is None:
        return "Cannot tell: no row carries a value in this span."
    low, middle, high = span.values
    unit = f" {contract.outputs.unit}" if contract.outputs.unit else ""
    return (
        f"Half of the values lie below {middle:.4g}{unit}, 9 of 10 between {low:.4g} and {high:.4g}; n = {span.rows:,}."
    )


def monitor(now: Sequence[Finding], nothing: str) -> str:
    """One monitor's last window: alerts first, else what it could not tell, else that all is well."""
    if not now:
        return nothing
    alerts = sorted((f for f in now if f.outcome is Outcome.ALERT), key=lambda f: -(f.measured or 0))
    if alerts:
        return alerts[0].sentence + (f" {_count(len(alerts) - 1, 'more alert')} below." if len(alerts) > 1 else "")
    unknown = [finding for finding in now if finding.outcome is Outcome.CANNOT_TELL]
    if len(now) == 1 or len(unknown) == len(now):
        return now[0].sentence
    n = max(finding.n for finding in now)
    if unknown:
        return (
            f"{len(now) - len(unknown)} of {len(now)} held their limits in the last window, of the others we cannot "
            f"tell. {unknown[0].sentence}"
        )
    inputs = [finding for finding in now if finding.subject not in ASIDE]
    others = [ASIDE[finding.subject] for finding in now if finding.subject in ASIDE]
    return f"{' and '.join([_all(len(inputs)), *others])} held their limits in the last window; n = {n:,}."


def stale(ends: Sequence[datetime], now: datetime, every: timedelta) -> str:
    """What goes before the words of a look that is older than three of those that should have followed it, and 15 minutes.

    >>> day = datetime(2026, 3, 1)
    >>> stale([day], day + timedelta(hours=3, minutes=20), timedelta(minutes=1)), stale([day], day, timedelta(minutes=1))
    ('Stale, looked at 3 hours ago: ', '')
    """
    age = now - max(ends, default=now)
    if age <= max(3 * every, timedelta(minutes=15)):
        return ""
    hours = age // timedelta(hours=1)
    long = _count(age // timedelta(minutes=1), "minute") if not hours else _count(hours, "hour")
    return f"Stale, looked at {long if hours < 48 else _count(hours // 24, 'day')} ago: "


def rest(left: Sequence[Finding], percent: bool) -> str:
    """What a chart leaves out."""
    if not left:
        return ""
    most = max((f.high if f.high is not None else f.measured or 0.0) for f in left)
    shown = f"{most:.1%}" if percent else f"{most:.2f}"
    return f"{len(left):,} more {'is' if len(left) == 1 else 'are'} not drawn; no interval among them passes {shown}."


def _all(inputs: int) -> str:
    return "The only input" if inputs == 1 else f"All {inputs:,} inputs"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _verb(n: int) -> str:
    return "serves" if n == 1 else "serve"


def _were(n: int) -> str:
    return "was" if n == 1 else "were"
