"""Is the model served at all, in time, and without errors of ours? An outage is heard of within two looks.

Traffic stops: silence is told when it is longer than a look, when at the usual rate some fourteen requests should have come
in it (by chance none come once in a million times), and when it is twice as long as pauses usually are after that time of
day a week ago; a day ago, or ever since the model was first asked, where nothing older is known. So nights and weekends are
quiet; traffic that does not begin in the morning is told after twice its usual pause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from modelmark.domain.errors import OF_THE_SERVER
from modelmark.domain.finding import Finding, Outcome
from modelmark.monitors.monitor import MonitorContext, long
from modelmark.stats.rates import clopper_pearson

NAME: Final = "service"
#: Of requests may end in an error of ours, or take longer than promised beyond the promise's own share.
TOLERANCE: Final = 0.01
#: The promise `serving.p99_ms` holds for all but this share.
PROMISED: Final = 0.01
FALSE_ALARM_RATE: Final = 0.001
MIN_REQUESTS: Final = 10
#: How many requests should have come in a silence.
EXPECTED: Final = 14.0
#: For how many looks traffic has to be known before anybody can say that it stopped: one burst is no habit.
KNOWN_LOOKS: Final = 10
WEEK: Final = timedelta(days=7)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """When somebody last asked for the model, since when anybody is known to, how often in the window before the last (a
    second), and how long pauses usually are then."""

    first: datetime
    last: datetime
    rate: float
    usual: timedelta


def evaluate(
    view: MonitorContext, *, requests: int, slow: int, silence: Silence | None, every: timedelta
) -> list[Finding]:
    """requests, slow: what the version answered in the window, and what of it took longer than promised. silence: None for a
    version that is not the champion, or where nobody has asked yet. every: the time between two looks."""
    errors = {code: n for (code, _), n in view.refused.items() if code in OF_THE_SERVER}
    found = [_errors(view, requests, errors), _latency(view, requests, slow)]
    return [*found, _traffic(view, silence, every)] if silence is not None else found


def usual_pause(active: Sequence[datetime], last: datetime, now: datetime, *, size: timedelta) -> timedelta:
    """The longest pause after such a time as `last`, as it was a week ago, or a day, or ever. active: the beginnings of those
    spans of time of a length, oldest first, in which somebody asked."""
    known = last - active[0] if active else timedelta()
    back = next((back for back in (WEEK, DAY) if known >= back), None)
    if back is None:
        points = [at for at in active if at <= last]
    else:
        start, end = last - back, max(now, last + HOUR) - back
        points = [start, *(at for at in active if start < at <= end), end]
    gaps = [after - before - size for before, after in pairwise(points)]
    return max([timedelta(), *gaps])


def _traffic(view: MonitorContext, silence: Silence, every: timedelta) -> Finding:
    quiet, known = view.now - silence.last, silence.last - silence.first
    if known < KNOWN_LOOKS * every:
        least = long(KNOWN_LOOKS * every)
        sentence = f"Cannot tell whether traffic stopped: it is known for {long(known)}, and {least} would tell."
        return view.finding(NAME, "traffic", Outcome.CANNOT_TELL, sentence, n=view.requests)
    stopped = quiet >= max(every, 2 * silence.usual) and silence.rate * quiet.total_seconds() >= EXPECTED
    since = f"since {silence.last:%H:%M:%S} UTC"
    if stopped:
        often = f"{silence.rate * 60:,.1f} a minute"
        sentence = (
            f"Nobody has asked for {long(quiet)}, {since}; before, there were {often}, and no pauses of this length."
        )
    else:
        sentence = f"Somebody asked in the last {long(max(quiet, every))}, or pauses of this length are usual."
    outcome = Outcome.ALERT if stopped else Outcome.OK
    return view.finding(
        NAME, "traffic", outcome, sentence, n=view.requests, measured=quiet.total_seconds(),
        limit=max(every, 2 * silence.usual).total_seconds(),
    )  # fmt: skip


def _errors(view: MonitorContext, requests: int, errors: dict[str, int]) -> Finding:
    failed = sum(errors.values())
    n = requests + failed
    if n < MIN_REQUESTS:
        return _too_few(view, "errors", "Cannot tell whether requests end in errors", n)
    sentence = f"{failed / n:.1%} of requests ended in an error of the server ({failed:,} of {n:,})"
    if errors:
        sentence += f", mostly {max(errors, key=errors.__getitem__)}"
    return _share(view, "errors", sentence, failed, n, TOLERANCE)


def _latency(view: MonitorContext, requests: int, slow: int) -> Finding:
    promise = view.contract.serving.p99_ms
    if requests < MIN_REQUESTS:
        return _too_few(view, "latency", f"Cannot tell whether answers take longer than {promise:g} ms", requests)
    sentence = f"{slow / requests:.1%} of answers took longer than the {promise:g} ms agreed ({slow:,} of {requests:,})"
    return _share(view, "latency", sentence, slow, requests, PROMISED + TOLERANCE)


def _share(view: MonitorContext, subject: str, sentence: str, hits: int, n: int, limit: float) -> Finding:
    low, high = clopper_pearson(hits, n, 1 - 2 * FALSE_ALARM_RATE)
    outcome = Outcome.ALERT if low > limit else Outcome.OK
    whole = f"{sentence}; interval {low:.1%} to {high:.1%}; tolerated up to {limit:.1%}."
    return view.finding(NAME, subject, outcome, whole, n=n, measured=hits / n, low=low, high=high, limit=limit)


def _too_few(view: MonitorContext, subject: str, what: str, n: int) -> Finding:
    few = f"{n} requests; about {MIN_REQUESTS - n} more would tell" if n else "no requests in this window"
    return view.finding(NAME, subject, Outcome.CANNOT_TELL, f"{what}: {few}.", n=n)
