"""Vega-Lite specs of the dashboard. Data arrive by name, so updates redraw nothing else; colours come from CSS."""

from __future__ import annotations

from typing import Any, Final

#: Every chart of a page leaves the same room for its y axis, so that their time axes stand under each other.
_ROOM: Final = 56


def _time(y: dict[str, Any], layers: list[dict[str, Any]], height: int = 120) -> dict[str, Any]:
    """Layers over a shared time axis, with releases and alerts as thin vertical lines."""
    x = {"field": "at", "type": "temporal", "title": None}
    marks = {
        "data": {"name": "marks"},
        "mark": {"type": "rule", "strokeDash": [3, 3], "tooltip": {"content": "data"}},
        "encoding": {
            "x": x,
            "color": {
                "field": "kind",
                "type": "nominal",
                "scale": {"domain": ["release", "alert"], "range": ["accent", "bad"]},
                "legend": None,
            },
        },
    }
    edges = {"data": {"name": "edges"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"x": x}}
    drawn = [{"data": {"name": "points"}, **layer, "encoding": {"x": x, **layer["encoding"]}} for layer in layers]
    axis = {"minExtent": _ROOM, "maxExtent": _ROOM, **y.pop("axis", {})}
    for layer in drawn:
        for channel in ("y",):
            if channel in layer["encoding"]:
                layer["encoding"][channel] = {**y, **layer["encoding"][channel], "axis": axis}
    return {"width": "container", "height": height, "layer": [edges, *drawn, marks]}


TRAFFIC: Final = _time(
    {"type": "quantitative", "title": "per second"},
    [{"mark": {"type": "bar"}, "encoding": {"y": {"field": "per_second", "scale": {"zero": True}}}}],
)
LATENCY: Final = _time(
    {"type": "quantitative", "title": "ms"},
    [
        {
            "mark": {"type": "area", "opacity": 0.25},
            "encoding": {"y": {"field": "p50_ms", "scale": {"zero": True}}, "y2": {"field": "p99_ms"}},
        },
        {"mark": {"type": "line", "point": True}, "encoding": {"y": {"field": "p99_ms"}}},
    ],
)
INTERVAL: Final = _time(
    {"type": "quantitative", "title": None},
    [
        {
            "mark": {"type": "area", "opacity": 0.25},
            "encoding": {"y": {"field": "low", "scale": {"zero": False}}, "y2": {"field": "high"}},
        },
        {"mark": {"type": "line", "point": True}, "encoding": {"y": {"field": "measured"}}},
        {
            "mark": {"type": "line", "strokeDash": [4, 4], "opacity": 0.7},
            "encoding": {"y": {"field": "limit"}},
        },
    ],
)
SCORES: Final = {
    "width": "container",
    "height": 140,
    "data": {"name": "points"},
    "layer": [
        {
            "mark": {"type": "bar", "tooltip": {"content": "data"}},
            "encoding": {
                "x": {"field": "low", "type": "quantitative", "title": "score", "bin": {"binned": True}},
                "x2": {"field": "high"},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "share of rows",
                    "axis": {"format": "%", "minExtent": _ROOM, "maxExtent": _ROOM},
                },
            },
        },
        {
            "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "color": "muted"},
            "encoding": {
                "x": {"field": "low", "type": "quantitative"},
                "y": {"field": "reference", "type": "quantitative"},
            },
        },
    ],
}
DRIFT: Final = {
    "width": "container",
    "height": {"step": 20},
    "data": {"name": "points"},
    "layer": [
        {
            "mark": {"type": "rule", "tooltip": {"content": "data"}},
            "encoding": {
                "y": {
                    "field": "subject",
                    "type": "nominal",
                    "title": None,
                    "sort": {"field": "measured", "order": "descending"},
                },
                "x": {"field": "low", "type": "quantitative", "title": "distance from training (0 to 1)"},
                "x2": {"field": "high"},
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "tooltip": {"content": "data"}},
            "encoding": {
                "y": {"field": "subject", "type": "nominal", "sort": {"field": "measured", "order": "descending"}},
                "x": {"field": "measured", "type": "quantitative"},
                "color": {
                    "field": "outcome",
                    "type": "nominal",
                    "scale": {"domain": ["ok", "alert", "cannot tell"], "range": ["accent", "bad", "muted"]},
                    "legend": None,
                },
                "shape": {
                    "field": "outcome",
                    "type": "nominal",
                    "scale": {"domain": ["ok", "alert", "cannot tell"], "range": ["circle", "cross", "diamond"]},
                    "legend": None,
                },
            },
        },
        {
            "mark": {"type": "rule", "strokeDash": [4, 4]},
            "encoding": {"x": {"aggregate": "max", "field": "limit", "type": "quantitative"}},
        },
    ],
}
SPARK: Final = {
    "width": 120,
    "height": 28,
    "data": {"name": "points"},
    "mark": {"type": "area", "line": True, "opacity": 0.3},
    "encoding": {
        "x": {"field": "at", "type": "temporal", "axis": None},
        "y": {"field": "per_second", "type": "quantitative", "axis": None, "scale": {"zero": True}},
    },
}

#: name -> spec. A page names the chart it wants; the browser asks for the table once.
ALL: Final[dict[str, dict[str, Any]]] = {
    "traffic": TRAFFIC,
    "latency": LATENCY,
    "interval": INTERVAL,
    "scores": SCORES,
    "drift": DRIFT,
    "spark": SPARK,
}
