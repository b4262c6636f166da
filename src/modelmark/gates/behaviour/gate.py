"""Do edits of a row move its score as people expect? Metamorphic tests from the contract, on holdout rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from modelmark.domain.catalogue.behaviour import Behaviour, BehaviourKind
from modelmark.domain.catalogue.gate_settings import BehaviourGate
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.gates.behaviour import charts
from modelmark.gates.behaviour.edits import Edited, EditRows, edit, noticed
from modelmark.gates.case import Case
from modelmark.gates.common.asking import Array, ask, good_places, score_of
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.stats.rates import clopper_pearson
from modelmark.stats.rounding import ROUNDING

_SHOWN: Final = 20  # failing rows per test
_FEW: Final = 10  # rows; fewer that behave say nothing of the others


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one test found. failed: (how wrong, row of the table), the worst first. unanswered: rows that were refused."""

    test: Behaviour
    n: int
    failed: tuple[tuple[float, tuple[Any, ...]], ...]
    unanswered: int

    def interval(self, confidence: float) -> tuple[float, float]:
        return clopper_pearson(len(self.failed), self.n, confidence)


@dataclass(frozen=True, slots=True)
class BehaviourTests:
    """A row fails when any of its edits does. Only a failure rate that is surely too high fails the gate."""

    settings: BehaviourGate
    name: ClassVar[str] = "behaviour"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        contract = case.contract
        good = good_places(case.violations, len(case.holdout))
        source = EditRows(contract=contract, train=case.train, holdout=case.holdout, good=good)
        accepted = [test for test in contract.behaviour if test.accepted]
        tried = []
        for done, test in enumerate(accepted):
            progress(done, len(accepted))
            edited = edit(test, source, self.settings.rows)
            tried.append(_judge(test, edited, _answers(case, test, edited), contract))
        # Bonferroni: all intervals hold together.
        confidence = 1 - (1 - self.settings.confidence) / max(len(accepted), 1)
        tables = tuple(_table(found) for found in tried if found.failed)
        return Measurement(
            checks=tuple(self._check(found, confidence) for found in tried),
            notes=tuple(_notes(contract, tried, len(good))),
            figures=(charts.failure_rates(tried, confidence),) if any(f.n for f in tried) else (),
            tables=tables,
        )

    def _check(self, found: Tried, confidence: float) -> Check:
        test, count = found.test, len(found.failed)
        limit = Limit(bound=Bound.AT_MOST, value=test.max_failure_rate)
        if not found.n:
            return Check(
                name=test.name,
                measured=None,
                limit=limit,
                n=0,
                sentence=f"Could not measure {test.name!r}: no holdout row can be edited that way within the contract"
                f"{' and answered' if found.unanswered else ''}; widen its `where`, or take the test out.",
            )
        low, high = found.interval(confidence)
        if found.n < _FEW and limit.holds(low):
            return Check(
                name=test.name, measured=None, estimate=count / found.n, low=low, high=high, n=found.n,
                confidence=confidence, limit=limit, decides=False,
                sentence=f"{_expected(test)}: {count:,} of {found.n:,} rows behave otherwise; cannot tell, "
                f"about {_FEW - found.n:,} more rows needed.",
            )  # fmt: skip
        worst = f" The worst: {_words(found.failed[0][1])}." if count else ""
        return Check(
            name=test.name,
            measured=low,
            estimate=count / found.n,
            low=low,
            high=high,
            n=found.n,
            confidence=confidence,
            limit=limit,
            sentence=f"{_expected(test)}: {count:,} of {found.n:,} rows behave otherwise ({count / found.n:.2%} "
            f"[{low:.2%}, {high:.2%}]); up to {test.max_failure_rate:.2%} is allowed.{worst}",
        )


def _answers(case: Case, test: Behaviour, edited: list[Edited]) -> list[Array]:
    """The scores of each row and its edits, shape (1 + edits, classes) or (1 + edits, 1)."""
    rows = [row for one in edited for row in (one.before, *one.after)]
    scores = ask(case.predictor, rows, case.contract).scores
    ends = np.cumsum([1 + len(one.after) for one in edited])
    parts = np.split(scores, ends[:-1]) if len(edited) else []
    return list(parts)


def _judge(test: Behaviour, edited: list[Edited], answers: list[Array], contract: Contract) -> Tried:
    failed, n, unanswered = [], 0, 0
    seen: set[int] = set()
    if test.kind is BehaviourKind.UNIT_CHANGE and test.twin is None:
        seen = noticed([one.after[0] for one in edited], test.column, contract)
    for place, (one, scores) in enumerate(zip(edited, answers, strict=True)):
        told = place in seen or not np.isfinite(scores[1:]).all()
        silent = test.kind is not BehaviourKind.UNIT_CHANGE or test.twin is not None
        if not np.isfinite(scores[0]).all() or (silent and told):
            unanswered += 1
            continue
        n += 1
        wrong, at, score = (0.0, 0, scores[:, 0]) if told else _KINDS[test.kind](test, scores, contract)
        if wrong > 0:
            failed.append((wrong, _row(one, at, score)))
    failed.sort(key=lambda item: -item[0])
    return Tried(test=test, n=n, failed=tuple(failed), unanswered=unanswered)


_TINY: Final = float(np.finfo(np.float64).tiny)

#: (how far beyond what is allowed, which edit, the scores shown); nothing is wrong at 0 or less.
Wrong = tuple[float, int, Array]


def _slack(scores: Array) -> float:
    return ROUNDING * max(1.0, float(np.max(np.abs(scores))))


def _monotone(test: Behaviour, scores: Array, contract: Contract) -> Wrong:
    score = score_of(scores, contract, test.score_of)
    sign = test.direction.sign if test.direction else 1
    against = -sign * np.diff(score)
    at = int(against.argmax())
    return float(against[at]) - test.tolerance - _slack(score), at + 1, score


def _directional(test: Behaviour, scores: Array, contract: Contract) -> Wrong:
    score = score_of(scores, contract, test.score_of)
    sign = test.direction.sign if test.direction else 1
    moved = float(sign * (score[1] - score[0]))
    # A move of exactly the tolerance is not more than it.
    short = max(test.tolerance - moved, _TINY) if moved <= test.tolerance else 0.0
    return short, 1, score


def _same(test: Behaviour, scores: Array, contract: Contract) -> Wrong:
    shown = score_of(scores, contract, test.score_of)
    moved = np.abs(scores[1:] - scores[0]).max(axis=1) if test.score_of is None else np.abs(shown[1:] - shown[0])
    at = int(moved.argmax())
    return float(moved[at]) - test.tolerance - _slack(scores), at + 1, shown


_KINDS: Final[dict[BehaviourKind, Callable[[Behaviour, Array, Contract], Wrong]]] = {
    BehaviourKind.MONOTONE: _monotone,
    BehaviourKind.INVARIANT: _same,
    BehaviourKind.DIRECTIONAL: _directional,
    BehaviourKind.UNIT_CHANGE: _same,
    BehaviourKind.NULL_SWAP: _same,
}


def _row(one: Edited, at: int, score: Array) -> tuple[Any, ...]:
    """(holdout row, what changed from, to, score before, score after); of a monotone chain the step that went wrong."""
    rows = (one.before, *one.after)
    monotone_before = at - 1 if len(rows) > 2 and abs(score[at] - score[at - 1]) > abs(score[at] - score[0]) else 0
    before, after = rows[monotone_before], rows[at]
    changed = [name for name in after if after[name] != before[name]]
    return (
        one.place,
        ", ".join(f"{name}={before[name]}" for name in changed),
        ", ".join(f"{name}={after[name]}" for name in changed),
        float(score[monotone_before]),
        float(score[at]),
    )


def _words(row: tuple[Any, ...]) -> str:
    place, before, after, was, now = row
    return f"holdout row {place:,}, {before} to {after}, score {was:.4g} to {now:.4g}"


def _expected(test: Behaviour) -> str:
    return f"“{test.name}” ({test.kind.value.replace('_', ' ')})"


def _table(found: Tried) -> Table:
    more = f", the worst {_SHOWN} of {len(found.failed):,}" if len(found.failed) > _SHOWN else ""
    return Table(
        title=f"Rows that fail “{found.test.name}”{more}",
        columns=("holdout row", "before", "after", "score before", "score after"),
        rows=tuple(row for _, row in found.failed[:_SHOWN]),
    )


def _notes(contract: Contract, tried: list[Tried], good: int) -> list[str]:
    notes = []
    if len(tried) > 1:
        notes.append(f"The intervals of all {len(tried)} tests hold together (Bonferroni).")
    for found in tried:
        if found.unanswered:
            notes.append(f"“{found.test.name}”: {found.unanswered:,} rows were left out, because an edit was refused.")
    waiting = [test.name for test in contract.behaviour if not test.accepted]
    if waiting:
        notes.append(f"Not run until a person accepts them: {', '.join(waiting)}.")
    return notes
