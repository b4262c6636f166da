"""Maps from a score to a probability, fitted on rows that neither trained nor judge the model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.metrics import Array

#: Fewer validation rows of either class than this would fit noise; fewer rows in all than `_MANY` get two parameters.
_FEW: Final = 20
_MANY: Final = 2000
CLIP: Final = 1e-6


class Method(StrEnum):
    """platt: a line on the log-odds, two parameters. isotonic: any rising curve, for many rows."""

    PLATT = "platt"
    ISOTONIC = "isotonic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """From a positive class's score to its probability.

    platt: x = (slope, intercept) of the log-odds. isotonic: a rising line through the points (x, y), flat outside.
    """

    method: Method
    x: tuple[float, ...]
    y: tuple[float, ...] = ()

    def __call__(self, score: Array) -> Array:
        if self.method is Method.PLATT:
            clipped = np.clip(score, CLIP, 1 - CLIP)
            return np.asarray(1 / (1 + np.exp(-(self.x[0] * np.log(clipped / (1 - clipped)) + self.x[1]))))
        return np.asarray(np.interp(score, self.x, self.y), dtype=np.float64)


def fit(score: Array, outcome: Array, method: Method | None = None) -> Map:
    """score: of the positive class, shape (rows,). outcome: 0 or 1. None: isotonic from 2,000 rows on, else Platt.

    Raises NotEnoughData for fewer than twenty rows of either class.
    """
    rarer = int(min(outcome.sum(), len(outcome) - outcome.sum()))
    if rarer < _FEW:
        raise NotEnoughData(
            f"{rarer} validation rows of the rarer class are too few to recalibrate on", limit=f"at least {_FEW}"
        )
    chosen = method or (Method.ISOTONIC if len(score) >= _MANY else Method.PLATT)
    return _platt(score, outcome) if chosen is Method.PLATT else _isotonic(score, outcome)


def _platt(score: Array, outcome: Array) -> Map:
    """With Platt's targets, a little inside 0 and 1 (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    clipped = np.clip(score, CLIP, 1 - CLIP)
    logit = np.log(clipped / (1 - clipped))[:, None]
    yes, no = outcome.sum(), len(outcome) - outcome.sum()
    soft = np.where(outcome == 1, (yes + 1) / (yes + 2), 1 / (no + 2))
    # A soft target is a row of each class, weighted.
    model = LogisticRegression(C=1e6, max_iter=1000).fit(
        np.vstack([logit, logit]),
        np.r_[np.ones(len(soft)), np.zeros(len(soft))],
        sample_weight=np.r_[soft, 1 - soft],
    )
    return Map(method=Method.PLATT, x=(float(model.coef_[0, 0]), float(model.intercept_[0])))


def _isotonic(score: Array, outcome: Array) -> Map:
    """Points at the middle of each flat stretch, joined by lines: a curve without the steps of plain isotonic fits.

    Flat stretches would make ties of scores that the model tells apart.
    """
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(score, kind="stable")
    level = IsotonicRegression(y_min=0, y_max=1).fit(score, outcome).predict(score[order])
    starts = np.flatnonzero(np.r_[True, np.diff(level) > 1e-12])
    ends = np.r_[starts[1:], len(level)]
    x = np.array([score[order][a:b].mean() for a, b in zip(starts, ends, strict=True)])
    y = np.clip(level[starts], 0.5 / len(score), 1 - 0.5 / len(score))  # never quite sure: log loss would be infinite
    kept = np.r_[True, np.diff(x) > 1e-9]
    return Map(method=Method.ISOTONIC, x=tuple(map(float, x[kept])), y=tuple(map(float, y[kept])))
