"""Pictures of what decisions cost."""

from __future__ import annotations

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA
from modelmark.stats.thresholds import Curve


def cost_by_threshold(found: Curve, threshold: float, where: str, n: int) -> Figure:
    """The mean cost per row at each threshold with its pointwise band; the contract's threshold is a line."""
    rows = [
        {"threshold": float(f"{t:.4g}"), "cost": float(f"{c:.5g}"), "low": float(f"{a:.5g}"), "high": float(f"{b:.5g}")}
        for t, c, a, b in zip(found.threshold, found.cost, found.low, found.high, strict=True)
    ]
    x = {"field": "threshold", "type": "quantitative", "title": "threshold", "scale": {"domain": [0, 1]}}
    y = {"field": "cost", "type": "quantitative", "title": "expected cost per row"}
    mark = [{"threshold": threshold, "name": f"the contract's, {threshold:g}"}]
    spec = {
        "$schema": SCHEMA,
        "width": 560,
        "height": 240,
        "layer": [
            {
                "data": {"values": rows},
                "layer": [
                    {
                        "mark": {"type": "area", "opacity": 0.25, "color": ACCENT},
                        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
                    },
                    {"mark": {"type": "line", "color": ACCENT}, "encoding": {"x": x, "y": y}},
                ],
            },
            {
                "data": {"values": mark},
                "layer": [
                    {"mark": {"type": "rule", "strokeDash": [4, 4], "color": CATEGORICAL[3]}, "encoding": {"x": x}},
                    {
                        "mark": {"type": "text", "align": "left", "dx": 5, "dy": 10},
                        "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "name"}},
                    },
                ],
            },
        ],
    }
    return Figure(title=f"Expected cost by threshold on {where}, {n:,} rows, with its 95% band", spec=spec)
