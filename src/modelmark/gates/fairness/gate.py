"""Are the groups of the sensitive columns treated alike, by several definitions side by side?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.catalogue.gate_settings import FairnessDefinition, FairnessGate
from modelmark.domain.classes import positive_of
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Table
from modelmark.domain.metrics import Task
from modelmark.gates.case import Case, truth_of
from modelmark.gates.common.asking import known_class
from modelmark.gates.common.evaluation_set import EvaluationSet, evaluation_set
from modelmark.gates.fairness import charts, tables, words
from modelmark.gates.fairness.groups import Groups, crossed, groups_of
from modelmark.gates.fairness.proxies import scan
from modelmark.gates.gate import Findings, GateProgress, Measurement
from modelmark.stats.fairness import Decided, contrasts, mean_gaps, shrunk
from modelmark.stats.indices import indices

Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]

_GROUPS: Final = 20  # of one column that are judged, the largest first: pairs grow with their square


@dataclass(frozen=True, slots=True)
class Fairness:
    """Every pair of groups, every rate, with intervals that hold together; failure is sure or it is none."""

    settings: FairnessGate
    name: ClassVar[str] = "fairness"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        contract, columns = case.contract, case.contract.data.sensitive
        if not columns:
            raise NotEnoughData("the contract names no sensitive column in data.sensitive")
        evaluation = evaluation_set(contract, case.holdout, case.y_true, case.scores, _answered(case))
        sides = {c: groups_of(c, case.train, case.holdout, self.settings.boundaries.get(c)) for c in columns}
        steps = 2 * len(columns) + 1
        found = Findings()
        for done, (there, here) in enumerate(sides.values()):
            self._column(evaluation, here, len(columns), found)
            found.tables.append(_labels(case, there, here, self._favourable(contract)))
            progress(done + 1, steps)
        for done, (column, pair) in enumerate(sides.items()):
            found.checks.append(words.proxies(column, partial(scan, contract, case.train, case.holdout, pair)))
            progress(len(columns) + done + 1, steps)
        if len(columns) > 1 and contract.model.task is not Task.REGRESSION:
            self._intersections(evaluation, [here for _, here in sides.values()], found)
        found.notes.extend([*evaluation.notes(), *words.notes(contract, self.settings, len(columns))])
        return found.measurement()

    def _column(self, evaluation: EvaluationSet, groups: Groups, columns: int, found: Findings) -> None:
        code = groups.code[evaluation.rows]
        sizes = np.bincount(code, minlength=len(groups.names))
        enough = np.flatnonzero(sizes >= self.settings.min_rows)
        kept = np.sort(enough[np.argsort(-sizes[enough], kind="stable")][:_GROUPS])
        left = [(groups.names[k], int(sizes[k])) for k in np.argsort(-sizes, kind="stable") if k not in kept]
        if left:
            found.checks.append(words.not_judged(groups.column, left, self.settings.min_rows, _GROUPS))
            found.tables.append(tables.not_judged(groups.column, left))
        if len(kept) < 2:
            found.checks.append(
                words.one_group(groups.column, len(kept), self.settings.min_rows, self._agreed(evaluation))
            )
            return
        names = tuple(groups.names[k] for k in kept)
        place = np.full(len(groups.names), -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        rows, code = place[code] >= 0, place[code]
        confidence = 1 - (1 - self.settings.confidence) / columns  # Bonferroni over columns, max-T within
        if evaluation.contract.model.task is Task.REGRESSION:
            self._values(evaluation, groups.column, names, (rows, code), confidence, found)
            return
        asked = list(self._questions(evaluation, rows, code[rows]))
        for label, decided in asked:  # of several classes each is one more way to be wrong
            self._rates(groups.column, names, label, decided, 1 - (1 - confidence) / len(asked), found)

    def _questions(self, evaluation: EvaluationSet, rows: Mask, code: Codes) -> Iterator[tuple[str, Decided]]:
        """(class, decisions for and against it): the favourable class alone, or each of several."""
        contract = evaluation.contract
        said = evaluation.judged.decisions()[rows]
        favourable = self._favourable(contract)
        several = contract.model.task is Task.MULTICLASS and self.settings.favourable is None
        for k in range(len(contract.outputs.classes)) if several else (favourable,):
            yield (
                str(contract.outputs.classes[k]),
                Decided(
                    group=code,
                    said=np.asarray(said == k),
                    real=np.asarray(evaluation.judged.y_true[rows] == k),
                    score=evaluation.judged.scores[rows, k],
                    units=_dense(evaluation.units, rows),
                ),
            )

    def _agreed(self, evaluation: EvaluationSet) -> bool:
        return bool(self.settings.definitions) or evaluation.contract.model.task is Task.REGRESSION

    def _favourable(self, contract: Contract) -> int:
        if contract.model.task is Task.REGRESSION:
            return 0
        if self.settings.favourable is None:
            return positive_of(contract)
        return known_class(contract, self.settings.favourable)

    def _rates(
        self, column: str, names: tuple[str, ...], label: str, decided: Decided, confidence: float, found: Findings
    ) -> None:
        # Each rate's intervals hold together; those that were agreed share the doubt (Bonferroni), the others only inform.
        each = 1 - (1 - confidence) / max(len(self.settings.definitions), 1)
        compared = contrasts(decided, len(names), confidence=each)
        sizes = np.bincount(decided.group, minlength=len(names))
        judge = words.Judge(column=column, names=names, sizes=sizes, label=label, confidence=confidence)
        for definition in FairnessDefinition:
            mine = [c for c in compared if c.rate == definition.value]
            found.checks.append(judge(definition, mine, self.settings))
        found.notes.extend(words.impossible(column, names, compared, decided))
        title = f"{label} by {column}"
        found.tables.append(tables.decisions(title, names, decided, confidence))
        found.tables.append(tables.pairs(title, names, compared, sizes))
        found.tables.append(
            tables.summary(title, indices(decided, names, self.settings.confidence), len(decided.group))
        )
        found.figures.append(charts.rates(column, tables.counted(names, decided, confidence)))
        rows = [words.oriented(c, names) for c in compared if c.rate == "selection_rate"]
        title = f"Selection rate of {label} by {column}: ratio of the lower to the higher"
        found.figures.append(charts.ratios(title, sorted(rows, key=lambda r: r[1]), self.settings.min_ratio))

    def _values(
        self,
        evaluation: EvaluationSet,
        column: str,
        names: tuple[str, ...],
        where: tuple[Mask, Codes],
        confidence: float,
        found: Findings,
    ) -> None:
        rows, code = where
        y_true = np.asarray(evaluation.judged.y_true[rows], dtype=np.float64)
        spread = float(y_true.std()) or 1.0
        error = (evaluation.judged.scores[rows, 0] - y_true) / spread
        gaps = mean_gaps(error, code[rows], len(names), confidence=confidence, units=_dense(evaluation.units, rows))
        found.checks.append(
            words.error_gap(column, names, gaps, (len(y_true), confidence, self.settings.max_error_gap))
        )
        found.tables.append(tables.error_pairs(column, names, gaps, np.bincount(code[rows], minlength=len(names))))
        shown: list[tuple[Any, ...]] = []
        for k, name in enumerate(names):
            mine = code[rows] == k
            shown.append(
                (
                    name,
                    int(mine.sum()),
                    f"{y_true[mine].mean():.4g}",
                    f"{evaluation.judged.scores[rows, 0][mine].mean():.4g}",
                    f"{error[mine].mean():+.3f}",
                )
            )
        columns = ("group", "rows", "mean truth", "mean answer", "mean error (sd of truth)")
        found.tables.append(Table(title=f"Answers by {column}", columns=columns, rows=tuple(shown)))

    def _intersections(self, evaluation: EvaluationSet, groups: Sequence[Groups], found: Findings) -> None:
        cells = crossed(groups)
        code = cells.code[evaluation.rows]
        favourable = self._favourable(evaluation.contract)
        said = evaluation.judged.decisions() == favourable
        n = np.bincount(code, minlength=len(cells.names))
        hits = np.bincount(code, said.astype(float), minlength=len(cells.names)).astype(np.int64)
        label = str(evaluation.contract.outputs.classes[favourable])
        found.checks.append(words.intersections(cells, hits, n, label, self.settings))
        found.tables.append(words.cells_table(cells, hits, n, shrunk(hits, n)[0], self.settings.confidence))


def _answered(case: Case) -> Mask:
    """Rows that the candidate answers: what the champion refuses belongs to a group all the same."""
    return np.asarray(np.isfinite(case.scores).all(axis=1))


def _dense(units: Codes | None, rows: Mask) -> Codes | None:
    return None if units is None else np.unique(units[rows], return_inverse=True)[1].astype(np.int64)


def _labels(case: Case, there: Groups, here: Groups, favourable: int) -> Table:
    """What the labels themselves say, before any model."""
    rows = []
    for side, groups, table in (("train", there, case.train), ("holdout", here, case.holdout)):
        y_true = truth_of(table, case.contract)
        regression = case.contract.model.task is Task.REGRESSION
        known = np.isfinite(y_true) if regression else y_true >= 0
        for k, name in enumerate(groups.names):
            mine = known & (groups.code == k)
            if not mine.any():
                continue
            value = float(y_true[mine].mean()) if regression else float((y_true[mine] == favourable).mean())
            rows.append((side, name, int(mine.sum()), f"{value:.4g}" if regression else f"{100 * value:.2f}"))
    what = "mean" if case.contract.model.task is Task.REGRESSION else "favourable %"
    return Table(
        title=f"The labels themselves by {here.column}", columns=("table", "group", "rows", what), rows=tuple(rows)
    )
