"""The reliability plot: how often it came, against what was said."""

from __future__ import annotations

from typing import Final

import numpy as np

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, CATEGORICAL, SCHEMA
from modelmark.stats.calibration import equal_bins
from modelmark.stats.metrics import Array
from modelmark.stats.rates import wilson

_POINTS: Final = 200


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def reliability(score: Array, outcome: Array, what: str) -> Figure:
    """Equally full bins with Wilson bands, and the isotonic curve that needs no bins (CORP; Dimitriadis et al. 2021)."""
    found = equal_bins(score, outcome)
    bands = [wilson(round(c * n), int(n)) for c, n in zip(found.came, found.count, strict=True)]
    dots = [
        {"said": _round(s), "came": _round(c), "low": _round(low), "high": _round(high), "rows": int(n)}
        for s, c, n, (low, high) in zip(found.said, found.came, found.count, bands, strict=True)
    ]
    x = {"field": "said", "type": "quantitative", "title": f"said: {what}", "scale": {"domain": [0, 1]}}
    y = {"field": "came", "type": "quantitative", "title": "came true", "scale": {"domain": [0, 1]}}
    spec = {
        "$schema": SCHEMA,
        "width": 360,
        "height": 320,
        "layer": [
            {
                "data": {"values": [{"said": 0, "came": 0}, {"said": 1, "came": 1}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "color": CATEGORICAL[-1]},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": _isotonic(score, outcome)},
                "mark": {"type": "line", "strokeWidth": 1.5, "color": CATEGORICAL[3]},
                "encoding": {"x": x, "y": y, "order": {"field": "said"}},
            },
            {
                "data": {"values": dots},
                "layer": [
                    {
                        "mark": {"type": "rule", "strokeWidth": 3, "color": ACCENT},
                        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
                    },
                    {"mark": {"type": "point", "size": 60, "color": ACCENT}, "encoding": {"x": x, "y": y}},
                ],
            },
        ],
    }
    return Figure(title=f"Reliability on {len(score):,} rows: bins with 95% bands, and the isotonic curve", spec=spec)


def _isotonic(score: Array, outcome: Array) -> list[dict[str, float]]:
    from sklearn.isotonic import IsotonicRegression

    grid = np.unique(np.quantile(score, np.linspace(0, 1, _POINTS)))
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, outcome).predict(grid)
    return [{"said": _round(s), "came": _round(c)} for s, c in zip(grid, curve, strict=True)]
