"""Pictures of the robustness gate."""

from __future__ import annotations

from collections.abc import Sequence

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA


def noise(rows: Sequence[tuple[str, float, float, float, float]], limit: tuple[float, float]) -> Figure:
    """Flipped share by size of noise. rows: (who, size, share, low, high). limit: (size, share) that is judged."""
    values = [{"who": w, "size": 100 * s, "share": y, "low": a, "high": b} for w, s, y, a, b in rows]
    x = {"field": "size", "type": "quantitative", "title": "noise (% of each column's spread)"}
    y = {"field": "share", "type": "quantitative", "title": "share flipped", "axis": {"format": "%"}}
    colour = {"field": "who", "type": "nominal", "title": None, "sort": None}
    return Figure(
        title="Decisions flipped by noise, with intervals",
        spec={
            "$schema": SCHEMA,
            "width": 420,
            "height": 200,
            "layer": [
                {
                    "data": {"values": values},
                    "mark": {"type": "area", "opacity": 0.2},
                    "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
                },
                {
                    "data": {"values": values},
                    "mark": {"type": "line", "point": True},
                    "encoding": {"x": x, "y": y, "color": colour},
                },
                {
                    "data": {"values": [{"size": 100 * limit[0], "share": limit[1]}]},
                    "mark": {"type": "point", "shape": "cross", "size": 120, "color": CATEGORICAL[3]},
                    "encoding": {"x": x, "y": y},
                },
            ],
        },
    )


def fields(rows: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Share of decisions one field alone can flip. rows: (field, share, low, high), largest first."""
    values = [{"field": f, "share": s, "low": a, "high": b} for f, s, a, b in rows[:15]]
    y = {"field": "field", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    x = {"field": "share", "type": "quantitative", "title": "share flipped", "axis": {"format": "%"}}
    return Figure(
        title="Decisions that editing one field flips",
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
