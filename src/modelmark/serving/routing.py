"""Which version answers: the same entity always meets the same arm while the shares stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from modelmark.contract.rows import RowCodec, Rows
from modelmark.serving.models import LiveRoute

_SPACE: Final = 2.0**64


def position(model: str, key: str) -> float:
    """Where a key stands in [0, 1), evenly spread; differs from model to model. model: or an experiment's salt."""
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


def choose(route: LiveRoute, entity: str | None, read: Callable[[RowCodec], Rows], request_id: str) -> int:
    """The arm of a request: sticky by entity, as the request names it, else as its first row does, else by request.

    read: its rows, by a version's codec; may raise Rejected, and is asked only when needed.
    """
    if len(route.arms) == 1:
        return 0
    return by_request(route, entity or _entity_in_rows(route, read) or request_id)


def by_request(route: LiveRoute, key: str) -> int:
    """The arm of a key: an entity, or the id of a request that names none."""
    return pick(route.weights, position(route.salt or route.model, key))


def _entity_in_rows(route: LiveRoute, read: Callable[[RowCodec], Rows]) -> str | None:
    """The first row's value of the entity key, where that is an input of the champion."""
    name = route.champion.contract.data.entity_key
    codec = route.champion.codec
    if name is None or name not in codec.names:
        return None
    rows = read(codec)
    for j, column in enumerate(codec.textual):
        if column.name == name:
            return rows.texts[j]
    return next((rows.numbers[8 * j : 8 * j + 8].hex() for j, c in enumerate(codec.numeric) if c.name == name), None)
