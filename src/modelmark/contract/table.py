"""Tables as the contract sees them: read from a file, checked rule by rule, turned into requests and target codes."""

from __future__ import annotations

import csv as csv_reader
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.cells import typed
from modelmark.contract.csv_file import NAMELESS, read_texts, require_distinct
from modelmark.contract.dialect import common, described, other_marks, sniff
from modelmark.contract.dtypes import normalised
from modelmark.contract.table_file import require_fits
from modelmark.domain.classes import class_index
from modelmark.domain.contract import Contract, Csv, DataType, Input, Outputs, Policy
from modelmark.domain.errors import Malformed, Missing, ModelmarkError, Rejected
from modelmark.domain.metrics import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


_NUMERIC: Final = (DataType.NUMBER, DataType.INTEGER)
#: Values of a column that are looked at for other marks.
_LOOKED_AT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule that some rows of a table break.

    rows: zero-based, ascending, all of them. examples: the first few distinct offending values.
    policy: what the endpoint does with such a row; only `reject` breaks the contract. None rows: the whole column.
    """

    rule: str
    column: str
    allowed: str
    policy: Policy
    rows: tuple[int, ...]
    examples: tuple[str, ...]


def read_table(
    path: Path, *, columns: Sequence[str] = (), csv: Csv | None = None, inputs: Sequence[Input] = ()
) -> pd.DataFrame:
    """A CSV (also .gz) or Parquet file; text stays text ("?" and "NA" are values), numbers are float64 or int64.

    columns: must all be there. csv: how a CSV file is written; None: with commas, decimal points and UTF-8. inputs: columns
    whose type is agreed; of others whole numbers that would lose digits stay text (0123, ids of 2^53).
    Raises Missing for the file, Rejected for an unknown format, an absent column, a name that stands twice and a row of
    another length than the header, Malformed for content that cannot be read.
    """
    how = csv or Csv()
    try:
        frame = _load(path, how, {item.name: item for item in inputs}, frozenset(columns))
        _require_columns(path, frame, columns)
    except Rejected as error:
        if error.code in ("FIELD_COUNT", "MISSING_COLUMN", "MALFORMED_TABLE"):
            error.hint = _other_dialect(path, how) or error.hint
        raise
    if not len(frame):
        raise Rejected(f"{path.name} has no rows", code="EMPTY_TABLE")
    return frame


def agreed_table(path: Path, contract: Contract, columns: Sequence[str]) -> pd.DataFrame:
    """`read_table` as the contract says: its dialect, its types."""
    return read_table(path, columns=columns, csv=contract.data.csv, inputs=contract.inputs)


def dialect_of(train: Path, holdout: Path) -> Csv | None:
    """How the CSV files among the two seem to be written; None where that is the usual way, or where there is none.

    Raises Missing for a file that is not there, and Rejected as `dialect.common` and `read_table` do.
    """
    for path in (train, holdout):
        _require_file(path)
    files = [path for path in (train, holdout) if is_csv(path)]
    try:
        found = common(files[0], files[-1]) if files else Csv()
    except (ValueError, OSError) as error:
        raise Malformed(f"{files[0].name} cannot be read: {error}", code="MALFORMED_TABLE") from None
    return None if found == Csv() else found


def is_csv(path: Path) -> bool:
    """By its name alone."""
    return path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".txt"))


def _require_columns(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise Rejected(
            f"{path.name} has no column {', '.join(map(repr, absent))}",
            code="MISSING_COLUMN",
            field=absent[0],
            limit="it has " + ", ".join(map(str, frame.columns)),
        )


def _other_dialect(path: Path, how: Csv) -> str | None:
    """What to do where the file seems to be written otherwise than we were told."""
    try:
        found = sniff(path) if is_csv(path) else how
    except (ModelmarkError, ValueError, OSError):
        return None
    if (found.separator, found.encoding) == (how.separator, how.encoding):
        return None
    return f"{path.name} seems to be written with {described(found)}; say so in data.csv, or write it with {described(how)}"


def _load(path: Path, how: Csv, agreed: Mapping[str, Input], wanted: Collection[str]) -> pd.DataFrame:
    _require_file(path)
    columnar = path.name.lower().endswith((".parquet", ".pq"))
    if not columnar and not is_csv(path):
        raise Rejected(
            f"{path.name} is not a table we read", code="UNKNOWN_FORMAT", limit=".csv, .tsv, .txt (also .gz), .parquet"
        )
    require_fits(path, separator=how.separator)
    try:
        if columnar:
            return _as_agreed(normalised(_parquet(path)), agreed)
        return normalised(_csv(path, how, agreed, wanted))
    except (ValueError, OSError, EOFError, NotImplementedError, KeyError, zlib.error, csv_reader.Error) as error:
        raise Malformed(f"{path.name} cannot be read: {error}", code="MALFORMED_TABLE") from None


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise Missing(
            f"there is no table {path}", code="NO_TABLE", hint="paths in a contract are relative to its folder"
        )


def _csv(path: Path, how: Csv, agreed: Mapping[str, Input], wanted: Collection[str]) -> pd.DataFrame:
    """A column without a name and without a value is what separators at the ends of lines leave, and none."""
    import pandas as pd

    texts = read_texts(path, how)
    columns = {
        name: typed(texts[name], how, agreed.get(name))
        for name in texts.column_names
        if not name.startswith(NAMELESS) or name in wanted or name in agreed or texts[name].null_count < len(texts)
    }
    for name, item in agreed.items():
        if name in columns and item.type in _NUMERIC and str(columns[name].dtype) == "str":
            _require_marks(path, name, columns[name], how)
    return pd.DataFrame(columns)


def _require_marks(path: Path, name: str, texts: pd.Series, how: Csv) -> None:
    """Raises Rejected where a column that should be numbers is numbers with other marks than we were told of."""
    found = other_marks(texts.dropna().head(_LOOKED_AT).tolist(), how)
    if found is not None:
        raise Rejected(
            f"{path.name} writes {name} with {described(found)}, and it is read with {described(how)}", code="OTHER_DIALECT",
            field=name, limit="one way of writing for all tables of a contract",
            hint=f"write {path.name} with {described(how)}, or say in data.csv how all tables are written",
        )  # fmt: skip


def _as_agreed(frame: pd.DataFrame, agreed: Mapping[str, Input]) -> pd.DataFrame:
    """Ids that are text because a null stands beside them are numbers where the contract says so."""
    ids = [n for n, item in agreed.items() if n in frame and item.type in _NUMERIC and str(frame[n].dtype) == "str"]
    found = {name: as_numbers(frame[name]) for name in ids}
    return frame.assign(
        **{n: numbers for n, numbers in found.items() if not (frame[n].notna() & (numbers != numbers)).any()}
    )


def _parquet(path: Path) -> pd.DataFrame:
    """A named index is a column, as it is in the file; any other index goes."""
    import pandas as pd
    import pyarrow.parquet as pq

    require_distinct(path, pq.read_schema(path).names, f"{path.name}: ")
    frame = pd.read_parquet(path)
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    kept = frame.reset_index(level=named) if named else frame
    return kept[[*frame.columns, *named]].reset_index(drop=True)


def check_table(frame: pd.DataFrame, contract: Contract) -> tuple[Violation, ...]:
    """Every rule of the contract's inputs and target that the table breaks, in contract order."""
    found = [violation for item in contract.inputs for violation in _check_input(frame, item)]
    return (*found, *_check_target(frame, contract))


def violating_rows(violations: Sequence[Violation]) -> tuple[int, ...]:
    """The rows that break at least one rule which the endpoint answers with a refusal, ascending."""
    return tuple(sorted({row for v in violations if v.policy is Policy.REJECT for row in v.rows}))


def _check_input(frame: pd.DataFrame, item: Input) -> Iterator[Violation]:
    import numpy as np

    if item.name not in frame.columns:
        every = tuple(range(len(frame)))
        yield Violation(
            rule="missing column", column=item.name, allowed="present", policy=Policy.REJECT, rows=every, examples=()
        )
        return
    column = frame[item.name]
    null = column.isna().to_numpy()
    if not item.nullable:
        yield from _violation("null", column, null, "no null", Policy.REJECT)
    if item.type in (DataType.CATEGORY, DataType.STRING):
        if item.categories is not None:
            unseen = ~null & ~as_texts(column, item.categories).isin(item.categories).to_numpy()
            yield from _violation("unseen category", column, unseen, _listed(item.categories), item.on_unseen)
        return
    numbers = as_numbers(column)
    wrong = ~null & ~np.isfinite(numbers)
    yield from _violation("wrong type", column, wrong, f"a finite {item.type.value}", Policy.REJECT)
    good = ~null & ~wrong
    if item.type is DataType.INTEGER:
        broken = good & (np.floor(numbers) != numbers)
        yield from _violation("not an integer", column, broken, "whole numbers", Policy.REJECT)
        if item.coded:
            unseen = good & ~broken & ~np.isin(numbers, item.known_values)
            yield from _violation("unseen category", column, unseen, _listed(item.categories or ()), item.on_unseen)
    if item.type is DataType.BOOLEAN:
        yield from _violation("not a boolean", column, good & ~np.isin(numbers, (0, 1)), "true, false", Policy.REJECT)
    low = -np.inf if item.minimum is None else item.minimum
    high = np.inf if item.maximum is None else item.maximum
    outside = good & ((numbers < low) | (numbers > high))
    yield from _violation("out of range", column, outside, f"{low:g} to {high:g}", item.on_out_of_range)


def _check_target(frame: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    import numpy as np

    name = contract.data.target
    if name not in frame.columns:
        return
    column = frame[name]
    null = column.isna().to_numpy()
    yield from _violation("null target", column, null, "a known truth", Policy.REJECT)
    if contract.model.task is Task.REGRESSION:
        wrong = ~null & ~np.isfinite(as_numbers(column))
        yield from _violation("target is not a number", column, wrong, "a finite number", Policy.REJECT)
        return
    unknown = ~null & (target_codes(column, contract.outputs) < 0)
    yield from _violation("unknown class", column, unknown, _listed(contract.outputs.classes), Policy.REJECT)


def _violation(rule: str, column: pd.Series, mask: np.ndarray, allowed: str, policy: Policy) -> Iterator[Violation]:
    if mask.any():
        rows = tuple(int(i) for i in mask.nonzero()[0])
        examples = tuple(str(v) for v in column.to_numpy()[list(rows[:1000])])
        yield Violation(
            rule=rule,
            column=str(column.name),
            allowed=allowed,
            policy=policy,
            rows=rows,
            examples=tuple(dict.fromkeys(examples))[:5],
        )


def _listed(values: Sequence[object], most: int = 12) -> str:
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


def as_numbers(column: pd.Series) -> np.ndarray:
    """float64 values; NaN where there is no number."""
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":  # tables have thousands of them
        plain: np.ndarray = column.to_numpy(dtype=np.float64, copy=True)
        return plain
    values: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def text_of(value: Any, known: Collection[str] = ()) -> str:
    """How a value is written: 12.0 as 12, because one null makes a column of whole numbers float.

    known: spellings that stay as they are, where a contract's categories say 12.0.
    """
    written = str(value)
    whole = isinstance(value, float) and value.is_integer() and written not in known
    return str(int(value)) if whole else written


def as_texts(column: pd.Series, known: Collection[str] = ()) -> pd.Series:
    """`text_of` of each value, dtype object; None for null."""
    import pandas as pd

    spelled = frozenset(known)
    found = [None if value is None else text_of(value, spelled) for value in _plain(column)]
    return pd.Series(found, index=column.index, name=column.name, dtype=object)


def target_codes(column: pd.Series, outputs: Outputs) -> np.ndarray:
    """Positions in `outputs.classes`, int64; -1 for null and for classes the contract does not know.

    What a value means is `classes.class_index`'s to say.
    """
    import numpy as np

    def code(value: Any) -> int:
        found = class_index(outputs.classes, value.item() if hasattr(value, "item") else value)
        return -1 if found is None else found

    known: dict[Any, int] = {value: code(value) for value in set(column.dropna().unique().tolist())}
    values = _plain(column)
    return np.fromiter((-1 if v is None else known.get(v, -1) for v in values), np.int64, len(values))


def rows_of(frame: pd.DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """The table's inputs as requests send them: null is None, integers are int, text is str."""
    columns = [_sendable(frame[item.name], item) for item in contract.inputs]
    names = [item.name for item in contract.inputs]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _sendable(column: pd.Series, item: Input) -> list[Any]:
    import numpy as np

    plain = column.dtype if isinstance(column.dtype, np.dtype) else None  # a cell at a time is ten times as slow
    if plain is not None and item.type is DataType.NUMBER and plain.kind == "f":
        values = column.to_numpy()
        found: list[Any] = values.tolist()
        return [None if value != value else value for value in found] if (values != values).any() else found
    if plain is not None and item.type is DataType.INTEGER and plain.kind in "iu":
        whole: list[Any] = column.tolist()
        return whole
    if item.type in (DataType.CATEGORY, DataType.STRING):
        texts: list[Any] = as_texts(column, item.categories or ()).tolist()
        return texts
    cast: Callable[[Any], Any] = _CAST[item.type]
    return [None if value is None else cast(value) for value in _plain(column)]


def _plain(column: pd.Series) -> list[Any]:
    """The values, None for null of any kind: pandas' own null is no truth value."""
    plain: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    return plain


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, (int, float)) and float(value).is_integer() else value


def _boolean(value: Any) -> Any:
    return bool(value) if value in (0, 1) else value


_CAST: Final[dict[DataType, Callable[[Any], Any]]] = {
    DataType.NUMBER: _number,
    DataType.INTEGER: _integer,
    DataType.BOOLEAN: _boolean,
}
