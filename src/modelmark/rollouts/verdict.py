"""From what came in a stage to *ship*, *roll back* or *need about N more requests*; valid however often it is asked.

The chance of a false decision is one budget. Rolling back takes one metric that is surely worse, so each metric has its part of
it, in each stage. Shipping takes every metric, in the last stage alone, so a version that is worse than tolerated in one of them
has to be mistaken in just that one: there the whole budget is each metric's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, isfinite
from typing import Final

from modelmark.domain.rollouts.settings import Margins, Rollout, StageKind
from modelmark.domain.rollouts.verdict import Decision, MetricVerdict, Verdict
from modelmark.rollouts.evidence import Failures, Latency, Pair, StageEvidence
from modelmark.stats.sequences import FEWEST, Sums, difference, paired, quantile_ranks, share_at_least, share_at_most

#: The part of the answers that latency is judged by.
P99: Final = 0.99
#: Nobody plans further ahead than this many requests.
MOST: Final = 1_000_000_000
#: The difference that bounds are made for where none is tolerated.
NO_MARGIN: Final = 0.01


@dataclass(frozen=True, slots=True)
class Budget:
    """back: the chance that one metric calls for a rollback in error, in one stage. ship: that one lets a worse version pass."""

    back: float
    ship: float


@dataclass(frozen=True, slots=True)
class _Interval:
    """An estimate with the bounds that a rollback and that shipping rest on."""

    estimate: float
    least: float  # surely at least this much worse
    most: float  # surely at most this much worse


def budget(rollout: Rollout, metrics: int) -> Budget:
    """metrics: how many are judged in a stage. Half of the errors' part belongs to whoever looks between the looks."""
    stages = max(len(rollout.stages), 1)
    return Budget(rollout.false_decision_rate / (stages * max(metrics, 1)), rollout.false_decision_rate)


def fast_share(rollout: Rollout) -> float:
    """The chance of a false rollback, in one stage, that looks at the counts of workers may have beside those at the tables."""
    margins = rollout.margins
    asked = (margins.errors, margins.latency_ratio, margins.score, margins.quality, margins.fairness)
    return budget(rollout, sum(limit is not None for limit in asked)).back / 2


def judge(rollout: Rollout, kind: StageKind, seen: StageEvidence) -> Verdict:
    """The verdict of one stage. kind: a shadow is compared request by request, a canary arm by arm."""
    allowed = budget(rollout, _count(rollout.margins, kind, seen))
    metrics = tuple(_metrics(rollout.margins, kind, seen, allowed))
    requests = seen.candidate.requests
    worse = [m for m in metrics if m.decision is Decision.ROLL_BACK]
    blind = [m for m in metrics if m.decision is Decision.CANNOT_TELL]
    open_ = [m for m in metrics if m.decision is Decision.WAIT]
    if worse:
        said = " ".join(m.sentence for m in worse)
        return Verdict(decision=Decision.ROLL_BACK, sentence=said, metrics=metrics, requests=requests)
    if blind or not metrics:
        said = (
            " ".join(m.sentence for m in blind)
            or "The contract asks for no metric, so nothing can speak for the version."
        )
        return Verdict(decision=Decision.CANNOT_TELL, sentence=said, metrics=metrics, requests=requests)
    if not open_:
        said = f"In {_listed(m.metric for m in metrics)} it is no worse than tolerated, after {requests:,} requests."
        return Verdict(decision=Decision.SHIP, sentence=said, metrics=metrics, requests=requests, more=0)
    return _waiting(metrics, open_, requests, seen.seconds)


def _waiting(metrics: tuple[MetricVerdict, ...], open_: list[MetricVerdict], requests: int, seconds: float) -> Verdict:
    known = [m.more for m in open_ if m.more is not None]
    more = max(known) if len(known) == len(open_) else None
    eta = None
    if more is not None and requests and seconds > 0:
        eta = timedelta(seconds=min(more * seconds / requests, timedelta.max.total_seconds() / 2))
    names = _listed(m.metric for m in open_)
    if more is None:
        said = f"Not enough is known of {names} yet: " + " ".join(m.sentence for m in open_ if m.more is None)
    else:
        time = f", {_long(eta)} at today's traffic" if eta is not None else ""
        said = f"About {more:,} more requests{time} decide on {names}."
    return Verdict(decision=Decision.WAIT, sentence=said, metrics=metrics, requests=requests, more=more, eta=eta)


def failing(champion: Failures, candidate: Failures, margin: float, *, alpha: float) -> MetricVerdict:
    """Errors, NaN and crashes of a canary against the champion's."""
    back = _share_interval(champion, candidate, alpha, alpha)
    return _errors(back, champion, candidate, margin)


def _count(margins: Margins, kind: StageKind, seen: StageEvidence) -> int:
    asked = [margins.errors, margins.score, margins.quality]
    found = sum(limit is not None for limit in asked) + (margins.latency_ratio is not None)
    found += kind is StageKind.SHADOW and margins.disagreement is not None
    return found + (margins.fairness is not None and bool(seen.fairness))


def _metrics(margins: Margins, kind: StageKind, seen: StageEvidence, allowed: Budget) -> Iterator[MetricVerdict]:
    if margins.errors is not None:
        interval = _share_interval(seen.champion, seen.candidate, allowed.back / 2, allowed.ship)
        yield _errors(interval, seen.champion, seen.candidate, margins.errors)
    if margins.latency_ratio is not None:
        yield _latency(seen, margins, allowed)
    if kind is StageKind.SHADOW and margins.disagreement is not None:
        yield _disagreement(seen.disagreement, margins.disagreement, allowed)
    if margins.score is not None:
        yield _score(seen, margins.score, allowed)
    if margins.quality is not None:
        yield _quality(seen, margins.quality, allowed)
    if margins.fairness is not None and seen.fairness:
        yield _fairness(seen, margins.fairness, allowed)


def _share_interval(champion: Failures, candidate: Failures, back: float, ship: float) -> _Interval | None:
    """How much larger the candidate's share of failures is; exact at every size. Each arm's bound has half of the chance."""
    if candidate.requests == 0 or champion.requests == 0:
        return None
    mine, theirs = (candidate.failed, candidate.requests), (champion.failed, champion.requests)
    least = share_at_least(*mine, alpha=back / 2) - share_at_most(*theirs, alpha=back / 2)
    most = share_at_most(*mine, alpha=ship / 2) - share_at_least(*theirs, alpha=ship / 2)
    return _Interval(mine[0] / mine[1] - theirs[0] / theirs[1], least, most)


def _errors(found: _Interval | None, champion: Failures, candidate: Failures, margin: float) -> MetricVerdict:
    if found is None:
        return _unmeasured("errors", margin, "Nobody has asked both versions yet, so errors cannot be compared.")
    shares = (
        f"{candidate.failed:,} of {candidate.requests:,} requests failed ({candidate.failed / candidate.requests:.2%})"
    )
    against = f"{champion.failed / champion.requests:.2%} of the champion's"
    return _judged("errors", found, margin, candidate.requests, f"{shares}, against {against}", unit="%")


def _latency(seen: StageEvidence, margins: Margins, allowed: Budget) -> MetricVerdict:
    assert margins.latency_ratio is not None
    name, ratio, floor = "latency", margins.latency_ratio, margins.latency_floor_ms
    if seen.latency is None:
        return _blind(name, ratio, "How long answers took could not be measured.")
    champion, candidate = seen.latency
    mine_back, theirs_back = (quantile_ranks(P99, arm.n, alpha=allowed.back / 2) for arm in (candidate, champion))
    mine_ship, theirs_ship = (quantile_ranks(P99, arm.n, alpha=allowed.ship / 2) for arm in (candidate, champion))
    if min(champion.n, candidate.n) == 0:
        return _unmeasured(name, ratio, "Nobody has waited for both versions yet.")
    p99 = candidate.quantile(P99)
    limit = max(ratio * champion.quantile(P99), floor)
    said = f"99 of 100 answers took at most {p99:.3g} ms, the champion's {champion.quantile(P99):.3g} ms"
    low = _at(candidate, mine_back[0])
    top = _at(champion, theirs_back[1])
    high = _at(candidate, mine_ship[1])
    bottom = _at(champion, theirs_ship[0])
    facts = {"measured": p99, "low": low, "high": high, "margin": limit, "n": candidate.n}
    if low is not None and top is not None and low > max(ratio * top, floor):
        sentence = f"It is too slow: {said}; surely more than {low:.3g} ms, tolerated up to {limit:.3g} ms."
        return MetricVerdict(metric=name, decision=Decision.ROLL_BACK, sentence=sentence, **facts)  # type: ignore[arg-type]
    if high is not None and high <= max(ratio * (bottom or 0.0), floor):
        sentence = f"{said[0].upper()}{said[1:]}; surely less than {high:.3g} ms, tolerated up to {limit:.3g} ms."
        return MetricVerdict(metric=name, decision=Decision.SHIP, sentence=sentence, more=0, **facts)  # type: ignore[arg-type]
    more = _until_bounded(candidate.n, allowed) if high is None else candidate.n
    return MetricVerdict(
        metric=name, decision=Decision.WAIT, sentence=f"{said}; not enough to tell from {limit:.3g} ms.", more=more,
        **facts,  # type: ignore[arg-type]
    )  # fmt: skip


def _at(arm: Latency, rank: float | None) -> float | None:
    return None if rank is None else arm.quantile(rank)


def _until_bounded(n: int, allowed: Budget) -> int:
    """How many more answers until the 99th of 100 has an upper bound."""
    wanted = max(n, 256)
    while quantile_ranks(P99, wanted, alpha=allowed.ship / 2)[1] is None:
        wanted = ceil(wanted * 1.25)
    return max(wanted - n, 1)


def _disagreement(values: Sums | None, margin: float, allowed: Budget) -> MetricVerdict:
    """Its mean over requests, each between 0 and 1: exact at every size."""
    name = "disagreement"
    if values is None:
        return _blind(name, margin, "How often the two decide otherwise could not be measured.")
    if values.n == 0:
        return _unmeasured(name, margin, "No request has been answered by both yet.")
    found = _Interval(
        values.mean,
        share_at_least(values.total, values.n, alpha=allowed.back),
        share_at_most(values.total, values.n, alpha=allowed.ship),
    )
    return _judged(name, found, margin, values.n, f"The two decide otherwise for {values.mean:.2%} of rows", unit="%")


def _score(seen: StageEvidence, margin: float, allowed: Budget) -> MetricVerdict:
    """Either way is a shift, so a rollback has half of the chance on each side."""
    name = "score"
    if seen.score is None or seen.score.reason:
        return _blind(
            name, margin, (seen.score and seen.score.reason) or "The scores of the two could not be compared."
        )
    if _size(seen.score) < FEWEST:
        return _few(name, margin, _size(seen.score), "scores")
    if not seen.score_unit > 0:
        return _blind(name, margin, "The champion's scores do not vary, so the two could not be compared.")
    aim = (margin or NO_MARGIN) * seen.score_unit
    back = _compare(seen.score, allowed.back / 2, aim)
    ship = _compare(seen.score, allowed.ship, aim)
    if back is None or ship is None:
        return _few(name, margin, _size(seen.score), "scores")
    estimate, low, high = (value / seen.score_unit for value in back)
    below, above = ship[1] / seen.score_unit, ship[2] / seen.score_unit
    up = estimate >= 0
    found = _Interval(abs(estimate), max(low if up else -high, -abs(estimate)), max(above, -below))
    said = f"Its mean score is {'higher' if up else 'lower'} by {abs(estimate):.3g}"
    return _judged(name, found, margin, _size(seen.score), said)


def _quality(seen: StageEvidence, margin: float, allowed: Budget) -> MetricVerdict:
    name = "quality"
    if seen.quality is None or seen.quality.reason:
        return _blind(
            name, margin, (seen.quality and seen.quality.reason) or "How good answers were could not be measured."
        )
    n = _size(seen.quality)
    if n == 0:
        due = f"{seen.matured:,} answers are old enough for one" if seen.matured else "no answer is old enough for one"
        return _unmeasured(name, margin, f"No label has come yet; {due}.")
    unit = seen.quality_unit
    if unit is None or not isfinite(unit) or unit <= 0:
        return _blind(name, margin, "The champion's own loss is not known, so no share of it can be tolerated.")
    aim = (margin or NO_MARGIN) * unit
    back, ship = _compare(seen.quality, allowed.back, aim), _compare(seen.quality, allowed.ship, aim)
    if back is None or ship is None:
        return _few(name, margin, n, "labelled answers")
    found = _Interval(back[0] / unit, back[1] / unit, ship[2] / unit)
    said = f"On {n:,} labelled requests its loss is {'higher' if back[0] > 0 else 'lower'} by {abs(found.estimate):.3g}"
    return _judged(name, found, margin, n, said)


def _fairness(seen: StageEvidence, margin: float, allowed: Budget) -> MetricVerdict:
    """The group for which things look worst speaks; each has its part of the rollback's chance."""
    name, each = "fairness", allowed.back / len(seen.fairness)
    judged: list[MetricVerdict] = []
    for group, pair in seen.fairness.items():
        if pair.reason:
            judged.append(_blind(name, margin, pair.reason))
            continue
        back, ship = _compare(pair, each, margin or NO_MARGIN), _compare(pair, allowed.ship, margin or NO_MARGIN)
        if back is None or ship is None:
            judged.append(_few(name, margin, _size(pair), f"answers for {group}"))
            continue
        found = _Interval(-back[0], -back[2], -ship[1])  # decided for less often is worse
        said = f"{group} is decided for {'less' if found.estimate > 0 else 'more'} often by {abs(found.estimate):.2%}"
        judged.append(_judged(name, found, margin, _size(pair), said, unit="%"))
    order = (Decision.ROLL_BACK, Decision.CANNOT_TELL, Decision.WAIT, Decision.SHIP)
    return min(judged, key=lambda verdict: (order.index(verdict.decision), -(verdict.high or 0.0)))


def _compare(pair: Pair, alpha: float, aim: float) -> tuple[float, float, float] | None:
    """(candidate less champion, surely at least, surely at most)"""
    if pair.paired is not None:
        return paired(pair.paired, alpha=alpha, aim=aim)
    return difference(pair.champion, pair.candidate, alpha=alpha, aim=aim)


def _size(pair: Pair) -> int:
    return pair.candidate.n if pair.paired is None else pair.paired.n


def _judged(name: str, found: _Interval, margin: float, n: int, said: str, *, unit: str = "") -> MetricVerdict:
    """Surely worse than tolerated, surely no worse, or how many requests would tell."""
    if not all(isfinite(value) for value in (found.estimate, found.least, found.most)):
        return _blind(name, margin, f"{name} could not be computed: a value is not finite.")
    bounds = (
        f"surely {_number(found.least, unit)} to {_number(found.most, unit)}, tolerated up to {_number(margin, unit)}"
    )
    decision, more = Decision.WAIT, None
    if found.least > margin:
        decision = Decision.ROLL_BACK
    elif found.most <= margin:
        decision, more = Decision.SHIP, 0
    else:
        more = _more(found, margin, n)
    return MetricVerdict(
        metric=name, decision=decision, sentence=f"{said} ({bounds}).", measured=found.estimate, low=found.least,
        high=found.most, margin=margin, n=n, more=more,
    )  # fmt: skip


def _more(found: _Interval, margin: float, n: int) -> int:
    """Bounds close in with the root of what came; half of the margin's distance is the least that anybody can plan for."""
    if found.estimate <= margin:
        gap, radius = margin - found.estimate, found.most - found.estimate
    else:
        gap, radius = found.estimate - margin, found.estimate - found.least
    gap = max(gap, 0.1 * margin, 1e-4)
    return int(min(max(ceil(n * (radius / gap) ** 2) - n, 1), MOST))


def _number(value: float, unit: str) -> str:
    return f"{value:.2%}" if unit == "%" else f"{value:.3g}"


def _blind(name: str, margin: float, sentence: str) -> MetricVerdict:
    return MetricVerdict(metric=name, decision=Decision.CANNOT_TELL, sentence=sentence, margin=margin)


def _unmeasured(name: str, margin: float, sentence: str) -> MetricVerdict:
    return MetricVerdict(metric=name, decision=Decision.WAIT, sentence=sentence, margin=margin)


def _few(name: str, margin: float, n: int, what: str) -> MetricVerdict:
    sentence = f"{n:,} {what} are too few to compare; {FEWEST} of each version are the least."
    return MetricVerdict(
        metric=name, decision=Decision.WAIT, sentence=sentence, margin=margin, n=n, more=max(FEWEST - n, 1)
    )


def _listed(names: Iterator[str]) -> str:
    *first, last = [name.replace("_", " ") for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def _long(length: timedelta | None) -> str:
    seconds = length.total_seconds() if length is not None else 0.0
    for unit, size in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} {unit}"
    return f"about {max(seconds, 1):.0f} seconds"
