"""Do the tables keep the contract, and are train and holdout strangers to each other that look alike?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from modelmark.contract.table import Violation, as_numbers, as_texts, check_table, violating_rows
from modelmark.contract.timestamps import timestamps
from modelmark.domain.catalogue.gate_settings import DataContractGate
from modelmark.domain.contract import Contract, Input, Policy
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.gates.case import Case
from modelmark.gates.common.clocks import clocks
from modelmark.gates.common.evaluation_set import groups_of
from modelmark.gates.data_contract import charts
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.stats.binning import Codes, numeric_codes, text_codes
from modelmark.stats.dependence import stretches
from modelmark.stats.drift import Drift, sample_drift
from modelmark.stats.rates import wilson

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class DataContract:
    """Violations row by row, shift column by column, copies across the split, groups, labels, time."""

    settings: DataContractGate
    name: ClassVar[str] = "data_contract"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        contract, train, holdout = case.contract, case.train, case.holdout
        tables = {"train": check_table(train, contract), "holdout": case.violations}
        checks = [
            self._violations(name, len(case.train if name == "train" else holdout), found)
            for name, found in tables.items()
        ]
        checks += _labels(train, holdout, contract)
        progress(1, 4)
        names = [item.name for item in contract.inputs if item.name in train and item.name in holdout]
        checks.append(self._copies(train, holdout, names, contract.data.target))
        checks += [*_groups(train, holdout, contract), *_time(train, holdout, contract)]
        progress(2, 4)
        sides = _Sides(contract, train, holdout)
        asked = [item for item in contract.inputs if item.name in names]
        shifts = {item.name: _shift(sides, item, len(asked)) for item in asked}
        clock = clocks(train, holdout, names, contract.data.time)
        judged = {name: found for name, found in shifts.items() if name not in clock}
        if judged:
            checks.append(self._shift(judged, len(train), len(holdout), clock))
        progress(3, 4)
        rows = [row for name, found in tables.items() for row in _listed(name, found)]
        return Measurement(
            checks=tuple(checks),
            notes=tuple(_flagged(tables)),
            tables=(Table(title="What breaks the contract, or is only noted", columns=_COLUMNS, rows=tuple(rows)),)
            if rows
            else (),
            figures=(charts.shifts(judged, self.settings.max_shift),) if judged else (),
        )

    def _violations(self, name: str, rows: int, found: tuple[Violation, ...]) -> Check:
        broken = len(violating_rows(found))
        rate = broken / rows
        worst = max((v for v in found if v.policy is Policy.REJECT), key=lambda v: len(v.rows), default=None)
        detail = ""
        if worst is not None:
            shown = f", such as {worst.examples[0]!r}" if worst.examples else ""
            detail = (
                f"; most often {worst.column}: {worst.rule} ({len(worst.rows):,} rows{shown}; allowed: {worst.allowed})"
            )
        return Check(
            key=f"{name}_keeps_the_contract",
            name=f"{name} keeps the contract",
            measured=rate,
            estimate=rate,
            n=rows,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_violation_rate),
            sentence=f"{broken:,} of {rows:,} {name} rows break the contract ({rate:.2%}){detail}.",
        )

    def _copies(self, train: pd.DataFrame, holdout: pd.DataFrame, names: list[str], target: str) -> Check:
        known, asked = (_plain(table, [*names, target]) for table in (train, holdout))
        same, exact = (_copied(known, asked, of) for of in (names, [*names, target]))
        own = _repeated(train, [*names, target])
        a, b = float(exact.mean()), float(own.mean())
        # Rows that are alike come in clusters, so 95% would be too sure of itself.
        (la, ha), (lb, hb) = (wilson(int(side.sum()), len(side), 0.99) for side in (exact, own))
        low, high = a - b - ((a - la) ** 2 + (hb - b) ** 2) ** 0.5, a - b + ((ha - a) ** 2 + (b - lb) ** 2) ** 0.5
        return Check(
            name="no copies across the split",
            measured=max(0.0, low),
            estimate=a - b,
            low=low,
            high=high,
            n=len(holdout),
            confidence=0.99,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_duplicate_rate),
            sentence=f"Excess duplicate rate over the base rate: {a - b:+.2%} [{low:+.2%}, {high:+.2%}]. "
            f"{exact.sum():,} of {len(holdout):,} holdout rows also stand in train, target included ({a:.2%}), "
            f"{same.sum():,} with the same inputs; the base rate among train's own rows is {b:.2%}.",
        )

    def _shift(self, shifts: dict[str, Drift], n: int, m: int, clock: Sequence[str]) -> Check:
        # A column that chance alone explains counts as 0: its interval says nothing about a change.
        name = max(shifts, key=lambda k: (shifts[k].low if shifts[k].real else 0.0, shifts[k].distance))
        worst = shifts[name]
        real = "more" if worst.real else "no more"
        return Check(
            name="train and holdout look alike",
            measured=worst.low if worst.real else 0.0,
            estimate=worst.distance,
            low=worst.low,
            high=worst.high,
            n=n + m,
            confidence=0.95,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_shift),
            sentence=f"The input that differs most between train and holdout is {name}: Jensen-Shannon distance "
            f"{worst.distance:.3f} [{worst.low:.3f}, {worst.high:.3f}] on {n:,} and {m:,} rows, {real} than chance "
            f"gives (up to {worst.cut:.3f}).{_clock_words(clock)}",
        )


def _clock_words(clock: Sequence[str]) -> str:
    if not clock:
        return ""
    is_ = "is" if len(clock) == 1 else "are"
    goes = "goes forward with time, so it differs" if len(clock) == 1 else "go forward with time, so they differ"
    return f" {', '.join(clock)} {goes} by nature and {is_} not judged here: the model answers for times that it never saw."


_COLUMNS = ("table", "column", "rule", "allowed", "policy", "rows", "examples")


def _listed(name: str, found: tuple[Violation, ...]) -> Iterator[tuple[object, ...]]:
    for v in found:
        yield name, v.column, v.rule, v.allowed, v.policy.value, len(v.rows), ", ".join(v.examples)


def _flagged(tables: dict[str, tuple[Violation, ...]]) -> Iterator[str]:
    for name, found in tables.items():
        for v in found:
            if v.policy is not Policy.REJECT:
                yield f"{v.column}: {v.rule} in {len(v.rows):,} {name} rows; the contract says {v.policy.value}."


def _labels(train: pd.DataFrame, holdout: pd.DataFrame, contract: Contract) -> Iterator[Check]:
    """The label sets as they are written: `<=50K.` is not `<=50K`."""
    if contract.model.task is Task.REGRESSION:
        return
    target = contract.data.target
    here, there = (set(as_texts(t[target].drop_duplicates()).dropna()) for t in (train, holdout))
    odd = sorted(there - here)
    words = f"holdout has {', '.join(map(repr, odd[:5]))}, which train never has" if odd else "train knows every label"
    yield Check(
        name="labels are the same",
        measured=float(len(odd)),
        n=len(holdout),
        limit=Limit(bound=Bound.AT_MOST, value=0),
        sentence=f"The label sets of the two tables have {len(here)} and {len(there)} members: {words}.",
    )


def _plain(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """All numbers of one type, so that 1 and 1.0 are the same."""
    numeric = {name: "float64" for name in names if frame[name].dtype.kind in "iufb"}
    found: pd.DataFrame = frame[names]
    return found.astype(numeric)


def _copied(train: pd.DataFrame, holdout: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Which holdout rows also stand in train, by 64-bit hashes of their values."""
    import pandas as pd

    known, asked = (pd.util.hash_pandas_object(frame[names], index=False) for frame in (train, holdout))
    return np.asarray(asked.isin(set(known)).to_numpy())


def _repeated(train: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Which rows of train have a twin there: a table of few distinct rows has copies in any split."""
    return np.asarray(train.duplicated(names, keep=False).to_numpy())


def _groups(train: pd.DataFrame, holdout: pd.DataFrame, contract: Contract) -> Iterator[Check]:
    group = contract.data.group
    if group is None:
        return
    if group not in train or group not in holdout:
        yield Check(
            name="groups stay on one side",
            measured=None,
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"Could not measure: the column {group!r} of data.group is not in both tables.",
        )
        return
    here, there = (set(as_texts(t[group].drop_duplicates()).dropna()) for t in (train, holdout))
    both = here & there
    yield Check(
        name="groups stay on one side",
        measured=float(len(both)),
        n=len(there),
        limit=Limit(bound=Bound.AT_MOST, value=0),
        sentence=f"{len(both):,} of {len(there):,} holdout groups of {group} also stand in train.",
    )


def _time(train: pd.DataFrame, holdout: pd.DataFrame, contract: Contract) -> Iterator[Check]:
    """Train must end before the holdout begins. Where the order of rows is time, nobody can check it."""
    import pandas as pd

    time = contract.data.time
    if time is None or time == "row_order":
        return
    if time not in train or time not in holdout:
        yield Check(
            name="train comes first",
            measured=None,
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"Could not measure: the column {time!r} of data.time is not in both tables.",
        )
        return
    at = timestamps(pd.concat([train[time], holdout[time]], ignore_index=True))
    before, after = at[: len(train)], at[len(train) :]
    known = after[np.isfinite(after)]
    if not len(known):
        yield Check(
            name="train comes first",
            measured=None,
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"Could not measure: {time} is null in every holdout row.",
        )
        return
    late, back = int((before > known.min()).sum()), int((np.diff(known) < 0).sum())
    yield Check(
        name="train comes first",
        measured=late / len(train),
        n=len(train),
        limit=Limit(bound=Bound.AT_MOST, value=0),
        sentence=f"{late:,} of {len(train):,} train rows are later than the first holdout row "
        f"({holdout[time].iloc[int(np.nanargmin(after))]}); {time} goes backwards {back:,} times inside the holdout.",
    )


class _Sides:
    """Both tables, and what of their rows depends on each other."""

    def __init__(self, contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame) -> None:
        self.tables = (train, holdout)
        self._groups = tuple(groups_of(contract, table, np.arange(len(table))) for table in self.tables)
        self._orders = tuple(_order(contract, table) for table in self.tables)

    def units(self, side: int, codes: Codes) -> Codes | None:
        """Groups; else, in time, stretches as long as the values of this column follow from one another."""
        order = self._orders[side]
        if self._groups[side] is not None or order is None or not len(codes):
            return self._groups[side]
        found = np.empty(len(codes), dtype=np.int64)
        found[order] = stretches(codes[order].astype(np.float64))
        return found


def _order(contract: Contract, table: pd.DataFrame) -> Codes | None:
    time = contract.data.time
    if time == "row_order":
        return np.arange(len(table))
    return np.argsort(timestamps(table[time]), kind="stable") if time is not None and time in table else None


def _shift(sides: _Sides, item: Input, columns: int) -> Drift:
    """columns: how many are compared and share the doubt."""
    train, holdout = sides.tables
    if item.nominal:
        texts = [as_texts(table[item.name]).tolist() for table in (train, holdout)]
        codes = text_codes(texts[0], texts[1])
    else:
        codes = numeric_codes(as_numbers(train[item.name]), as_numbers(holdout[item.name]))
    return sample_drift(*codes, units=(sides.units(0, codes[0]), sides.units(1, codes[1])), columns=columns)
