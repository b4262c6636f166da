"""Vega-Lite specs of the dashboard. Data arrive by name, so updates redraw nothing else; colours come from CSS."""

from __future__ import annotations

from typing import Any, Final

#: Every chart over time leaves the same room for its y axis, so that their time axes stand under each other.
_ROOM: Final = 56
#: Days where the axis spans days, hours otherwise, and the day at midnight.
_DAY: Final = "timeFormat(datum.value, '%a %d')"
_HOUR: Final = (
    f"hours(datum.value) + minutes(datum.value) + seconds(datum.value) ? timeFormat(datum.value, '%H:%M') : {_DAY}"
)
_LABEL: Final = f"domain('x')[1] - domain('x')[0] > 36 * 3600 * 1000 ? {_DAY} : {_HOUR}"
_AT: Final = {
    "field": "at",
    "type": "temporal",
    "title": None,
    "axis": {"labelExpr": _LABEL, "tickCount": {"expr": "width / 90"}, "labelOverlap": True, "labelBound": True},
}
_KIND: Final = {
    "field": "kind",
    "type": "nominal",
    "scale": {"domain": ["release", "rollback", "alert"], "range": ["good", "unsure", "bad"]},
    "legend": None,
}


def _time(y: dict[str, Any], layers: list[dict[str, Any]], *, named: bool = False) -> dict[str, Any]:
    """Layers over a shared time axis, with releases (solid), rollbacks (long dashes) and alerts (short
    dashes) as thin vertical lines.

    named: say above each line what it is.
    """
    lines = {
        "data": {"name": "marks"},
        "mark": {"type": "rule", "tooltip": {"content": "data"}},
        "encoding": {
            "x": _AT,
            "color": _KIND,
            "strokeDash": {
                "field": "kind",
                "type": "nominal",
                "scale": {"domain": ["release", "rollback", "alert"], "range": [[1, 0], [10, 3], [4, 3]]},
                "legend": None,
            },
        },
    }
    words = {
        "data": {"name": "marks"},
        "mark": {"type": "text", "baseline": "bottom", "fontSize": 12, "tooltip": {"content": "data"}},
        "encoding": {"x": _AT, "y": {"value": -2}, "text": {"field": "label"}, "color": _KIND},
    }
    edges = {"data": {"name": "edges"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"x": _AT}}
    axis = {"minExtent": _ROOM, "maxExtent": _ROOM, "tickCount": 4, "titlePadding": 8, **y.pop("axis", {})}
    drawn = []
    for layer in layers:
        encoding = {"x": _AT, **layer["encoding"]}
        encoding["y"] = {"type": "quantitative", **y, **encoding["y"], "axis": axis}
        drawn.append({"data": {"name": "points"}, **layer, "encoding": encoding})
    return {"width": "container", "height": 104, "layer": [edges, *drawn, lines, *([words] if named else [])]}


TRAFFIC: Final = _time(
    {"title": "per second"},
    [
        {
            "mark": {"type": "rect", "tooltip": {"content": "data"}},
            "encoding": {
                "x2": {"field": "end"},
                "y": {"field": "per_second", "scale": {"zero": True}},
                "y2": {"datum": 0},
            },
        }
    ],
    named=True,
)
LATENCY: Final = _time(
    {"title": "ms"},
    [
        {
            "mark": {"type": "area", "opacity": 0.25},
            "encoding": {
                "y": {"field": "p50_ms", "scale": {"zero": True}},
                "y2": {"field": "p99_ms"},
                "detail": {"field": "run"},
            },
        },
        {
            "mark": {"type": "line", "point": {"size": 16}, "strokeWidth": 1.5, "tooltip": {"content": "data"}},
            "encoding": {"y": {"field": "p99_ms"}, "detail": {"field": "run"}},
        },
    ],
)
#: Each version has lines of its own, those of the champion in full.
_VERSION: Final = {"field": "version", "type": "nominal"}


def _full(opacity: float) -> dict[str, Any]:
    return {"condition": {"test": "datum.serves", "value": opacity}, "value": opacity * 0.4}


#: What was measured with its interval, over time, and what is tolerated.
_MEASURED: Final[list[dict[str, Any]]] = [
    {
        "mark": {"type": "area"},
        "encoding": {
            "y": {"field": "low", "scale": {"zero": False}},
            "y2": {"field": "high"},
            "detail": _VERSION,
            "opacity": _full(0.25),
        },
    },
    {
        "mark": {"type": "line", "point": {"size": 24}, "strokeWidth": 1.5, "tooltip": {"content": "data"}},
        "encoding": {"y": {"field": "measured"}, "detail": _VERSION, "opacity": _full(1.0)},
    },
    {
        "mark": {"type": "line", "strokeDash": [6, 3], "strokeWidth": 1, "color": "muted"},
        "encoding": {"y": {"field": "limit"}, "detail": _VERSION},
    },
]
#: A difference with its bounds at every look, no difference, and the least one that is worth having.
_DIFFERENCE: Final[list[dict[str, Any]]] = [
    *_MEASURED,
    {
        "mark": {"type": "line", "strokeWidth": 1, "color": "muted"},
        "encoding": {"y": {"field": "nothing"}},
    },
]
SCORES: Final = {
    "width": "container",
    "height": 150,
    "data": {"name": "points"},
    "layer": [
        {
            "mark": {"type": "bar", "tooltip": {"content": "data"}, "opacity": 0.6},
            "encoding": {
                "x": {
                    "field": "low",
                    "type": "quantitative",
                    "title": None,
                    "bin": {"binned": True},
                    "axis": {"tickCount": 5, "grid": False, "labelFlush": True},
                },
                "x2": {"field": "high"},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "share of rows",
                    "axis": {"format": "%", "tickCount": 4},
                },
            },
        },
        {
            "mark": {"type": "rule", "strokeWidth": 2, "color": "ink"},
            "encoding": {
                "x": {"field": "low", "type": "quantitative"},
                "x2": {"field": "high"},
                "y": {"field": "reference", "type": "quantitative"},
            },
        },
    ],
}


def _inputs(title: str, number: str) -> dict[str, Any]:
    """One row per input, worst first: measured, its interval, and a short line where tolerance ends."""
    row = {
        "field": "subject",
        "type": "nominal",
        "title": None,
        "sort": None,  # as they come
        "axis": {"labelLimit": 150, "labelPadding": 8, "ticks": False, "domain": False, "grid": False},
    }
    x = {
        "type": "quantitative",
        "title": title,
        "scale": {"zero": True},
        "axis": {"format": number, "tickCount": {"expr": "width / 60"}, "labelFlush": True, "titleAnchor": "start"},
    }
    outcome = ["ok", "alert", "cannot tell"]
    colour = {"domain": outcome, "range": ["accent", "bad", "unsure"]}
    shape = {"domain": outcome, "range": ["circle", "cross", "diamond"]}
    return {
        "width": "container",
        "height": {"step": 20},
        "data": {"name": "points"},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.6, "tooltip": {"content": "data"}},
                "encoding": {"y": row, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "tick", "thickness": 2, "size": 14, "color": "ink", "tooltip": {"content": "data"}},
                "encoding": {"y": row, "x": {**x, "field": "limit"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "tooltip": {"content": "data"}},
                "encoding": {
                    "y": row,
                    "x": {**x, "field": "measured"},
                    "color": {"field": "outcome", "type": "nominal", "scale": colour, "legend": None},
                    "shape": {"field": "outcome", "type": "nominal", "scale": shape, "legend": None},
                },
            },
        ],
    }


#: Shares of an input's texts, now and in training.
TEXTS: Final = {
    "width": "container",
    "height": {"step": 20},
    "data": {"name": "points"},
    "layer": [
        {
            "mark": {"type": "bar", "tooltip": {"content": "data"}, "opacity": 0.6},
            "encoding": {
                "y": {"field": "value", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 150}},
                "x": {"field": "share", "type": "quantitative", "title": "share of rows", "axis": {"format": "%"}},
            },
        },
        {
            "mark": {"type": "tick", "thickness": 2, "size": 14, "color": "ink", "tooltip": {"content": "data"}},
            "encoding": {
                "y": {"field": "value", "type": "nominal", "sort": None},
                "x": {"field": "reference", "type": "quantitative"},
            },
        },
    ],
}
SPARK: Final = {
    "width": "container",
    "height": 32,
    "padding": 0,
    "data": {"name": "points"},
    "mark": {"type": "area", "line": {"strokeWidth": 1.5}, "opacity": 0.25, "interpolate": "step"},
    "encoding": {
        "x": {"field": "at", "type": "temporal", "axis": None},
        "y": {"field": "per_second", "type": "quantitative", "axis": None, "scale": {"zero": True}},
    },
}

#: name -> spec. A page names the chart it wants; the browser asks for the table once.
ALL: Final[dict[str, dict[str, Any]]] = {
    "traffic": TRAFFIC,
    "latency": LATENCY,
    "interval": _time({"title": "objective"}, _MEASURED),
    "effect": _time({"title": "difference"}, _DIFFERENCE),
    "distance": _time({"title": "distance"}, _MEASURED),
    "share": _time({"title": "share at fault", "axis": {"format": "%"}}, _MEASURED),
    "scores": SCORES,
    "texts": TEXTS,
    "drift": _inputs("distance from training", ".2~f"),
    "quality": _inputs("share of values at fault", ".1~%"),
    "spark": SPARK,
}
