"""Is the model much worse on a part of the rows than on the whole?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.conditions import holds
from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.catalogue.gate_settings import SlicesGate
from modelmark.domain.contract import DataType, Slice
from modelmark.domain.errors import NotEnoughData, Unmeasured
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.gates.case import Case
from modelmark.gates.common.evaluation_set import EvaluationSet, evaluation_set_of
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.slices.charts import gaps
from modelmark.stats.bootstrap import Interval
from modelmark.stats.holm import holm
from modelmark.stats.metrics import Array, losses
from modelmark.stats.rates import more_needed, would_tell
from modelmark.stats.slicing import WIDEST, Gap, Where, gap_of, number_conditions, search, strongest, text_conditions

_SEARCHED: Final = 100_000  # rows; a slice that needs more to show is not a weak one
_TOP: Final = 10
#: Share of the rows: every model is weak on some dozen; those are no slice to release by.
_SMALLEST: Final = 0.015


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A slice with its gap, or why there is none."""

    name: str
    kind: str
    gap: Gap | None
    rows: int
    metric: Interval | None = None


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices the contract declares, and slices searched on one half of the holdout and confirmed on the other."""

    settings: SlicesGate
    name: ClassVar[str] = "slices"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = False
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        evaluation = evaluation_set_of(case)
        what, loss = losses(evaluation.judged)
        limit = Limit(bound=Bound.AT_MOST, value=self._tolerance(evaluation))
        declared = [self._declared(part, evaluation, loss, limit.value) for part in case.contract.slices]
        checks = [self._check(found, limit, what, float(loss.mean())) for found in declared]
        progress(1, 3)
        discovered, searched, notes = self._discover(case, evaluation, loss, limit.value)
        progress(2, 3)
        checks.append(self._worst(discovered, searched, limit, what, float(loss.mean()), len(loss)))
        every = [*declared, *discovered]
        shown = {found.name: found.gap for found in every if found.gap is not None}
        return Measurement(
            checks=tuple(checks),
            notes=(*evaluation.notes(), *notes),
            figures=(gaps(what, shown, limit.value),) if shown else (),
            tables=(_table(every, case.contract.objective.metric.title, limit.value),) if every else (),
        )

    def _tolerance(self, evaluation: EvaluationSet) -> float:
        regression = evaluation.judged.task is Task.REGRESSION
        return self.settings.max_rank_gap if regression else self.settings.max_gap

    def _declared(self, part: Slice, evaluation: EvaluationSet, loss: Array, tolerance: float) -> _Found:
        mask = _rows_of(part, evaluation)
        rows, found = int(mask.sum()), None
        if rows >= self.settings.min_rows:
            every = np.arange(len(loss), dtype=np.int64)
            found = self._confirm(mask, loss, tolerance, len(evaluation.contract.slices), evaluation, every)
        metric = _metric(evaluation, mask, self.settings.confidence)
        return _Found(name=part.name, kind="declared", gap=found, rows=rows, metric=metric)

    def _check(self, found: _Found, limit: Limit, what: str, whole: float) -> Check:
        name = f"slice {found.name}"
        if found.gap is None:
            more = self.settings.min_rows - found.rows
            why = f"; about {more:,} more labels needed" if more > 0 else ", because they all belong to one group"
            sentence = f"Slice {found.name}: cannot tell on {found.rows:,} rows{why}."
            return Check(name=name, measured=None, limit=limit, n=found.rows, sentence=sentence, decides=False)
        gap = found.gap
        sentence = (
            f"Slice {found.name}: {what} {gap.estimate:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] against {whole:.3f} on all "
            f"rows, on {gap.rows:,} rows; {_verdict(gap, limit.value)}."
        )
        return _check(name, gap, limit, sentence, self.settings.confidence)

    def _discover(
        self, case: Case, evaluation: EvaluationSet, loss: Array, tolerance: float
    ) -> tuple[list[_Found], bool, list[str]]:
        """The weakest slices found on half the rows, with their gaps on the other half; whether halves could hold any."""
        rng = np.random.default_rng(0)
        kept = np.sort(rng.permutation(len(loss))[:_SEARCHED])
        units = np.arange(len(loss)) if evaluation.units is None else evaluation.units
        first = (rng.permutation(int(units.max()) + 1) % 2 == 0)[units[kept]]
        here, there = kept[first], kept[~first]
        least = max(self.settings.min_rows, round(_SMALLEST * len(here)))
        columns = _columns(case, evaluation, kept)
        strong = strongest(columns, first, loss[here], min_rows=least)
        seen = [replace(where, mask=where.mask[first]) for where in strong]
        masks = {(where.column, where.text): where.mask[~first] for where in strong}

        def elsewhere(parts: tuple[Where, ...]) -> NDArray[np.bool_]:
            return np.asarray(np.all([masks[part.column, part.text] for part in parts], axis=0))

        def can_be_confirmed(parts: tuple[Where, ...]) -> bool:
            inside = units[there][elsewhere(parts)]
            return len(inside) >= self.settings.min_rows and bool((inside != inside[0]).any())

        candidates = search(seen, loss[here], min_rows=least, top=_TOP, keep=can_be_confirmed)
        found = []
        for parts in candidates:
            mask = elsewhere(parts)
            gap = self._confirm(mask, loss[there], tolerance, len(candidates), evaluation, there)
            name = " and ".join(part.text for part in parts)
            found.append(_Found(name=name, kind="discovered", gap=gap, rows=int(mask.sum())))
        sampled = f" (of {len(loss):,}, drawn by seed 0)" if len(kept) < len(loss) else ""
        note = (
            f"{len(candidates)} slices of at most two conditions were searched on {len(here):,} rows and measured on "
            f"{len(there):,} others{sampled}; intervals and p-values are corrected for their number (Bonferroni, Holm)."
        )
        room = least <= WIDEST * len(here) and self.settings.min_rows <= len(there)
        return found, room, [note]

    def _confirm(
        self,
        mask: NDArray[np.bool_],
        loss: Array,
        tolerance: float,
        count: int,
        evaluation: EvaluationSet,
        rows: NDArray[np.int64],
    ) -> Gap | None:
        units = None if evaluation.units is None else evaluation.units[rows]
        try:
            return gap_of(
                mask, loss, tolerance=tolerance, confidence=self.settings.confidence, comparisons=count, units=units
            )
        except NotEnoughData:  # all its rows belong to one group: shown as a slice that cannot be told
            return None

    def _worst(self, found: list[_Found], searched: bool, limit: Limit, what: str, whole: float, rows: int) -> Check:
        known = [(each, each.gap) for each in found if each.gap is not None]
        if not searched:
            more = max(round(2 * self.settings.min_rows / WIDEST) - rows, self.settings.min_rows)
            sentence = f"Cannot tell whether a slice stands out: none can be found and confirmed on {rows:,} rows"
            sentence += f"; about {more:,} more labels needed."
            return Check(
                name="worst discovered slice", measured=None, n=rows, limit=limit, sentence=sentence, decides=False
            )
        if not known:
            sentence = (
                f"No slice of at least {self.settings.min_rows} rows in each half of {rows:,} stands out; what is smaller "
                f"cannot be told."
            )
            return Check(name="worst discovered slice", measured=0.0, n=rows, limit=limit, sentence=sentence)
        worst, gap = max(known, key=lambda pair: pair[1].low)
        sentence = (
            f"The weakest of {len(known)} discovered slices is {worst.name}: {what} {gap.estimate:+.3f} "
            f"[{gap.low:+.3f}, {gap.high:+.3f}] against {whole:.3f} on all rows, on {gap.rows:,} rows the search had not "
            f"seen; {_verdict(gap, limit.value)}."
        )
        return _check("worst discovered slice", gap, limit, sentence, self.settings.confidence)


def _check(name: str, gap: Gap, limit: Limit, sentence: str, confidence: float) -> Check:
    return Check(
        name=name, measured=gap.low, limit=limit, sentence=sentence, estimate=gap.estimate, low=gap.low, high=gap.high,
        n=gap.rows, confidence=confidence,
    )  # fmt: skip


def _verdict(gap: Gap, tolerance: float) -> str:
    if gap.low > tolerance:
        return f"surely worse than the {tolerance:g} that is tolerated"
    if gap.high <= tolerance:
        return f"surely within the {tolerance:g} that is tolerated"
    more = more_needed(gap.rows, (gap.high - gap.low) / 2, abs(gap.estimate - tolerance))
    return f"not surely worse than the {tolerance:g} that is tolerated; {would_tell(gap.rows, more, 'labels of it')}"


def _rows_of(part: Slice, evaluation: EvaluationSet) -> NDArray[np.bool_]:
    mask = np.ones(len(evaluation.rows), dtype=np.bool_)
    for rule in part.where:
        if rule.column not in evaluation.frame:
            raise Unmeasured(f"the holdout has no column {rule.column!r} of the slice {part.name!r}", field="slices")
        mask &= holds(rule, evaluation.frame[rule.column].iloc[evaluation.rows])
    return mask


def _columns(case: Case, evaluation: EvaluationSet, kept: NDArray[np.int64]) -> Iterator[list[Where]]:
    """The conditions of each input and sensitive column, over the rows kept."""
    frame, kinds = evaluation.frame, {item.name: item for item in case.contract.inputs}
    names = [*kinds, *(name for name in case.contract.data.sensitive if name not in kinds)]
    for name in names:
        item = kinds.get(name)
        if name not in frame or (item is not None and item.type is DataType.STRING):
            continue
        column = frame[name].iloc[evaluation.rows[kept]]
        numbers = as_numbers(column)
        written = bool((np.isnan(numbers) & column.notna().to_numpy()).any())  # a text among numbers is not missing
        if not (item is not None and item.nominal) and not written and np.isfinite(numbers).any():
            yield number_conditions(name, numbers)
        else:
            yield text_conditions(name, as_texts(column).tolist())


def _metric(evaluation: EvaluationSet, mask: NDArray[np.bool_], confidence: float) -> Interval | None:
    """The objective on the slice; None where its rows are too few or of one class."""
    if not mask.any():
        return None
    part = evaluation.within(mask)
    try:
        return part.measure(evaluation.contract.objective.metric, part.judged, confidence)
    except NotEnoughData:  # shown as "cannot tell"
        return None


def _table(found: list[_Found], metric: str, tolerance: float) -> Table:
    known = [each.gap.p_value for each in found if each.gap is not None and each.kind == "discovered"]
    adjusted: Mapping[float, float] = dict(zip(known, holm(known), strict=True))
    rows = []
    for each in found:
        value = "" if each.kind == "discovered" else str(each.metric or "cannot tell")
        if each.gap is None:
            rows.append((each.name, each.kind, each.rows, value, "", "", "", "cannot tell"))
            continue
        gap = each.gap
        p_value = f"{adjusted[gap.p_value]:.2g}" if each.kind == "discovered" else f"{gap.p_value:.2g}"
        interval = f"{gap.low:+.3f} to {gap.high:+.3f}"
        rows.append(
            (each.name, each.kind, gap.rows, value, f"{gap.estimate:+.3f}", interval, p_value, _verdict(gap, tolerance))
        )
    columns = ("slice", "kind", "rows", f"{metric} [interval]", "gap", "interval", "p", "verdict")
    return Table(title="Slices against the whole", columns=columns, rows=tuple(rows))
