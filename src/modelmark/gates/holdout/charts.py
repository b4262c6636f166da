"""The pictures of the holdout gate: every figure with its interval, and how the model is right and wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Figure
from modelmark.domain.metrics import Task
from modelmark.domain.theme import ACCENT, CATEGORICAL
from modelmark.gates.common.charts import WIDTH, figure, rounded
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import LabelledPredictions

_POINTS: Final = 800  # as many as can be told apart, and as the ledger should keep


def intervals(name: str, shown: Mapping[str, Interval]) -> Figure:
    """The model and its challengers on one axis, each a dot with its interval, written beside it."""
    rows = [
        {
            "who": who,
            "estimate": rounded(found.estimate),
            "low": rounded(found.low),
            "high": rounded(found.high),
            "text": f"{found.estimate:.4g}",
            "ours": place == 0,
        }
        for place, (who, found) in enumerate(shown.items())
    ]
    colour = {"condition": {"test": "datum.ours", "value": ACCENT}, "value": CATEGORICAL[-1]}
    y = {"field": "who", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x = {"field": "estimate", "type": "quantitative", "title": name, "scale": {"zero": False}}
    return figure(
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


def quality(contract: Contract, judged: LabelledPredictions) -> Iterator[Figure]:
    """How the model is right and wrong: ROC curve and confusion for classes, answers against truth for values."""
    if judged.task is Task.REGRESSION:
        yield _answers(judged, contract.outputs.unit)
        return
    if judged.task is Task.BINARY:
        yield _roc(judged)
    yield _confusion(judged, [class_text(c) for c in contract.outputs.classes])


def _roc(judged: LabelledPredictions) -> Figure:
    score = judged.scores[:, judged.positive]
    order = np.argsort(-score, kind="stable")
    positive = np.asarray(judged.y_true)[order] == judged.positive
    last = np.flatnonzero(np.r_[score[order][1:] != score[order][:-1], True])
    found = np.r_[0, np.cumsum(positive)[last]] / max(positive.sum(), 1)
    alarms = np.r_[0, np.cumsum(~positive)[last]] / max((~positive).sum(), 1)
    kept = np.unique(np.linspace(0, len(found) - 1, min(len(found), 200)).astype(int))
    rows = [{"false": rounded(alarms[i]), "true": rounded(found[i])} for i in kept]
    said = judged.decisions() == judged.positive
    y_true = np.asarray(judged.y_true) == judged.positive
    here = {"false": rounded(said[~y_true].mean()), "true": rounded(said[y_true].mean()), "text": "threshold"}
    x = {"field": "false", "type": "quantitative", "title": "false positive rate", "scale": {"domain": [0, 1]}}
    y = {"field": "true", "type": "quantitative", "title": "true positive rate", "scale": {"domain": [0, 1]}}
    return figure(
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


def _confusion(judged: LabelledPredictions, classes: Sequence[str]) -> Figure:
    size = len(classes)
    counts = np.bincount(np.asarray(judged.y_true, dtype=np.int64) * size + judged.decisions(), minlength=size**2)
    shares = counts.reshape(size, size) / np.maximum(counts.reshape(size, size).sum(axis=1, keepdims=True), 1)
    rows = [
        {
            "truth": classes[i],
            "decision": classes[j],
            "share": rounded(shares[i, j]),
            "text": f"{counts[i * size + j]:,}",
        }
        for i in range(size)
        for j in range(size)
    ]
    x = {"field": "decision", "type": "nominal", "sort": None, "title": "decided", "axis": {"labelAngle": 0}}
    y = {"field": "truth", "type": "nominal", "sort": None, "title": "truth"}
    fill = {"field": "share", "type": "quantitative", "legend": None, "scale": {"domain": [0, 1]}}
    text = {"condition": {"test": "datum.share > 0.45", "value": "#fff"}, "value": "#111"}
    return figure(
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


def _answers(judged: LabelledPredictions, unit: str | None) -> Figure:
    count = len(judged.y_true)
    kept = np.sort(np.random.default_rng(0).choice(count, min(count, _POINTS), replace=False))
    rows = [{"truth": rounded(float(judged.y_true[i])), "answer": rounded(judged.scores[i, 0])} for i in kept]
    low, high = (float(f(np.r_[judged.y_true, judged.scores[:, 0]])) for f in (np.min, np.max))
    tail = f" ({unit})" if unit else ""
    x = {"field": "truth", "type": "quantitative", "title": "truth" + tail}
    y = {"field": "answer", "type": "quantitative", "title": "answer" + tail}
    return figure(
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
