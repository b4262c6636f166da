"""How far two computations of the same thing may lie apart: on other processors, in another order of sums."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Graphs compute in float32: what should be equal may differ by so much of the answer itself.
ROUNDING: Final = 1e-5


def distance(left: Array, right: Array) -> Array:
    """Per row the largest difference of any score; of the answer itself, where that is above 1. NaN stays NaN."""
    return np.asarray(np.max(np.abs(left - right) / np.maximum(1.0, np.abs(left)), axis=1))
