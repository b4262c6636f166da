"""One input of a model over time: how far it was from training, how many values were at fault, and both histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from modelmark.domain.errors import Missing
from modelmark.domain.finding import Finding
from modelmark.domain.version import Version
from modelmark.stats.profile import Column, Counts
from modelmark.web import links, series
from modelmark.web.periods import Period
from modelmark.web.queries import Queries

#: Texts that a histogram shows, the most frequent first.
SHOWN: Final = 20


def one_input(queries: Queries, model: str, name: str, period: Period) -> dict[str, Any]:
    """Everything an input's page shows. Raises Missing where nothing serves, or what serves has no such input."""
    champion = queries.champion(model)
    column = queries.reference(champion).columns.get(name) if champion else None
    if champion is None or column is None or name not in {item.name for item in queries.contract_of(champion).inputs}:
        raise Missing("there is no such input", code="NO_INPUT", field="name", limit="an input of what serves")
    looks = {monitor: _looks(queries, champion, name, monitor, period) for monitor in ("drift", "quality")}
    counts = queries.counts(champion, name, period.start, period.end)
    return {
        "at": series.ms(period.end),
        "edges": [{"at": series.ms(period.start)}, {"at": series.ms(period.end)}],
        "marks": series.marks(queries, model, period.start, queries.acts(model, period.start)),
        "sentences": {
            **{monitor: _said(found) for monitor, found in looks.items()},
            "values": _counted(column, counts),
        },
        **{
            monitor: [{**series.point(f), "version": champion.label, "serves": True} for f in found]
            for monitor, found in looks.items()
        },
        "values": [] if counts is None else links.values(_bars(column, counts), model, name, period.between),
    }


def _looks(queries: Queries, version: Version, name: str, monitor: str, period: Period) -> Sequence[Finding]:
    found = queries.findings(version, monitor, period.start)
    mine = [f for f in found if f.subject == name and f.measured is not None and f.window.end <= period.end]
    return mine[:: max(1, len(mine) // series.POINTS)]


def _said(found: Sequence[Finding]) -> str:
    return found[-1].sentence if found else "Cannot tell: no look at this input lies in this span."


def _counted(column: Column, counts: Counts | None) -> str:
    rows = 0 if counts is None else int(column.histogram(counts).sum())
    if counts is None or not rows:
        return "Cannot tell: no row of this span has been counted."
    gone = column.missing(counts)
    return f"{rows:,} rows of this span beside {int(column.histogram(column.counts).sum()):,} of training; {gone:,} missing."


def _bars(column: Column, counts: Counts) -> list[dict[str, Any]]:
    """Shares now and in training: of bins with their ends, of texts by name."""
    now, then = (column.histogram(each).astype(float) for each in (counts, column.counts))
    now, then = now / max(1.0, now.sum()), then / max(1.0, then.sum())
    if not column.numeric:
        names = [*column.values, "others", "missing"]
        order = sorted(range(len(names)), key=lambda i: -max(now[i], then[i]))[:SHOWN]
        told = len(names) - 2  # the others are no value of their own
        return [
            {"value": names[i], "share": now[i], "reference": then[i], **({"known": False} if i == told else {})}
            for i in order
            if now[i] or then[i]
        ]
    edges = np.asarray(column.edges, dtype=float)
    step = float(np.median(np.diff(edges))) if len(edges) > 1 else 1.0
    ends = np.concatenate([[edges[0] - step], edges, [edges[-1] + step]]) if len(edges) else np.array([0.0, 1.0])
    return [
        {"low": float(ends[i]), "high": float(ends[i + 1]), "share": now[i], "reference": then[i]}
        for i in range(len(ends) - 1)
    ]
