"""What a new model learns from and is judged on: one frozen table each, of what is known now.

The labelled rows of production stand in order of time. The newest part is kept back, whatever learned from the rest: there
the champion and its challenger are compared, and neither has seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.table import as_numbers
from modelmark.domain.classes import class_index
from modelmark.domain.contract import Contract, DataType, Strategy
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.metrics import Task
from modelmark.journal.tables.schema import input_columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Fewer rows than this, to learn from or to prove on, say nothing.
LEAST: Final = 50
_WHOLE: Final = 2.0**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """train, later: inputs and target, in order of time. labelled: rows that had a label; capped: those of them that were
    left out because their source had given its share. since, until: when the labelled rows were predicted; parted: the first
    moment of `later`. sources: labelled rows that were learned from, by who labelled them."""

    train: pd.DataFrame
    later: pd.DataFrame
    labelled: int
    capped: int
    since: datetime
    until: datetime
    parted: datetime
    sources: Mapping[str, int]


def freeze(contract: Contract, table: pd.DataFrame, labelled: Any, now: datetime) -> Frozen:
    """table: the training table as its contract reads it. labelled: as `journal.tables.query.labelled` gives it, with inputs.

    Raises NotEnoughData where either side would have fewer than `LEAST` rows.
    """
    plan = contract.retraining
    rows = _in_time(labelled, now - timedelta(days=plan.window_days) if plan.window_days is not None else None)
    columns = [item.name for item in contract.inputs] + [contract.data.target]
    earlier, later = _parted(rows, plan.later_share)
    base = table[columns] if plan.strategy is Strategy.EXTEND else table[columns].iloc[:0]
    learned = _capped(earlier, len(base), plan.source_share, plan.seed)
    _require(len(learned), len(later), len(rows), capped=len(earlier) - len(learned))
    at = rows["at"]
    return Frozen(
        train=_joined(base, as_table(learned, contract, table)),
        later=as_table(later, contract, table),
        labelled=len(rows),
        capped=len(earlier) - len(learned),
        since=at.iloc[0].to_pydatetime(),
        until=at.iloc[-1].to_pydatetime(),
        parted=later["at"].iloc[0].to_pydatetime(),
        sources={str(name): int(n) for name, n in learned["label_source"].fillna("").value_counts().items()},
    )


def _parted(rows: pd.DataFrame, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows before, and the newest share of them; those of one request stay together."""
    place = len(rows) - round(len(rows) * share)
    while 0 < place < len(rows) and rows["id"].iloc[place] == rows["id"].iloc[place - 1]:
        place -= 1
    return rows.iloc[:place], rows.iloc[place:]


def _require(learned: int, later: int, labelled: int, *, capped: int = 0) -> None:
    if min(learned, later) >= LEAST:
        return
    left_out = f" ({capped:,} more left out by retraining.source_share)" if capped else ""
    raise NotEnoughData(
        f"{labelled:,} rows are labelled, which leaves {learned:,} to learn from{left_out} and {later:,} to prove on",
        code="FEW_LABELS", field="retraining", limit=f"at least {LEAST} each",
        hint="wait for more labels (modelmark label), or widen retraining.window_days",
    )  # fmt: skip


def _in_time(labelled: Any, since: datetime | None) -> pd.DataFrame:
    """Rows with a label that says something, oldest first."""

    if not labelled.num_rows:
        _require(0, 0, 0)
    frame: pd.DataFrame = labelled.to_pandas()
    frame = frame[frame["label"].notna()]
    frame = frame if since is None else frame[frame["at"] >= since]
    if not len(frame):
        _require(0, 0, 0)
    return frame.sort_values(["at", "id", "row"], kind="stable").reset_index(drop=True)


def _capped(rows: pd.DataFrame, base: int, share: float, seed: int) -> pd.DataFrame:
    """No source gives more than its share of what is learned from; which of its rows stay is drawn."""
    import numpy as np

    if share >= 1 or not len(rows):
        return rows
    sources = rows["label_source"].fillna("")
    counts = sources.value_counts().to_numpy()
    most = cap(counts, base, share)
    generator = np.random.default_rng(seed)
    kept = np.zeros(len(rows), dtype=bool)
    for name in sorted(sources.unique()):
        places = np.flatnonzero((sources == name).to_numpy())
        kept[generator.permutation(places)[:most]] = True
    return rows[kept]


def cap(counts: np.ndarray, base: int, share: float) -> int:
    """The most rows that each source may give, so that none gives more than `share` of base and all that is taken.

    >>> import numpy as np
    >>> cap(np.array([1000, 10]), 90, 0.5), cap(np.array([1000]), 0, 0.5)
    (100, 0)
    """
    import numpy as np

    low, high = 0, int(counts.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        if middle <= share * (base + int(np.minimum(counts, middle).sum())):
            low = middle
        else:
            high = middle - 1
    return low


def as_table(rows: pd.DataFrame, contract: Contract, like: pd.DataFrame) -> pd.DataFrame:
    """Rows of the journal as the contract's tables have them. like: the training table, whose target's type is taken."""
    import pandas as pd

    named = input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])
    columns: dict[str, Any] = {}
    for item in contract.inputs:
        column = rows[named[item.name]] if named[item.name] in rows else pd.Series(None, index=rows.index, dtype=object)
        columns[item.name] = _as(item.type, column)
    columns[contract.data.target] = _target(rows, contract, like[contract.data.target])
    return pd.DataFrame(columns).reset_index(drop=True)


def _as(kind: DataType, column: pd.Series) -> pd.Series:
    if kind in (DataType.CATEGORY, DataType.STRING):
        return column.astype(object).where(column.notna(), None)
    numbers = column.astype("float64")
    if numbers.isna().any():
        return numbers
    if kind is DataType.BOOLEAN:
        return numbers.astype(bool)
    return numbers.astype("int64") if kind is DataType.INTEGER and (numbers.abs() < _WHOLE).all() else numbers


def _target(rows: pd.DataFrame, contract: Contract, like: pd.Series) -> pd.Series:
    """The labels as the training table writes them."""
    import pandas as pd

    if contract.model.task is Task.REGRESSION:
        return pd.Series(as_numbers(rows["label_value"]), index=rows.index)
    written: dict[int, Any] = {}
    for value in like.dropna().unique().tolist():
        place = class_index(contract.outputs.classes, value)
        if place is not None:
            written.setdefault(place, value)
    places = [class_index(contract.outputs.classes, label) for label in rows["label"]]
    found = [None if p is None else written.get(p, contract.outputs.classes[p]) for p in places]
    return pd.Series(found, index=rows.index, dtype=object).infer_objects()


def _joined(base: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    if not len(base):
        return rows
    return pd.concat(
        [base, rows.astype({n: base[n].dtype for n in rows if _fits(rows[n], base[n])})], ignore_index=True
    )


def _fits(rows: pd.Series, base: pd.Series) -> bool:
    """Whether the rows can be written as the base is without losing anything."""
    import pandas as pd

    if rows.dtype == base.dtype:
        return True
    if pd.api.types.is_float_dtype(base.dtype):
        return True
    return not rows.isna().any() and pd.api.types.is_bool_dtype(base.dtype) == pd.api.types.is_bool_dtype(rows.dtype)
