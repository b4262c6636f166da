"""The table that a model which runs as itself is asked with: the same columns and dtypes whoever else asks at that time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def table_of(
    numbers: np.ndarray,
    texts: Sequence[str],
    numeric: Sequence[str],
    textual: Sequence[str],
    request: Mapping[str, Any],
) -> pd.DataFrame:
    """numbers: (rows, numeric), NaN for null. texts: row-major, "" for null. numeric, textual: the names of their columns.

    Each column has one dtype, whatever the rows hold: int64 and bool where the contract allows no null, else float64 and
    objects; texts are pandas' `str`.
    """
    import numpy as np
    import pandas as pd

    if not textual and all(item["type"] == "number" or _gaps(item) for item in request["inputs"]):
        return pd.DataFrame(np.array(numbers), columns=list(numeric))
    places = {name: (numbers, at) for at, name in enumerate(numeric)}
    columns: dict[str, Any] = {}
    for item in request["inputs"]:
        name = item["name"]
        if name in places:
            values, at = places[name]
            columns[name] = _numbers(values[:, at], item)
        else:
            columns[name] = _texts(texts[list(textual).index(name) :: len(textual)], item)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(numbers)))


def matrix_of(
    numbers: np.ndarray,
    texts: Sequence[str],
    numeric: Sequence[str],
    textual: Sequence[str],
    request: Mapping[str, Any],
) -> np.ndarray:
    """`table_of(…).to_numpy()` for a model that takes no names, without the table where there is a shorter way."""
    import numpy as np

    if any(item["type"] in ("boolean", "integer") for item in request["inputs"]):
        found: np.ndarray = table_of(numbers, texts, numeric, textual, request).to_numpy()
        return found
    if not textual:
        return np.array(numbers)
    found = np.empty((len(numbers), len(request["inputs"])), dtype=object)
    for at, item in enumerate(request["inputs"]):
        name = item["name"]
        if name in numeric:
            found[:, at] = numbers[:, list(numeric).index(name)]
        else:
            column = texts[list(textual).index(name) :: len(textual)]
            found[:, at] = [text or np.nan for text in column] if item["nullable"] else column
    return found


def as_served(frame: pd.DataFrame, request: Mapping[str, Any]) -> pd.DataFrame:
    """A table of a file, as it would reach the model through the endpoint."""
    import numpy as np
    import pandas as pd

    numeric = [item["name"] for item in request["inputs"] if item["type"] not in ("category", "string")]
    textual = [item["name"] for item in request["inputs"] if item["type"] in ("category", "string")]
    numbers = np.column_stack([
        np.empty((len(frame), 0)),
        *(pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan) for name in numeric),
    ])  # fmt: skip
    columns = [frame[name].astype(object).where(frame[name].notna(), "").map(str).tolist() for name in textual]
    texts = [text for row in zip(*columns, strict=True) for text in row]
    return table_of(numbers, texts, numeric, textual, request)


def _gaps(item: Mapping[str, Any]) -> bool:
    """Whether whole numbers are float64, because one may be missing."""
    return bool(item["type"] == "integer" and item["nullable"])


def _numbers(values: np.ndarray, item: Mapping[str, Any]) -> Any:
    import numpy as np
    import pandas as pd

    if item["type"] == "boolean":
        if not item["nullable"]:
            return values.astype(bool)
        known = [None if value != value else bool(value) for value in values.tolist()]
        return pd.Series(known, dtype=object)
    if item["type"] == "integer" and not item["nullable"]:
        return values.astype(np.int64)
    return values


def _texts(values: Sequence[str], item: Mapping[str, Any]) -> Any:
    """An empty text is null where null is allowed, as everywhere behind the contract."""
    import pandas as pd

    return pd.Series([text or None for text in values] if item["nullable"] else list(values), dtype="str")
