"""The picture of the data contract gate."""

from __future__ import annotations

from collections.abc import Mapping

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL
from modelmark.gates.common.charts import figure, rounded
from modelmark.stats.drift import Drift


def shifts(found: Mapping[str, Drift], limit: float, most: int = 25) -> Figure:
    """Distance per column with its interval; a grey tick marks what chance alone stays below, a line the limit."""
    worst = sorted(found, key=lambda name: -found[name].distance)[:most]
    rows = [
        {
            "column": name,
            "distance": rounded(found[name].distance),
            "low": rounded(found[name].low),
            "high": rounded(found[name].high),
            "chance": rounded(found[name].cut),
        }
        for name in worst
    ]
    y = {"field": "column", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x = {"field": "distance", "type": "quantitative", "title": "Jensen-Shannon distance", "scale": {"zero": True}}
    more = "" if len(found) <= most else f", the {most} largest of {len(found)}"
    return figure(
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
