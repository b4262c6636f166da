"""The numbers behind the charts and sentences, as JSON values; a page and its live updates share them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

import numpy as np

from modelmark.domain.alerts.harm import severity_of
from modelmark.domain.audit import Act, Event
from modelmark.domain.finding import Alert, Finding, Outcome
from modelmark.domain.metrics import Task
from modelmark.domain.version import Version
from modelmark.journal.tables.timeline import Slot, Span, Timeline
from modelmark.web import links, sentences
from modelmark.web.periods import Period, named
from modelmark.web.queries import Queries

#: How many inputs a chart of inputs shows, the furthest first.
DRAWN: Final = 12
POINTS: Final = 400  # of a line over time
BINS: Final = 20
#: Of a processor that one open page may take for being told anew.
SHARE: Final = 0.2


def overview(queries: Queries) -> dict[str, Any]:
    """Is anything wrong? The sentence, and one entry per model; those that need somebody come first."""
    end = queries.clock()
    alerts = [alert for alert in queries.alerts() if not alert.is_snoozed(end)]
    champions = queries.champions()
    models = [
        _card(queries, model, champions.get(model), end, [a for a in alerts if a.model == model])
        for model in queries.models()
    ]
    models.sort(key=lambda entry: (-entry["open"], entry["champion"] is None, entry["name"]))
    serving = sum(1 for entry in models if entry["champion"])
    fault = queries.disk() or queries.unwatched()
    return {
        "at": ms(end),
        "sentence": sentences.whole(fault) if fault else sentences.overall(alerts, len(models), serving),
        "models": {entry["name"]: entry for entry in models},
        "open": len(alerts) + (fault is not None),
    }


def _card(
    queries: Queries, model: str, champion: Version | None, end: datetime, alerts: Sequence[Alert]
) -> dict[str, Any]:
    lately = named("15m", end)
    start, seconds = lately.start, lately.seconds
    seen = queries.timeline(model, start, end, seconds, (0.0, 1.0))
    return {
        "name": model,
        "champion": champion.label if champion else None,
        "open": len(alerts),
        "says": sentences.card(alerts, champion is not None),
        "requests": f"{seen.span.requests:,}",
        "rate": sentences.rate(seen.span.requests, lately.length.total_seconds()) if seen.span.requests else "none",
        "p99_ms": None if seen.span.p99_micros is None else f"{seen.span.p99_micros / 1000:,.2f}",
        "spark": _rates(seen.slots, start, end, seconds) if seen.slots else [],
    }


def model(queries: Queries, name: str, period: Period) -> dict[str, Any]:
    """Everything one model page shows for one span of time. wait: milliseconds until it may ask again."""
    began, start, end, seconds = time.perf_counter(), period.start, period.end, period.seconds
    champion = queries.champion(name)
    ends = _ends(queries, champion)
    seen = queries.timeline(name, start, end, seconds, ends)
    refused = queries.refused(name, start, end)
    reference = _score_shares(queries, champion, ends) if champion else None
    looks = {m: queries.last_look(champion, m) if champion else [] for m in ("drift", "quality", "performance")}
    acts = queries.acts(name, start)
    performance = [f for f in queries.performance(name, start) if f.measured is not None]
    every = timedelta(seconds=queries.contract_of(champion).monitors.every_seconds if champion else 0)
    stale = {m: sentences.stale([f.window.end for f in found], queries.clock(), every) for m, found in looks.items()}
    shown = {m: _furthest(looks[m]) for m in ("drift", "quality")}
    return {
        "at": ms(end),
        "wait": min(30_000, ceil((time.perf_counter() - began) * 1000 / SHARE)),
        "edges": [{"at": ms(start)}, {"at": ms(end)}],
        "marks": marks(queries, name, start, acts),
        "arms": _arms(queries, name, period, seen),
        "inputs": [item.name for item in queries.contract_of(champion).inputs] if champion else [],
        "alerts": [alert(one, end) for one in sorted(queries.alerts(name), key=lambda one: one.is_snoozed(end))],
        "refused": [{"code": code, "field": field, "count": n} for code, field, n in refused],
        "sentences": {
            "traffic": sentences.traffic(seen.span, period.length.total_seconds(), sum(n for _, _, n in refused)),
            **_of_contract(queries, champion, seen.span, reference),
            **{m: stale[m] + sentences.monitor(looks[m], _no_look(m, champion)) for m in looks},
            "performance": " ".join(
                [
                    stale["performance"] + sentences.monitor(looks["performance"], _no_look("performance", champion)),
                    *_estimated(queries, champion),
                    *_left(performance, acts, champion),
                ]
            ),
        },
        "rest": {m: sentences.rest(left, percent=m == "quality") for m, (_, left) in shown.items()},
        "traffic": links.slots(_rates(seen.slots, start, end, seconds, empty=False), name, seconds),
        "latency": links.slots(_latencies(seen.slots, seconds), name, seconds, middle=True),
        "scores": links.bins(_scores(seen, ends, reference), name, period.between),
        "quality": [_of_input(f, name, period) for f in shown["quality"][0]],
        "drift": [_of_input(f, name, period) for f in shown["drift"][0]],
        "performance": [
            {
                **point(f),
                "version": f.version.short,
                "serves": champion is not None and f.version == champion.id,
                "href": links.rows_of(name, version=f.version.hex, label="any", to=f.window.end.isoformat()),
            }
            for f in performance[:: max(1, len(performance) // POINTS)]
        ],
    }


def _of_input(finding: Finding, model: str, period: Period) -> dict[str, Any]:
    """A finding with where it leads: to the page of its input, what callers were told, or the rows that have a score."""
    if finding.subject == "requests":
        href = f"/models/{model}/refusals?{period.query}"
    elif finding.column and finding.subject != "score":
        href = links.input_of(model, finding.subject, period.query)
    else:
        href = links.rows_of(model, **period.between)
    return {**point(finding), "href": href}


def _of_contract(
    queries: Queries, champion: Version | None, span: Span, reference: Sequence[float] | None
) -> dict[str, str]:
    if champion is None:
        return dict.fromkeys(("latency", "scores"), sentences.NOTHING_RELEASED)
    contract = queries.contract_of(champion)
    return {
        "latency": sentences.latency(span, contract),
        "scores": sentences.scores(span, contract, reference),
    }


def _no_look(monitor: str, champion: Version | None) -> str:
    if champion is None:
        return sentences.NOTHING_RELEASED
    return f"Cannot tell yet: the {monitor} monitor has not looked at {champion.label}. It runs with: modelmark steward"


def _furthest(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """What is drawn, alerts and then the furthest first, and what is left out."""
    found = [finding for finding in findings if finding.measured is not None]
    found.sort(key=lambda f: (f.outcome is not Outcome.ALERT, -(f.measured or 0.0), -(f.high or 0.0), f.subject))
    return found[:DRAWN], found[DRAWN:]


def _estimated(queries: Queries, champion: Version | None) -> list[str]:
    """What is to be expected while labels lack, where its assumptions hold."""
    found = queries.last_look(champion, "estimate") if champion else []
    return [f.sentence for f in found if f.outcome is not Outcome.CANNOT_TELL]


def _left(performance: Sequence[Finding], acts: Sequence[Event], champion: Version | None) -> list[str]:
    """What the labels of versions say that serve no more, since the last act moved traffic; each of them once."""
    since = acts[-1].at if acts else None
    latest = {f.version: f for f in performance if since is None or f.window.end > since}
    return [f.sentence for f in latest.values() if champion is None or f.version != champion.id]


def marks(queries: Queries, name: str, start: datetime, acts: Sequence[Event]) -> list[dict[str, Any]]:
    """Releases, rollbacks and alerts, for the thin vertical lines."""
    found = []
    for event in acts:
        label, back = queries.version(event.subject).label, event.act == Act.ROLLED_BACK
        kind, shown = ("rollback", f"↩ {label}") if back else ("release", label)
        found.append({"at": ms(event.at), "kind": kind, "label": shown, "text": f"{event.act}: {label}"})
    for alert in queries.alerts(name, open_only=False):
        if alert.opened_at >= start:
            found.append({"at": ms(alert.opened_at), "kind": "alert", "label": "✕", "text": alert.sentence})
    return found


def _arms(queries: Queries, name: str, period: Period, seen: Timeline) -> list[dict[str, Any]]:
    """What answers now, side by side: the champion first. performance: the last word of its monitor about each."""
    route = queries.route(name)
    arms = list(route.answering) if route else []
    if not arms:
        return []
    rows = []
    for arm in arms:
        version, did = queries.version(arm.version), seen.arms.get(arm.version.hex)
        judged = [f for f in queries.last_look(version, "performance") if f.measured is not None]
        rows.append(
            {
                "label": version.label,
                "arm": arm.name,
                "rows": links.rows_of(name, version=version.label, **period.between),
                "others": links.rows_of(name, version=version.label, path="fallback", **period.between),
                "refusals": links.refusals_of(name, period.query, version=version.label),
                "judged": links.rows_of(name, version=version.label, label="any"),
                "weight": f"{arm.weight:.0%}",
                "requests": f"{did.requests:,}" if did else "0",
                "p50_ms": _ms(did.p50_micros if did else None),
                "p99_ms": _ms(did.p99_micros if did else None),
                "score": f"{did.mean_score:.4g}" if did and did.mean_score is not None else "–",
                "fallbacks": f"{did.fallbacks:,}" if did else "0",
                "refused": f"{sum(n for _, _, n in queries.refused(name, period.start, period.end, version=version)):,}",
                "performance": _judged(judged[-1]) if judged else "no label yet",
            }
        )
    return rows


def _judged(found: Finding) -> str:
    ends = f" [{found.low:.4g}, {found.high:.4g}]" if found.low is not None and found.high is not None else ""
    return f"{found.measured:.4g}{ends}, n = {found.n:,}"


def _ends(queries: Queries, champion: Version | None) -> tuple[float, float]:
    """The range in which scores are counted: probabilities in [0, 1], values where the holdout's lay."""
    if champion is None or queries.contract_of(champion).model.task is not Task.REGRESSION:
        return 0.0, 1.0
    edges = queries.score_reference(champion).edges
    if len(edges) < 2:
        return 0.0, 1.0
    step = float(edges[-1] - edges[0]) / (BINS - 2)  # the outermost bins take what lies outside
    return float(edges[0]) - step, float(edges[-1]) + step


def _score_shares(queries: Queries, champion: Version, ends: tuple[float, float]) -> list[float]:
    """The holdout's scores in BINS of equal width, spread evenly within the reference's own bins."""
    column = queries.score_reference(champion)
    counts = column.histogram(column.counts)[: len(column.edges) + 1]
    below = np.concatenate([[0], np.cumsum(counts)]) / max(1, counts.sum())
    edges = np.concatenate([[ends[0]], column.edges, [ends[1]]])
    return [float(share) for share in np.diff(np.interp(np.linspace(*ends, BINS + 1), edges, below)).round(6)]


def _scores(seen: Timeline, ends: tuple[float, float], reference: Sequence[float] | None) -> list[dict[str, Any]]:
    counts = seen.span.counts
    total, step = sum(counts), (ends[1] - ends[0]) / BINS
    return [
        {
            "low": ends[0] + i * step,
            "high": ends[0] + (i + 1) * step,
            "share": n / total,
            "reference": reference[i] if reference else None,
        }
        for i, n in enumerate(counts)
    ]


def _rates(
    slots: Sequence[Slot], start: datetime, end: datetime, seconds: int, *, empty: bool = True
) -> list[dict[str, float]]:
    """Requests a second in every bucket. The last one is measured over what has passed of it, once that is a quarter.

    empty: also buckets in which nothing was answered.
    """
    known = {ms(slot.at): slot.requests for slot in slots}
    if not known:
        return []
    rates = []
    for at in range(ms(start), ms(end), seconds * 1000):
        passed = min(seconds, (ms(end) - at) / 1000)
        if passed >= seconds / 4 and (empty or at in known):
            rates.append({"at": at, "end": at + passed * 1000, "per_second": known.get(at, 0) / passed})
    return rates


def _latencies(slots: Sequence[Slot], seconds: int) -> list[dict[str, float | None]]:
    """In the middle of each bucket. `run` changes where buckets without requests lie between, so no line crosses them."""
    points: list[dict[str, float | None]] = []
    run, last = 0, None
    for slot in slots:
        run += last is not None and slot.at - last > timedelta(seconds=1.5 * seconds)
        last = slot.at
        at = ms(slot.at) + seconds * 500
        points.append(
            {
                "at": at,
                "p50_ms": slot.p50_micros and slot.p50_micros / 1000,
                "p99_ms": slot.p99_micros and slot.p99_micros / 1000,
                "n": slot.requests,
                "run": run,
            }
        )
    return points


def point(finding: Finding) -> dict[str, Any]:
    return {
        "at": ms(finding.window.end),
        "subject": "refused requests" if finding.subject == "requests" else finding.subject,
        "outcome": finding.outcome.value,
        "measured": finding.measured,
        "low": finding.low,
        "high": finding.high,
        "limit": finding.limit,
        "n": finding.n,
        "sentence": finding.sentence,
    }


def alert(alert: Alert, now: datetime) -> dict[str, Any]:
    return {
        "id": alert.id,
        "model": alert.model,
        "monitor": alert.monitor,
        "subject": alert.subject,
        "about": alert.about,
        "sentence": alert.sentence,
        "opened": alert.opened_at.isoformat(),
        "count": alert.count,
        "subjects": list(alert.subjects),
        "handling": alert.handling,
        "snoozed": alert.is_snoozed(now),
        "closed": alert.closed_at.isoformat() if alert.closed_at else None,
        "ended": alert.details.ended,
        "severity": severity_of(alert).value,
        "rated": alert.details.rated,
    }


def precision(report: Any) -> dict[str, Any]:
    """report: of the use case that reckons it."""

    def one(found: Any) -> dict[str, Any]:
        names = ("name", "alerts", "rated", "useful", "share", "low", "high")
        return {name: getattr(found, name) for name in names}

    return {
        "since": report.since.isoformat(), "until": report.until.isoformat(), "sentence": report.sentence,
        "total": one(report.total), "monitors": [one(found) for found in report.monitors],
        "models": [one(found) for found in report.models],
    }  # fmt: skip


def ms(at: datetime) -> int:
    """Milliseconds since the epoch, which browsers read without guessing a time zone."""
    return round(at.timestamp() * 1000)


def _ms(micros: float | None) -> str:
    """A dash where nobody waited."""
    return "–" if micros is None else f"{micros / 1000:,.2f}"
