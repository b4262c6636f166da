"""How a converted model compares with its original: flipped decisions and the largest difference, never one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from modelmark.domain.classes import positive_index
from modelmark.domain.version import ParitySample, Probe
from modelmark.stats.decisions import decided

if TYPE_CHECKING:
    import numpy as np

#: A regression answer counts as flipped when it moves by more than this share of the answers' standard deviation.
MOVED: Final = 1e-3
_SAMPLED: Final = 1000


def decisions(scores: np.ndarray, request: Mapping[str, Any]) -> np.ndarray:
    """Class positions as the endpoint decides them."""
    binary = request["task"] == "binary"
    positive = positive_index(request["classes"], request["positive"]) if binary else None
    return decided(scores, positive=positive, threshold=request["threshold"])


def parity(original: np.ndarray, converted: np.ndarray, request: Mapping[str, Any]) -> tuple[int, float]:
    """(rows whose decision differs, largest difference of any score).

    A row with a score that is not finite, on either side, counts as flipped.
    """
    import numpy as np

    if original.shape != converted.shape:
        return len(original), float("inf")
    broken = ~(np.isfinite(original) & np.isfinite(converted)).all(axis=1)
    difference = np.abs(original - converted)
    largest = float(np.max(difference[~broken], initial=0.0))
    if request["task"] == "regression":
        spread = 0.0 if broken.all() else float(np.std(original[~broken]))
        moved = difference[:, 0] > MOVED * max(spread, 1e-12)
    else:
        moved = decisions(original, request) != decisions(converted, request)
    return int(np.sum(moved | broken)), largest


def sampled(rows: int) -> np.ndarray:
    """Places of at most a thousand seeded rows, ascending."""
    import numpy as np

    places = np.arange(rows)
    return places if rows <= _SAMPLED else np.sort(np.random.default_rng(0).choice(places, _SAMPLED, replace=False))


def sample(
    original: np.ndarray,
    converted: np.ndarray,
    *,
    labels: Sequence[int] = (),
    cutoff: float | None = None,
    probes: Sequence[Probe] = (),
) -> ParitySample:
    """The sampled rows of both, for comparing what is served with what was meant. labels: of the sampled rows."""
    rows = sampled(len(converted))
    scores = (tuple(map(tuple, found[rows].tolist())) for found in (original, converted))
    return ParitySample(
        rows=tuple(rows.tolist()),
        original=next(scores),
        converted=next(scores),
        labels=tuple(labels),
        cutoff=cutoff,
        probes=tuple(probes),
    )
