"""Rows of a request: typed by the contract, checked as a whole batch, blamed one cell at a time."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from operator import le
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from modelmark.contract import first_fault, jsontext, row_errors
from modelmark.contract.columns import Numeric, Text, numeric_column, text_column
from modelmark.contract.names import INPUT_NAME, names_an_input
from modelmark.domain.contract import Contract, Policy
from modelmark.domain.errors import ContractFault, ContractInvalid, Malformed, Rejected
from modelmark.domain.version import Signature

MISSING: Final = "MISSING"
OUT_OF_RANGE: Final = "OUT_OF_RANGE"
UNSEEN: Final = "UNSEEN"
IMPUTED: Final = "IMPUTED"

Flag = tuple[int, str, str]
_F8: Final = np.dtype("<f8")

#: Up to so many numbers plain Python is the quicker judge: NumPy's code has left the caches by the next lone request.
FEW: Final = 64


@dataclass(slots=True)
class Rows:
    """Rows of one request, typed but not yet checked.

    numbers: float64 little-endian, row-major, one per numeric input, NaN for null.
    texts: row-major, one per text input.
    """

    count: int
    numbers: bytes
    texts: list[str | None]


@dataclass(slots=True)
class Checked:
    """The outcome of checking several requests at once.

    refused: by position in what was given. flags: by position; rows count within the request.
    kept: positions of accepted requests, in order; numbers (rows, numeric) and texts (row-major) are theirs alone,
    with imputed values in place, ready for the model. spans: where each kept request's rows begin, and the end.
    """

    kept: list[int]
    spans: list[int]
    numbers: NDArray[np.float64]
    texts: list[str]
    refused: dict[int, Rejected] = field(default_factory=dict)
    flags: dict[int, list[Flag]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Checked rows of one request. received: as sent; numbers, texts: ready for the model."""

    received: Rows
    flags: list[Flag]
    numbers: NDArray[np.float64]
    texts: list[str]


class RowCodec:
    """Compiled from a contract once; thereafter turns JSON rows into arrays at a few microseconds each.

    signature: names the tensor types the columns travel in, which bounds what they can hold; float64 where unknown.
    plausible: by input, outside of which a value is flagged as IMPLAUSIBLE.
    Raises ContractInvalid when a column cannot be served as the contract describes it.
    """

    def __init__(
        self,
        contract: Contract,
        signature: Signature | None = None,
        plausible: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    ) -> None:
        dtypes = {c: feed.dtype for feed in (signature.feeds if signature else ()) for c in feed.columns}
        self.numeric: tuple[Numeric, ...] = tuple(
            numeric_column(i, dtypes.get(i.name), plausible.get(i.name)) for i in contract.numeric()
        )
        self.textual: tuple[Text, ...] = tuple(text_column(i) for i in contract.textual())
        columns: list[Numeric | Text] = [*self.numeric, *self.textual]
        self.columns = tuple(columns)
        self.names: tuple[str, ...] = tuple(c.name for c in columns)
        self.task = contract.model.task
        self.max_rows = contract.serving.max_rows
        self._refuse_unservable()
        self.row_type: type[msgspec.Struct] = msgspec.defstruct(
            "Row",
            [(f"c{i}", column.kind) for i, column in enumerate(columns)],
            rename={f"c{i}": column.name for i, column in enumerate(columns)},
            forbid_unknown_fields=True,
            gc=False,
        )
        self.rows_type: Any = list[self.row_type]  # type: ignore[name-defined]
        self._pack = struct.Struct(f"<{len(self.numeric)}d").pack
        self._unpack = struct.Struct(f"<{len(self.numeric)}d").iter_unpack
        self._lowest = tuple(max(c.low, c.plausible[0]) for c in self.numeric)
        self._highest = tuple(min(c.high, c.plausible[1]) for c in self.numeric)
        self._low, self._high = np.array(self._lowest), np.array(self._highest)
        self._whole = np.array([i for i, c in enumerate(self.numeric) if c.whole], np.intp)
        self._gaps = [(i, c.codes, np.array(sorted(c.codes))) for i, c in enumerate(self.numeric) if c.codes and c.gaps]
        self._known = tuple(c.known for c in self.textual)
        self._list_decoder = msgspec.json.Decoder(self.rows_type)

    def rows(self, parsed: Sequence[msgspec.Struct]) -> Rows:
        """Typed rows, packed. Raises Rejected when there are none or too many."""
        if not 0 < len(parsed) <= self.max_rows:
            raise row_errors.row_count(len(parsed), self.max_rows)
        k, pack = len(self.numeric), self._pack
        values = [astuple(row) for row in parsed]
        numbers = values if k == len(self.columns) else [row[:k] for row in values]
        try:
            packed = [pack(*row) for row in numbers]
        except struct.error:  # a null, where nulls are allowed
            packed = [pack(*[nan if v is None else v for v in row]) for row in numbers]
        texts: list[str | None] = [] if k == len(self.columns) else [text for row in values for text in row[k:]]
        return Rows(len(parsed), packed[0] if len(packed) == 1 else b"".join(packed), texts)

    def from_columns(self, count: int, columns: Mapping[str, Sequence[Any]]) -> Rows:
        """Rows from whole columns (values already of the right Python type, None for null)."""
        if not 0 < count <= self.max_rows:
            raise row_errors.row_count(count, self.max_rows)
        row_errors.columns(columns, self.names)
        for column in self.columns:
            row_errors.column(column, columns[column.name])
        numbers = np.empty((count, len(self.numeric)), "<f8")
        for j, numeric in enumerate(self.numeric):
            numbers[:, j] = np.array(columns[numeric.name], np.float64)
        texts: list[str | None] = [None] * (count * len(self.textual))
        for j, text in enumerate(self.textual):
            texts[j :: len(self.textual)] = columns[text.name]
        return Rows(count, numbers.tobytes(), texts)

    def from_mappings(self, rows: Sequence[Mapping[str, Any]]) -> Rows:
        """Rows of plain Python (or NumPy scalar) values, refused exactly as the same rows sent as JSON would be."""
        try:
            body = msgspec.json.encode(rows, enc_hook=_scalar)
        except Exception:
            self._require_finite(rows)
            raise
        if b"null" in body:  # what is not finite is written so
            self._require_finite(rows)
        try:
            return self.rows(self._list_decoder.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.diagnose(jsontext.read(body)) from None

    def _require_finite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raises Rejected for the first NaN or infinity."""
        for index, row in enumerate(rows):
            for name, value in row.items():
                if isinstance(value, (float, np.floating)) and not isfinite(value):
                    raise row_errors.not_finite(name if name in self.names else jsontext.shown(str(name)), index)

    def diagnose(self, rows: Any) -> Rejected:
        """What is wrong with rows (read by `jsontext.read`) that the typed decoder refused."""
        if not isinstance(rows, list):
            return Rejected(
                "rows must be a list of objects", code="WRONG_TYPE", field="rows", limit="a list of objects"
            )
        if not 0 < len(rows) <= self.max_rows:
            return row_errors.row_count(len(rows), self.max_rows)
        for index, row in enumerate(rows):
            found = row_errors.row(row, index, self.numeric, self.textual)
            if found is not None:
                return found
        return Malformed("the body is not what the contract describes", code="MALFORMED")

    def first_fault(self, body: bytes, others: Mapping[str, first_fault.Judge]) -> Rejected:
        """What is wrong with a large body that the typed decoder refused, `{"rows": [...]}` with other fields known by name:
        in bounded time and memory."""
        return first_fault.of_rows(body, others, self.numeric, self.textual, self.max_rows)

    def check(self, parts: Sequence[Rows]) -> Checked:
        """Ranges, nulls and categories of all requests in one sweep of NumPy."""
        k = len(self.numeric)
        packed = parts[0].numbers if len(parts) == 1 else b"".join([p.numbers for p in parts])
        numbers = np.frombuffer(packed, _F8).reshape(-1, k) if k else np.empty((sum(p.count for p in parts), 0))
        spans = [0]
        for part in parts:
            spans.append(spans[-1] + part.count)
        clean = not k or (self._few_clean(packed) if len(packed) <= 8 * FEW else self._all_clean(numbers))
        texts: list[Any] = parts[0].texts if len(parts) == 1 else [t for p in parts for t in p.texts]
        if self._known and not all(
            known.issuperset(texts[j :: len(self._known)]) for j, known in enumerate(self._known)
        ):
            clean = False
        if clean:
            return Checked(list(range(len(parts))), spans, numbers, texts)
        return self._sift(parts, numbers, texts, spans)

    def batch(self, rows: Rows) -> Batch:
        """`check` for one request. Raises Rejected."""
        checked = self.check([rows])
        if checked.refused:
            raise checked.refused[0]
        return Batch(rows, checked.flags.get(0, []), checked.numbers, checked.texts)

    def _few_clean(self, packed: bytes) -> bool:
        """`_all_clean` without NumPy."""
        for values in self._unpack(packed):
            if not (all(map(le, self._lowest, values)) and all(map(le, values, self._highest))):
                return False
            if self._whole.size and not all(values[i].is_integer() for i in self._whole):
                return False
            if not all(values[i] in codes for i, codes, _ in self._gaps):
                return False
        return True

    def _all_clean(self, numbers: NDArray[np.float64]) -> bool:
        # One comparison per side; NaN fails both, and the smallest of booleans is "all" without its detour.
        if not (np.less_equal(self._low, numbers).min() and np.less_equal(numbers, self._high).min()):
            return False
        whole = numbers[:, self._whole] if self._whole.size else None
        if whole is not None and not (whole == np.floor(whole)).all():
            return False
        return all(bool(np.isin(numbers[:, i], known).all()) for i, _, known in self._gaps)

    def _sift(self, parts: Sequence[Rows], numbers: NDArray[np.float64], texts: list[Any], spans: list[int]) -> Checked:
        ready, words = numbers.copy(), list(texts)
        refused: dict[int, Rejected] = {}
        flags: dict[int, list[Flag]] = {}
        starts = np.array(spans)

        def place(row: int) -> tuple[int, int]:
            part = int(np.searchsorted(starts, row, "right")) - 1
            return part, row - spans[part]

        bad = ~((numbers >= self._low) & (numbers <= self._high))
        if self._whole.size:
            bad[:, self._whole] |= numbers[:, self._whole] != np.floor(numbers[:, self._whole])
        for i, _, known in self._gaps:
            bad[:, i] |= ~np.isin(numbers[:, i], known)
        for r, c in np.argwhere(bad):
            part, row = place(int(r))
            if part in refused:
                continue
            outcome = self.numeric[c].judge(float(numbers[r, c]), row)
            self._note(outcome, part, row, self.numeric[c].name, refused, flags)
            if not isinstance(outcome, Rejected) and IMPUTED in outcome:
                ready[r, c] = self.numeric[c].stand_in
        m = len(self.textual)
        for position, text in enumerate(texts):
            column = self.textual[position % m]
            if text in column.known:
                continue
            part, row = place(position // m)
            if part in refused:
                continue
            outcome = column.judge(text, row)
            self._note(outcome, part, row, column.name, refused, flags)
            words[position] = (
                column.stand_in if IMPUTED in (outcome if isinstance(outcome, tuple) else ()) else text or ""
            )
        kept = [i for i in range(len(parts)) if i not in refused]
        if not refused:
            return Checked(kept, spans, ready, words, refused, flags)
        return self._without(refused, parts, kept, ready, words, spans, flags)

    @staticmethod
    def _note(
        outcome: Rejected | tuple[str, ...],
        part: int,
        row: int,
        name: str,
        refused: dict[int, Rejected],
        flags: dict[int, list[Flag]],
    ) -> None:
        if isinstance(outcome, Rejected):
            refused[part] = outcome
            return
        flags.setdefault(part, []).extend((row, name, flag) for flag in outcome)

    def _without(
        self,
        refused: dict[int, Rejected],
        parts: Sequence[Rows],
        kept: list[int],
        ready: NDArray[np.float64],
        words: list[str],
        spans: list[int],
        flags: dict[int, list[Flag]],
    ) -> Checked:
        m = len(self.textual)
        chosen = [ready[spans[i] : spans[i + 1]] for i in kept]
        left = [0]
        for i in kept:
            left.append(left[-1] + parts[i].count)
        return Checked(
            kept,
            left,
            np.concatenate(chosen) if chosen else ready[:0],
            [w for i in kept for w in words[spans[i] * m : spans[i + 1] * m]],
            refused,
            {i: found for i, found in flags.items() if i not in refused},
        )

    def _refuse_unservable(self) -> None:
        faults = [
            ContractFault(
                file="contract",
                line=None,
                field=f"inputs.{name}",
                found="the name",
                allowed=f"{INPUT_NAME}, and no name twice",
            )
            for name in self.names
            if not names_an_input(name) or self.names.count(name) > 1
        ]
        faults += [
            ContractFault(
                file="contract",
                line=None,
                field=f"inputs.{c.name}.nullable",
                found="nullable, without a value to impute",
                allowed=f"not nullable, or on_out_of_range: impute: the model takes it as {c.dtype}, which has no null",
            )
            for c in self.numeric
            if c.nullable and c.dtype in ("int64", "bool") and not (c.policy is Policy.IMPUTE and c.impute is not None)
        ]
        if faults:
            raise ContractInvalid(tuple(faults))


def _scalar(value: Any) -> Any:
    """NumPy scalars as plain ones, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a row holds a {type(value).__name__}")
