"""Experiments that ran elsewhere, from a table: a row an arm (and a time), with its units, mean and variance up to then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pandas as pd

from modelmark.contract.table import as_numbers
from modelmark.domain.errors import Rejected
from modelmark.domain.experiments.plan import Direction, Measure, Objective
from modelmark.domain.experiments.reading import Finding, MeasureReading
from modelmark.journal.tables.experiments import MeasureSums
from modelmark.rollouts.experiments.judging import measured
from modelmark.stats.experiments.moments import Moments
from modelmark.stats.experiments.sample_ratio import fixed_p, sequential_p
from modelmark.stats.holm import holm

COLUMNS: Final = ("arm", "units", "mean", "variance")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuestion:
    """control: None for the arm of the first row. shares: agreed, by arm; empty where the sample ratio cannot be checked."""

    minimum_effect: float
    direction: Direction
    control: str | None = None
    shares: Mapping[str, float]
    false_decision_rate: float = 0.05
    sample_ratio_alpha: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One time of the table. sample_ratio: None where no shares were agreed."""

    at: str
    units: Mapping[str, int]
    sample_ratio: float | None
    arms: tuple[MeasureReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReading:
    """once_ratio, once: p-values of tests that are made once, at the last look: chi-square of the sample ratio, and of each arm
    against the control, corrected for their number by Holm; None where it cannot be computed."""

    control: str
    finding: Finding
    sentence: str
    looks: tuple[Look, ...]
    once_ratio: float | None
    once: Mapping[str, float | None]


def read_experiment_table(table: pd.DataFrame, asked: TableQuestion) -> TableReading:
    """Raises Rejected (BAD_EXPERIMENT_TABLE), naming the row and what is allowed, for every shape that is not this."""
    rows = _checked(table)
    control = asked.control or rows[0]["arm"]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    if control not in arms:
        raise _bad(f"no row is of the control {control!r}", field="control", limit=", ".join(arms))
    if len(arms) < 2:
        raise _bad(f"every row is of the arm {control!r}", field="arm", limit="two arms or more")
    if asked.shares and set(asked.shares) != set(arms):
        raise _bad(
            f"shares were agreed for {', '.join(asked.shares)}, and the table has {', '.join(arms)}", field="shares",
            limit="a share for each arm",
        )  # fmt: skip
    ordered = [control, *(arm for arm in arms if arm != control)]
    looks = tuple(_looks(rows, ordered, asked))
    return _told(looks, ordered, asked, [row for row in rows if row["at"] == max(other["at"] for other in rows)])


def _checked(table: pd.DataFrame) -> list[dict[str, Any]]:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise _bad(
            f"the table has no column {', '.join(missing)}", field=missing[0],
            limit="arm, units, mean, variance, and time where there are several looks",
        )  # fmt: skip
    if table.empty:
        raise _bad("the table has no row", field="arm", limit="a row for each arm")
    numbers = {name: as_numbers(table[name]) for name in COLUMNS[1:]}
    times = _times(table) if "time" in table.columns else [""] * len(table)
    rows = []
    for i, arm in enumerate(table["arm"]):
        if arm is None or arm != arm or not str(arm).strip():
            raise _bad("a row names no arm", field="arm", limit="a name", row=i)
        units, mean, variance = (float(numbers[name][i]) for name in COLUMNS[1:])
        if not units >= 0 or not units.is_integer():
            raise _bad(
                f"{table['units'].iloc[i]!r} is no count of units",
                field="units",
                limit="a whole number, 0 or more",
                row=i,
            )
        if not np.isfinite(mean) and units:
            raise _bad(f"{table['mean'].iloc[i]!r} is no mean", field="mean", limit="a finite number", row=i)
        if variance < 0 or np.isinf(variance):
            raise _bad(
                f"{table['variance'].iloc[i]!r} is no variance",
                field="variance",
                limit="0 or more; empty where it is missing",
                row=i,
            )
        rows.append(
            {"row": i, "at": times[i], "arm": str(arm), "units": int(units), "mean": mean, "variance": variance}
        )
    return rows


def _times(table: pd.DataFrame) -> list[str]:
    """In the table's own words, which have to sort."""
    column = table["time"]
    if pd.api.types.is_numeric_dtype(column):
        if column.isna().any():
            raise _bad(
                "a row has no time", field="time", limit="a time in every row", row=int(np.argmax(column.isna()))
            )
        order = {value: i for i, value in enumerate(sorted(set(column)))}
        return [f"{order[value]:09d} {value:g}" for value in column]
    found = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    if found.isna().any():
        at = int(np.argmax(found.isna()))
        raise _bad(
            f"{column.iloc[at]!r} is no time", field="time", limit="ISO 8601, as 2026-05-01T12:00, or a number", row=at
        )
    return [value.isoformat() for value in found]


def _looks(rows: Sequence[Mapping[str, Any]], ordered: Sequence[str], asked: TableQuestion) -> Iterator[Look]:
    """Each time in order. Counts are up to then, so they never fall."""
    before: dict[str, Mapping[str, Any]] = {}
    doubted = 1.0
    for at in sorted({row["at"] for row in rows}):
        now: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            if row["at"] == at:
                if row["arm"] in now:
                    where = f" at {_spoken(at)}" if at else "; without a column time an arm has one row"
                    raise _bad(
                        f"the arm {row['arm']!r} stands twice{where}",
                        field="arm",
                        limit="one row an arm and time",
                        row=row["row"],
                    )
                now[row["arm"]] = row
        absent = [arm for arm in ordered if arm not in now]
        if absent:
            raise _bad(
                f"at {_spoken(at)} there is no row of {', '.join(absent)}",
                field="arm",
                limit="a row of each arm at each time",
            )
        for arm, row in now.items():
            last = before.get(arm)
            if last is not None and row["units"] < last["units"]:
                raise _bad(
                    f"the units of {arm!r} fall from {last['units']:,} to {row['units']:,}", field="units",
                    limit="cumulative counts: all units up to each time", row=row["row"],
                )  # fmt: skip
        before = now
        counts = {arm: int(now[arm]["units"]) for arm in ordered}
        if asked.shares:
            doubted = sequential_p(list(counts.values()), _shares(ordered, asked), before=doubted)
        sums = MeasureSums(strata={arm: {"": _moments(now[arm])} for arm in ordered})
        objective = Objective(measure=Measure.OUTCOME, minimum_effect=asked.minimum_effect, direction=asked.direction)
        alpha = asked.false_decision_rate / (2 * (len(ordered) - 1))
        found = tuple(measured(objective, sums, (ordered[0], arm), arm, alpha) for arm in ordered[1:])
        yield Look(at=_spoken(at), units=counts, sample_ratio=doubted if asked.shares else None, arms=found)


def _moments(row: Mapping[str, Any]) -> Moments:
    covariance = np.zeros((3, 3))
    covariance[0, 0] = row["variance"] if row["units"] > 1 else np.nan
    return Moments(n=row["units"], mean=np.array([row["mean"], 1.0, 0.0]), covariance=covariance)


def _shares(ordered: Sequence[str], asked: TableQuestion) -> list[float]:
    total = sum(asked.shares.values())
    return [asked.shares[arm] / total for arm in ordered]


def _spoken(at: str) -> str:
    """Without the number that a time sorts by."""
    return at.partition(" ")[2] if " " in at else at


def _told(
    looks: Sequence[Look], ordered: Sequence[str], asked: TableQuestion, last: Sequence[Mapping[str, Any]]
) -> TableReading:
    final = looks[-1]
    if final.sample_ratio is not None and final.sample_ratio <= asked.sample_ratio_alpha:
        finding, sentence = (
            Finding.MISMATCH,
            "The arms are not alike: units did not come in the shares that were agreed. No result counts.",
        )
        looks = tuple(Look(at=look.at, units=look.units, sample_ratio=look.sample_ratio, arms=()) for look in looks)
    else:
        said = [_decided(looks, arm) for arm in ordered[1:]]
        finding = next((f for f in _ORDER if f in [one.finding for one in said]), Finding.NEED_MORE)
        sentence = " ".join(_arm_said(one, ordered[0], asked) for one in said)
        if not asked.shares:
            sentence += " The shares that were agreed are not known, so the sample ratio was not checked."
    by_arm = {row["arm"]: row for row in last}
    p_values = (
        {arm: _once(by_arm[ordered[0]], by_arm[arm]) for arm in ordered[1:]} if finding is not Finding.MISMATCH else {}
    )
    known = [arm for arm, p in p_values.items() if p is not None]
    corrected = dict(zip(known, holm([p_values[arm] or 0.0 for arm in known]), strict=True))
    ratio = (
        fixed_p(list(final.units.values()), _shares(ordered, asked))
        if asked.shares and sum(final.units.values())
        else None
    )
    return TableReading(
        control=ordered[0], finding=finding, sentence=sentence, looks=tuple(looks), once_ratio=ratio,
        once={arm: corrected.get(arm) for arm in p_values},
    )  # fmt: skip


_ORDER: Final = (Finding.HARM, Finding.NEED_MORE, Finding.NOT_COMPUTABLE, Finding.BETTER, Finding.NO_WORSE)


def _decided(looks: Sequence[Look], arm: str) -> MeasureReading:
    """The first look that decided it, as whoever watched would have stopped there; else the last."""
    mine = [next(m for m in look.arms if m.arm == arm) for look in looks]
    return next((m for m in mine if m.finding in (Finding.BETTER, Finding.HARM, Finding.NO_WORSE)), mine[-1])


def _arm_said(one: MeasureReading, control: str, asked: TableQuestion) -> str:
    measured_as = one.sentence.removeprefix("outcome ").removeprefix("outcome: ")
    if one.finding is Finding.NOT_COMPUTABLE:
        return f"{one.arm} is not computable: {measured_as}"
    if one.finding is Finding.NEED_MORE:
        more = f" About {one.more:,} more units would tell." if one.more else ""
        return f"{one.arm} is not decided: {measured_as}{more}"
    words = {Finding.BETTER: "better than", Finding.HARM: "worse than", Finding.NO_WORSE: "no worse than"}
    return f"{one.arm} is {words[one.finding]} {control}: {measured_as}"


def _once(control: Mapping[str, Any], arm: Mapping[str, Any]) -> float | None:
    if min(control["units"], arm["units"]) < 2:
        return None
    variance = control["variance"] / control["units"] + arm["variance"] / arm["units"]
    if not np.isfinite(variance) or variance <= 0:
        return None
    return 2 * NormalDist().cdf(-abs(arm["mean"] - control["mean"]) / variance**0.5)


def _bad(message: str, *, field: str, limit: str, row: int | None = None) -> Rejected:
    return Rejected(message, code="BAD_EXPERIMENT_TABLE", field=field, limit=limit, row=row)
