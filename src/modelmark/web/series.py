"""The numbers behind the charts and sentences, as JSON values; a page and its live updates share them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modelmark.domain.finding import Finding
from modelmark.journal.timeline import Slot, Span
from modelmark.web import sentences
from modelmark.web.source import SPANS, Source, newest_windows


def overview(source: Source) -> dict[str, Any]:
    """Is anything wrong? One entry per model, and the sentence for all of them."""
    end = source.clock()
    length, seconds = SPANS["15m"]
    alerts = source.alerts()
    models = []
    for model in source.models():
        champion = source.champion(model)
        span = source.span(model, end - length, end)
        slots = source.slots(model, end - length, end, seconds)
        own = [alert for alert in alerts if alert.model == model]
        models.append(
            {
                "name": model,
                "champion": champion.label if champion else None,
                "alerts": [_alert(alert) for alert in own],
                "per_second": round(span.requests / length.total_seconds(), 2),
                "requests": span.requests,
                "p99_ms": None if span.p99_micros is None else round(span.p99_micros / 1000, 2),
                "spark": [{"at": _ms(s.at), "per_second": s.requests / seconds} for s in slots],
            }
        )
    serving = sum(1 for model in models if model["champion"])
    return {"at": _ms(end), "sentence": sentences.overall(alerts, serving), "models": models, "open": len(alerts)}


def model(source: Source, name: str, span_name: str) -> dict[str, Any]:
    """Everything one model page shows for one span of time."""
    end = source.clock()
    length, seconds = SPANS[span_name]
    start = end - length
    findings = source.findings(name, start)
    span = source.span(name, start, end)
    refused = source.refused(name, start, end)
    slots = source.slots(name, start, end, seconds)
    reference = _score_shares(source, name)
    return {
        "at": _ms(end),
        "edges": [{"at": _ms(start)}, {"at": _ms(end)}],
        "marks": _marks(source, name, start),
        "alerts": [_alert(alert) for alert in source.alerts(name)],
        "refused": [{"code": code, "field": field, "count": n} for code, field, n in refused],
        "sentences": {
            "traffic": sentences.traffic(span, length.total_seconds(), sum(n for _, _, n in refused)),
            **_of_contract(source, name, span, reference),
            "quality": _says(findings, "quality", "inputs"),
            "drift": _says(findings, "drift", "inputs"),
            "performance": _says(findings, "performance", "metrics"),
        },
        "traffic": [{"at": _ms(slot.at), "per_second": slot.requests / seconds} for slot in slots],
        "latency": [_latency(slot) for slot in slots],
        "scores": _scores(span, reference),
        "quality": [_finding(f) for f in newest_windows(findings, "quality") if f.measured is not None],
        "drift": [_finding(f) for f in newest_windows(findings, "drift") if f.measured is not None],
        "performance": [_finding(f) for f in findings if f.monitor == "performance" and f.measured is not None],
    }


def _of_contract(source: Source, name: str, span: Span, reference: Sequence[float] | None) -> dict[str, str]:
    champion = source.champion(name)
    if champion is None:
        return dict.fromkeys(("latency", "scores"), "Nothing is released yet.")
    contract = source.contract_of(champion)
    return {
        "latency": sentences.latency(span, contract),
        "scores": sentences.scores(span, contract, reference),
    }


def _marks(source: Source, name: str, start: datetime) -> list[dict[str, Any]]:
    """Releases and alerts, for the thin vertical lines."""
    acts = [
        {"at": _ms(event.at), "kind": "release", "text": f"{event.act} {source.version(event.subject).label}"}
        for event in source.acts(name, start)
    ]
    alerts = [
        {"at": _ms(alert.opened_at), "kind": "alert", "text": alert.sentence}
        for alert in source.alerts(name, open_only=False)
        if alert.opened_at >= start
    ]
    return acts + alerts


def _says(findings: Sequence[Finding], monitor: str, what: str) -> str:
    nothing = (
        f"Cannot tell yet: no window of the {monitor} monitor has ended in this span. It runs with: modelmark steward"
    )
    return sentences.monitor([f for f in findings if f.monitor == monitor], what, nothing)


def _score_shares(source: Source, name: str) -> list[float] | None:
    champion = source.champion(name)
    found = source.score_reference(champion) if champion else None
    counts = (found or {}).get("score_shares")
    return list(counts) if counts else None


def _scores(span: Span, reference: Sequence[float] | None) -> list[dict[str, float | None]]:
    total, bins = sum(span.counts), len(span.counts)
    return [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "share": n / total,
            "reference": reference[i] if reference and len(reference) == bins else None,
        }
        for i, n in enumerate(span.counts)
    ]


def _latency(slot: Slot) -> dict[str, float]:
    return {"at": _ms(slot.at), "p50_ms": slot.p50_micros / 1000, "p99_ms": slot.p99_micros / 1000}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "at": _ms(finding.window.end),
        "subject": finding.subject,
        "outcome": finding.outcome.value,
        "measured": finding.measured,
        "low": finding.low,
        "high": finding.high,
        "limit": finding.limit,
        "n": finding.n,
        "sentence": finding.sentence,
    }


def _alert(alert: Any) -> dict[str, Any]:
    return {
        "monitor": alert.monitor,
        "subject": alert.subject,
        "sentence": alert.sentence,
        "opened_at": _ms(alert.opened_at),
        "count": alert.count,
    }


def _ms(at: datetime) -> int:
    """Milliseconds since the epoch, which browsers read without guessing a time zone."""
    return int(at.timestamp() * 1000)
