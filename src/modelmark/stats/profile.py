"""Profiles: what a column looked like, as counts over the bins of its training data. Profiles of two spans of time
add up.

Bins come from the reference and never move, so a window is the sum of its parts and comparing costs the same for a
hundred rows and a hundred million. Counts are int64, laid out per column. Numeric: one count per interval between
edges (right-closed), missing, below or above the contract's range. Text: one count per known value, all others,
missing. The range count stands outside the histogram: those values are in their bins as well. Infinite values count
as missing. Values outside the bounds that training gave are counted by themselves, under `IMPLAUSIBLE`: one count per
column of `Reference.bounded`, and nothing where there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.classes import positive_index
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.domain.errors import Tampered
from modelmark.domain.metrics import Task
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.seasons import PARTS, WEEK, Season, covered, folded, hours_of_week, season_of
from modelmark.stats.watching.plausible import ENDLESS, Bounds, beyond, ends, plausible_bounds
from modelmark.stats.watching.without_labels import HoldoutScores, holdout_scores

Counts = NDArray[np.int64]
Array = NDArray[np.float64]

BINS: Final = 32
VALUES: Final = 32  # known values of a free text column
SCORE: Final = "@score"  # the answer's column: no input of a contract is compared with it
IMPLAUSIBLE: Final = "@implausible"
FORMAT: Final = 1
UNSURE: Final = 2.0  # standard errors of the share of values that nobody has seen
_CELLS: Final = 2048
_CHUNK: Final = 32_768  # values that stay in the cache


@dataclass(frozen=True, slots=True)
class Column:
    """One column's bins and the counts of the training data in them.

    edges: inner edges, float64, for numbers; values: known texts otherwise. minimum, maximum: the contract's range.
    closed: values outside `values` are unseen, as for categories, and not just rare, as for free text. hours: of the
    longest cycle that the training rows' times cover, 168, 24 or 0. season: what the hours of that cycle look like, where
    they differ. clock: it only ever went forward with time.
    counter: it only grew along the rows of the table, of which nobody said that they are in the order of time. bounds: a value
    outside cannot be, as far as training tells; implausible: how many of training's own were.
    """

    name: str
    numeric: bool
    counts: Counts
    edges: Array
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    closed: bool = False
    hours: int = 0
    season: Season | None = None
    clock: bool = False
    counter: bool = False
    bounds: Bounds | None = None
    implausible: int = 0

    @property
    def size(self) -> int:
        return len(self.edges) + 3 if self.numeric else len(self.values) + 2

    def histogram(self, counts: Counts) -> Counts:
        """The disjoint bins only: every row once."""
        return counts[:-1] if self.numeric else counts

    def missing(self, counts: Counts) -> int:
        return int(counts[-2] if self.numeric else counts[-1])

    def outside(self, counts: Counts) -> int:
        """Values out of the contract's range, or not among its categories."""
        return int(counts[-1] if self.numeric else counts[-2])

    def ahead(self, counts: Counts) -> float:
        """Share of the rows that are past all but the last twentieth of the reference's values; of texts, outside them."""
        rows, last = self.histogram(counts), len(self.edges)
        return float(rows[last if self.numeric else -2] / rows.sum()) if rows.sum() else 0.0

    def unseen(self, errors: float = 0.0) -> float:
        """Share of further rows to expect outside `values`: as many as were there, and as many as had a value that came
        but once (Good 1953, Biometrika 40:237), since such values go on coming. errors: so many standard errors more."""
        rows, once = int(self.histogram(self.counts).sum()), self._once()
        unsure = errors * (once + 2 * int(np.count_nonzero(self.counts[:-2] == 2))) ** 0.5 if once else 0.0
        return min((self.outside(self.counts) + once + unsure) / rows, 1.0) if rows else 0.0

    def _once(self) -> int:
        return 0 if self.numeric else int(np.count_nonzero(self.counts[:-2] == 1))

    def compared(self, counts: Counts) -> tuple[Array, Counts]:
        """The histograms of the reference, as it must be expected, and of `counts`, over the same bins.

        The reference has the unseen values it must expect, up to as many as `counts` has: how rare the rare ones are is not
        known, so what lies between none and `unseen` speaks for no drift. What came but once is one bin with them: which of
        many rare values come again is chance.
        """
        found, here = self.histogram(self.counts).astype(np.float64), self.histogram(counts)
        if not self._once() or not here.sum():
            return found, here
        rows = found.sum()
        share = min(max(here[-2] / here.sum(), found[-2] / rows), self.unseen(UNSURE))
        found[:-2] *= 1 - (share * rows - found[-2]) / max(found[:-2].sum(), 1.0)
        found[-2] = share * rows
        rare = np.append(self.counts[:-2] == 1, [True, False])
        return np.append(found[~rare], found[rare].sum()), np.append(here[~rare], here[rare].sum())

    def tally(self, values: Any) -> Counts:
        """Counts of a NumPy array, pandas Series or pyarrow column of this column's values."""
        return self._numbers(_floats(values)) if self.numeric else self._texts(values)

    def _numbers(self, values: Array) -> Counts:
        known = np.isfinite(values)
        whole = bool(known.all())
        inside = values if whole else values[known]
        bins = _binned(self.edges, inside)
        out = 0
        if self.minimum is not None:
            out += int(np.count_nonzero(inside < self.minimum))
        if self.maximum is not None:
            out += int(np.count_nonzero(inside > self.maximum))
        return np.concatenate([bins, [len(values) - len(inside), out]]).astype(np.int64)

    def _texts(self, values: Any) -> Counts:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not isinstance(values, (pa.Array, pa.ChunkedArray)):
            values = pa.array(values, pa.string(), from_pandas=True)
        if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):  # codes are numbers
            values = pa.array(_codes(_floats(values)), pa.string())
        counted = pc.value_counts(values)
        place = {value: i for i, value in enumerate(self.values)}
        counts = np.zeros(self.size, dtype=np.int64)
        for value, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
            counts[-1 if value is None else place.get(value, len(self.values))] += count
        return counts


@dataclass(frozen=True, slots=True)
class Reference:
    """What training data looked like. columns: inputs in contract order, then `SCORE`. rows: of the training table. holdout: how
    right its scores were; None for a version from before it was kept, and for what cannot be estimated without labels."""

    rows: int
    columns: Mapping[str, Column]
    holdout: HoldoutScores | None = None

    @property
    def bounded(self) -> list[Column]:
        """Those of which training told what cannot be, in their order."""
        return [column for column in self.columns.values() if column.bounds is not None]

    @classmethod
    def from_bytes(cls, data: bytes) -> Reference:
        """Raises Tampered for bytes that are no reference."""
        try:
            value = msgspec.json.decode(data)
            if value["format"] != FORMAT:
                raise ValueError("its format is unknown")
            columns = {name: _column(name, item) for name, item in value["columns"].items()}
            holdout = HoldoutScores.read(value["holdout"]) if "holdout" in value else None
            return cls(int(value["rows"]), {name: columns[name] for name in value["order"]}, holdout)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Tampered(f"this is no reference profile: {error}", code="BAD_FORM") from None

    def to_bytes(self) -> bytes:
        columns = {name: _plain(column) for name, column in self.columns.items()}
        later = {} if self.holdout is None else {"holdout": self.holdout.plain()}
        return msgspec.json.encode(
            {"format": FORMAT, "rows": self.rows, "order": list(columns), "columns": columns, **later}, order="sorted"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When the rows were, in microseconds since 1970, NaN where unknown; None where nothing says so. clocks: inputs that only
    ever went forward with time. counters: that only grew along the rows."""

    train: Array | None = None
    scored: Array | None = None
    clocks: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()


def reference(
    contract: Contract,
    train: Any,
    scores: Array,
    times: Times = Times(),
    judged: LabelledPredictions | None = None,
) -> bytes:
    """The reference of a version as canonical JSON: edges, values and counts of every input and of the score.

    train: a pandas DataFrame with every input. scores: shape (n, classes), or (n, 1) for regression, in the order of
    the contract's classes. Scores of rows the model did not learn from (the holdout) are the right ones: on its own
    training rows a model is surer than it will ever be again, and every quiet window would look like drift. n need
    not be len(train). times: when the rows of each were; columns then know their season.
    """
    hours = _hours(times.train)
    columns = {}
    for item in contract.inputs:
        column, values = _input(item, train[item.name])
        column = replace(
            _in_season(column, values, hours), clock=item.name in times.clocks, counter=item.name in times.counters
        )
        columns[item.name] = _bounded(column, values) if item.quantity else column
    answers = answer(contract, np.asarray(scores, dtype=np.float64))
    score = _numeric(SCORE, answers, contract.outputs.minimum, contract.outputs.maximum)
    columns[SCORE] = _in_season(score, answers, _hours(times.scored))
    holdout = holdout_scores(contract.objective.metric, judged) if judged is not None else None
    return Reference(len(train), columns, holdout).to_bytes()


def answer(contract: Contract, scores: Array) -> Array:
    """The one number per row that is watched, as the journal's tables keep it: the probability of the positive class,
    the largest one of several classes, or the value."""
    if contract.model.task is Task.REGRESSION:
        return scores[:, 0]
    if contract.model.task is Task.BINARY:
        return scores[:, positive_index(contract.outputs.classes, contract.outputs.positive)]
    return np.asarray(scores.max(axis=1), dtype=np.float64)


def tally(reference: Reference, table: Any, columns: Mapping[str, str] | None = None) -> dict[str, Counts]:
    """Counts of every reference column that the table has. table: pandas, pyarrow, or a mapping of arrays.

    columns: the table's name of each reference column, where it differs.
    """
    present = set(getattr(table, "column_names", None) or table.keys())
    named = {name: (columns or {}).get(name, name) for name in reference.columns}
    counts = {name: reference.columns[name].tally(table[at]) for name, at in named.items() if at in present}
    outside = [
        beyond(_floats(table[named[column.name]]), column.bounds or ENDLESS) if column.name in counts else 0
        for column in reference.bounded
    ]
    return {**counts, IMPLAUSIBLE: np.array(outside, dtype=np.int64)} if any(outside) else counts


def merge(one: Mapping[str, Counts], other: Mapping[str, Counts]) -> dict[str, Counts]:
    """The profile of both spans together. Commutative and associative; an absent column counts as zeros."""
    found = dict(one)
    for name, counts in other.items():
        found[name] = found[name] + counts if name in found else counts
    return found


def pack(counts: Counts) -> bytes:
    """Compact JSON: most profiles are small numbers, and people may want to look."""
    return msgspec.json.encode(counts.tolist())


def unpack(data: bytes) -> Counts:
    return np.array(msgspec.json.decode(data, type=list[int]), dtype=np.int64)


def _bounded(column: Column, values: Array) -> Column:
    """What goes on for ever has no bounds."""
    bounds = None if column.clock or column.counter else plausible_bounds(values)
    return column if bounds is None else replace(column, bounds=bounds, implausible=beyond(values, bounds))


def _input(item: Input, values: Any) -> tuple[Column, Any]:
    """The column, and its values as they are tallied: an array that can be indexed."""
    if item.nominal:
        return _textual(item, values)
    numbers = _floats(values)
    return _numeric(item.name, numbers, item.minimum, item.maximum), numbers


@dataclass(frozen=True, slots=True)
class _Hours:
    """cycle: hours of the longest one that is covered. order: rows with a known time, by hour of the week. ends: where in it
    each of the 168 hours ends."""

    cycle: int
    order: NDArray[np.int64]
    ends: NDArray[np.int64]


def _hours(times: Array | None) -> _Hours | None:
    cycle = 0 if times is None else covered(times)
    if times is None or not cycle:
        return None
    rows = np.flatnonzero(np.isfinite(times))
    hour = hours_of_week(times[rows])
    order = np.argsort(hour, kind="stable")
    return _Hours(cycle, rows[order], np.cumsum(np.bincount(hour, minlength=WEEK)))


def _in_season(column: Column, values: Any, hours: _Hours | None) -> Column:
    if hours is None:
        return column
    parts = np.split(values[hours.order], hours.ends[:-1])
    by_hour = np.array([column.tally(part) for part in parts])
    found = season_of(by_hour[:, : len(column.histogram(column.counts))], hours.cycle)
    if found is None:
        return replace(column, hours=hours.cycle)
    return replace(column, hours=hours.cycle, season=Season(folded(by_hour, found.parts)))


def _numeric(name: str, values: Array, minimum: float | None, maximum: float | None) -> Column:
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([0.0])
    empty = Column(name, True, np.zeros(0, dtype=np.int64), edges, minimum=minimum, maximum=maximum)
    return Column(name, True, empty.tally(values), edges, minimum=minimum, maximum=maximum)


def _textual(item: Input, values: Any) -> tuple[Column, Any]:
    known = item.categories
    if known is None:
        known = tuple(str(value) for value in values.dropna().astype(str).value_counts().index[:VALUES])
    closed = item.type is not DataType.STRING
    edges = np.zeros(0)
    plain = [str(value) if there else None for value, there in zip(values, values.notna(), strict=True)]
    text = np.array(_codes(_floats(values)) if item.coded else plain, dtype=object)
    counts = Column(item.name, False, np.zeros(0, dtype=np.int64), edges, known, closed=closed).tally(text)
    return Column(item.name, False, counts, edges, known, closed=closed), text


def _binned(edges: Array, values: Array) -> Counts:
    """Counts of finite values between edges, as searchsorted and bincount give them, several times faster.

    Values fall into many even cells first. A cell's number never falls as its values rise, so every value of a cell
    without an edge lies between the same two edges; only values that share their cell with an edge are searched.
    """
    size = len(edges) + 1
    span = float(edges[-1]) - float(edges[0])  # inf, and no warning, where it overflows
    if len(values) < _CHUNK // 4 or not 0 < span < np.inf or not np.isfinite(_CELLS / span):
        return np.bincount(np.searchsorted(edges, values), minlength=size).astype(np.int64)
    first, scale = edges[0], _CELLS / span

    def cell(of: Array) -> NDArray[np.int32]:
        with np.errstate(over="ignore"):
            place = (of - first) * scale
        np.clip(place, -1.0, _CELLS, out=place)
        cells: NDArray[np.int32] = np.floor(place, out=place).astype(np.int32) + 1
        return cells

    edge_cells = cell(edges)
    shared = np.zeros(_CELLS + 2, dtype=bool)
    shared[edge_cells] = True
    bin_of = np.searchsorted(edge_cells, np.arange(_CELLS + 2))  # edges in earlier cells
    counts, found = np.zeros(_CELLS + 2, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK]
        cells = cell(part)
        counts += np.bincount(cells, minlength=_CELLS + 2)
        search = part[shared[cells]]
        found += np.bincount(np.searchsorted(edges, search), minlength=size)
    counts[shared] = 0
    return found + np.bincount(bin_of, counts, size).astype(np.int64)


def _floats(values: Any) -> Array:
    if hasattr(values, "to_pylist"):  # pyarrow: nulls become NaN
        found = values.to_numpy() if hasattr(values, "chunks") else values.to_numpy(zero_copy_only=False)
        return np.asarray(found, dtype=np.float64)
    if hasattr(values, "to_numpy"):  # pandas: nullable types too
        return np.asarray(values.to_numpy(dtype=float, na_value=np.nan), dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def _codes(values: Array) -> list[str | None]:
    """Numbers that are codes as the contract writes them; None for null."""
    known, place = np.unique(values[np.isfinite(values)], return_inverse=True)
    names = [str(int(value)) if value.is_integer() else str(value) for value in known.tolist()]
    found: list[str | None] = [None] * len(values)
    for at, code in zip(np.flatnonzero(np.isfinite(values)).tolist(), place.reshape(-1).tolist(), strict=True):
        found[at] = names[code]
    return found


def _plain(column: Column) -> dict[str, Any]:
    """What came later is left out where there is none, so that a reference without it keeps its bytes."""
    later: dict[str, Any] = {name: True for name in ("clock", "counter") if getattr(column, name)}
    if column.hours:
        later["hours"] = column.hours
    if column.season is not None:
        later["season"] = column.season.counts.tolist()
    if column.bounds is not None:
        later["bounds"] = [end if np.isfinite(end) else None for end in column.bounds]
        later["implausible"] = column.implausible
    if not column.numeric:
        return {"values": column.values, "closed": column.closed, "counts": column.counts.tolist(), **later}
    return {
        "edges": column.edges.tolist(),
        "minimum": column.minimum,
        "maximum": column.maximum,
        "counts": column.counts.tolist(),
        **later,
    }


def _column(name: str, item: Mapping[str, Any]) -> Column:
    counts = np.array(item["counts"], dtype=np.int64)
    if "values" in item:
        found = Column(name, False, counts, np.zeros(0), tuple(item["values"]), closed=bool(item["closed"]))
    else:
        edges = np.array(item["edges"], dtype=np.float64)
        found = Column(name, True, counts, edges, minimum=item["minimum"], maximum=item["maximum"])
    if len(counts) != found.size or (counts < 0).any() or (np.diff(found.edges) <= 0).any():
        raise ValueError(f"the counts of {name!r} do not fit its bins")
    season = _season(found, item["season"]) if "season" in item else None
    clock, counter = (bool(item.get(told, False)) for told in ("clock", "counter"))
    found = replace(found, hours=int(item.get("hours", 0)), season=season, clock=clock, counter=counter)
    return replace(found, bounds=ends(item.get("bounds")), implausible=int(item.get("implausible", 0)))


def _season(column: Column, rows: Any) -> Season:
    counts = np.array(rows, dtype=np.int64)
    if counts.shape not in {(parts, column.size) for parts in PARTS} or (counts < 0).any():
        raise ValueError(f"the season of {column.name!r} does not fit its bins")
    return Season(counts)
