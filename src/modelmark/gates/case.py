"""The candidate before its gates: version, contract, tables, and the serving path without its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import (
    Violation,
    agreed_table,
    as_numbers,
    check_table,
    rows_of,
    target_codes,
    violating_rows,
)
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError, OutputInvalid, Rejected, Unmeasured
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Clock, Predictor, Sources, Staging, SuiteRunner
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.gates.once import once
from modelmark.seal.digests import digest_file
from modelmark.stats.metrics import LabelledPredictions, judged, measure

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """What serves today: its label for people, and its serving path."""

    label: str
    predictor: Predictor
    id: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """base: the folder of modelmark.yaml. folder: the version's. Tables and scores are made once, when first asked.

    workspace: where the journal of real traffic lies. suites: runs the user's own tests. sources: fetches
    a source that is no file. None: there is none here.
    earlier_looks: how many other versions, of whatever model, were judged on this very holdout before.
    """

    version: Version
    contract: Contract
    base: Path
    folder: Path
    predictor: Predictor
    staging: Staging
    clock: Clock
    champion: Champion | None = None
    workspace: Workspace | None = None
    suites: SuiteRunner | None = None
    sources: Sources | None = None
    earlier_looks: int = 0

    @once
    def train(self) -> pd.DataFrame:
        return self._table(self.contract.data.train)

    @once
    def holdout(self) -> pd.DataFrame:
        return self._table(self.contract.data.holdout)

    @once
    def validation(self) -> pd.DataFrame | None:
        """Rows to choose thresholds on; None where the contract names none."""
        name = self.contract.data.validation
        return None if name is None else self._table(name)

    def _table(self, name: str) -> pd.DataFrame:
        return agreed_table(self.base / name, self.contract, [self.contract.data.target])

    @once
    def looked_at(self) -> dict[str, Digest]:
        """Digests of the tables as they are now. Raises Unmeasured when they are not those of the registration."""
        data, line = self.contract.data, self.version.lineage
        now = {"train": digest_file(self.base / data.train), "holdout": digest_file(self.base / data.holdout)}
        known = {"train": line.train_digest, "holdout": line.holdout_digest}
        if data.validation is not None and line.validation_digest is not None:
            now["validation"] = digest_file(self.base / data.validation)
            known["validation"] = line.validation_digest
        for name, registered in known.items():
            if now[name] != registered:
                raise Unmeasured(
                    f"the {name} table has changed since {self.version.label} was registered",
                    code="DATA_CHANGED",
                    field=f"data.{name}",
                    hint="register again, so that the version names the data it is judged on",
                )
        return now

    @once
    def violations(self) -> tuple[Violation, ...]:
        """What the holdout breaks of the contract."""
        return check_table(self.holdout, self.contract)

    @once
    def scores(self) -> Array:
        """The candidate's holdout scores, (rows, classes) or (rows, 1); a row of NaN where the endpoint refuses, or
        leaves the answer to the fallback."""
        return score(self.predictor, self.holdout, self.contract, set(violating_rows(self.violations)))

    @once
    def champion_scores(self) -> Array | None:
        if self.champion is None:
            return None
        return score(self.champion.predictor, self.holdout, self.contract, set(violating_rows(self.violations)))

    @once
    def validation_scores(self) -> Array | None:
        """The candidate's, shaped like `scores`."""
        if self.validation is None:
            return None
        broken = violating_rows(check_table(self.validation, self.contract))
        return score(self.predictor, self.validation, self.contract, set(broken))

    @once
    def y_true(self) -> NDArray[np.int64] | Array:
        """Class positions (-1: unknown), or values (NaN: unknown), of the holdout."""
        return truth_of(self.holdout, self.contract)


def truth_of(frame: pd.DataFrame, contract: Contract) -> NDArray[np.int64] | Array:
    """The target column as class positions or values."""
    column = frame[contract.data.target]
    return as_numbers(column) if contract.model.task is Task.REGRESSION else target_codes(column, contract.outputs)


def judged_holdout(contract: Contract, holdout: pd.DataFrame, scores: Array) -> LabelledPredictions:
    """The rows whose truth is known. scores: row by row."""
    y_true = truth_of(holdout, contract)
    known = ~np.isnan(y_true) if contract.model.task is Task.REGRESSION else y_true >= 0
    return judged(contract, y_true[known], scores[known])


def holdout_metrics(contract: Contract, holdout: pd.DataFrame, scores: Array) -> dict[str, float]:
    """The objective and the guardrails on the holdout, for the tracking run. Evidence, with intervals, is the gates' work."""
    found = judged_holdout(contract, holdout, scores)
    metrics = (contract.objective.metric, *(rail.metric for rail in contract.guardrails))
    return {f"holdout.{metric}": measure(metric, found) for metric in metrics}


def score(predictor: Predictor, frame: pd.DataFrame, contract: Contract, skip: set[int]) -> Array:
    """Scores of every row that the endpoint accepts, asked in batches of at most serving.max_rows.

    Of a row whose answer the guard stops there is none, where the contract names a fallback for it; where it names none
    the endpoint fails on it, and so does this: raises OutputInvalid.
    """
    left = (Rejected, OutputInvalid) if contract.fallback else (Rejected,)
    width = 1 if contract.model.task is Task.REGRESSION else len(contract.outputs.classes)
    answers = np.full((len(frame), width), np.nan)
    kept = np.setdiff1d(np.arange(len(frame)), np.fromiter(skip, dtype=np.int64, count=len(skip)))
    size = min(contract.serving.max_rows, 10_000)
    for start in range(0, len(kept), size):
        places = kept[start : start + size]
        _ask(predictor, rows_of(frame.iloc[places], contract), answers, places, left)
    return answers


def _ask(
    predictor: Predictor,
    rows: Sequence[Mapping[str, Any]],
    answers: Array,
    places: NDArray[np.int64],
    left: tuple[type[ModelmarkError], ...],
) -> None:
    """Fill in the answers; a batch that ends in one of the errors `left` is halved until its rows stand alone."""
    try:
        got = np.asarray(predictor.predict(rows), dtype=np.float64)
    except left:
        if len(rows) > 1:
            half = len(rows) // 2
            _ask(predictor, rows[:half], answers, places[:half], left)
            _ask(predictor, rows[half:], answers, places[half:], left)
        return
    if got.shape != (len(rows), answers.shape[1]):
        raise Unmeasured(f"the model answers an array of shape {got.shape}; {(len(rows), answers.shape[1])} was due")
    answers[places] = got


class OneAtATime:
    """A predictor that several gates may share."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, self._lock = predictor, Lock()

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        with self._lock:
            return self._predictor.predict(rows)
