"""The picture of the load gate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL
from modelmark.gates.common.charts import figure, rounded


def latencies(milliseconds: Sequence[float], p99: float, limit: float) -> Figure:
    """How long answers took, with the 99th percentile and the limit."""
    top = max(limit * 1.1, p99 * 1.1) if limit < 4 * p99 else p99 * 1.5  # a far limit would flatten the picture
    shown = [rounded(min(v, top)) for v in milliseconds]
    counts, edges = np.histogram(shown, bins=40, range=(0.0, top))
    rows = [
        {"from": rounded(edges[i]), "to": rounded(edges[i + 1]), "requests": int(counts[i])} for i in range(len(counts))
    ]
    x = {"field": "from", "type": "quantitative", "title": "latency (ms, from the moment it was due)", "bin": "binned"}
    marks = [(p99, "p99", CATEGORICAL[-1]), (limit, "limit", CATEGORICAL[3])]
    marks = [mark for mark in marks if mark[0] <= top]
    return figure(
        f"Latency of {len(shown):,} requests",
        {
            "height": 180,
            "layer": [
                {
                    "data": {"values": rows},
                    "mark": {"type": "bar", "color": ACCENT},
                    "encoding": {"x": x, "x2": {"field": "to"}, "y": {"field": "requests", "type": "quantitative"}},
                },
                *(
                    {
                        "data": {"values": [{"at": rounded(at), "name": name}]},
                        "layer": [
                            {
                                "mark": {"type": "rule", "color": colour, "strokeDash": [4, 4]},
                                "encoding": {"x": {"field": "at", "type": "quantitative"}},
                            },
                            {
                                "mark": {"type": "text", "align": "right", "dx": -4, "dy": 8},
                                "encoding": {
                                    "x": {"field": "at", "type": "quantitative"},
                                    "y": {"value": 0},
                                    "text": {"field": "name"},
                                },
                            },
                        ],
                    }
                    for at, name, colour in marks
                ),
            ],
        },
    )
