"""One column of a request: what it may hold, and what each policy makes of a value outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any, Final, Protocol

from modelmark.domain.contract import DataType, Input, Policy
from modelmark.domain.errors import Rejected

#: Integers at or beyond this are not exact in float64, so they cannot be told apart from their neighbours.
EXACT: Final = 2.0**53
FLOAT32_MAX: Final = 3.4028234663852886e38
FLOAT64_MAX: Final = 1.7976931348623157e308

IMPLAUSIBLE: Final = "IMPLAUSIBLE"

Outcome = Rejected | tuple[str, ...]


class Known(Protocol):
    """Texts that pass; null only where it may."""

    def __contains__(self, value: object, /) -> bool: ...
    def issuperset(self, values: Sequence[object], /) -> bool: ...


class _AnyText:
    """Implements `Known`: every text, not null."""

    def __contains__(self, value: object, /) -> bool:
        return value is not None

    def issuperset(self, values: Sequence[object], /) -> bool:
        return None not in values


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number, integer or boolean. low, high: what passes without a second look; hard: what its tensor can hold."""

    name: str
    kind: Any
    type: DataType
    dtype: str
    low: float
    high: float
    minimum: float | None
    maximum: float | None
    hard: float
    whole: bool
    nullable: bool
    policy: Policy
    impute: float | None
    codes: frozenset[float] | None = None
    """What passes where whole numbers stand for categories."""
    plausible: tuple[float, float] = (-inf, inf)
    """Outside of it a value cannot be, as far as training tells. It is flagged, never refused for it."""

    @property
    def gaps(self) -> bool:
        """Whether a whole number from low to high may be no code all the same."""
        return self.codes is not None and len(self.codes) <= self.high - self.low

    @property
    def stand_in(self) -> float:
        return nan if self.impute is None else self.impute

    def judge(self, value: float, row: int) -> Outcome:
        """Flags for a value that did not pass at once, or its refusal."""
        if isnan(value):
            if not self.nullable:
                return Rejected(f"{self.name} may not be null", code="NULL_NOT_ALLOWED", field=self.name, row=row)
            imputes = self.policy is Policy.IMPUTE and self.impute is not None
            return ("MISSING", "IMPUTED") if imputes else ("MISSING",)
        if self.whole and abs(value) >= EXACT:
            return self._out(row, "less than 2^53 in magnitude, so that it is exact")
        if self.whole and value != int(value):
            return Rejected(
                f"{self.name} must be a whole number", code="WRONG_TYPE", field=self.name, row=row, limit="an integer"
            )
        if abs(value) > self.hard:
            return self._out(row, f"at most {self.hard:.8g} in magnitude: the model computes in {self.dtype}")
        cannot_be = () if self.plausible[0] <= value <= self.plausible[1] else (IMPLAUSIBLE,)
        if cannot_be and self.low <= value <= self.high:
            return cannot_be
        if self.policy is Policy.REJECT:
            return self._out(row, self.range()) if self.codes is None else _unseen(self.name, row, len(self.codes))
        flag = "OUT_OF_RANGE" if self.codes is None else "UNSEEN"
        imputes = self.policy is Policy.IMPUTE and self.impute is not None
        return (flag, "IMPUTED", *cannot_be) if imputes else (flag, *cannot_be)

    def range(self) -> str:
        low = "-∞" if self.minimum is None else f"{self.minimum:.17g}"
        high = "∞" if self.maximum is None else f"{self.maximum:.17g}"
        return f"from {low} to {high}"

    def _out(self, row: int, limit: str) -> Rejected:
        return Rejected(f"{self.name} is out of range", code="OUT_OF_RANGE", field=self.name, row=row, limit=limit)


@dataclass(frozen=True, slots=True)
class Text:
    """A category or a string. known: what passes without a second look."""

    name: str
    kind: Any
    type: DataType
    known: Known
    categories: tuple[str, ...] | None
    nullable: bool
    policy: Policy
    impute: str | None

    @property
    def stand_in(self) -> str:
        return self.impute or ""

    def judge(self, value: str | None, row: int) -> Outcome:
        imputes = self.policy is Policy.IMPUTE and self.impute is not None
        if value is None:
            if not self.nullable:
                return Rejected(f"{self.name} may not be null", code="NULL_NOT_ALLOWED", field=self.name, row=row)
            return ("MISSING", "IMPUTED") if imputes else ("MISSING",)
        if self.policy is Policy.REJECT:
            return _unseen(self.name, row, len(self.categories or ()))
        return ("UNSEEN", "IMPUTED") if imputes else ("UNSEEN",)


def _unseen(name: str, row: int, known: int) -> Rejected:
    limit = f"one of {known} categories"
    return Rejected(f"{name} is not a known category", code="UNSEEN_CATEGORY", field=name, row=row, limit=limit)


def numeric_column(column: Input, dtype: str | None, plausible: tuple[float, float] | None = None) -> Numeric:
    """dtype: of the tensor that carries it, None where unknown. plausible: bounds learnt from training, None where it told
    none."""
    hard = FLOAT32_MAX if dtype == "float32" else FLOAT64_MAX
    whole = column.type is DataType.INTEGER or dtype == "int64"
    ceiling = min(hard, EXACT - 1) if whole else hard
    base: Any = bool if column.type is DataType.BOOLEAN else float
    codes = frozenset(map(float, column.known_values)) if column.coded else None
    lowest, highest = (min(codes), max(codes)) if codes else (column.minimum, column.maximum)
    return Numeric(
        name=column.name,
        kind=base | None if column.nullable else base,
        type=column.type,
        dtype=dtype or "float64",
        low=-ceiling if lowest is None else max(lowest, -ceiling),
        high=ceiling if highest is None else min(highest, ceiling),
        minimum=column.minimum,
        maximum=column.maximum,
        hard=hard,
        whole=whole,
        nullable=column.nullable,
        policy=column.on_out_of_range if codes is None else column.on_unseen,
        impute=float(column.impute) if isinstance(column.impute, (int, float)) else None,
        codes=codes,
        plausible=plausible if plausible is not None and column.quantity else (-inf, inf),
    )


def text_column(column: Input) -> Text:
    known: Known = frozenset(column.categories) if column.categories is not None else _AnyText()
    return Text(
        name=column.name,
        kind=str | None if column.nullable else str,
        type=column.type,
        known=known,
        categories=column.categories,
        nullable=column.nullable,
        policy=column.on_unseen,
        impute=None if column.impute is None else str(column.impute),
    )
