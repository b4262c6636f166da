"""The rows that robustness is tried on, and what a model decides of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import violating_rows
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Predictor
from modelmark.gates.case import Array, Case, score
from modelmark.gates.robustness import perturb
from modelmark.stats.metrics import judged

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]

_MOVED: Final = 0.25  # standard deviations of the truth: a smaller move of a value is no flip


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbationSet:
    """The rows that are tried, their truth, and what the candidate says of them."""

    contract: Contract
    frame: pd.DataFrame
    y_true: Any
    fields: tuple[perturb.Field, ...]
    train: pd.DataFrame
    spread: float

    def decide(self, predictor: Predictor, frame: pd.DataFrame) -> Array:
        """Class positions, or values for regression; NaN where there was no answer."""
        scores = score(predictor, frame, self.contract, set())
        if self.contract.model.task is Task.REGRESSION:
            return np.asarray(scores[:, 0])
        said = judged(self.contract, np.zeros(len(scores), dtype=np.int64), np.nan_to_num(scores)).decisions()
        return np.where(np.isfinite(scores).all(axis=1), said, np.nan)

    def differ(self, one: Array, other: Array) -> Mask:
        """Flipped: another class, or a value that moved by more than a quarter of the truth's standard deviation."""
        if self.contract.model.task is Task.REGRESSION:
            return np.asarray(~(np.abs(one - other) <= _MOVED * self.spread))
        return np.asarray(one != other)


def perturbation_set_of(case: Case, most: int) -> PerturbationSet:
    """A seeded sample of at most `most` holdout rows that keep the contract, with a known truth and an answer."""
    y_true = case.y_true
    regression = case.contract.model.task is Task.REGRESSION
    known = np.isfinite(y_true) if regression else y_true >= 0
    usable = known & np.isfinite(case.scores).all(axis=1)
    usable[list(violating_rows(case.violations))] = False
    rows = np.flatnonzero(usable)
    if len(rows) < 10:
        raise NotEnoughData(f"{len(rows)} holdout rows have a known truth and an answer; ten are the least")
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return PerturbationSet(
        contract=case.contract,
        frame=case.holdout.iloc[rows].reset_index(drop=True),
        y_true=y_true[rows],
        fields=perturb.fields(case.contract.inputs, case.train),
        train=case.train,
        spread=float(np.std(y_true[rows])) if regression else 1.0,
    )
