"""What orders the rows and whom they are about: proposed by name and form, with both sides of the split counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from modelmark.contract.proposals.names import words_of
from modelmark.contract.proposals.row_order import ordered_columns
from modelmark.contract.table import as_texts
from modelmark.contract.timestamps import timestamps

if TYPE_CHECKING:
    import pandas as pd

_TIME: Final = re.compile(
    r"\b(date|time|timestamp|datetime|dteday|year|yr|month|week|day|epoch|created|updated|instant|ts)\b"
)
_BIRTH: Final = re.compile(r"\b(birth\w*|dob|born)\b")
_KEY: Final = re.compile(r"\b(id|ids|uid|uuid|guid)\b|\b(key|nbr|nr|no|number|num|code)$")  # a number of rooms is none
_WHOM: Final = re.compile(
    r"\b(patient|customer|client|user|member|person|account|household|subject|employee|student|policy\w*|contract|card"
    r"|device|machine|engine|unit|sensor|vehicle|store|shop|farm|batch|lot)"
)
_DATE: Final = r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})"
#: Such as C00417, 3f2a9c…: few letters, then digits or hexadecimals.
_CODE: Final = r"[A-Za-z]{0,4}[-_:]?\d{3,}|[0-9a-fA-F-]{16,36}"
_LOOKED_AT: Final = 200
_LEAST_DISTINCT: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Columns for `data`, None where none is proposed. reasons: field -> why, also why none."""

    time: str | None
    group: str | None
    entity_key: str | None
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ids:
    """A column of ids, counted. held_out: distinct in the holdout; shared: those of them that train has, too."""

    name: str
    distinct: int
    repeated: bool
    held_out: int
    shared: int
    strength: tuple[bool, bool]


def keys(train: pd.DataFrame, holdout: pd.DataFrame | None, *, target: str) -> Keys:
    """Columns of both tables alone. The split decides what is proposed: a time that it does not follow is only asked about."""
    names = [str(name) for name in train.columns if name != target and (holdout is None or name in holdout)]
    reasons: dict[str, str] = {}
    time = _time(train, holdout, names, reasons) if holdout is not None else None
    found = max(
        _ids(train, holdout, names), key=lambda ids: (ids.repeated or ids.shared > 0, ids.strength), default=None
    )
    if found is None:
        return Keys(time=time, group=None, entity_key=None, reasons=reasons)
    both = f"; {found.shared:,} of the holdout's {found.held_out:,} are in train, too" if holdout is not None else ""
    reasons["data.entity_key"] = f"{found.distinct:,} different values in train{both}"
    if not (found.repeated or found.shared):
        return Keys(time=time, group=None, entity_key=found.name, reasons=reasons)
    if time is not None:
        reasons["data.group"] = f"{found.name!r} repeats{both}, as they may where the split is in time"
        return Keys(time=time, group=None, entity_key=found.name, reasons=reasons)
    advice = ": split by it, or say null where it may" if found.shared else ""
    reasons["data.group"] = f"{found.name!r} repeats{both}{advice}"
    return Keys(time=None, group=found.name, entity_key=found.name, reasons=reasons)


def _time(train: pd.DataFrame, holdout: pd.DataFrame, names: Sequence[str], reasons: dict[str, str]) -> str | None:
    """The first column that orders both tables and that the split follows; of another the reason says what to look at."""
    import pandas as pd

    asked = None
    for name in names:
        dated = _is_date(train[name])
        words = words_of(name)
        if _BIRTH.search(words) or not (dated or _TIME.search(words)):
            continue
        at = timestamps(pd.concat([train[name], holdout[name]], ignore_index=True))
        before, after = at[: len(train)], at[len(train) :]
        known, later = before[np.isfinite(before)], after[np.isfinite(after)]
        if min(len(known) / len(before), len(later) / len(after)) < 0.9 or len(np.unique(known)) < 2:
            continue
        if known.max() <= later.min() and known.max() < later.max():
            reasons["data.time"] = "looks like time, and train ends where the holdout begins"
            return name
        if dated and asked is None:
            early = float((later <= known.max()).mean())
            asked = (
                f"{name!r} looks like time, but {early:.0%} of the holdout's rows are not after train's last: name it, "
                "and split by it, if answers are for rows to come"
            )
    if asked is None and (growing := next(ordered_columns(train, holdout, names), None)) is not None:
        asked = (
            f"{growing!r} never goes back along the rows of train and then of the holdout: name it, or say row_order, if rows "
            "are in the order of time"
        )
    if asked is not None:
        reasons["data.time"] = asked
    return None


def _is_date(column: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    if pd.api.types.is_numeric_dtype(column.dtype):
        return False
    known = column.dropna().head(_LOOKED_AT).astype(str)
    return bool(len(known) and known.str.match(_DATE).all())


def _ids(train: pd.DataFrame, holdout: pd.DataFrame | None, names: Sequence[str]) -> Iterator[_Ids]:
    """Whole numbers and texts that are named, or written, like ids, of at least 20 values and more than 1 in 50 rows."""
    for name in names:
        column, words = train[name], words_of(name)
        if column.dtype.kind in "fbM" or _is_date(column):
            continue
        named = bool(_KEY.search(words)) and not _TIME.search(words)
        if not (named or _WHOM.fullmatch(words) or (column.dtype.kind not in "iu" and _is_code(column))):
            continue
        here = as_texts(column).dropna()
        distinct = here.nunique()
        if distinct < max(_LEAST_DISTINCT, len(here) / 50):
            continue
        there = set(as_texts(holdout[name]).dropna()) if holdout is not None else set()
        yield _Ids(
            name=name, distinct=distinct, repeated=distinct < len(here), held_out=len(there),
            shared=len(there & set(here)), strength=(bool(_WHOM.search(words)), named),
        )  # fmt: skip


def _is_code(column: pd.Series) -> bool:
    known = column.dropna().head(_LOOKED_AT).astype(str)
    return bool(len(known) and known.str.fullmatch(_CODE).all())
