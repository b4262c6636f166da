"""Do things happen as often as the model says, for everybody it speaks of?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.catalogue.gate_settings import CalibrationGate
from modelmark.domain.classes import class_text
from modelmark.domain.errors import Unmeasured
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.gates.calibration.charts import reliability
from modelmark.gates.case import Array, Case
from modelmark.gates.common.evaluation_set import EvaluationSet, evaluation_set_of
from modelmark.gates.common.no_value import unlike, visible
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.stats.calibration import CalibrationError, calibration_error, cumulative, design_effect, labels_needed
from modelmark.stats.rates import would_tell

if TYPE_CHECKING:
    import pandas as pd

_FEW: Final = 40  # rows of a group; in fewer, a rate is known to no better than about 0.15 either way
_PARTS: Final = 4  # of a sensitive column of numbers
_KINDS: Final = 12  # commonest values of a sensitive column of texts


@dataclass(frozen=True, slots=True)
class Calibration:
    """A failure is a miscalibration that matters and is sure; no p-value alone decides."""

    settings: CalibrationGate
    name: ClassVar[str] = "calibration"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        evaluation = evaluation_set_of(case)
        what, score, outcome = _said(evaluation)
        checks = [self._error(score, outcome, what, evaluation.units)]
        progress(1, 3)
        checks.append(self._cumulative(score, outcome, evaluation.units))
        progress(2, 3)
        groups, table = self._groups(case, evaluation, score, outcome)
        notes = [
            "The share of the error that chance gives to any model on so few rows is taken off (Kumar et al. 2019); "
            "its interval is the set of true errors under which the one seen is no surprise."
        ]
        if groups:
            notes.append("Intervals of groups are widened for their number (Bonferroni); only a sure error fails.")
        return Measurement(
            checks=(*checks, *groups),
            notes=(*evaluation.notes(), *notes),
            figures=(reliability(score, outcome, what),),
            tables=table,
        )

    def _error(self, score: Array, outcome: Array, what: str, units: NDArray[np.int64] | None) -> Check:
        inflation = design_effect(outcome - score, units)
        found = calibration_error(score, outcome, confidence=self.settings.confidence, inflation=inflation)
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_error)
        return Check(
            name="calibration",
            measured=found.low,
            limit=limit,
            sentence=f"Calibration error (RMS, debiased) for {what}: {found} on {found.n:,} rows in {found.bins} bins; "
            f"{_tail(found, limit)}.",
            estimate=found.estimate, low=found.low, high=found.high, n=found.n, confidence=found.confidence,
        )  # fmt: skip

    def _cumulative(self, score: Array, outcome: Array, units: NDArray[np.int64] | None) -> Check:
        inflation = design_effect(outcome - score, units)
        confidence = (1 + self.settings.confidence) / 2
        found = cumulative(score, outcome, confidence=confidence, inflation=inflation)
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_error)
        words = "within" if limit.holds(found.low) else "more than"
        return Check(
            name="calibration without bins",
            measured=found.low,
            limit=limit,
            sentence=f"Cumulative calibration error: {found.statistic:.4f} on {len(score):,} rows, at least {found.low:.4f} of it "
            f"beyond chance, {words} the {limit.value:g} that is tolerated (p = {found.p_value:.2g} if perfectly calibrated).",
            estimate=found.statistic, low=found.low, high=found.high,
            n=len(score), confidence=confidence,
        )  # fmt: skip

    def _groups(
        self, case: Case, evaluation: EvaluationSet, score: Array, outcome: Array
    ) -> tuple[list[Check], tuple[Table, ...]]:
        """One check a sensitive column, about its worst group; a row a group."""
        parts = [(c, g, m) for c in case.contract.data.sensitive for g, m in _parts(evaluation, c)]
        enough = [part for part in parts if part[2].sum() >= _FEW]
        if not parts:
            return [], ()
        confidence = 1 - (1 - self.settings.confidence) / max(len(enough), 1)
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_group_error)
        found: dict[str, list[tuple[str, CalibrationError]]] = {}
        rows: list[tuple[object, ...]] = []
        for column, group, mask in parts:
            n = int(mask.sum())
            if n < _FEW:
                rows.append((column, group, "", "", n, f"cannot tell; about {_FEW - n} more labels needed"))
                continue
            inside = None if evaluation.units is None else np.unique(evaluation.units[mask], return_inverse=True)[1]
            inflation = design_effect(outcome[mask] - score[mask], inside)
            error = calibration_error(score[mask], outcome[mask], confidence=confidence, inflation=inflation)
            found.setdefault(column, []).append((group, error))
            interval = f"{error.low:.3f} to {error.high:.3f}"
            rows.append((column, group, f"{error.estimate:.3f}", interval, n, _tail(error, limit)))
        columns = ("column", "group", "calibration error", "interval", "rows", "verdict")
        table = Table(title="Calibration by group", columns=columns, rows=tuple(rows))
        return [_worst(column, each, limit, confidence) for column, each in found.items()], (table,)


def _worst(column: str, each: list[tuple[str, CalibrationError]], limit: Limit, confidence: float) -> Check:
    group, error = max(each, key=lambda pair: (pair[1].low, pair[1].estimate))
    return Check(
        name=f"calibration by {column}",
        measured=error.low,
        limit=limit,
        sentence=f"Largest calibration error (RMS, debiased) of {len(each)} groups of {column}: {error} for {group} on "
        f"{error.n:,} rows; {_tail(error, limit)}.",
        estimate=error.estimate, low=error.low, high=error.high, n=error.n, confidence=confidence,
    )  # fmt: skip


def _tail(found: CalibrationError, limit: Limit) -> str:
    if not limit.holds(found.low):
        return f"surely more than the {limit.value:g} that is tolerated: recalibrate (modelmark recalibrate)"
    more = labels_needed(found, limit.value)
    if more is None:
        return f"surely within the {limit.value:g} that is tolerated"
    return f"not surely more than the {limit.value:g} that is tolerated; {would_tell(found.n, more)}"


def _said(evaluation: EvaluationSet) -> tuple[str, Array, Array]:
    """(of which class, with which probability, whether it came): the positive class, or the class decided for."""
    judged = evaluation.judged
    if judged.task is Task.BINARY:
        score = judged.scores[:, judged.positive]
        outcome = np.asarray(judged.y_true) == judged.positive
        what = f"class {class_text(evaluation.contract.outputs.classes[judged.positive])}"
    else:
        score, outcome = judged.scores.max(axis=1), judged.decisions() == judged.y_true
        what = "the class decided for"
    if score.min() < -1e-6 or score.max() > 1 + 1e-6:
        raise Unmeasured(
            f"scores from {score.min():.3g} to {score.max():.3g} are no probabilities", code="NO_PROBABILITY"
        )
    return what, np.clip(score, 0, 1), np.asarray(outcome, dtype=np.float64)


def _parts(evaluation: EvaluationSet, column: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """(group, its rows of the evaluation): quarters of numbers, the commonest texts, the rarer ones together, no value.

    Every row is in one group.
    """
    if column not in evaluation.frame:
        raise Unmeasured(f"the holdout has no column {column!r} of data.sensitive", field="data.sensitive")
    values: pd.Series = evaluation.frame[column].iloc[evaluation.rows]
    numbers, texts = as_numbers(values), as_texts(values)
    known = texts.notna().to_numpy()
    taken: tuple[str, ...] = ()
    if values.nunique() > _KINDS and np.isfinite(numbers).mean() > 0.9:
        yield from _quarters(numbers)
        known = ~np.isnan(numbers)
    else:
        counted = texts.value_counts(sort=True, ascending=False)
        taken = visible(tuple(map(str, counted.index)))
        for name, text in list(zip(taken, counted.index, strict=True))[:_KINDS]:
            yield name, (texts == text).to_numpy()
        if len(taken) > _KINDS:
            rarer = texts.isin(counted.index[_KINDS:]).to_numpy()
            yield unlike(taken, f"{len(taken) - _KINDS} rarer values"), rarer
    if not known.all():
        yield unlike(taken), ~known


def _quarters(numbers: Array) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    edges = np.unique(np.quantile(numbers[np.isfinite(numbers)], np.linspace(0, 1, _PARTS + 1)))
    for i, (low, high) in enumerate(pairwise(edges)):
        first, last = i == 0, i == len(edges) - 2
        above = np.ones(len(numbers), dtype=bool) if first else numbers >= low
        yield f"{low:g} to {high:g}", above & ((numbers <= np.inf) if last else (numbers < high))
