"""Is the split honest? Rows in time that a random split flatters, and labels that differ between the two tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.timestamps import timestamps
from modelmark.domain.catalogue.gate_settings import HoldoutGate
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract, DataType
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.domain.metrics import LOSSES, Metric, Task
from modelmark.gates.case import Array, Case, truth_of
from modelmark.gates.common import probe_model
from modelmark.gates.common.evaluation_set import check_of, groups_of
from modelmark.gates.holdout.row_order import order_check, overlap
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.calibration import design_effect
from modelmark.stats.metrics import LabelledPredictions, judged, statistic

if TYPE_CHECKING:
    import pandas as pd

#: Rows looked at: the latest ones, all of them neighbours, because a sample of rows has none.
_ROWS: Final = 30_000
_LEAST: Final = 300
#: Of each table; the spread between fewer says nothing of the others.
_LEAST_GROUPS: Final = 10
#: The parts of the time line that are predicted, each from what lies before it.
_BLOCKS: Final = ((0.6, 0.7), (0.85, 1.0))
_TIME_WORDS: Final = re.compile(
    r"(^|[^a-z])(date|timestamp|datetime|dteday)([^a-z]|$)|(^|_)(created|updated)(_at|_on)?$|_(at|ts)$"
    r"|^(time|day|week|month|year|yr|hour|epoch|instant|ts)$"
)
_HOW: Final = "a quick model on the same {n:,} rows, trained on as many rows among their neighbours or before them"
#: Share of pairs (one row of train, one of the holdout) that are the wrong way round in time.
_INTERLEAVED: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """name: the column, or `row_order`. train, holdout: when each row was. overlap: 0 (apart) to 0.5 (mixed)."""

    name: str
    train: Array
    holdout: Array

    @property
    def overlap(self) -> float:
        return overlap(self.train, self.holdout)


def split_checks(case: Case, settings: HoldoutGate, flattery: float) -> Iterator[Check]:
    """At most one about time, one about the order of rows where that is time, and one about labels. flattery: that is
    tolerated, in units of the metric."""
    declared = case.contract.data.time
    if declared == "row_order":
        yield order_check(case.train, case.holdout, case.contract.data.target)
    orders = list(_declared(case)) if declared is not None else []
    if not orders or declared == "row_order":
        # The order of rows never overlaps, so it would always speak before a date that contradicts it.
        orders = [*_guessed(case), *orders]
    for order in orders:
        check = _time_check(case, order, flattery, declared is not None and order.name == declared)
        if check is not None:
            yield check
            break
    if case.contract.model.task is not Task.REGRESSION:
        yield from _labels_agree(case, settings)


def _declared(case: Case) -> Iterator[_Order]:
    name = case.contract.data.time
    if name == "row_order":
        first = len(case.train)
        last = first + len(case.holdout)
        yield _Order(name="row_order", train=np.arange(0.0, first), holdout=np.arange(first * 1.0, last))
    elif name is not None and name in case.train and name in case.holdout:
        yield from _order(case, name)


def _guessed(case: Case) -> Iterator[_Order]:
    """Columns that look like time by name or form and overlap between the tables; three at most."""
    found = 0
    for name in map(str, case.train.columns):
        if name == case.contract.data.target or name not in case.holdout or found == 3:
            continue
        if _TIME_WORDS.search(name.lower()) or _is_date(case.train[name]):
            for order in _order(case, name):
                if order.overlap > _INTERLEAVED:
                    found += 1
                    yield order


def _is_date(column: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    if pd.api.types.is_numeric_dtype(column.dtype):
        return False
    known = column.dropna().astype(str).head(50)
    looks = known.str.match(r"^\d{4}-\d{2}-\d{2}|^\d{1,2}[./]\d{1,2}[./]\d{2,4}")
    return bool(len(known) and looks.all())


def _order(case: Case, name: str) -> Iterator[_Order]:
    import pandas as pd

    at = timestamps(pd.concat([case.train[name], case.holdout[name]], ignore_index=True))
    sides = [at[: len(case.train)], at[len(case.train) :]]
    if all(np.isfinite(side).mean() > 0.9 for side in sides) and len(np.unique(sides[0])) >= 20:
        yield _Order(name=name, train=_known(sides[0]), holdout=_known(sides[1]))


def _known(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def _time_check(case: Case, order: _Order, tolerated: float, declared: bool) -> Check | None:
    metric = case.contract.objective.metric
    try:
        found = flattery(case, order.name)
    except NotEnoughData as error:
        if not declared:
            return None  # nobody said that this is time, and nothing can be shown
        return Check(
            name="random split",
            measured=None,
            limit=Limit(bound=Bound.AT_MOST, value=tolerated),
            sentence=f"Cannot tell whether a random split would flatter: {error.message}.",
            decides=False,
        )
    words = f"by {_amount(metric, found)}: {_HOW.format(n=found.n)}"
    surely = found.low > tolerated
    where = "the order of rows" if order.name == "row_order" else order.name
    if order.overlap <= _INTERLEAVED:
        if not declared:
            return None
        limit = Limit(bound=Bound.AT_MOST, value=tolerated)
        would = "would flatter" if found.low > 0 else "would not surely flatter;"
        apart = "Train ends before the holdout begins; a" if order.name != "row_order" else "A"
        sentence = f"{apart} random split over {where} {would} {words}."
        return check_of("random split", 0.0, found, limit, sentence)
    overlap = f"train and holdout overlap in {where} ({order.overlap:.0%} of pairs of rows are the wrong way round)"
    flatters = f"A random split flatters {words}" if surely else f"A random split may flatter {words}"
    if declared:
        # What stands in time must be judged in time, however little it flatters today.
        limit = Limit(bound=Bound.AT_MOST, value=_INTERLEAVED)
        sentence = f"{flatters}; {overlap}, though data.time names it."
        return Check(name="random split", measured=order.overlap, n=found.n, limit=limit, sentence=sentence)
    if not surely:
        return None
    limit = Limit(bound=Bound.AT_MOST, value=tolerated)
    sentence = f"{flatters}; {overlap}. If {where} is time, name it in data.time and split by it."
    return check_of("random split", found.low, found, limit, sentence, decides=False)


def _amount(metric: Metric, found: Interval) -> str:
    if metric in LOSSES or metric is Metric.R2:
        return f"{found.estimate:.4g} of {metric.title} [{found.low:.4g}, {found.high:.4g}]"
    points = [f"{100 * value:.1f}" for value in (found.estimate, found.low, found.high)]
    return f"{points[0]} points of {metric.title} [{points[1]}, {points[2]}]"


def flattery(case: Case, time: str, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """How much better a quick model looks when rows near in time stand in its training table.

    Paired: the same test rows, the same number of training rows; only which rows differ. Raises NotEnoughData.
    """
    contract, metric = case.contract, case.contract.objective.metric
    features, y_true = _in_order(case, time)
    if len(y_true) < _LEAST:
        raise NotEnoughData(f"{len(y_true)} rows are too few to compare splits on")
    rng, n = np.random.default_rng(seed), len(y_true)
    asked, mixed, ordered = [], [], []
    for start, end in ((int(a * n), int(b * n)) for a, b in _BLOCKS):
        test = np.sort(rng.permutation(np.arange(start, end))[: (end - start) // 2])
        rest = np.setdiff1d(np.arange(n), test)
        near = rng.choice(rest, start, replace=False)
        asked.append(test)
        mixed.append(probe_model.scores(contract, features[near], y_true[near], features[test]))
        ordered.append(probe_model.scores(contract, features[:start], y_true[:start], features[test]))
    rows = np.concatenate(asked)
    sides = [judged(contract, y_true[rows], np.concatenate(part)) for part in (mixed, ordered)]
    return _difference(metric, sides[0], sides[1], confidence)


def _difference(metric: Metric, first: LabelledPredictions, second: LabelledPredictions, confidence: float) -> Interval:
    a, b = statistic(metric, first), statistic(metric, second)
    sign = -1.0 if metric in LOSSES else 1.0
    rows = len(first.y_true)
    # Errors of neighbours are alike for longer than the usual block: a square root, to be surely wide enough.
    units = np.asarray(np.arange(rows) // max(1, round(rows**0.5)), dtype=np.int64)
    return interval(lambda w: sign * (a(w) - b(w)), rows, confidence=confidence, units=units, times=600)


def _in_order(case: Case, time: str) -> tuple[Array, NDArray[np.int64] | Array]:
    """(features, truth) of both tables in time, the latest rows."""
    import pandas as pd

    both = pd.concat([case.train, case.holdout], ignore_index=True)
    y_true = truth_of(both, case.contract)
    known = np.isfinite(y_true) if case.contract.model.task is Task.REGRESSION else y_true >= 0
    place = np.flatnonzero(known)
    if time != "row_order":
        at = timestamps(both[time])
        place = place[np.isfinite(at[place])]
        place = place[np.argsort(at[place], kind="stable")]
    place = place[-_ROWS:]
    inputs = [item for item in case.contract.inputs if item.type is not DataType.STRING]
    if not inputs:
        raise NotEnoughData("no input is left to learn from")
    return probe_model.matrix(inputs, both.iloc[place]), y_true[place]


def _labels_agree(case: Case, settings: HoldoutGate) -> Iterator[Check]:
    """Accuracy of a quick model inside train (by halves) and on the holdout: one story in both, or not.

    Where only the classes' shares moved, each class is told as well as before, and it is no fault of labels.
    """
    contract = case.contract
    found = _inside_and_out(contract, case.train, case.holdout)
    if found is None:
        return
    inside, outside, apart = found.inside, found.outside, found.apart
    gap = float(inside.mean() - outside.mean())
    limit = Limit(bound=Bound.AT_MOST, value=settings.max_label_gap)
    noisy = "train" if gap < 0 else "the holdout"
    if limit.holds(apart.low):
        tail = f"agree within {limit.value:g}"
    elif limit.holds(found.alike.low):
        apart = found.alike
        tail = f"agree within {limit.value:g} once classes are weighed alike; their shares moved: {found.moved}"
    else:
        tail = f"disagree: look for wrong labels in {noisy}, or for rows of another kind"
    sentence = (
        f"A quick model is right on {inside.mean():.1%} of {len(inside):,} train rows it has not seen and on "
        f"{outside.mean():.1%} of {len(outside):,} holdout rows: the labels of the two tables {tail}."
    )
    # In time the two may differ because the world did; that is the monitors' to say, not a fault of labels.
    yield check_of("labels agree", apart.low, apart, limit, sentence, decides=contract.data.time is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """Per row the share of right answers of a quick model: of train rows held out by halves, and of holdout rows.

    apart: how far their means are from each other. alike: the same with the holdout's classes weighed as train's.
    moved: the class whose share moved most, in words.
    """

    inside: Array
    outside: Array
    apart: Interval
    alike: Interval
    moved: str


def _inside_and_out(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame) -> _Told | None:
    """None where rows are too few. Halves are of whole groups, because the holdout's are others too."""
    import pandas as pd

    rng, sides = np.random.default_rng(0), []
    for frame in (train, holdout):
        place = np.flatnonzero(truth_of(frame, contract) >= 0)
        sides.append(frame.iloc[np.sort(rng.permutation(place)[:10_000])])
    if min(map(len, sides)) < 50 or len(sides[0]) < 200:
        return None
    units = [groups_of(contract, frame, np.arange(len(frame))) for frame in sides]
    if any(each is not None and each.max() + 1 < _LEAST_GROUPS for each in units):
        return None
    features = probe_model.matrix(contract.inputs, pd.concat(sides, ignore_index=True))
    y_true = np.concatenate([truth_of(frame, contract) for frame in sides])
    first = _half(len(sides[0]), units[0], rng)
    out = np.arange(len(y_true)) >= len(sides[0])
    here = np.r_[first, np.zeros(len(sides[1]), dtype=bool)]
    inside, outside = np.zeros(len(sides[0])), np.zeros(len(sides[1]))
    for half in (here, ~here & ~out):
        said = probe_model.scores(contract, features[half], y_true[half], features[~half]).argmax(axis=1)
        right = np.zeros(len(y_true))
        right[~half] = said == y_true[~half]
        inside += np.where(half, 0.0, right)[~out]
        outside += right[out] / 2
    shares = [np.bincount(y_true[side], minlength=len(contract.outputs.classes)) / side.sum() for side in (~out, out)]
    weight = np.divide(shares[0], shares[1], out=np.zeros(len(shares[0])), where=shares[1] > 0)[y_true[out]]
    most = int(np.abs(shares[0] - shares[1]).argmax())
    name = class_text(contract.outputs.classes[most])
    return _Told(
        inside=inside,
        outside=outside,
        apart=_apart(inside, outside, units),
        alike=_apart(inside, outside * weight, units),
        moved=f"{name} is {shares[0][most]:.1%} of train and {shares[1][most]:.1%} of the holdout",
    )


def _apart(inside: Array, outside: Array, units: list[NDArray[np.int64] | None]) -> Interval:
    """The absolute difference of the means; Student's t over whole groups, where few of them decide, at 99%."""
    from scipy.stats import t

    variance, least = 0.0, len(inside) + len(outside)
    for side, each in zip((inside, outside), units, strict=True):
        count = len(side) if each is None else int(each.max()) + 1
        variance += side.var() * design_effect(side, each) / len(side) * count / (count - 1)
        least = min(least, count)
    confidence = 0.95 if all(each is None for each in units) else 0.99
    gap = abs(float(inside.mean() - outside.mean()))
    reach = float(t.ppf((1 + confidence) / 2, least - 1) * variance**0.5)
    n = len(inside) + len(outside)
    return Interval(estimate=gap, low=max(0.0, gap - reach), high=gap + reach, n=n, confidence=confidence)


def _half(rows: int, units: NDArray[np.int64] | None, rng: np.random.Generator) -> NDArray[np.bool_]:
    places = np.arange(rows) if units is None else units
    return np.asarray((rng.permutation(int(places.max()) + 1) % 2 == 0)[places])
