"""Has a loss been above what is tolerated, since whenever? An alarm whose mean time between false ones is what was asked for.

Shin, Ramdas & Rinaldo 2023, arXiv:2203.03532: an e-detector is a sum of e-processes, one begun at every row; while the loss is at
most `tolerated` given all that came before, whatever else changes, it reaches n after n rows or more on average. Each
of these bets a fixed share of its stake on the next loss being above (Waudby-Smith & Ramdas 2024); a few shares are mixed, for
small rises want small ones. Shiryaev-Roberts form, so it needs no time of change; and it falls again once the loss does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.metrics import Array

#: Shares of the largest bet that cannot lose everything, mixed evenly.
_BETS: Final = 2.0 ** -np.arange(1, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """evidence: of the last row; alarms: whether it has reached the run that was asked for. since: the row from which on the loss
    most likely is higher. mean: of the loss since then."""

    evidence: float
    alarms: bool
    since: int
    mean: float


def by_unit(losses: Array, units: NDArray[np.int64] | None) -> Array:
    """The mean of each unit, in the order in which units first come; rows of one unit depend on each other."""
    if units is None:
        return losses
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    means = np.bincount(place, losses) / np.bincount(place)
    return np.asarray(means[np.argsort(first)], dtype=np.float64)


def evidence(losses: Array, tolerated: float) -> Array:
    """The detector after every row, in logarithms, shape (rows,). losses: in [0, 1], in order. tolerated: inside (0, 1)."""
    wealth, before = _wealth(losses, tolerated)
    each = wealth + np.logaddexp.accumulate(-before, axis=1)
    found: Array = np.logaddexp.reduce(each, axis=0) - np.log(len(_BETS))
    return found


def detect(losses: Array, tolerated: float, run: float) -> Detected:
    """Of the last row. run: rows between two false alarms, on average. What counts as evidence goes no further than an alarm
    needs, so that an alarm is over soon after the loss is; up to the first alarm this changes nothing. The change is put where the
    best bet would have won most from."""
    steps = np.log1p(_BETS / tolerated * (losses[:, None] - tolerated))
    most, now = np.log(run) + np.log(len(_BETS)) + 1.0, np.full(len(_BETS), -np.inf)
    for step in steps:
        now = np.minimum(step + np.logaddexp(now, 0.0), most)
    wealth, before = _wealth(losses, tolerated)
    since = int(np.unravel_index(int((wealth[:, -1:] - before).argmax()), wealth.shape)[1])
    last = float(np.logaddexp.reduce(now)) - np.log(len(_BETS))
    return Detected(
        evidence=float(np.exp(last)), alarms=bool(last >= np.log(run)), since=since, mean=float(losses[since:].mean())
    )


def _wealth(losses: Array, tolerated: float) -> tuple[Array, Array]:
    """Logarithms of what each bet has after every row, and had before it; shape (bets, rows)."""
    wealth = np.cumsum(np.log1p(_BETS[:, None] / tolerated * (losses - tolerated)), axis=1)
    return wealth, np.concatenate([np.zeros((len(_BETS), 1)), wealth[:, :-1]], axis=1)
