"""Is the model good enough on rows it has never seen, better than what costs less, and not too good to be true?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import LOSSES, Contract, Direction, Metric, Task
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.gate_settings import HoldoutGate
from modelmark.gates import baselines, charts
from modelmark.gates.case import Array, Case, judged, truth_of
from modelmark.gates.gate import MORE_THAN_NOTHING, Measurement, Progress
from modelmark.stats.bootstrap import Interval, blocks, interval
from modelmark.stats.metrics import TOPPED, Judged, measure, statistic

if TYPE_CHECKING:
    import pandas as pd

#: One input alone that predicts this well is the target in disguise until someone explains it.
SINGLE_COLUMN: Final = 0.995
LINEAR: Final = "a linear model"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """The rows that can be judged (known truth, answered), in time order where there is one, and how to resample."""

    contract: Contract
    rows: NDArray[np.int64]
    judged: Judged
    units: NDArray[np.int64] | None
    frame: pd.DataFrame

    def of(self, scores: Array) -> Judged:
        """Other scores of the holdout, on these rows."""
        return replace(self.judged, scores=scores[self.rows])


@dataclass(frozen=True, slots=True)
class Holdout:
    """Every figure with its n and bootstrap interval; every comparison paired on the same rows."""

    settings: HoldoutGate
    name: ClassVar[str] = "holdout"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True

    def measure(self, case: Case, progress: Progress) -> Measurement:
        scene = _scene(case)
        contract, metric = case.contract, case.contract.objective.metric
        ours = self._interval(metric, scene.judged, scene)
        progress(1, 4)
        others = dict(_rivals(case, scene, self.settings.champion_margin))
        floor_name, (floor, _) = next(iter(others.items()))
        checks = [self._objective(metric, ours, floor_name, measure(metric, scene.of(floor)))]
        progress(2, 4)
        shown = {case.version.label: ours}
        for name, (scores, required) in others.items():
            rival = scene.of(scores)
            shown[name] = self._interval(metric, rival, scene)
            checks.append(self._compare(metric, name, rival, shown[name], scene, required))
        checks += [self._guardrail(g.metric, g.limit, scene) for g in contract.guardrails]
        progress(3, 4)
        checks += list(self._leaks(case, scene, ours))
        answered = len(scene.rows)
        notes = (
            []
            if answered == len(case.holdout)
            else [
                f"Judged on {answered:,} of {len(case.holdout):,} rows: the others have no known truth or are refused."
            ]
        )
        if scene.units is not None:
            notes.append("Rows depend on each other, so intervals resample whole groups or stretches of time.")
        return Measurement(
            checks=tuple(checks),
            notes=tuple(notes),
            figures=(charts.intervals(metric.title, shown), *charts.quality(contract, scene.judged)),
            tables=(_table(metric, shown),),
        )

    def _interval(self, metric: Metric, judged: Judged, scene: _Scene) -> Interval:
        return interval(
            statistic(metric, judged), len(judged.truth), confidence=self.settings.confidence, units=scene.units
        )

    def _objective(self, metric: Metric, ours: Interval, floor: str, value: float) -> Check:
        sentence = f"{_cap(metric.title)} {ours} on {ours.n:,} rows"
        losing = metric in LOSSES
        if self.settings.minimum is None:
            limit = Limit(bound=Bound.AT_MOST if losing else Bound.AT_LEAST, value=value)
            return _check("objective", ours.estimate, ours, limit, f"{sentence}; {floor} gives {value:.4g}.")
        worse = ours.high if losing else ours.low
        limit = Limit(bound=Bound.AT_MOST if losing else Bound.AT_LEAST, value=self.settings.minimum)
        verb = "holds" if limit.holds(worse) else "does not hold"
        return _check("objective", worse, ours, limit, f"{sentence}; the interval's worse end {verb} {limit}.")

    def _guardrail(self, metric: Metric, value: float, scene: _Scene) -> Check:
        found = self._interval(metric, scene.judged, scene)
        losing = metric in LOSSES
        limit = Limit(bound=Bound.AT_MOST if losing else Bound.AT_LEAST, value=value)
        worse = found.high if losing else found.low
        verb = "holds" if limit.holds(worse) else "does not hold"
        sentence = f"Guardrail {metric.title} {found} on {found.n:,} rows {verb} {limit} at the interval's worse end."
        return _check(f"guardrail {metric.value}", worse, found, limit, sentence)

    def _compare(
        self, metric: Metric, name: str, rival: Judged, theirs: Interval, scene: _Scene, required: float
    ) -> Check:
        a, b = statistic(metric, scene.judged), statistic(metric, rival)
        sign = -1.0 if scene.contract.objective.direction is Direction.MINIMISE else 1.0
        gain: Callable[[Array], float] = lambda w: sign * (a(w) - b(w))  # noqa: E731
        found = interval(gain, len(rival.truth), confidence=self.settings.confidence, units=scene.units)
        limit = Limit(bound=Bound.AT_LEAST, value=required)
        if found.low > 0:
            words = "is better than"
        elif found.high < 0:
            words = "is worse than"
        else:
            words = "cannot be told apart from"
        theirs_is = f"{metric.title} {theirs.estimate:.4g}"
        sentence = f"The model {words} {name} ({theirs_is}): paired gain {found} on {found.n:,} rows"
        if name == LINEAR:
            # A model may be no better than a linear one (it may be one); it must not be clearly worse.
            return _check(f"against {name}", found.high, found, limit, sentence + ".")
        if required < 0:
            sentence += f"; up to {-required:g} worse is tolerated"
        return _check(f"against {name}", found.low, found, limit, sentence + ".")

    def _leaks(self, case: Case, scene: _Scene, ours: Interval) -> Iterator[Check]:
        metric = case.contract.objective.metric
        if metric in TOPPED:
            limit = Limit(bound=Bound.AT_MOST, value=self.settings.suspicious)
            good = limit.holds(ours.estimate)
            words = "is believable" if good else "is too good to be true: a leak until someone explains it"
            sentence = f"{_cap(metric.title)} {ours.estimate:.4g} on {ours.n:,} rows {words}."
            yield _check("believable", ours.estimate, ours, limit, sentence)
        if self.settings.suspicious >= 1:
            return
        name, value, probe = _best_single_column(case, scene)
        limit = Limit(bound=Bound.AT_MOST, value=min(SINGLE_COLUMN, self.settings.suspicious))
        tail = "" if limit.holds(value) else f": {name} is the target in disguise, a leak until someone explains it"
        yield Check(
            name="no input gives the answer away",
            measured=value,
            estimate=value,
            n=len(scene.rows),
            limit=limit,
            sentence=f"The strongest input alone, {name}, reaches {probe.title} {value:.4g} "
            f"on {len(scene.rows):,} rows{tail}.",
        )


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _check(name: str, measured: float, found: Interval, limit: Limit, sentence: str) -> Check:
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
    )


def _scene(case: Case) -> _Scene:
    contract, truth = case.contract, case.truth
    known = np.isfinite(truth) if contract.model.task is Task.REGRESSION else truth >= 0
    rows = np.flatnonzero(known & np.isfinite(case.scores).all(axis=1))
    if case.champion_scores is not None:
        rows = rows[np.isfinite(case.champion_scores[rows]).all(axis=1)]
    time, group = contract.data.time, contract.data.group
    if time is not None and time != "row_order" and time in case.holdout:
        rows = rows[np.argsort(case.holdout[time].to_numpy()[rows], kind="stable")]
    if len(rows) < 10:
        raise NotEnoughData(f"{len(rows)} holdout rows have a known truth and an answer; ten are the least")
    units: NDArray[np.int64] | None = None
    if group is not None and group in case.holdout:
        units = np.unique(case.holdout[group].astype(str).to_numpy()[rows], return_inverse=True)[1].astype(np.int64)
    elif time is not None:
        units = blocks(len(rows))
    ours = judged(contract, truth[rows], case.scores[rows])
    return _Scene(contract=contract, rows=rows, judged=ours, units=units, frame=case.holdout)


def _rivals(case: Case, scene: _Scene, margin: float) -> Iterator[tuple[str, tuple[Array, float]]]:
    """Name -> (scores on the whole holdout, least paired gain)."""
    contract = case.contract
    train_truth = truth_of(case.train, contract)
    name, scores = baselines.constant(contract, train_truth, len(case.holdout))
    yield name, (scores, MORE_THAN_NOTHING)
    if contract.data.time is not None:
        ordered = np.full_like(case.scores, np.nan)
        ordered[scene.rows] = baselines.no_change(
            contract, _in_time(case.train, train_truth, contract), scene.judged.truth
        )
        yield "no change (the label before)", (ordered, MORE_THAN_NOTHING)
    linear = baselines.linear(contract, case.train, train_truth, case.holdout)
    yield LINEAR, (linear, 0.0)
    if case.champion is not None and case.champion_scores is not None:
        yield f"the champion {case.champion.label}", (case.champion_scores, -margin)


def _in_time(train: pd.DataFrame, truth: NDArray[np.int64] | Array, contract: Contract) -> NDArray[np.int64] | Array:
    time = contract.data.time
    return truth[np.argsort(train[time].to_numpy(), kind="stable")] if time in train else truth


def _best_single_column(case: Case, scene: _Scene) -> tuple[str, float, Metric]:
    probe = {Task.BINARY: Metric.ROC_AUC, Task.MULTICLASS: Metric.BALANCED_ACCURACY}.get(scene.judged.task, Metric.R2)
    each = baselines.single_columns(case.contract, case.train, truth_of(case.train, case.contract), case.holdout)
    values = {name: measure(probe, scene.of(scores)) for name, scores in each.items()}
    best = max(values, key=lambda name: values[name] if np.isfinite(values[name]) else -1.0)
    return best, values[best], probe


def _table(metric: Metric, shown: Mapping[str, Interval]) -> Table:
    rows = tuple((name, f"{i.estimate:.4g}", f"{i.low:.4g} to {i.high:.4g}", i.n) for name, i in shown.items())
    return Table(
        title=f"{_cap(metric.title)} of the model and its rivals",
        columns=("who", metric.title, "interval", "rows"),
        rows=rows,
    )
