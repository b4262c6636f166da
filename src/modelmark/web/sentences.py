"""The one plain sentence that opens each panel. If we cannot tell, the sentence says so and what would settle it."""

from __future__ import annotations

from collections.abc import Sequence

from modelmark.domain.contract import Contract
from modelmark.domain.finding import Alert, Finding, Outcome
from modelmark.journal.timeline import Span


def overall(alerts: Sequence[Alert], serving: int) -> str:
    if not serving:
        return "Nothing is released yet."
    models = "1 model serves" if serving == 1 else f"{serving} models serve"
    if not alerts:
        return f"Nothing needs you: {models}, no alert is open."
    story = alerts[0].sentence
    return f"1 alert is open: {story}" if len(alerts) == 1 else f"{len(alerts)} alerts are open; the newest: {story}"


def traffic(span: Span, seconds: float, refused: int) -> str:
    if not span.requests:
        return "No request was answered in this span." + (f" {refused:,} were refused." if refused else "")
    rate = span.requests / seconds
    back = f" {span.fallbacks:,} rows were answered by a fallback." if span.fallbacks else ""
    answered = f"{span.requests:,} requests ({span.rows:,} rows) were answered, {rate:,.1f} a second"
    return f"{answered}; {refused:,} were refused.{back}"


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
    if not span.counts:
        return "Cannot tell: no row carries a score in this span."
    total, bins = sum(span.counts), len(span.counts)
    if contract.model.task != "binary":
        mean = sum((i + 0.5) / bins * n for i, n in enumerate(span.counts)) / total
        return f"The chosen class got a probability of about {mean:.0%} on average; n = {total:,}."
    edge = int(contract.outputs.threshold * bins)
    share = sum(span.counts[edge:]) / total
    then = f"; on the holdout {sum(reference[edge:]):.0%}" if reference else ""
    named = f"{contract.outputs.positive!r} (threshold {contract.outputs.threshold:g})"
    return f"{share:.0%} of rows were scored for {named}{then}; n = {total:,}."


def monitor(findings: Sequence[Finding], name: str, nothing: str) -> str:
    """One monitor's latest window: alerts first, else what it could not tell, else that all is well."""
    if not findings:
        return nothing
    latest = max(finding.window.end for finding in findings)
    now = [finding for finding in findings if finding.window.end == latest]
    alerts = sorted((f for f in now if f.outcome is Outcome.ALERT), key=lambda f: -(f.measured or 0))
    if alerts:
        rest = f" {len(alerts) - 1} more below." if len(alerts) > 1 else ""
        return alerts[0].sentence + rest
    unknown = [finding for finding in now if finding.outcome is Outcome.CANNOT_TELL]
    if len(now) == 1 or len(unknown) == len(now):
        return now[0].sentence
    n = max(finding.n for finding in now)
    return f"All {len(now)} {name} held their limits in the last window; n = {n:,}."
