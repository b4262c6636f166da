"""Calibration drift: do things still come as often as scores of this size meant on the holdout?

A model that was calibrated badly from the first is the gate's to tell; here a score means what the holdout's rows of that score
said. The largest cumulative gap between that and what came (ECCE; Arrieta-Ibarra et al. 2022) has no bins to choose, and is
compared with what is tolerated, never with chance alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from modelmark.domain.catalogue.monitor_settings import CalibrationMonitor
from modelmark.domain.classes import class_text, positive_of
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Task
from modelmark.monitors.cohort import Cohort, with_labels
from modelmark.monitors.monitor import MonitorContext
from modelmark.stats.calibration import cumulative, design_effect
from modelmark.stats.looks import reach
from modelmark.stats.metrics import Array, LabelledPredictions
from modelmark.stats.watching.without_labels import HoldoutScores, probabilities

NAME: Final = "calibration"
SUBJECT: Final = "probabilities"


class Calibrated:
    """One finding, about all scores together."""

    name = NAME

    def __init__(self, settings: CalibrationMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        known = view.reference.holdout
        if view.contract.model.task is Task.REGRESSION:
            return [_unknown(view, "a number is no probability", 0)]
        if known is None:
            return [_unknown(view, "what the holdout's scores meant is not kept with this version", 0)]
        found: Finding | None = None
        for cohort in with_labels(view.cohorts, self._settings.min_labels):
            labelled = cohort.read()
            if labelled is not None and len(labelled.y_true) >= self._settings.min_labels:
                found = self._judge(view, cohort, labelled, known)
                if found.outcome is not Outcome.CANNOT_TELL:
                    break
        if found is not None:
            return [found]
        most = max((cohort.labels for cohort in view.cohorts), default=0)
        more = max(self._settings.min_labels - most, 1)
        return [_unknown(view, f"{most:,} labels; about {more:,} more would tell", most)]

    def _judge(
        self, view: MonitorContext, cohort: Cohort, labelled: LabelledPredictions, known: HoldoutScores
    ) -> Finding:
        """Alert only when the gap is surely more than is tolerated over all looks, the doubt of the holdout's own rows added."""
        settings, what = view.contract.monitors, self._meaning(view)
        expected, came = _said(labelled, known)
        confidence = self._settings.confidence
        measured = cumulative(
            expected, came, confidence=(1 + confidence) / 2, inflation=design_effect(came - expected, labelled.units)
        )
        stretch = reach(
            confidence, window=settings.window_minutes, every=settings.every_seconds / 60, span=settings.budget_minutes
        )
        ours, held = measured.high - measured.statistic, float(sum(curve.n.sum() for curve in known.curves[:1]))
        theirs = ours * (len(came) / held) ** 0.5  # the same rows' doubt, of as many as the holdout had
        surely = measured.statistic - ours * stretch - theirs > self._settings.tolerance
        said, were = float(expected.mean()), float(came.mean())
        interval = f"{100 * confidence:.4g}% interval {measured.low:.3f} to {measured.high:.3f}"
        numbers = (
            f"{what} came in {were:.1%} of {len(came):,} labels where the holdout's rows of these scores had {said:.1%}; largest "
            f"cumulative gap {measured.statistic:.3f} ({interval}), tolerated {self._settings.tolerance:g}, on {cohort}"
        )
        if surely:
            outcome, sentence = Outcome.ALERT, f"Scores no longer mean what they did: {numbers}."
        elif measured.statistic > self._settings.tolerance:
            outcome = Outcome.CANNOT_TELL
            sentence = f"Cannot tell whether scores mean what they did: {numbers}; not yet sure over all looks."
        else:
            outcome, sentence = Outcome.OK, f"Scores mean what they did: {numbers}."
        return view.finding(
            NAME, SUBJECT, outcome, sentence, n=len(came), measured=measured.statistic, low=measured.low, high=measured.high,
            limit=self._settings.tolerance,
        )  # fmt: skip

    def _meaning(self, view: MonitorContext) -> str:
        if view.contract.model.task is Task.MULTICLASS:
            return "The class decided for"
        return f"“{class_text(view.contract.outputs.classes[positive_of(view.contract)])}”"


def _said(labelled: LabelledPredictions, known: HoldoutScores) -> tuple[Array, Array]:
    """What was to be expected and what came: of the positive class, or of the largest score of several."""
    p = probabilities(labelled, known.curves)
    binary = labelled.task is Task.BINARY
    place = np.full(len(p), labelled.positive) if binary else labelled.scores.argmax(axis=1)
    return p[np.arange(len(p)), place], np.asarray(labelled.y_true == place, dtype=np.float64)


def _unknown(view: MonitorContext, why: str, n: int) -> Finding:
    return view.finding(
        NAME, SUBJECT, Outcome.CANNOT_TELL, f"Cannot tell whether scores mean what they did: {why}.", n=n
    )
