"""How fairness findings read, and which of them decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.catalogue.gate_settings import FairnessDefinition, FairnessGate
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.gates.fairness.groups import Groups
from modelmark.gates.fairness.proxies import Proxies
from modelmark.stats.fairness import Contrast, Decided, group_rates, group_sums, implied_false_positive_rate, shrunk
from modelmark.stats.rates import more_needed, wilson, would_tell
from modelmark.stats.two_shares import FARTHEST

Codes = NDArray[np.int64]

_CALIBRATION_LIMIT: Final = 0.1
_PROXY: Final = 0.8  # an AUC that people call a proxy; shown, never deciding
_CELLS: Final = 60
_LISTED: Final = 5  # groups named in a sentence


def oriented(c: Contrast, names: Sequence[str]) -> tuple[str, float, float, float]:
    """(who, ratio, low, high) with the group that has the lower rate first."""
    if c.ratio <= 1 or not np.isfinite(c.ratio):
        return f"{names[c.first]} / {names[c.second]}", c.ratio, c.ratio_low, c.ratio_high
    high = 1 / c.ratio_low if c.ratio_low > 0 else FARTHEST
    return f"{names[c.second]} / {names[c.first]}", 1 / c.ratio, 1 / c.ratio_high, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Judges one definition by its worst pair of groups."""

    column: str
    names: Sequence[str]
    sizes: Codes
    label: str
    confidence: float

    def __call__(self, definition: FairnessDefinition, found: list[Contrast], settings: FairnessGate) -> Check:
        decides = definition in settings.definitions
        by_ratio = definition is not FairnessDefinition.CALIBRATION and settings.max_difference is None
        known = [c for c in found if np.isfinite(c.ratio_high if by_ratio else c.difference_high)]
        name = f"{definition.words} for {self.label} by {self.column}"
        if not known:
            limit = Limit(bound=Bound.AT_LEAST, value=settings.min_ratio)
            sentence = f"Cannot tell the {name}: too few rows of a group were selected, or are of that class."
            return Check(
                name=name, measured=None, n=int(self.sizes.sum()), limit=limit, sentence=sentence, decides=decides
            )
        check = self._ratio(definition, known, settings) if by_ratio else self._difference(definition, known, settings)
        return replace(check, name=name, decides=decides, n=int(self.sizes.sum()), confidence=self.confidence)

    def _ratio(self, definition: FairnessDefinition, known: list[Contrast], settings: FairnessGate) -> Check:
        worst = min(known, key=lambda c: (round(oriented(c, self.names)[3], 9), oriented(c, self.names)[1]))
        who, ratio, low, high = oriented(worst, self.names)
        limit = Limit(bound=Bound.AT_LEAST, value=settings.min_ratio)
        first, second = who.split(" / ", 1)
        sentence = (
            f"The {definition.words} for {self.label} of {self.column} {first} is {ratio:.4g} [{low:.3g}, {high:.3g}] times "
            f"that of {second} ({self._counts(worst)}): "
        )
        if high < settings.min_ratio:
            sentence += f"surely below {settings.min_ratio:g}"
        elif low >= settings.min_ratio:
            sentence += f"surely not below {settings.min_ratio:g}; no other pair is further apart"
        else:
            sentence += f"not surely below {settings.min_ratio:g}; {self._more(worst, settings.min_ratio)}"
        return Check(
            name="", measured=high, limit=limit, sentence=sentence + ".", estimate=ratio, low=min(low, ratio), high=high
        )

    def _difference(self, definition: FairnessDefinition, known: list[Contrast], settings: FairnessGate) -> Check:
        most = _CALIBRATION_LIMIT if settings.max_difference is None else settings.max_difference
        worst = max(known, key=lambda c: (_least(c), abs(c.difference)))
        first, second = self.names[worst.first], self.names[worst.second]
        what = "score minus truth" if definition is FairnessDefinition.CALIBRATION else definition.words
        verb = "surely more than" if _least(worst) > most else "not surely more than"
        sentence = (
            f"The {what} for {self.label} of {self.column} {first} differs from that of {second} by "
            f"{worst.difference:+.3f} [{worst.difference_low:+.3f}, {worst.difference_high:+.3f}] "
            f"({self._counts(worst)}): {verb} {most:g} either way."
        )
        return Check(
            name="",
            measured=_least(worst),
            limit=Limit(bound=Bound.AT_MOST, value=most),
            sentence=sentence,
            estimate=worst.difference,
            low=worst.difference_low,
            high=worst.difference_high,
        )

    def _counts(self, c: Contrast) -> str:
        a, b = sorted((int(self.sizes[c.first]), int(self.sizes[c.second])))
        return f"{a:,} and {b:,} rows"

    def _more(self, c: Contrast, limit: float) -> str:
        """How many rows of the smaller group would bring the interval's end to the limit, widths going with 1/sqrt(n)."""
        _, ratio, low, high = oriented(c, self.names)
        gap, reach = abs(np.log(ratio) - np.log(max(limit, 1e-9))), np.log(high / max(low, 1 / FARTHEST)) / 2
        small = int(min(self.sizes[c.first], self.sizes[c.second]))
        return would_tell(small, more_needed(small, reach, gap), "labels of the smaller group")


def _least(c: Contrast) -> float:
    """The smallest absolute difference the interval allows."""
    return max(c.difference_low, -c.difference_high, 0.0)


def not_judged(column: str, left: Sequence[tuple[str, int]], least: int, most: int) -> Check:
    """left: (group, known rows), the largest first: groups with too few rows, or beyond the `most` that are compared."""
    shown = "; ".join(
        f"{name}: {n:,} row{'' if n == 1 else 's'}, "
        + (f"about {least - n} more labels needed" if n < least else f"{most} groups are larger")
        for name, n in left[:_LISTED]
    )
    more = f" and {len(left) - _LISTED} more groups, in the table" if len(left) > _LISTED else ""
    return Check(
        name=f"groups of {column} that are not judged",
        measured=None,
        limit=Limit(bound=Bound.AT_LEAST, value=least),
        sentence=f"Cannot tell about some groups of {column}: {shown}{more}.",
        n=sum(n for _, n in left),
        decides=False,
    )


def one_group(column: str, kept: int, least: int, decides: bool) -> Check:
    """decides: something was agreed about this column, and nothing of it can be measured."""
    return Check(
        name=f"groups of {column}",
        measured=None,
        limit=Limit(bound=Bound.AT_LEAST, value=2),
        sentence=f"Cannot tell: {kept} group{'' if kept == 1 else 's'} of {column} with at least {least} known rows; "
        "two are the least that can be compared.",
        decides=decides,
    )


def error_gap(column: str, names: Sequence[str], gaps: NDArray[np.float64], how: tuple[int, float, float]) -> Check:
    """gaps: (pairs, 3) in the order of `mean_gaps`. how: rows, confidence, limit."""
    rows, confidence, most = how
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    sure = np.maximum(np.maximum(gaps[:, 1], -gaps[:, 2]), 0.0)
    worst = int(np.lexsort((np.abs(gaps[:, 0]), sure))[-1])
    i, j = pairs[worst]
    verb = "surely more than" if sure[worst] > most else "not surely more than"
    return Check(
        name=f"mean error by {column}",
        measured=float(sure[worst]),
        limit=Limit(bound=Bound.AT_MOST, value=most),
        sentence=f"The mean error for {column} {names[i]} differs from that for {names[j]} by {gaps[worst, 0]:+.3f} "
        f"[{gaps[worst, 1]:+.3f}, {gaps[worst, 2]:+.3f}] standard deviations of the truth on {rows:,} rows: "
        f"{verb} {most:g} either way.",
        estimate=float(gaps[worst, 0]),
        low=float(gaps[worst, 1]),
        high=float(gaps[worst, 2]),
        n=rows,
        confidence=confidence,
    )


def proxies(column: str, scan: Callable[[], Proxies]) -> Check:
    limit = Limit(bound=Bound.AT_MOST, value=_PROXY)
    name = f"proxies of {column}"
    try:
        found = scan()
    except NotEnoughData as error:
        sentence = f"Cannot tell whether {column} can be guessed: {error.message}."
        return Check(name=name, measured=None, limit=limit, sentence=sentence, decides=False)
    best = ", ".join(f"{other} alone {value:.3f}" for other, value in found.alone[:3])
    at = found.together
    return Check(
        name=name,
        measured=at.low,
        limit=limit,
        sentence=f"The other inputs tell {column} with ROC AUC {at} on {at.n:,} rows ({best}): leaving a column out does "
        "not keep a model from using it.",
        estimate=at.estimate,
        low=at.low,
        high=at.high,
        n=at.n,
        confidence=at.confidence,
        decides=False,
    )


def impossible(column: str, names: Sequence[str], compared: Sequence[Contrast], decided: Decided) -> Iterator[str]:
    """The sentence which definitions cannot hold together, where base rates surely differ and the model errs."""
    differ = [c for c in compared if c.rate == "base_rate" and c.difference_low * c.difference_high > 0]
    errs = bool((decided.said != decided.real).any())
    if not differ or not errs:
        return
    worst = max(differ, key=lambda c: abs(c.difference))
    sums = group_sums(decided, len(names), np.ones((1, len(decided.group))))[0]
    rates, whole = group_rates(sums), group_rates(sums.sum(axis=0))
    told = [f"{names[k]} ({_rates_of(rates[k], whole)})" for k in (worst.first, worst.second)]
    yield (
        f"Base rates by {column} differ, so equal precision (calibration) and equal error rates cannot hold together, nor can "
        f"equal selection with either, unless the model never errs (Chouldechova 2017). {'; '.join(told)}."
    )


def _rates_of(mine: NDArray[np.float64], whole: NDArray[np.float64]) -> str:
    """A group's rates, in the order of RATES, those that exist; and what the whole's leave of its false positive rate."""
    _, recall, alarms, precision, _, base = mine
    said = [f"base rate {base:.1%}"]
    said.append(f"precision {precision:.1%}" if np.isfinite(precision) else "nobody selected, so no precision")
    said.append(f"true positive rate {recall:.1%}" if np.isfinite(recall) else "nobody of that class")
    if np.isfinite(alarms):
        said.append(f"false positive rate {alarms:.1%}")
        if 0 < base < 1 and np.isfinite(whole[[1, 3]]).all() and whole[3] > 0:
            implied = implied_false_positive_rate(base, whole[3], whole[1])
            said[-1] += f", which would have to be {f'{implied:.1%}' if implied <= 1 else 'more than all'}"
            said[-1] += " at the overall precision and true positive rate"
    return ", ".join(said)


def intersections(cells: Groups, hits: Codes, n: Codes, label: str, settings: FairnessGate) -> Check:
    """The lowest cell against the highest after shrinkage; shown, not judged: cells are many and small."""
    rate, strength = shrunk(hits, n)
    big = np.flatnonzero(n >= settings.min_rows)
    name, limit = f"intersections of {cells.column}", Limit(bound=Bound.AT_LEAST, value=settings.min_ratio)
    if len(big) < 2:
        sentence = f"Cannot tell about {cells.column}: fewer than two combinations have {settings.min_rows} known rows."
        return Check(name=name, measured=None, limit=limit, sentence=sentence, decides=False)
    low, high = big[np.argmin(rate[big])], big[np.argmax(rate[big])]
    ratio = float(rate[low] / rate[high])
    family = 1 - (1 - settings.confidence) / (len(big) * (len(big) - 1) / 2)
    reach = NormalDist().inv_cdf((1 + family) / 2) * _log_error(rate[[low, high]], n[[low, high]] + strength)
    least, most = ratio * float(np.exp(-reach)), ratio * float(np.exp(reach))
    return Check(
        name=name,
        measured=ratio,
        limit=limit,
        sentence=f"Of {len(cells.names)} combinations of {cells.column}, {cells.names[low]} is selected for {label} least "
        f"({rate[low]:.1%} of {n[low]:,} rows) and {cells.names[high]} most ({rate[high]:.1%} of {n[high]:,}): ratio "
        f"{ratio:.3g} [{least:.3g}, {most:.3g}], shrunk towards all combinations as by {strength:.0f} more rows each.",
        estimate=ratio,
        low=least,
        high=most,
        confidence=settings.confidence,
        n=int(n.sum()),
        decides=False,
    )


def _log_error(rate: NDArray[np.floating], rows: NDArray[np.floating]) -> float:
    """Standard error of the log ratio of two posterior (beta) rates with so many rows, prior and all."""
    from scipy.special import polygamma

    return float(np.sqrt((polygamma(1, rate * rows) - polygamma(1, rows)).sum()))


def cells_table(cells: Groups, hits: Codes, n: Codes, rate: NDArray[np.float64], confidence: float) -> Table:
    """The lowest first; raw intervals at the family's confidence (Bonferroni)."""
    each = 1 - (1 - confidence) / len(n)
    order = [k for k in np.argsort(rate) if n[k]][:_CELLS]
    rows = []
    for k in order:
        low, high = wilson(int(hits[k]), int(n[k]), each)
        raw = f"{100 * hits[k] / n[k]:.1f}"
        rows.append((cells.names[k], int(n[k]), raw, f"{100 * low:.1f} to {100 * high:.1f}", f"{100 * rate[k]:.1f}"))
    columns = ("group", "rows", "selected %", "interval", "shrunk %")
    return Table(title=f"Selection by {cells.column}", columns=columns, rows=tuple(rows))


def notes(contract: Contract, settings: FairnessGate, columns: int) -> Iterator[str]:
    blind = [c for c in contract.data.sensitive if c not in {item.name for item in contract.inputs}]
    if blind:
        yield (
            f"The model does not receive {', '.join(blind)}. Unawareness proves nothing: groups are read from the table and "
            "judged all the same."
        )
    if contract.model.task is Task.REGRESSION:
        yield "Compared are mean errors of groups: an answer too low for one group on average, and not for another."
    else:
        shown = ", ".join(d.words for d in settings.definitions) or "none"
        yield f"Deciding: {shown}. The other definitions are shown beside it; which one is right is for people to say."
    several = f", divided over {columns} columns (Bonferroni)" if columns > 1 else ""
    yield (
        f"Intervals of what decides hold together over every pair of groups of a column at {settings.confidence:.0%}{several}; of "
        "each other definition they hold together for themselves."
    )
