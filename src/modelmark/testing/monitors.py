"""What every monitor must keep, ours and yours: `check_monitor` raises AssertionError naming the promise that broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from math import isfinite
from typing import Any, Final

import numpy as np

from modelmark.domain.contract import Contract, Data, DataType, Input, ModelSource, Objective, Outputs
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Outcome, Window
from modelmark.domain.metrics import Metric, Task
from modelmark.monitors.arrivals import Arrivals, Labels
from modelmark.monitors.cohort import Cohort
from modelmark.monitors.monitor import REQUESTS, Monitor, MonitorContext, Recorded
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.profile import SCORE, Counts, Reference, Times, reference, tally

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW: Final = Window(start=NOON, end=NOON + timedelta(hours=1))
QUIET_LOOKS: Final = 20
#: Of the quiet looks, how many may alarm: with a false-alarm rate of 1% more than two in twenty come once in a
#: thousand.
QUIET_ALARMS: Final = 2


def check_monitor(monitor: Monitor, *, planted: MonitorContext | None = None, rows: int = 2000) -> None:
    """Quiet on no change, fires on a planted one, cannot tell on an empty window, and says each in a sentence.

    planted: a view in which the monitor must alarm; the usual one has shifted numbers and scores, missing and unseen
    values, refused requests, wrong answers, and a fifth of the usual requests and labels.
    """
    alarms = sum(_alarms(monitor, quiet_view(rows, seed)) for seed in range(QUIET_LOOKS))
    assert alarms <= QUIET_ALARMS, f"{monitor.name} alarmed in {alarms} of {QUIET_LOOKS} quiet windows"
    assert _alarms(monitor, planted or planted_view(rows)), f"{monitor.name} missed the planted change"
    said = monitor.evaluate(empty_view())
    assert said, f"{monitor.name} is silent about an empty window"
    sure = [finding.subject for finding in said if finding.outcome is not Outcome.CANNOT_TELL]
    assert not sure, f"{monitor.name} claims to know about {sure} of an empty window"
    view = quiet_view(rows, 0)
    assert monitor.evaluate(view) == monitor.evaluate(view), f"{monitor.name} says two things about one view"


def quiet_view(rows: int = 2000, seed: int = 0) -> MonitorContext:
    """Traffic as at training time."""
    rng = np.random.default_rng(seed + 1)
    return _view(*_sample(rng, rows), _judged(rng, rows, wrong=0.1), {}, rows)


def unlabelled_view(rows: int = 2000, seed: int = 0, *, unsure: float = 0.0) -> MonitorContext:
    """Traffic as at training time, of which no label has come. unsure: how much nearer its scores are to one half, where a model
    is wrong more often; 1 puts all of them there."""
    rng = np.random.default_rng(seed + 1)
    _, _, scores = _sample(rng, rows)
    scores = 0.5 + (scores - 0.5) * (1 - unsure)
    view = quiet_view(rows, seed)
    seen = Recorded(profiles=view.profiles, refused={}, scores=np.stack([1 - scores, scores], axis=1))
    return replace(view, observed=seen)


def planted_view(rows: int = 2000, seed: int = 0) -> MonitorContext:
    """Everything that can go wrong does."""
    rng = np.random.default_rng(seed + 1)
    numbers, words, scores = _sample(rng, rows)
    numbers[: rows // 5] = np.nan
    words[: rows // 5] = ["never seen"] * (rows // 5)
    refused = {("OUT_OF_RANGE", "amount"): rows // 4}
    return _view(numbers + 2, words, np.clip(scores + 0.4, 0, 1), _judged(rng, rows, wrong=0.5), refused, rows * 5)


def empty_view() -> MonitorContext:
    """A window without a single request: a monitor must say that it cannot tell."""
    return replace(quiet_view(10), observed=Recorded(profiles={}, refused={}))


def cohort_of(judged: LabelledPredictions) -> Cohort:
    """All rows of the views' window, each with its label."""
    n = len(judged.y_true)
    return Cohort(window=WINDOW, rows=n, labels=n, old=True, read=lambda: judged)


def _alarms(monitor: Monitor, view: MonitorContext) -> bool:
    found = monitor.evaluate(view)
    assert found, f"{monitor.name} is silent"
    subjects = [finding.subject for finding in found]
    assert len(subjects) == len(set(subjects)), f"{monitor.name} speaks twice of one subject"
    for finding in found:
        place = (finding.monitor, finding.model, finding.version, finding.window)
        assert place == (monitor.name, view.model, view.version, view.window), f"{finding} is about something else"
        assert finding.sentence.endswith("."), f"no sentence: {finding.sentence!r}"
        numbers = [finding.measured, finding.low, finding.high, finding.limit]
        assert all(isfinite(number) for number in numbers if number is not None), f"not finite: {finding}"
        known = finding.outcome is not Outcome.CANNOT_TELL
        assert not known or finding.measured is not None, f"an outcome without a measurement: {finding}"
    return any(finding.outcome is Outcome.ALERT for finding in found)


def _sample(rng: np.random.Generator, rows: int) -> tuple[Any, list[str], Any]:
    return rng.normal(size=rows), list(rng.choice(["a", "b", "c"], rows)), rng.beta(2, 2, rows)


def _judged(rng: np.random.Generator, rows: int, *, wrong: float) -> LabelledPredictions:
    y_true = rng.integers(0, 2, rows)
    said = np.where(rng.uniform(size=rows) < wrong, 1 - y_true, y_true)
    score = np.clip(said * 0.8 + 0.1 + rng.normal(0, 0.02, rows), 0, 1)
    return LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - score, score], axis=1))


def _view(
    numbers: Any,
    words: Sequence[str],
    scores: Any,
    judged: LabelledPredictions,
    refused: Mapping[tuple[str, str], int],
    usual: int,
) -> MonitorContext:
    """usual: how many requests such a window had before."""
    found = _reference()
    profiles: dict[str, Counts] = tally(found, {"amount": numbers, "kind": words, SCORE: scores})
    profiles[REQUESTS] = np.array([len(words)], dtype=np.int64)
    return MonitorContext(
        model="kit",
        version=Digest("sha256:" + "0" * 64),
        contract=_CONTRACT,
        reference=found,
        window=WINDOW,
        observed=Recorded(
            profiles=profiles, refused=refused, cohorts=(cohort_of(judged),), arrivals=_arrivals(len(words), usual)
        ),
        baseline=0.9,
        now=NOON + timedelta(hours=1),
    )


def _arrivals(requests: int, usual: int) -> Arrivals:
    labels = Labels(last=NOON, count=requests, usual=(usual,) * 3, longest=timedelta(hours=3), known=timedelta(days=30))
    return Arrivals(requests=requests, usual=(usual,) * 4, first=NOON - timedelta(days=30), labels=labels)


@cache
def _reference() -> Reference:
    import pandas as pd

    numbers, words, scores = _sample(np.random.default_rng(0), 20_000)
    train = pd.DataFrame({"amount": numbers, "kind": words})
    when = (
        NOON.timestamp() * 1e6 + np.arange(len(train), dtype=np.float64) * 90e6
    )  # three weeks, whose hours are all alike
    times = Times(train=when, scored=when)
    both = np.stack([1 - scores, scores], axis=1)
    came = (np.random.default_rng(1).uniform(size=len(scores)) < scores).astype(np.int64)  # as often as scores say
    judged = LabelledPredictions(task=Task.BINARY, y_true=came, scores=both)
    return Reference.from_bytes(reference(_CONTRACT, train, both, times, judged))


_CONTRACT: Final = Contract(
    modelmark=1,
    name="kit",
    model=ModelSource(source="model.joblib", task=Task.BINARY),
    data=Data(train="train.csv", holdout="holdout.csv", target="y"),
    inputs=(
        Input(name="amount", type=DataType.NUMBER, minimum=-100.0, maximum=100.0, nullable=True),
        Input(name="kind", type=DataType.CATEGORY, categories=("a", "b", "c")),
    ),
    outputs=Outputs(classes=(0, 1), positive=1),
    objective=Objective(metric=Metric.ACCURACY),
)
