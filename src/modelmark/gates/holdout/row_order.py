"""Are the rows in the order of time, as `data.time: row_order` says? What the tables show of it is looked at, not assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from modelmark.contract.proposals.row_order import is_dated, runs
from modelmark.contract.timestamps import timestamps
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.gates.case import Array

if TYPE_CHECKING:
    import pandas as pd

NAME: Final = "rows are in order"
#: Share of pairs (one row of train, one of the holdout) that may be the wrong way round.
_INTERLEAVED: Final = 0.02
_LEAST_DISTINCT: Final = 20
#: Rows below which nothing can be said of neighbours, and the latest ones that are looked at.
_LEAST, _ROWS = 300, 30_000
_ALPHA: Final = 0.001


def order_check(train: pd.DataFrame, holdout: pd.DataFrame, target: str) -> Check:
    """A column that runs through train and then on through the holdout shows the order; one that runs through each of them
    anew contradicts it; where nothing goes with the rows at all, nobody can tell."""
    limit = Limit(bound=Bound.AT_MOST, value=_INTERLEAVED)
    names = [name for name in train.columns if name in holdout]
    running = list(_running(train, holdout, [name for name in names if name != target]))
    worst = max(running, key=lambda found: found[1], default=None)
    if worst is not None and worst[1] > _INTERLEAVED:
        name, overlap = worst
        sentence = (
            f"data.time says that the order of rows is the order of time, but {name} runs through train and once more through "
            f"the holdout: {overlap:.0%} of pairs of rows are the wrong way round, as where rows were drawn and kept in order."
        )
        return Check(name=NAME, measured=overlap, limit=limit, sentence=sentence)
    if worst is not None:
        sentence = f"{worst[0]} goes on from train to the holdout: train ends before the holdout begins."
        return Check(name=NAME, measured=worst[1], limit=limit, sentence=sentence)
    if len(train) < _LEAST:
        sentence = f"Cannot tell whether rows are in the order of time: {len(train)} rows are too few."
        return Check(name=NAME, measured=None, limit=limit, sentence=sentence, decides=False)
    alike = _alike(train[names])
    if alike is None:
        sentence = (
            "Cannot tell whether rows are in the order of time: no column goes with it, and neighbours are no more alike than "
            "others, as where rows were shuffled. Keep the column that says when and name it in data.time, or say null."
        )
        return Check(name=NAME, measured=None, limit=limit, sentence=sentence)
    sentence = (
        f"Not checked: that the order of rows is time, and that train ends before the holdout begins, is the contract's word "
        f"alone. Neighbouring rows are alike ({alike[0]}: rank correlation {alike[1]:.2f}), as they also are where rows were "
        "drawn at random and kept in order; a column that says when, named in data.time, would show which."
    )
    return Check(name=NAME, measured=None, limit=limit, sentence=sentence, decides=False)


def _running(train: pd.DataFrame, holdout: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """(column, share of pairs the wrong way round) of each that never goes back along the rows of either table."""
    import pandas as pd

    for name in names:
        if not is_dated(train[name]):
            continue
        at = timestamps(pd.concat([train[name], holdout[name]], ignore_index=True))
        before, after = at[: len(train)], at[len(train) :]
        if all(runs(side, _LEAST_DISTINCT) for side in (before, after)) and not _counts_rows(before, after):
            yield str(name), overlap(before[np.isfinite(before)], after[np.isfinite(after)])


def _counts_rows(train: Array, holdout: Array) -> bool:
    """Numbers of rows that begin anew in each table say nothing of time."""
    steps = (np.unique(np.diff(side)).tolist() for side in (train, holdout))
    return all(step == [1.0] for step in steps) and train[0] == holdout[0]


def overlap(train: Array, holdout: Array) -> float:
    """Share of pairs, one of each, that are the wrong way round; ties count half. 0: apart, 0.5: mixed."""
    ordered = np.sort(holdout)
    below = np.searchsorted(ordered, train, "left") + np.searchsorted(ordered, train, "right")
    return float(below.mean() / 2 / len(ordered))


def _alike(train: pd.DataFrame) -> tuple[str, float] | None:
    """The column in which neighbouring rows of train are most alike, where chance does not explain it (Bonferroni)."""
    from scipy.stats import norm

    found = []
    for name, column in train.items():
        ranks = timestamps(column.tail(_ROWS).reset_index(drop=True))
        ranks = _ranks(ranks[np.isfinite(ranks)])
        if len(ranks) >= _LEAST and ranks.std() > 0:
            found.append((str(name), float(np.corrcoef(ranks[:-1], ranks[1:])[0, 1]), len(ranks)))
    surely = [one for one in found if one[1] * one[2] ** 0.5 > norm.isf(_ALPHA / len(found))]
    best = max(surely, key=lambda one: one[1], default=None)
    return None if best is None else best[:2]


def _ranks(values: Array) -> Array:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)
