"""One notion of a label that is sent, by whatever way: what is read, what is refused, and what becomes of two for one row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelmark.domain.classes import class_text, parse_label
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected
from modelmark.domain.predictions.prediction_ids import is_prediction_id, rows_of
from modelmark.domain.strict import Scalar

ROWS: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLabel:
    """What is said of one row of one prediction, in the contract's own values. place: where it stands in what was sent."""

    place: int
    id: str
    row: int
    label: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledLabels:
    """What became of the labels of one request or file. accepted: one a row. duplicates: how many said the same once more.

    conflicting: all that give one row different labels. They are kept, and none counts until a later label settles it.
    """

    accepted: tuple[GivenLabel, ...]
    duplicates: int
    conflicting: tuple[GivenLabel, ...]

    @property
    def kept(self) -> list[GivenLabel]:
        """What belongs in the journal: of those in conflict each side once."""
        sides: dict[tuple[str, int, str], GivenLabel] = {}
        for given in self.conflicting:
            sides.setdefault((given.id, given.row, class_text(given.label)), given)
        return [*self.accepted, *sides.values()]


def read_label(contract: Contract, *, place: int, id: str, row: int | None, label: Scalar) -> GivenLabel:
    """row None: of a prediction of one row. Raises Rejected, naming the field and what is allowed: BAD_ID; for the row
    OUT_OF_RANGE or, where there are several and none is said, MISSING_FIELD; BAD_LABEL.

    Whether the prediction was made is not asked here; how many rows it has its id may say.
    """
    if not is_prediction_id(id):
        raise Rejected("this is no prediction id", code="BAD_ID", field="id", row=place, limit="32 hexadecimal digits")
    rows = rows_of(id)
    limit = f"0 to {(rows or ROWS) - 1}"
    if row is None and rows is not None and rows > 1:
        raise Rejected("the prediction has several rows", code="MISSING_FIELD", field="row", row=place, limit=limit)
    if not 0 <= (row or 0) < (rows or ROWS):
        raise Rejected("the row is out of range", code="OUT_OF_RANGE", field="row", row=place, limit=limit)
    try:
        return GivenLabel(place=place, id=id, row=row or 0, label=parse_label(contract, label))
    except Rejected as error:
        raise Rejected(error.message, code=error.code, field="label", row=place, limit=error.limit) from None


def settle(given: Iterable[GivenLabel]) -> SettledLabels:
    """What is said of each row, once."""
    rows: dict[tuple[str, int], list[GivenLabel]] = {}
    for one in given:
        rows.setdefault((one.id, one.row), []).append(one)
    accepted: list[GivenLabel] = []
    conflicting: list[GivenLabel] = []
    duplicates = 0
    for same in rows.values():
        if len({class_text(one.label) for one in same}) > 1:
            conflicting += same
        else:
            accepted.append(same[0])
            duplicates += len(same) - 1
    return SettledLabels(accepted=tuple(accepted), duplicates=duplicates, conflicting=tuple(conflicting))
