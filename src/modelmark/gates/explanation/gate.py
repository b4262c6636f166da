"""Are the model's explanations exact and stable, and does its opacity buy anything a glass box does not give?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from modelmark.domain.catalogue.gate_settings import ExplanationGate
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import LOSSES, Metric, Task
from modelmark.domain.version import ARTIFACT
from modelmark.explaining.attribution import Subject, Way, way_of
from modelmark.explaining.graph_parts import glass_box
from modelmark.explaining.lime_weights import weights as lime_weights
from modelmark.gates.case import Array, Case, truth_of
from modelmark.gates.common.evaluation_set import evaluation_set_of
from modelmark.gates.explanation import charts
from modelmark.gates.explanation.glass_boxes import challengers
from modelmark.gates.explanation.importance import dependence, permuted, sample
from modelmark.gates.explanation.subject import subject_of
from modelmark.gates.gate import MORE_THAN_NOTHING, Findings, GateProgress, Measurement
from modelmark.seal.digests import digest_bytes
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.metrics import TOPPED
from modelmark.stats.shapley import Explained, enumerated

_SEEDS: Final = 3
_LIME_ROWS: Final = 10
_BRUTE_ROWS: Final = 2
_BRUTE_BACKGROUND: Final = 10
_COLUMNS: Final = 12
_SHOWN: Final = 4  # columns with a dependence plot


@dataclass(frozen=True, slots=True)
class Explanation:
    """Additivity decides; under `regulated: true` so does what opacity buys. The rest is for people to read."""

    settings: ExplanationGate
    name: ClassVar[str] = "explanation"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = False
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        found, steps = Findings(), 6 + len(case.contract.inputs)
        subject = subject_of(case, self.settings)
        path = way_of(case.folder, subject, self.settings)
        progress(1, steps)
        runs = [path.explain(subject, seed) for seed in range(_SEEDS)]
        found.checks.append(self._additive(subject, path, runs[0]))
        found.notes.append(f"Explained by {path.words}{'' if path.exact else ', with standard errors'}.")
        progress(2, steps)
        self._brute(subject, path, found)
        order = self._shapley(subject, runs, found)
        progress(3, steps)
        found.checks.append(self._lime(subject, runs[0]))
        progress(4, steps)
        self._permuted(case, found, lambda done: progress(4 + done, steps))
        for name in order[:_SHOWN]:
            n, rows = dependence(case, sample(case), name, subject.output)
            if rows:
                found.figures.append(charts.dependence(name, n, rows, _answer(case)))
        progress(steps - 1, steps)
        found.checks.append(self._opacity(case, found))
        found.looked_at["background"] = digest_bytes(subject.background_frame.to_csv(index=False).encode())
        return found.measurement()

    def _additive(self, subject: Subject, path: Way, run: Explained) -> Check:
        """Every value and the base must add up to the endpoint's own answer, asked separately."""
        n = len(run.phi)
        off = np.abs(path.link(run.phi.sum(axis=1) + run.base) - subject.scores[:n]) / subject.spread
        worst = float(off.max()) if np.isfinite(off).all() else None
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.tolerance)
        told = "not a number" if worst is None else f"{worst:.2g}"
        verb = "add" if worst is not None and limit.holds(worst) else "do not add"
        return Check(
            name="additivity",
            measured=worst,
            n=n,
            limit=limit,
            sentence=f"Shapley values of {n:,} rows {verb} up to the endpoint's answer: the largest difference is {told}, "
            f"{limit.value:g} is tolerated.",
        )

    def _brute(self, subject: Subject, path: Way, found: Findings) -> None:
        """Every coalition, asked of the endpoint, against what the graph's part says, on a few rows."""
        columns = subject.rows.shape[1]
        if path.part is None or columns > _COLUMNS or not np.isfinite(subject.rows).all():
            return
        size = min(_BRUTE_BACKGROUND, len(subject.background))
        few = _narrowed(subject, size)
        ask, straight = few.ask, bool(path.link(np.array([0.25]))[0] == 0.25)
        turn: Callable[[Array], Array] = (lambda x: x) if straight else (lambda p: np.log(p / (1 - p)))
        with np.errstate(divide="ignore"):
            y_true = enumerated(lambda rows: turn(ask(rows)), few.rows[:_BRUTE_ROWS], few.background)
        mine = path.explain(few, 0)
        off = float(np.abs(mine.phi[:_BRUTE_ROWS] - y_true.phi).max()) / subject.spread
        scale = "" if straight else " (log-odds of float32 probabilities, so this does not decide)"
        found.checks.append(
            Check(
                name="brute force agrees",
                measured=off,
                n=_BRUTE_ROWS,
                limit=Limit(bound=Bound.AT_MOST, value=self.settings.tolerance if straight else 0.05),
                sentence=f"All {2**columns:,} coalitions of {columns} columns on {_BRUTE_ROWS} rows give the same values "
                f"within {off:.2g}{scale}.",
                decides=straight,
            )
        )

    def _shapley(self, subject: Subject, runs: list[Explained], found: Findings) -> list[str]:
        """Mean absolute values with intervals over rows; ranks compared between seeds. The columns, largest first."""
        names, size = subject.encoder.names, min(len(run.phi) for run in runs)
        each = [np.abs(run.phi[:size]) for run in runs]
        mean = each[0].mean(axis=0)
        order = np.argsort(-mean, kind="stable")
        reach = 1.96 * each[0].std(axis=0, ddof=1) / size**0.5 if size > 1 else np.zeros(len(names))
        rows = [(names[k], float(mean[k]), float(max(mean[k] - reach[k], 0)), float(mean[k] + reach[k])) for k in order]
        title = f"Mean absolute Shapley value, {size} rows"
        found.figures.append(charts.importance(title, "mean absolute Shapley value", rows))
        shown = tuple(
            (c, f"{v:.4g}", f"{a:.4g} to {b:.4g}", f"{runs[0].error[:, k].mean():.2g}")
            for (c, v, a, b), k in zip(rows, order, strict=True)
        )
        columns = ("column", "mean absolute value", "interval", "mean standard error")
        found.tables.append(Table(title=title, columns=columns, rows=shown))
        if len(names) > 2 and size > 4:
            found.checks.append(_stable(each, size))
        return [names[k] for k in order]

    def _lime(self, subject: Subject, run: Explained) -> Check:
        name, limit = "LIME agrees", Limit(bound=Bound.AT_LEAST, value=0.5)
        whole = np.flatnonzero(np.isfinite(subject.rows[: len(run.phi)]).all(axis=1))[:_LIME_ROWS]
        back = subject.background[np.isfinite(subject.background).all(axis=1)]
        if len(whole) < 3 or len(back) < 10 or len(subject.encoder.names) < 3:
            sentence = (
                "Cannot tell whether LIME agrees: it needs three columns, three rows and a background without nulls."
            )
            return Check(name=name, measured=None, limit=limit, sentence=sentence, decides=False)
        encoder = subject.encoder
        found = lime_weights(
            lambda rows: subject.ask(encoder.nearest(rows)), subject.rows[whole], back, encoder.names, encoder.values
        )
        off = (subject.rows[whole] - back.mean(axis=0)) / np.maximum(back.std(axis=0), 1e-12)  # LIME standardises
        off[:, sorted(subject.encoder.values)] = 1.0  # LIME's weight of a text column is that of its own value
        agreement = [_ranks(np.abs(w), np.abs(p)) for w, p in zip(found * off, run.phi[whole], strict=True)]
        low, high = _over_rows(np.array(agreement))
        return Check(
            name=name,
            measured=float(np.mean(agreement)),
            limit=limit,
            sentence=f"LIME orders the columns of {len(whole)} rows as Shapley values do with a mean rank correlation of "
            f"{np.mean(agreement):.2f} [{low:.2f}, {high:.2f}]; they answer different questions, so this does not decide.",
            estimate=float(np.mean(agreement)),
            low=low,
            high=high,
            n=len(whole),
            confidence=0.95,
            decides=False,
        )

    def _permuted(self, case: Case, found: Findings, say: Callable[[int], None]) -> None:
        rows, metric, shown = sample(case), case.contract.objective.metric, []
        for done, (name, lost) in enumerate(permuted(case, rows, self.settings.confidence)):
            shown.append((name, lost))
            say(done + 1)
        shown.sort(key=lambda item: -item[1].estimate)
        listed = [(name, lost.estimate, lost.low, lost.high) for name, lost in shown]
        title = f"What {metric.title} loses without each column, {len(rows.frame):,} rows"
        found.figures.append(charts.importance(title, metric.title, listed))
        name, lost = shown[0]
        idle = [column for column, value in shown if value.low <= 0]
        found.checks.append(
            Check(
                name="permutation importance",
                measured=lost.low,
                limit=Limit(bound=Bound.AT_LEAST, value=0.0),
                sentence=f"Shuffling {name} costs most: {metric.title} {lost} on {lost.n:,} rows (Bonferroni over columns).",
                estimate=lost.estimate,
                low=lost.low,
                high=lost.high,
                n=lost.n,
                confidence=lost.confidence,
                decides=False,
            )
        )
        found.checks.append(_beneficial(idle, len(shown), lost))

    def _opacity(self, case: Case, found: Findings) -> Check:
        """What the model gains over the best glass box, paired on the holdout."""
        glass = _is_glass(case, found)
        decides = case.contract.regulated and not glass
        limit = Limit(bound=Bound.AT_LEAST, value=MORE_THAN_NOTHING)
        metric = case.contract.objective.metric
        try:
            name, gain = self._gain(case, metric, found)
        except ModelmarkError as error:
            sentence = f"Could not measure what opacity buys: {error.message}."
            return Check(key="opacity", name="opacity", measured=None, limit=limit, sentence=sentence, decides=decides)
        points = metric in TOPPED or metric is Metric.BRIER
        size = 100.0 if points else 1.0
        unit = f"{' points' if points else ''} of {metric.title}"
        told = f"{size * gain.estimate:.3g}{unit} [{size * gain.low:.3g}, {size * gain.high:.3g}]"
        sentence = f"Opacity buys {told} over {name} on {gain.n:,} rows"
        if glass:
            sentence = f"The model is a glass box itself; over {name} it gains {told} on {gain.n:,} rows"
        elif gain.low <= 0:
            sentence += ": it is not sure that it buys anything" + (
                ", and the contract says regulated" if case.contract.regulated else ""
            )
        if glass:  # nothing is opaque, so nothing has to be bought
            return Check(key="opacity", name="opacity", measured=0.0, limit=replace(limit, value=0.0), sentence=f"{sentence}.",
                         n=gain.n, decides=False)  # fmt: skip
        return Check(
            key="opacity",
            name="opacity",
            measured=gain.low,
            limit=limit,
            sentence=sentence + ".",
            estimate=gain.estimate,
            low=gain.low,
            high=gain.high,
            n=gain.n,
            confidence=gain.confidence,
            decides=decides,
        )

    def _gain(self, case: Case, metric: Metric, found: Findings) -> tuple[str, Interval]:
        evaluation = evaluation_set_of(case)
        train_truth = truth_of(case.train, case.contract)
        others = challengers(case.contract, case.train, train_truth, case.holdout, self.settings.glass_box_rows)
        sign = -1.0 if metric in LOSSES else 1.0
        subjects = {
            case.version.label: evaluation.judged,
            **{name: evaluation.of(scores) for name, scores in others.items()},
        }
        values = {name: evaluation.measure(metric, one, self.settings.confidence) for name, one in subjects.items()}
        best = max(others, key=lambda name: sign * values[name].estimate)
        shown = tuple(
            (name, f"{value.estimate:.4g}", f"{value.low:.4g} to {value.high:.4g}", value.n)
            for name, value in values.items()
        )
        columns = ("who", metric.title, "interval", "rows")
        found.tables.append(Table(title="The model and its glass boxes", columns=columns, rows=shown))
        return best, evaluation.gain(metric, evaluation.judged, evaluation.of(others[best]), self.settings.confidence)


def _beneficial(idle: Sequence[str], columns: int, lost: Interval) -> Check:
    """lost: any of the intervals, for the rows and the confidence that all of them share."""
    return Check(
        key="every_column_matters",
        name="every column matters",
        measured=float(len(idle)),
        limit=Limit(bound=Bound.AT_MOST, value=0.0),
        sentence=_importance(idle, columns),
        n=lost.n,
        confidence=lost.confidence,
        decides=False,
    )


def _importance(idle: Sequence[str], columns: int) -> str:
    """idle: the columns whose permutation importance has an interval that includes 0."""
    if not idle:
        return f"Every column has measurable importance (0 of {columns} intervals include 0)."
    if len(idle) == columns:
        return f"No column has measurable importance ({columns} of {columns} intervals include 0)."
    named = ", ".join(idle[:6]) + (f" and {len(idle) - 6} more" if len(idle) > 6 else "")
    return f"{len(idle)} of {columns} columns have no measurable importance (their intervals include 0): {named}."


def _narrowed(subject: Subject, size: int) -> Subject:
    """The first rows against a smaller background."""
    return replace(subject, background=subject.background[:size], background_frame=subject.background_frame.iloc[:size])


def _stable(each: list[Array], size: int) -> Check:
    """Rank correlation of the columns' importance between seeds, with its bootstrap interval over rows."""
    pairs = [(i, j) for i in range(len(each)) for j in range(i + 1, len(each))]

    def agreement(weights: Array) -> float:
        means = [weights @ one / weights.sum() for one in each]
        return float(np.mean([_ranks(means[i], means[j]) for i, j in pairs]))

    found = interval(agreement, size, times=300)
    return Check(
        name="stability over seeds",
        measured=found.low,
        limit=Limit(bound=Bound.AT_LEAST, value=0.5),
        sentence=f"With other backgrounds and seeds the columns keep their order: mean rank correlation {found} over "
        f"{len(each)} seeds on {size} rows.",
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        n=size,
        confidence=found.confidence,
        decides=False,
    )


def _ranks(one: Array, other: Array) -> float:
    """Spearman's correlation; 0 where one side is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(one), rankdata(other)
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def _over_rows(values: Array) -> tuple[float, float]:
    reach = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return max(float(values.mean()) - reach, -1.0), min(float(values.mean()) + reach, 1.0)


def _is_glass(case: Case, found: Findings) -> bool:
    if not (case.folder / ARTIFACT).is_file():
        found.notes.append("There is no graph to read, so the model counts as a black box.")
        return False
    return glass_box(case.folder)


def _answer(case: Case) -> str:
    contract = case.contract
    if contract.model.task is Task.REGRESSION:
        return "mean answer"
    return f"mean score of {contract.outputs.positive}" if contract.outputs.positive is not None else "mean score"
