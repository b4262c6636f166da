"""Pictures of the fairness gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA

_MOST: Final = 12


def rates(column: str, rows: Sequence[tuple[str, str, float, float, float]]) -> Figure:
    """Small multiples, one per rate: each group a dot with its interval. rows: (rate, group, value, low, high)."""
    values = [
        {"rate": rate.replace("_", " "), "group": group, "value": _r(value), "low": _r(low), "high": _r(high)}
        for rate, group, value, low, high in rows
    ]
    y = {"field": "group", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 180}}
    x = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": True}}
    return Figure(
        title=f"Rates by {column}, with intervals",
        spec={
            "$schema": SCHEMA,
            "data": {"values": values},
            "facet": {"field": "rate", "type": "nominal", "sort": None, "title": None, "columns": 2},
            "columns": 2,
            "resolve": {"scale": {"x": "independent"}},
            "spec": {
                "width": 200,
                "height": {"step": 20},
                "layer": [
                    {
                        "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                        "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
                    },
                    {"mark": {"type": "point", "color": ACCENT}, "encoding": {"y": y, "x": x}},
                ],
            },
        },
    )


def ratios(title: str, rows: Sequence[tuple[str, float, float, float]], limit: float) -> Figure:
    """Ratios of groups with their simultaneous intervals, and the limit. rows: (who, ratio, low, high), worst first."""
    values = [{"who": who, "ratio": _r(at), "low": _r(low), "high": _r(min(high, 3.0))} for who, at, low, high in rows]
    y = {"field": "who", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 260}}
    x = {"field": "ratio", "type": "quantitative", "title": "ratio", "scale": {"zero": True}}
    return Figure(
        title=title,
        spec={
            "$schema": SCHEMA,
            "width": 420,
            "height": {"step": 24},
            "data": {"values": values[:_MOST]},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                    "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
                },
                {"mark": {"type": "point", "color": ACCENT}, "encoding": {"y": y, "x": x}},
                {
                    "mark": {"type": "rule", "strokeDash": [4, 4], "color": CATEGORICAL[3]},
                    "encoding": {"x": {"datum": limit}},
                },
            ],
        },
    )


def _r(value: float) -> float:
    return float(f"{value:.5g}")
