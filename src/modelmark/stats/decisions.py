"""Which class an array of scores decides for: the rule of `domain.classes.Decider`, for many rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decided(scores: NDArray[np.float64], *, positive: int | None, threshold: float) -> NDArray[np.int64]:
    """Positions of the classes decided for, shape (rows,). scores: probabilities, shape (rows, classes).

    positive: position of the positive class of two, which is decided for at the threshold or above; None for several
    classes, of which the likeliest is. NaN decides for nothing here: callers say first which rows have an answer.
    """
    if positive is None:
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)
    return np.asarray(np.where(scores[:, positive] >= threshold, positive, 1 - positive), dtype=np.int64)
