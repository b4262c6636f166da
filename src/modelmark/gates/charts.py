"""The pictures in evidence, as Vega-Lite with their data inside. Look and colours come from `domain.theme`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Figure
from modelmark.domain.metrics import Task
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA
from modelmark.stats.bootstrap import Interval
from modelmark.stats.drift import Drift
from modelmark.stats.metrics import Judged

WIDTH: Final = 560
_POINTS: Final = 800  # as many as can be told apart, and as the ledger should keep


def _figure(title: str, spec: Mapping[str, Any]) -> Figure:
    return Figure(title=title, spec={"$schema": SCHEMA, "width": WIDTH, **spec})


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def intervals(name: str, shown: Mapping[str, Interval]) -> Figure:
    """The model and its rivals on one axis, each a dot with its interval, written beside it."""
    rows = [
        {
            "who": who,
            "estimate": _round(found.estimate),
            "low": _round(found.low),
            "high": _round(found.high),
            "text": f"{found.estimate:.4g}",
            "ours": place == 0,
        }
        for place, (who, found) in enumerate(shown.items())
    ]
    colour = {"condition": {"test": "datum.ours", "value": ACCENT}, "value": CATEGORICAL[-1]}
    y = {"field": "who", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x = {"field": "estimate", "type": "quantitative", "title": name, "scale": {"zero": False}}
    return _figure(
        f"{name[:1].upper()}{name[1:]} with its interval",
        {
            "data": {"values": rows},
            "height": {"step": 36},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 3},
                    "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colour},
                },
                {"mark": {"type": "point", "size": 90}, "encoding": {"y": y, "x": x, "color": colour}},
                {"mark": {"type": "text", "dy": -12}, "encoding": {"y": y, "x": x, "text": {"field": "text"}}},
            ],
        },
    )


def quality(contract: Contract, judged: Judged) -> Iterator[Figure]:
    """How the model is right and wrong: ROC curve and confusion for classes, answers against truth for values."""
    if judged.task is Task.REGRESSION:
        yield _answers(judged, contract.outputs.unit)
        return
    if judged.task is Task.BINARY:
        yield _roc(judged)
    yield _confusion(judged, [str(c) for c in contract.outputs.classes])


def _roc(judged: Judged) -> Figure:
    score = judged.scores[:, judged.positive]
    order = np.argsort(-score, kind="stable")
    positive = np.asarray(judged.truth)[order] == judged.positive
    last = np.flatnonzero(np.r_[score[order][1:] != score[order][:-1], True])
    found = np.r_[0, np.cumsum(positive)[last]] / max(positive.sum(), 1)
    alarms = np.r_[0, np.cumsum(~positive)[last]] / max((~positive).sum(), 1)
    kept = np.unique(np.linspace(0, len(found) - 1, min(len(found), 200)).astype(int))
    rows = [{"false": _round(alarms[i]), "true": _round(found[i])} for i in kept]
    said = judged.decisions() == judged.positive
    truth = np.asarray(judged.truth) == judged.positive
    here = {"false": _round(said[~truth].mean()), "true": _round(said[truth].mean()), "text": "threshold"}
    x = {"field": "false", "type": "quantitative", "title": "false positive rate", "scale": {"domain": [0, 1]}}
    y = {"field": "true", "type": "quantitative", "title": "true positive rate", "scale": {"domain": [0, 1]}}
    return _figure(
        "ROC curve",
        {
            "width": 320,
            "height": 320,
            "layer": [
                {
                    "data": {"values": [{"false": 0, "true": 0}, {"false": 1, "true": 1}]},
                    "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": CATEGORICAL[-1]},
                    "encoding": {"x": x, "y": y},
                },
                {
                    "data": {"values": rows},
                    "mark": {"type": "line", "color": ACCENT},
                    "encoding": {"x": x, "y": y, "order": {"field": "false"}},
                },
                {
                    "data": {"values": [here]},
                    "mark": {"type": "point", "size": 90, "color": CATEGORICAL[3]},
                    "encoding": {"x": x, "y": y},
                },
                {
                    "data": {"values": [here]},
                    "mark": {"type": "text", "align": "left", "dx": 9, "dy": 4},
                    "encoding": {"x": x, "y": y, "text": {"field": "text"}},
                },
            ],
        },
    )


def _confusion(judged: Judged, classes: Sequence[str]) -> Figure:
    size = len(classes)
    counts = np.bincount(np.asarray(judged.truth, dtype=np.int64) * size + judged.decisions(), minlength=size**2)
    shares = counts.reshape(size, size) / np.maximum(counts.reshape(size, size).sum(axis=1, keepdims=True), 1)
    rows = [
        {
            "truth": classes[i],
            "decision": classes[j],
            "share": _round(shares[i, j]),
            "text": f"{counts[i * size + j]:,}",
        }
        for i in range(size)
        for j in range(size)
    ]
    x = {"field": "decision", "type": "nominal", "sort": None, "title": "decided", "axis": {"labelAngle": 0}}
    y = {"field": "truth", "type": "nominal", "sort": None, "title": "truth"}
    fill = {"field": "share", "type": "quantitative", "legend": None, "scale": {"domain": [0, 1]}}
    text = {"condition": {"test": "datum.share > 0.45", "value": "#fff"}, "value": "#111"}
    return _figure(
        "Decisions against the truth, in rows",
        {
            "width": min(80 * size, WIDTH),
            "height": min(60 * size, 420),
            "data": {"values": rows},
            "encoding": {"x": x, "y": y},
            "layer": [
                {"mark": {"type": "rect", "stroke": "#80808066"}, "encoding": {"color": fill}},
                {"mark": "text", "encoding": {"text": {"field": "text"}, "color": text}},
            ],
        },
    )


def _answers(judged: Judged, unit: str | None) -> Figure:
    count = len(judged.truth)
    kept = np.sort(np.random.default_rng(0).choice(count, min(count, _POINTS), replace=False))
    rows = [{"truth": _round(float(judged.truth[i])), "answer": _round(judged.scores[i, 0])} for i in kept]
    low, high = (float(f(np.r_[judged.truth, judged.scores[:, 0]])) for f in (np.min, np.max))
    tail = f" ({unit})" if unit else ""
    x = {"field": "truth", "type": "quantitative", "title": "truth" + tail}
    y = {"field": "answer", "type": "quantitative", "title": "answer" + tail}
    return _figure(
        f"Answers against the truth, {len(kept):,} of {count:,} rows",
        {
            "width": 360,
            "height": 320,
            "layer": [
                {
                    "data": {"values": rows},
                    "mark": {"type": "point", "opacity": 0.35, "size": 20, "color": ACCENT},
                    "encoding": {"x": x, "y": y},
                },
                {
                    "data": {"values": [{"truth": low, "answer": low}, {"truth": high, "answer": high}]},
                    "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": CATEGORICAL[3]},
                    "encoding": {"x": x, "y": y},
                },
            ],
        },
    )


def shifts(found: Mapping[str, Drift], limit: float, most: int = 25) -> Figure:
    """Distance per column with its interval; a grey tick marks what chance alone stays below, a line the limit."""
    worst = sorted(found, key=lambda name: -found[name].distance)[:most]
    rows = [
        {
            "column": name,
            "distance": _round(found[name].distance),
            "low": _round(found[name].low),
            "high": _round(found[name].high),
            "chance": _round(found[name].cut),
        }
        for name in worst
    ]
    y = {"field": "column", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x = {"field": "distance", "type": "quantitative", "title": "Jensen-Shannon distance", "scale": {"zero": True}}
    more = "" if len(found) <= most else f", the {most} largest of {len(found)}"
    return _figure(
        f"Shift from train to holdout per input{more}",
        {
            "height": {"step": 22},
            "data": {"values": rows},
            "encoding": {"y": y},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                    "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
                },
                {"mark": {"type": "point", "color": ACCENT}, "encoding": {"x": x}},
                {
                    "mark": {"type": "tick", "thickness": 2, "color": CATEGORICAL[-1], "size": 14},
                    "encoding": {"x": {**x, "field": "chance"}},
                },
                {
                    "mark": {"type": "rule", "strokeDash": [4, 4], "color": CATEGORICAL[3]},
                    "encoding": {"x": {"datum": limit}, "y": {"value": 0}, "y2": {"value": "height"}},
                },
            ],
        },
    )


def latencies(milliseconds: Sequence[float], p99: float, limit: float) -> Figure:
    """How long answers took, with the 99th percentile and the limit."""
    top = max(limit * 1.1, p99 * 1.1) if limit < 4 * p99 else p99 * 1.5  # a far limit would flatten the picture
    shown = [_round(min(v, top)) for v in milliseconds]
    counts, edges = np.histogram(shown, bins=40, range=(0.0, top))
    rows = [
        {"from": _round(edges[i]), "to": _round(edges[i + 1]), "requests": int(counts[i])} for i in range(len(counts))
    ]
    x = {"field": "from", "type": "quantitative", "title": "latency (ms, from the moment it was due)", "bin": "binned"}
    marks = [(p99, "p99", CATEGORICAL[-1]), (limit, "limit", CATEGORICAL[3])]
    marks = [mark for mark in marks if mark[0] <= top]
    return _figure(
        f"Latency of {len(shown):,} requests",
        {
            "height": 180,
            "layer": [
                {
                    "data": {"values": rows},
                    "mark": {"type": "bar", "color": ACCENT},
                    "encoding": {"x": x, "x2": {"field": "to"}, "y": {"field": "requests", "type": "quantitative"}},
                },
                *(
                    {
                        "data": {"values": [{"at": _round(at), "name": name}]},
                        "layer": [
                            {
                                "mark": {"type": "rule", "color": colour, "strokeDash": [4, 4]},
                                "encoding": {"x": {"field": "at", "type": "quantitative"}},
                            },
                            {
                                "mark": {"type": "text", "align": "right", "dx": -4, "dy": 8},
                                "encoding": {
                                    "x": {"field": "at", "type": "quantitative"},
                                    "y": {"value": 0},
                                    "text": {"field": "name"},
                                },
                            },
                        ],
                    }
                    for at, name, colour in marks
                ),
            ],
        },
    )
