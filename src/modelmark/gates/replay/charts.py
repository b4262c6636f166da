"""The pictures of the replay gate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.evidence import Figure
from modelmark.domain.theme import ACCENT, SCHEMA


def score_shift(shift: NDArray[np.float64], champion: str) -> Figure:
    """How far the candidate's score lies from the champion's, as a histogram of rows."""
    reach = float(np.max(np.abs(shift), initial=0.0)) or 1e-6
    counts, edges = np.histogram(shift, bins=41, range=(-reach, reach))
    rows = [
        {"from": float(f"{edges[i]:.6g}"), "to": float(f"{edges[i + 1]:.6g}"), "rows": int(counts[i])}
        for i in range(len(counts))
    ]
    x = {"field": "from", "type": "quantitative", "title": f"score minus that of {champion}", "bin": "binned"}
    return Figure(
        title=f"Shift of the score against {champion}, {len(shift):,} replayed rows",
        spec={
            "$schema": SCHEMA,
            "width": 560,
            "height": 180,
            "data": {"values": rows},
            "mark": {"type": "bar", "color": ACCENT},
            "encoding": {"x": x, "x2": {"field": "to"}, "y": {"field": "rows", "type": "quantitative"}},
        },
    )
