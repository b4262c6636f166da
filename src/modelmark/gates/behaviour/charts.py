"""The pictures of the behaviour gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modelmark.domain.catalogue.behaviour import Behaviour
from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA


class _Tried(Protocol):
    @property
    def test(self) -> Behaviour: ...
    @property
    def n(self) -> int: ...
    @property
    def failed(self) -> Sequence[object]: ...

    def interval(self, confidence: float) -> tuple[float, float]: ...


def failure_rates(tried: Sequence[_Tried], confidence: float) -> Figure:
    """Per test the share of rows that behave otherwise with its interval, and a tick at what is allowed."""
    rows = []
    for found in tried:
        if found.n:
            low, high = found.interval(confidence)
            share = len(found.failed) / found.n
            rows.append(
                {
                    "test": found.test.name,
                    "share": share,
                    "low": low,
                    "high": high,
                    "limit": found.test.max_failure_rate,
                }
            )
    y = {"field": "test", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 260}}
    x = {
        "field": "share",
        "type": "quantitative",
        "title": "share of rows that behave otherwise",
        "axis": {"format": "%"},
    }
    tick = {"type": "tick", "thickness": 2, "size": 18, "color": CATEGORICAL[3]}
    return Figure(
        title="Behavioural tests: failure rates, their intervals, and what is allowed",
        spec={
            "$schema": SCHEMA,
            "width": 560,
            "height": {"step": 28},
            "data": {"values": rows},
            "encoding": {"y": y},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                    "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
                },
                {"mark": {"type": "point", "color": ACCENT}, "encoding": {"x": x}},
                {"mark": tick, "encoding": {"x": {**x, "field": "limit"}}},
            ],
        },
    )
