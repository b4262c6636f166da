"""Which version answers: the same entity always meets the same arm while the shares stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

_SPACE: Final = 2.0**64


def position(model: str, key: str) -> float:
    """Where a key stands in [0, 1), evenly spread; differs from model to model."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, key=model.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / _SPACE


def pick(weights: Sequence[float], at: float) -> int:
    """The arm at a position. The last arms own the low end, so a growing canary keeps the entities it had.

    weights: champion first; need not sum to one. Arms without weight are never picked.

    >>> [pick([0.9, 0.1], at) for at in (0.0, 0.05, 0.1, 0.99)]
    [1, 1, 0, 0]
    """
    total = sum(weights)
    edge = 0.0
    for index in range(len(weights) - 1, 0, -1):
        edge += weights[index] / total
        if at < edge and weights[index] > 0:
            return index
    return 0
