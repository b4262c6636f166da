"""Which class an array of scores decides for: the rule of `domain.classes.Decider`, for many rows at once.

Imports no numpy of its own: the child that converts models loads this before it arms itself, with one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def decided(scores: NDArray[np.float64], *, positive: int | None, threshold: float) -> NDArray[np.int64]:
    """Positions of the classes decided for, shape (rows,). scores: probabilities, shape (rows, classes).

    positive: position of the positive class of two, which is decided for at the threshold or above; None for several
    classes, of which the likeliest is. NaN decides for nothing here: callers say first which rows have an answer.
    """
    if positive is None:
        likeliest: NDArray[np.int64] = scores.argmax(axis=1).astype("int64")
        return likeliest
    said = scores[:, positive] >= threshold
    found: NDArray[np.int64] = said * positive + ~said * (1 - positive)
    return found
