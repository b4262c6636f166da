"""The rows a gate can judge, and how sure a figure on them is. Shared by every gate that measures quality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_texts
from modelmark.contract.timestamps import timestamps
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.domain.metrics import LOSSES, Metric, Task
from modelmark.gates.case import Array, Case, truth_of
from modelmark.stats.bootstrap import Interval
from modelmark.stats.dependence import stretches
from modelmark.stats.intervals import gain_interval, metric_interval
from modelmark.stats.metrics import LabelledPredictions, judged, losses
from modelmark.stats.reuse import kth_confidence, stretched

if TYPE_CHECKING:
    import pandas as pd

#: With fewer rows of its rarest class, a sentence gives their number: they say how sure it is, not all the rows.
_SCARCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """The rows that can be judged (known truth, answered), in time order where there is one, and how to resample.

    rows: positions in `frame`. units: positions 0..k-1 of what depends on each other: groups, else entities
    where one has several rows, else stretches of time, as long as the losses ask for; None where rows do not.
    """

    contract: Contract
    rows: NDArray[np.int64]
    judged: LabelledPredictions
    units: NDArray[np.int64] | None
    frame: pd.DataFrame

    def of(self, scores: Array) -> LabelledPredictions:
        """Other scores of the same table, on these rows."""
        return replace(self.judged, scores=scores[self.rows])

    def within(self, mask: NDArray[np.bool_]) -> EvaluationSet:
        """Some of its rows alone."""
        inside = replace(self.judged, y_true=self.judged.y_true[mask], scores=self.judged.scores[mask])
        units = None if self.units is None else np.unique(self.units[mask], return_inverse=True)[1].astype(np.int64)
        return replace(self, rows=self.rows[mask], judged=inside, units=units)

    def notes(self) -> list[str]:
        """What a reader must know of these rows."""
        found, here, whole = [], len(self.rows), len(self.frame)
        if here < whole:
            found.append(
                f"Judged on {here:,} of {whole:,} rows: the others have no known truth, "
                "are refused, or are left to the fallback."
            )
        if self.scarce():
            found.append(f"{cap(self.scarce())}: how sure a figure is hangs on them, not on the number of all rows.")
        if self.units is not None:
            found.append("Rows depend on each other, so intervals resample whole groups or stretches of time.")
        return found

    def scarce(self) -> str:
        """How many rows the rarest class has, where they are few: “only 2 of 800 rows are yes”; else nothing."""
        if self.judged.task is Task.REGRESSION:
            return ""
        classes = self.contract.outputs.classes
        counts = np.bincount(np.asarray(self.judged.y_true, dtype=np.int64), minlength=len(classes))
        rarest = int(counts.argmin())
        few = int(counts[rarest])
        verb = "is" if few == 1 else "are"
        return f"only {few} of {len(self.rows):,} rows {verb} {class_text(classes[rarest])}" if few < _SCARCE else ""

    def measure(self, metric: Metric, subject: LabelledPredictions, confidence: float) -> Interval:
        """As `metric_interval` says. Raises NotEnoughData, with the rows of the rarest class where they are few."""
        try:
            return metric_interval(metric, subject, confidence, units=self.units)
        except NotEnoughData as error:
            raise self._explained(error) from None

    def _explained(self, error: NotEnoughData) -> NotEnoughData:
        why = self.scarce()
        return NotEnoughData(f"{error.message}; {why}", code=error.code, field=error.field) if why else error

    def gain(
        self, metric: Metric, ours: LabelledPredictions, theirs: LabelledPredictions, confidence: float
    ) -> Interval:
        """How much better ours is on the same rows; above 0 is better, whichever way the metric goes.

        Raises NotEnoughData as `measure` does.
        """
        try:
            return gain_interval(metric, ours, theirs, confidence, units=self.units)
        except NotEnoughData as error:
            raise self._explained(error) from None


def evaluation_set_of(case: Case) -> EvaluationSet:
    """The holdout's. Raises NotEnoughData below ten rows."""
    answered = np.asarray(np.isfinite(case.scores).all(axis=1))
    if case.champion_scores is not None:
        answered &= np.isfinite(case.champion_scores).all(axis=1)
    return evaluation_set(case.contract, case.holdout, case.y_true, case.scores, answered)


def validation_set(case: Case) -> EvaluationSet | None:
    """That of the validation table, where there is one."""
    if case.validation is None or case.validation_scores is None:
        return None
    y_true, scores = truth_of(case.validation, case.contract), case.validation_scores
    return evaluation_set(case.contract, case.validation, y_true, scores, np.asarray(np.isfinite(scores).all(axis=1)))


def evaluation_set(
    contract: Contract,
    frame: pd.DataFrame,
    y_true: Array | NDArray[np.int64],
    scores: Array,
    answered: NDArray[np.bool_],
) -> EvaluationSet:
    known = np.isfinite(y_true) if contract.model.task is Task.REGRESSION else y_true >= 0
    rows = np.flatnonzero(known & answered)
    time = contract.data.time
    if time is not None and time != "row_order" and time in frame:
        rows = rows[np.argsort(timestamps(frame[time])[rows], kind="stable")]
    if len(rows) < 10:
        raise NotEnoughData(f"{len(rows)} rows have a known truth and an answer; ten are the least")
    ours = judged(contract, y_true[rows], scores[rows])
    units = groups_of(contract, frame, rows)
    if units is None and time is not None:
        found = stretches(losses(ours)[1])
        units = found if found[-1] + 1 < len(rows) else None
    return EvaluationSet(contract=contract, rows=rows, judged=ours, units=units, frame=frame)


def groups_of(contract: Contract, frame: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Positions 0..k-1 of each row's group, else entity; None where each has one row. A row of none is its own."""
    import pandas as pd

    for name in (contract.data.group, contract.data.entity_key):
        if name is not None and name in frame:
            units = np.asarray(pd.factorize(as_texts(frame[name].iloc[rows]), sort=True)[0], dtype=np.int64)
            units[units < 0] = units.max(initial=-1) + 1 + np.arange(int((units < 0).sum()))
            if units.max(initial=-1) + 1 < len(rows):
                return units
    return None


def cap(text: str) -> str:
    """A sentence's first letter."""
    return text[:1].upper() + text[1:]


def check_of(
    name: str,
    measured: float | None,
    found: Interval,
    limit: Limit,
    sentence: str,
    *,
    decides: bool = True,
    key: str = "",
) -> Check:
    """A check that keeps the interval behind what the limit judges."""
    return Check(
        name=name,
        measured=measured,
        limit=limit,
        sentence=sentence,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        n=found.n,
        confidence=found.confidence,
        decides=decides,
        key=key,
    )


def guardrail_checks(case: Case, evaluation: EvaluationSet, confidence: float) -> list[Check]:
    """Each guardrail against its limit, judged at the interval's worse end; the surer, the more versions came before."""
    checks = []
    for rail in case.contract.guardrails:
        found, losing = evaluation.measure(rail.metric, evaluation.judged, confidence), rail.metric in LOSSES
        found = stretched(found, kth_confidence(confidence, case.earlier_looks + 1))
        limit = Limit(bound=Bound.AT_MOST if losing else Bound.AT_LEAST, value=rail.limit)
        worse = found.high if losing else found.low
        verb = "holds" if limit.holds(worse) else "does not hold"
        title = f"Guardrail {rail.metric.title} {found} on {found.n:,} rows"
        sentence = f"{title} {verb} {limit} at the interval's worse end."
        checks.append(check_of(f"guardrail {rail.metric.value}", worse, found, limit, sentence))
    return checks
