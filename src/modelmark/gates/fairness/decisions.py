"""An audit of decisions that somebody made, or of scores that somebody gave, without a model: counts and rates by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.errors import Rejected
from modelmark.domain.evidence import Table
from modelmark.gates.fairness import tables
from modelmark.gates.fairness.groups import Groups, crossed, groups_of
from modelmark.gates.fairness.words import impossible
from modelmark.stats import delong
from modelmark.stats.fairness import Contrast, Decided, contrasts
from modelmark.stats.rates import clopper_pearson

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]

#: Rows that a group needs to be compared with others; smaller ones are counted all the same.
MIN_ROWS: Final = 30
_YES: Final = ("1", "True", "true", "yes", "Yes", "Y")
#: A score of no more values is looked at value by value, another by tenths.
_VALUES: Final = 20
_SPOKEN: Final = {
    "selection_rate": "decided yes",
    "precision": "right where decided yes (precision)",
    "true_positive_rate": "found, of those it is true of (true positive rate)",
    "false_positive_rate": "wrongly decided yes (false positive rate)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """decision: a column of two values; score: a column of numbers, decided yes from `threshold` on; at least one of them.

    positive: the value of target that means yes; None: 1, true or yes, where there is one. decided: that of decision; None:
    the same.
    """

    target: str
    sensitive: tuple[str, ...]
    decision: str | None = None
    score: str | None = None
    threshold: float | None = None
    positive: str | None = None
    decided: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnAudit:
    """What was found by one sensitive column, or by several crossed. impossible: both sides of a wish that cannot hold."""

    column: str
    sentences: tuple[str, ...]
    impossible: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionAudit:
    """rows: counted; left_out: without a truth or a decision. yes: what is decided for."""

    question: Question
    yes: str
    rows: int
    left_out: int
    columns: tuple[ColumnAudit, ...]


def audit(table: pd.DataFrame, asked: Question) -> DecisionAudit:
    """Raises Rejected for a target or a decision that has not two values, and for a score without a number or a threshold."""
    yes, real, truth_known = _two(table, asked.target, asked.positive)
    said, said_known, score = _said(table, asked, yes)
    known = truth_known & said_known
    if not known.any():
        raise Rejected("no row has both a truth and a decision", code="EMPTY_TABLE", field=asked.target)
    rows = table[known].reset_index(drop=True)
    sides = [groups_of(name, rows, rows, None)[0] for name in asked.sensitive]
    sides += [crossed(sides)] if len(sides) > 1 else []
    parts = (said[known], real[known], None if score is None else score[known])
    return DecisionAudit(
        question=asked,
        yes=yes,
        rows=len(rows),
        left_out=int((~known).sum()),
        columns=tuple(_column(groups, *parts) for groups in sides),
    )


def _two(table: pd.DataFrame, name: str, positive: str | None, option: str = "--positive") -> tuple[str, Mask, Mask]:
    """(the value that means yes, where it stands, where there is any)."""
    texts = as_texts(table[name])
    values = sorted(texts.dropna().unique())
    if len(values) != 2:
        raise Rejected(
            f"{name!r} holds {len(values)} different values, and an audit of decisions needs two", code="WRONG_TASK",
            field=name, limit="two values", hint="give scores with --score and --threshold",
        )  # fmt: skip
    yes = positive if positive is not None else next((value for value in _YES if value in values), None)
    if yes is None or yes not in values:
        raise Rejected(
            f"which value of {name!r} means yes?", code="NO_POSITIVE", field=option,
            limit=f"{values[0]!r} or {values[1]!r}",
        )  # fmt: skip
    return yes, np.asarray(texts == yes), np.asarray(texts.notna())


def _said(table: pd.DataFrame, asked: Question, yes: str) -> tuple[Mask, Mask, Array | None]:
    """What was decided, where anything was, and the scores where there are any."""
    if asked.score is None:
        assert asked.decision is not None
        _, said, known = _two(table, asked.decision, asked.decided or yes, "--decided")
        return said, known, None
    score = as_numbers(table[asked.score])
    known = np.isfinite(score)
    if not known.any():
        raise Rejected(f"{asked.score!r} holds no number", code="WRONG_TYPE", field="--score", limit="numbers")
    if asked.decision is not None:
        _, said, there = _two(table, asked.decision, asked.decided or yes, "--decided")
        return said, there & known, score
    low, high = float(score[known].min()), float(score[known].max())
    threshold = asked.threshold if asked.threshold is not None else 0.5 if low >= 0 and high <= 1 else None
    if threshold is None:
        raise Rejected(
            f"from which {asked.score!r} on is it yes?", code="NO_THRESHOLD", field="--threshold",
            limit=f"a number from {low:g} to {high:g}",
        )  # fmt: skip
    return score >= threshold, known, score


def _column(groups: Groups, said: Mask, real: Mask, score: Array | None) -> ColumnAudit:
    sizes = np.bincount(groups.code, minlength=len(groups.names))
    places = None if score is None else _places(score)
    meaning = said.astype(np.float64) if places is None else _meaning(places, real)
    whole = Decided(group=groups.code, said=said, real=real, score=meaning)
    kept = np.flatnonzero(sizes >= MIN_ROWS)
    small = [f"{groups.names[k]} ({sizes[k]:,})" for k in np.flatnonzero((sizes > 0) & (sizes < MIN_ROWS))]
    shown = [_counts(groups, whole), _rates(groups, whole)]
    if score is not None and places is not None:
        shown += [_of_scores(groups, places, score, real), _ranking(groups, score, real)]
    sentences = [f"Counted, but too few to compare (fewer than {MIN_ROWS} rows): {', '.join(small)}."] if small else []
    if len(kept) < 2:
        sentences.append(f"Fewer than two groups of {groups.column} have {MIN_ROWS} rows, so none are compared.")
        return ColumnAudit(column=groups.column, sentences=tuple(sentences), impossible=(), tables=tuple(shown))
    names = tuple(groups.names[k] for k in kept)
    place = np.full(len(groups.names), -1)
    place[kept] = np.arange(len(kept))
    rows = place[groups.code] >= 0
    decided = Decided(group=place[groups.code][rows], said=said[rows], real=real[rows], score=meaning[rows])
    compared = contrasts(decided, len(names))
    told = [c for c in compared if score is not None or c.rate != "calibration"]
    shown.append(tables.pairs(groups.column, names, told, sizes[kept]))
    return ColumnAudit(
        column=groups.column,
        sentences=(*sentences, *_widest(compared, names)),
        impossible=tuple(_both_sides(groups.column, compared, names, decided)),
        tables=tuple(shown),
    )


def _widest(compared: Sequence[Contrast], names: Sequence[str]) -> Iterator[str]:
    """Of each rate the pair that surely differs most, or that none surely does."""
    for rate, words in _SPOKEN.items():
        mine = [c for c in compared if c.rate == rate and np.isfinite(c.difference_low)]
        sure = [c for c in mine if c.difference_low > 0 or c.difference_high < 0]
        if sure:
            worst = max(sure, key=lambda c: abs(c.difference))
            yield (
                f"The share {words} surely differs: {names[worst.first]} and {names[worst.second]} by "
                f"{100 * worst.difference:+.1f} points [{100 * worst.difference_low:+.1f}, {100 * worst.difference_high:+.1f}]."
            )
        elif mine:
            yield f"The share {words}: no two groups surely differ."


def _both_sides(column: str, compared: Sequence[Contrast], names: Sequence[str], decided: Decided) -> Iterator[str]:
    """What each of two wishes asks for, and that both cannot be had where base rates differ."""
    found = list(impossible(column, names, compared, decided))
    if not found:
        yield f"Base rates by {column} do not surely differ, so equal precision and equal error rates could hold together."
        return
    yield "One side wishes that a yes means the same for everybody: equal precision (calibration)."
    yield "The other wishes that nobody bears more mistakes: equal false positive and true positive rates."
    yield from found


def _counts(groups: Groups, decided: Decided) -> Table:
    heads = ("group", "rows", "true of", "decided yes", "rightly", "wrongly", "missed", "rightly no")
    rows = []
    for k, name in enumerate(groups.names):
        mine = decided.group == k
        if mine.any():
            said, real = decided.said[mine], decided.real[mine]
            cells = (said & real, said & ~real, ~said & real, ~said & ~real)
            rows.append((name, int(mine.sum()), int(real.sum()), int(said.sum()), *(int(cell.sum()) for cell in cells)))
    return Table(title=f"Counts by {groups.column}", columns=heads, rows=tuple(rows))


def _rates(groups: Groups, decided: Decided) -> Table:
    heads = (
        "group",
        "rows",
        "base rate %",
        "decided yes %",
        "true positive rate %",
        "false positive rate %",
        "precision %",
    )
    rows = []
    for k, name in enumerate(groups.names):
        said, real = decided.said[decided.group == k], decided.real[decided.group == k]
        if len(said):
            shares = (
                (real, real | True),
                (said, said | True),
                (said & real, real),
                (said & ~real, ~real),
                (said & real, said),
            )
            rows.append((name, len(said), *(_share(int(hit.sum()), int(of.sum())) for hit, of in shares)))
    return Table(title=f"Rates by {groups.column}, each with its exact 95% interval", columns=heads, rows=tuple(rows))


def _share(hits: int, n: int) -> str:
    if not n:
        return "nobody"
    low, high = clopper_pearson(hits, n)
    return f"{100 * hits / n:.1f} [{100 * low:.1f}, {100 * high:.1f}] of {n:,}"


def _places(score: Array) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Where each score stands, and what the places are called: its values, or tenths of the whole table."""
    values = np.unique(score)
    if len(values) <= _VALUES:
        return np.searchsorted(values, score).astype(np.int64), tuple(f"{value:g}" for value in values)
    edges = np.unique(np.quantile(score, np.arange(1, 10) / 10))
    names = (
        f"< {edges[0]:.4g}",
        *(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)),
        f"≥ {edges[-1]:.4g}",
    )
    return np.searchsorted(edges, score, side="right").astype(np.int64), names


def _meaning(places: tuple[NDArray[np.int64], tuple[str, ...]], real: Mask) -> Array:
    """What each score says, in the words of the whole table: the share it is true of, of all who have it."""
    code, names = places
    n = np.bincount(code, minlength=len(names))
    share = np.bincount(code, real.astype(np.float64), len(names)) / np.maximum(n, 1)
    return np.asarray(share[code], dtype=np.float64)


def _of_scores(groups: Groups, places: tuple[NDArray[np.int64], tuple[str, ...]], score: Array, real: Mask) -> Table:
    """Calibration: whether the same score is true of as many in each group."""
    code, names = places
    kept = [k for k in range(len(groups.names)) if (groups.code == k).any()]
    rows = []
    for at, name in enumerate(names):
        cells = [(groups.code == k) & (code == at) for k in kept]
        rows.append((name, *(_share(int(real[cell].sum()), int(cell.sum())) for cell in cells)))
    title = f"What a score means by {groups.column}: the share it is true of, %, with its exact 95% interval"
    return Table(title=title, columns=("score", *(groups.names[k] for k in kept)), rows=tuple(rows))


def _ranking(groups: Groups, score: Array, real: Mask) -> Table:
    rows = []
    for k, name in enumerate(groups.names):
        mine = groups.code == k
        if real[mine].any() and (~real[mine]).any():
            found = delong.auc(score[mine], real[mine])
            rows.append((name, f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]", int(mine.sum())))
    return Table(
        title=f"ROC AUC of the score by {groups.column}", columns=("group", "ROC AUC", "rows"), rows=tuple(rows)
    )
