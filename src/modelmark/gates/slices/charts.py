"""Slices on one axis: how much worse than the whole."""

from __future__ import annotations

from collections.abc import Mapping

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA
from modelmark.stats.slicing import Gap


def gaps(what: str, found: Mapping[str, Gap], tolerance: float) -> Figure:
    """Each slice's gap with its interval; a dashed line is what is tolerated."""
    rows = [
        {
            "slice": f"{name} ({gap.rows:,})",
            "gap": float(f"{gap.estimate:.5g}"),
            "low": float(f"{gap.low:.5g}"),
            "high": float(f"{gap.high:.5g}"),
        }
        for name, gap in found.items()
    ]
    y = {"field": "slice", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 320}}
    x = {"field": "gap", "type": "quantitative", "title": f"{what}, less that of all rows"}
    spec = {
        "$schema": SCHEMA,
        "width": 420,
        "height": {"step": 24},
        "layer": [
            {
                "data": {"values": rows},
                "layer": [
                    {
                        "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                        "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
                    },
                    {"mark": {"type": "point", "color": ACCENT}, "encoding": {"y": y, "x": x}},
                ],
            },
            {
                "data": {"values": [{"gap": tolerance}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": CATEGORICAL[3]},
                "encoding": {"x": x},
            },
        ],
    }
    return Figure(title="Slices against the whole (rows in brackets)", spec=spec)
