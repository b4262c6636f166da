"""A check of every answer before it leaves: ONNX Runtime never complains, so we must."""

from __future__ import annotations

from math import isfinite
from sys import float_info
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Contract
from modelmark.domain.errors import OutputInvalid
from modelmark.domain.metrics import Task

#: How far outside [0, 1] float32 arithmetic may push a probability.
SLACK: Final = 1e-4
#: Up to so many numbers plain Python is the quicker judge.
FEW: Final = 64
_MOST: Final = float_info.max


class Guard:
    """Knows from the contract what an answer may look like."""

    def __init__(self, contract: Contract) -> None:
        self.regression = contract.model.task is Task.REGRESSION
        self.width = 1 if self.regression else len(contract.outputs.classes)
        low, high = contract.outputs.minimum, contract.outputs.maximum
        if self.regression:
            self._low = -np.inf if low is None else low
            self._high = np.inf if high is None else high
        else:
            self._low, self._high = -SLACK, 1 + SLACK
        self._plain = (max(self._low, -_MOST), min(self._high, _MOST)) if self.regression else (0.0, 1.0)

    def check(self, scores: NDArray[np.float64], rows: int) -> NDArray[np.bool_] | None:
        """None when every row is fine, else which are not. Raises OutputInvalid when the shape is wrong.

        Probabilities that rounding pushed past 0 or 1 are put back, in place.
        """
        if scores.shape != (rows, self.width):
            raise OutputInvalid(
                "the model answered in another shape than its contract says",
                field="outputs",
                limit=f"{rows} x {self.width}",
            )
        if scores.size <= FEW and self._few_clean(scores):
            return None
        low, high = float(scores.min()), float(scores.max())  # NaN if any is, and NaN compares false
        if self._low <= low and high <= self._high and isfinite(low) and isfinite(high):
            if not self.regression and (low < 0.0 or high > 1.0):
                np.clip(scores, 0.0, 1.0, out=scores)
            return None
        fine = (scores >= self._low) & (scores <= self._high) & np.isfinite(scores)
        return np.asarray((~fine).any(axis=1))

    def _few_clean(self, scores: NDArray[np.float64]) -> bool:
        """Whether nothing needs a second look: NaN and infinities fail every comparison."""
        low, high = self._plain
        for row in scores.tolist():
            for value in row:
                if not low <= value <= high:
                    return False
        return True
