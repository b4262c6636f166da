"""Pictures of the explanation gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, SCHEMA


def importance(title: str, axis: str, rows: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Columns, each a dot with its interval, the largest first. rows: (column, value, low, high)."""
    values = [{"column": c, "value": _r(v), "low": _r(a), "high": _r(b)} for c, v, a, b in rows[:15]]
    y = {"field": "column", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x = {"field": "value", "type": "quantitative", "title": axis, "scale": {"zero": True}}
    return Figure(
        title=title,
        spec={
            "$schema": SCHEMA,
            "width": 420,
            "height": {"step": 22},
            "data": {"values": values},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                    "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
                },
                {"mark": {"type": "point", "color": ACCENT}, "encoding": {"y": y, "x": x}},
            ],
        },
    )


def dependence(column: str, n: int, rows: Sequence[tuple[Any, float, float, float]], axis: str) -> Figure:
    """Partial dependence with its interval over rows. rows: (value of the column, mean answer, low, high)."""
    numeric = all(isinstance(row[0], float) for row in rows)
    values = [{"at": row[0], "mean": _r(row[1]), "low": _r(row[2]), "high": _r(row[3])} for row in rows]
    x = {"field": "at", "type": "quantitative" if numeric else "nominal", "title": column, "sort": None}
    y = {"field": "mean", "type": "quantitative", "title": axis, "scale": {"zero": False}}
    band = {"mark": {"type": "area" if numeric else "rule", "opacity": 0.25 if numeric else 1.0, "color": ACCENT}}
    return Figure(
        title=f"Partial dependence on {column}, {n:,} rows",
        spec={
            "$schema": SCHEMA,
            "width": 360,
            "height": 180,
            "data": {"values": values},
            "layer": [
                {**band, "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
                {"mark": {"type": "line" if numeric else "point", "color": ACCENT}, "encoding": {"x": x, "y": y}},
            ],
        },
    )


def _r(value: float) -> float:
    return float(f"{value:.5g}")
