"""Does every odd input get the outcome the contract promises, and is the answer the same however it is asked?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from modelmark.contract.table import rows_of, violating_rows
from modelmark.domain.catalogue.gate_settings import EdgeCasesGate
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ModelmarkError, NotEnoughData, OutputInvalid, Rejected
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Predictor
from modelmark.gates.case import Array, Case
from modelmark.gates.common.edge_inputs import Odd, Promise, Row, odd_requests
from modelmark.gates.edge_cases.boundary import Boundary, near_boundary
from modelmark.gates.edge_cases.rows import odd_rows
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.stats.rates import wilson

_SAMPLE = 50  # rows for the comparisons of ways to ask
_SHOWN = 100
FAMILIES = ("rare category", "joint extremes", "far from training", "nulls together")


@dataclass(frozen=True, slots=True)
class EdgeCases:
    """Cases come from the contract, so a contract that promises more is tested more."""

    settings: EdgeCasesGate
    name: ClassVar[str] = "edge_cases"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        good = _good(case)
        rows: list[Row] = list(
            rows_of(case.holdout.iloc[good[: min(_SAMPLE, case.contract.serving.max_rows)]], case.contract)
        )
        odd = [*odd_requests(case.contract, rows[0]), *odd_rows(case.contract, case.train, case.holdout, good)]
        failures = []
        for done, request in enumerate(odd):
            got = outcome(case.predictor, request, case.contract)
            if got is not None:
                failures.append((request.name, request.promise.value, got))
            if done % 20 == 0:
                progress(done, len(odd) + 4)
        boundary = near_boundary(case, good)
        if boundary is not None:
            failures += [(name, Promise.ANSWER.value, got) for name, got in boundary.unanswered]
        checks = [self._promises(len(odd) + (boundary.edits if boundary else 0), failures)]
        for done, (name, sentence, difference) in enumerate(_ways(case.predictor, rows)):
            checks.append(self._same(name, sentence, difference, len(rows)))
            progress(len(odd) + done, len(odd) + 4)
        checks += [_boundary(boundary)] if boundary is not None and boundary.rows else []
        table = Table(
            title="Odd inputs with another outcome than promised",
            columns=("case", "promised", "got"),
            rows=tuple(failures[:_SHOWN]),
        )
        families = Counter(o.name.split(":")[0] for o in odd if o.name.startswith(FAMILIES))
        told = ", ".join(f"{count} × {name}" for name, count in families.items())
        notes = (f"Suggested by the data: {told}.",) if told else ()
        return Measurement(checks=tuple(checks), tables=(table,) if failures else (), notes=notes)

    def _promises(self, count: int, failures: list[tuple[str, str, str]]) -> Check:
        detail = f"; first: {failures[0][0]} should get {failures[0][1]}, got {failures[0][2]}" if failures else ""
        return Check(
            name="odd inputs get what the contract promises",
            measured=float(len(failures)),
            n=count,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_failures),
            sentence=f"{len(failures):,} of {count:,} odd inputs got another outcome than promised{detail}.",
        )

    def _same(self, name: str, sentence: str, difference: float | str, rows: int) -> Check:
        known = isinstance(difference, float)
        return Check(
            name=name,
            measured=difference if isinstance(difference, float) else None,
            n=rows,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.tolerance),
            sentence=f"{sentence} changes answers of {rows:,} rows by up to {difference:.2g}; "
            f"up to {self.settings.tolerance:g} is tolerated (of the answer itself, where it is above 1)."
            if known
            else f"Could not measure: {sentence.lower()} was answered with {difference}.",
        )


def _good(case: Case) -> list[int]:
    """Places of holdout rows that keep the contract, those without any flag first."""
    bad = set(violating_rows(case.violations))
    flagged = {row for violation in case.violations for row in violation.rows}
    good = [i for i in range(len(case.holdout)) if i not in bad]
    good.sort(key=lambda i: i in flagged)
    if not good:
        raise NotEnoughData("no holdout row keeps the contract, so there is no usual row to vary")
    return good


def _boundary(found: Boundary) -> Check:
    """Shown, not decided: a row at the threshold has to flip somewhere; how wildly is for people to see."""
    low, high = wilson(found.flipped, found.rows)
    return Check(
        name="near the threshold",
        measured=found.flipped / found.rows,
        estimate=found.flipped / found.rows,
        low=low,
        high=high,
        n=found.rows,
        confidence=0.95,
        limit=Limit(bound=Bound.AT_MOST, value=1.0),
        sentence=f"Of the {found.rows:,} rows nearest to the threshold, {found.flipped:,} ({found.flipped / found.rows:.1%} "
        f"[{low:.1%}, {high:.1%}]) change their decision under one of {found.edits:,} smallest edits; the largest change of a "
        f"score is {found.moved:.3g}{f' ({found.worst})' if found.worst else ''}.",
        decides=False,
    )


def outcome(predictor: Predictor, request: Odd, contract: Contract) -> str | None:
    """None when the promise was kept, else what came instead."""
    try:
        scores = np.asarray(predictor.predict(request.rows), dtype=np.float64)
    except Rejected as refusal:
        kept = request.promise in (Promise.REFUSAL, Promise.EITHER)
        return None if kept else f"refusal {refusal.code}: {refusal.message}"
    except OutputInvalid as error:
        kept = request.promise is Promise.GUARDED and bool(contract.fallback)
        return None if kept else f"{error.code}: {error.message}"
    except ModelmarkError as error:
        return f"{error.code}: {error.message}"
    except Exception as error:  # noqa: BLE001 - whatever the serving path lets out is the finding
        return f"{type(error).__name__}: {error}"
    width = 1 if contract.model.task is Task.REGRESSION else len(contract.outputs.classes)
    if scores.shape != (len(request.rows), width) or not np.isfinite(scores).all():
        return f"an answer that is not {len(request.rows)} x {width} finite numbers"
    return "an answer" if request.promise is Promise.REFUSAL else None


def _ways(predictor: Predictor, rows: list[Row]) -> Iterator[tuple[str, str, float | str]]:
    """(check, what was done, largest difference, or what went wrong) for each way of asking the same.

    Differences of answers above 1 are relative: graphs compute in float32, so a price of 100,000 has steps of 0.008.
    """
    backwards = rows[::-1]
    turned: list[Row] = [dict(reversed(list(row.items()))) for row in rows]
    ways: tuple[tuple[str, str, Callable[[], Array]], ...] = (
        ("batch equals single", "Asking one row at a time", lambda: _ask_singly(predictor, rows)),
        ("order of rows", "Reversing the rows", lambda: _ask(predictor, backwards)[::-1]),
        ("order of columns", "Reversing the columns", lambda: _ask(predictor, turned)),
        ("determinism", "Asking three times", lambda: _twice_more(predictor, rows)),
    )
    try:
        first = _ask(predictor, rows)
    except Exception as error:  # noqa: BLE001 - as in `outcome`
        yield from ((name, sentence, f"{type(error).__name__}: {error}") for name, sentence, _ in ways)
        return
    for name, sentence, again in ways:
        try:
            moved = float(np.max(np.abs(again() - first) / np.maximum(1.0, np.abs(first))))
            yield name, sentence, moved if np.isfinite(moved) else "an answer that is not finite"
        except Exception as error:  # noqa: BLE001
            yield name, sentence, f"{type(error).__name__}: {error}"


def _ask(predictor: Predictor, rows: list[Row]) -> Array:
    return np.asarray(predictor.predict(rows), dtype=np.float64)


def _ask_singly(predictor: Predictor, rows: list[Row]) -> Array:
    return np.concatenate([_ask(predictor, [row]) for row in rows])


def _twice_more(predictor: Predictor, rows: list[Row]) -> Array:
    """Two further answers, shape (2, rows, classes)."""
    return np.stack([_ask(predictor, rows), _ask(predictor, rows)])
