"""Shapley values of a model's answer: by every coalition, or by sampled permutations with their standard errors.

A coalition's worth is the mean answer over background rows whose known columns are replaced by the explained row's
(interventional; Shapley 1953; Lundberg & Lee 2017). Nothing here knows the model but through `ask`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Rows of shape (n, columns) -> answers of shape (n,).
Ask = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """phi: (rows, columns). base: the mean answer on the background, (rows,). error: standard errors, 0 where exact."""

    phi: Array
    base: Array
    error: Array


def enumerated(ask: Ask, rows: Array, background: Array) -> Explained:
    """Exact: all 2^columns coalitions, 2^columns * len(background) answers a row."""
    columns = rows.shape[1]
    masks = (np.arange(2**columns)[:, None] >> np.arange(columns)) & 1 == 1
    sizes = masks.sum(axis=1)
    phi, base = np.empty(rows.shape), np.empty(len(rows))
    for r, row in enumerate(rows):
        worth = _worth(ask, row, background, masks)
        base[r] = worth[0]
        for c in range(columns):
            without = np.flatnonzero(~masks[:, c])
            weight = 1.0 / (columns * np.array([comb(columns - 1, int(s)) for s in sizes[without]]))
            phi[r, c] = float(weight @ (worth[without | (1 << c)] - worth[without]))
    return Explained(phi=phi, base=base, error=np.zeros(rows.shape))


def sampled(ask: Ask, rows: Array, background: Array, *, permutations: int, seed: int) -> Explained:
    """By permutations and their reverses (antithetic), so columns with pairwise effects alone are exact.

    2 * permutations * columns * len(background) answers a row. Sums exactly to the answer minus the base.
    Source: Mitchell, Cooper, Frank & Holmes 2022, JMLR 23:43.
    """
    columns, rng = rows.shape[1], np.random.default_rng(seed)
    phi, base, error = np.empty(rows.shape), np.empty(len(rows)), np.empty(rows.shape)
    for r, row in enumerate(rows):
        orders = [rng.permutation(columns) for _ in range(permutations)]
        walks = np.array([w for order in orders for w in (order, order[::-1])])
        masks = np.zeros((len(walks), columns + 1, columns), dtype=bool)
        for k, order in enumerate(walks):
            for step, column in enumerate(order):
                masks[k, step + 1 :, column] = True
        worth = _worth(ask, row, background, masks.reshape(-1, columns)).reshape(len(walks), columns + 1)
        gains = np.empty((len(walks), columns))
        np.put_along_axis(gains, walks, np.diff(worth, axis=1), axis=1)
        pairs = gains.reshape(permutations, 2, columns).mean(axis=1)
        phi[r], base[r] = pairs.mean(axis=0), worth[0, 0]
        error[r] = pairs.std(axis=0, ddof=1) / np.sqrt(permutations) if permutations > 1 else np.nan
    return Explained(phi=phi, base=base, error=error)


def _worth(ask: Ask, row: Array, background: Array, masks: NDArray[np.bool_]) -> Array:
    """Each distinct coalition asked once."""
    distinct, place = np.unique(masks, axis=0, return_inverse=True)
    mixed = np.where(distinct[:, None, :], row, background[None])
    answers = ask(mixed.reshape(-1, len(row))).reshape(len(distinct), len(background))
    return np.asarray(answers.mean(axis=1)[place.reshape(-1)])
