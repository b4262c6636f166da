"""Tables of the fairness gate: rates of groups, pairs of groups, and indices, each figure with its interval and n."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.evidence import Table
from modelmark.gates.fairness.frame import rates_by_group
from modelmark.stats.fairness import Contrast, Decided
from modelmark.stats.indices import Index
from modelmark.stats.rates import wilson

_PAIRS: Final = 120
_RATES: Final = 6  # of a group: intervals of so many, and of all groups, hold together


def counted(names: Sequence[str], decided: Decided, confidence: float) -> list[tuple[str, str, float, float, float]]:
    """(rate, group, value, low, high) with Wilson's intervals, each at the confidence divided over all of them."""
    rows, each = [], 1 - (1 - confidence) / (_RATES * len(names))
    for k, name in enumerate(names):
        for rate, (hits, n) in _counts(decided, k).items():
            if n and rate != "base_rate":
                rows.append((rate, name, hits / n, *wilson(hits, n, each)))
    return rows


def _counts(decided: Decided, group: int) -> dict[str, tuple[int, int]]:
    mine = decided.group == group
    said, real = decided.said[mine], decided.real[mine]
    both = int((said & real).sum())
    return {
        "base_rate": (int(real.sum()), len(real)),
        "selection_rate": (int(said.sum()), len(said)),
        "true_positive_rate": (both, int(real.sum())),
        "false_positive_rate": (int(said.sum()) - both, int((~real).sum())),
        "precision": (both, int(said.sum())),
    }


def decisions(title: str, names: tuple[str, ...], decided: Decided, confidence: float) -> Table:
    """Rates as fairlearn counts them; the intervals are Wilson's, of the same counts (normal, for score minus truth)."""
    frame, each, rows = rates_by_group(decided, names), 1 - (1 - confidence) / (_RATES * len(names)), []
    for k, name in enumerate(names):
        mine = decided.group == k
        off = decided.score[mine] - decided.real[mine]
        shown = []
        for rate, (hits, n) in _counts(decided, k).items():
            value = hits / n if rate == "base_rate" else frame[name][rate]
            shown.append(f"{100 * value:.1f} {_percent(wilson(hits, n, each))} of {n:,}" if n else "nobody")
        reach = NormalDist().inv_cdf((1 + each) / 2) * float(off.std()) / len(off) ** 0.5
        gap = f"{100 * off.mean():+.1f} {_percent((off.mean() - reach, off.mean() + reach))}"
        rows.append((name, int(mine.sum()), *shown, gap))
    heads = ("base rate %", "selected %", "true positive rate %", "false positive rate %", "precision %")
    return Table(
        title=f"Decisions for {title}",
        columns=("group", "rows", *heads, "score minus truth %"),
        rows=tuple(rows),
    )


def _percent(ends: tuple[float, float]) -> str:
    return f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def not_judged(column: str, left: Sequence[tuple[str, int]]) -> Table:
    """left: (group, known rows)."""
    return Table(title=f"Groups of {column} that are not judged", columns=("group", "known rows"), rows=tuple(left))


def pairs(title: str, names: Sequence[str], compared: Sequence[Contrast], sizes: NDArray[np.int64]) -> Table:
    """Differences and ratios of every rate, the surest difference first."""
    known = [c for c in compared if np.isfinite(c.difference_high)]
    known.sort(key=lambda c: (-max(c.difference_low, -c.difference_high, 0.0), -abs(c.difference)))
    rows = tuple(
        (
            c.rate.replace("_", " ") if c.rate != "calibration" else "score minus truth",
            f"{names[c.first]} / {names[c.second]}",
            f"{c.difference:+.3f} [{c.difference_low:+.3f}, {c.difference_high:+.3f}]",
            f"{c.ratio:.3g} [{c.ratio_low:.3g}, {c.ratio_high:.3g}]" if np.isfinite(c.ratio_high) else "",
            f"{sizes[c.first]:,} and {sizes[c.second]:,}",
        )
        for c in known[:_PAIRS]
    )
    cut = f", the surest {_PAIRS} of {len(known):,}" if len(known) > _PAIRS else ""
    return Table(
        title=f"Pairs of groups, decisions for {title}: intervals of one rate hold together{cut}",
        columns=("rate", "groups", "difference", "ratio", "rows"),
        rows=rows,
    )


def summary(title: str, found: Sequence[Index], n: int) -> Table:
    rows = tuple((i.name, f"{i.estimate:.4f}", f"{i.low:.4f} to {i.high:.4f}", n) for i in found)
    return Table(
        title=f"Indices of decisions for {title}; each interval is for itself",
        columns=("index", "value", "interval", "rows"),
        rows=rows,
    )


def error_pairs(column: str, names: Sequence[str], gaps: NDArray[np.float64], sizes: NDArray[np.int64]) -> Table:
    """gaps: (pairs, 3) in the order of `mean_gaps`, in standard deviations of the truth."""
    rows = [
        (f"{names[i]} / {names[j]}", f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]", f"{sizes[i]:,} and {sizes[j]:,}")
        for (i, j), (gap, low, high) in zip(combinations(range(len(names)), 2), gaps, strict=True)
    ]
    return Table(
        title=f"Differences of mean errors by {column}: all intervals hold together",
        columns=("groups", "difference (sd of truth)", "rows"),
        rows=tuple(rows[:_PAIRS]),
    )
