"""Where the bars and points of charts lead: to the rows that they count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import inf, nextafter
from typing import Any
from urllib.parse import urlencode

Point = dict[str, Any]


def rows_of(model: str, **asked: object) -> str:
    """The address of rows. asked: fields as `row_filters` has them, None where not asked; `start` is `from`."""
    given = {"from" if name == "start" else name: value for name, value in asked.items() if value is not None}
    return f"/models/{model}/rows?{urlencode(given)}" if given else f"/models/{model}/rows"


def refusals_of(model: str, query: str, **asked: str) -> str:
    """What callers were told over a span of time, given as an address says it. asked: code, field, version."""
    return f"/models/{model}/refusals?{query}&{urlencode(asked)}" if asked else f"/models/{model}/refusals?{query}"


def input_of(model: str, name: str, query: str) -> str:
    """The page of one input over a span of time, given as an address says it."""
    return f"/models/{model}/input?{urlencode({'name': name})}&{query}"


def slots(points: Iterable[Mapping[str, Any]], model: str, seconds: float, *, middle: bool = False) -> list[Point]:
    """Buckets of time, each with its rows. middle: a point stands in the middle of its bucket."""
    found = []
    for point in points:
        start = point["at"] - seconds * 500 if middle else point["at"]
        end = point.get("end", start + seconds * 1000)
        found.append({**point, "href": rows_of(model, start=_time(start), to=_time(end))})
    return found


def bins(points: Iterable[Mapping[str, Any]], model: str, span: Mapping[str, str]) -> list[Point]:
    """Bins of the score, low end included; the outermost hold whatever lies beyond. span: `start` and `to`."""
    drawn = list(points)
    ends = [None, *(round(point["low"], 12) for point in drawn[1:]), None]
    return [
        {**point, "href": rows_of(model, **span, score_from=ends[i], score_below=ends[i + 1])}
        for i, point in enumerate(drawn)
    ]


def values(points: Iterable[Mapping[str, Any]], model: str, name: str, span: Mapping[str, str]) -> list[Point]:
    """Bins of an input, high end included, or its texts; texts that are not told apart lead nowhere."""
    drawn = list(points)
    found = []
    for i, point in enumerate(drawn):
        if "low" in point:
            low = None if i == 0 else nextafter(point["low"], inf)
            asked = {"low": low, "high": None if i == len(drawn) - 1 else point["high"]}
        elif point.get("known", True):
            asked = {"gap": "yes"} if point["value"] == "missing" else {"value": point["value"]}
        else:
            found.append({**point})
            continue
        found.append({**point, "href": rows_of(model, input=name, **span, **asked)})
    return found


def _time(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
