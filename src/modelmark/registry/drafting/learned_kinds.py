"""What each column was to the model that learned it: text or number, and which categories. Runs in the child only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

TEXT: Final = "text"
NUMBER: Final = "number"
UNKNOWN: Final = ""
#: More categories than this are not listed.
_MOST: Final = 1000


@dataclass(slots=True)
class Learned:
    """kind: TEXT, NUMBER or UNKNOWN. categories: what its encoder knows, nulls left out; empty where it has none."""

    kind: str = UNKNOWN
    categories: tuple[Any, ...] = ()


def learned(model: Any, count: int) -> list[Learned]:
    """A column each, by the first fitted part that meets it: an encoder's categories, an imputer's values, a vocabulary;
    scalers and predictors take numbers. A column that nothing takes is UNKNOWN."""
    found = [Learned() for _ in range(count)]
    for step in _steps(model):
        if hasattr(step, "transformers_"):
            _of_parts(step, found)
            break
        if not _of_step(step, found):
            break
    return found


def _steps(model: Any) -> list[Any]:
    return [step for _, step in model.steps] if hasattr(model, "steps") else [model]


def _of_parts(columns: Any, found: list[Learned]) -> None:
    """Of a ColumnTransformer: each part meets its own columns, and one may be met by several; text goes first."""
    places = getattr(columns, "_transformer_to_input_indices", {})
    for name, part, _ in columns.transformers_:
        at = list(places.get(name, ())) if part != "drop" else []
        kinds = [Learned(NUMBER) for _ in at] if _passes(part) else learned(part, len(at))
        for place, one in zip(at, kinds, strict=True):
            found[place].kind = one.kind if found[place].kind != TEXT else TEXT
            found[place].categories = found[place].categories or one.categories


def _of_step(step: Any, found: list[Learned]) -> bool:
    """Fill in what a step says of its columns; True where the next step meets the same ones."""
    if _passes(step):
        return True
    if hasattr(step, "categories_") and len(step.categories_) == len(found):
        for one, values in zip(found, step.categories_, strict=True):
            one.kind, one.categories = one.kind or _kind(values), _known(values)
    elif hasattr(step, "statistics_") and len(step.statistics_) == len(found):
        kind = _kind(step.statistics_)
        for one in found:
            one.kind = kind
        return True
    elif hasattr(step, "vocabulary_"):
        _all(found, TEXT)
    elif type(step).__name__ != "FunctionTransformer":  # which may take anything
        _all(found, NUMBER)
    return False


def _all(found: list[Learned], kind: str) -> None:
    for one in found:
        one.kind = one.kind or kind


def _passes(step: Any) -> bool:
    """Whether it hands its columns on as they are, by either of scikit-learn's words for that."""
    return step == "passthrough" or (type(step).__name__ == "FunctionTransformer" and step.func is None)


def _kind(values: Sequence[Any]) -> str:
    return TEXT if any(isinstance(value, str) for value in values) else NUMBER


def _known(values: Any) -> tuple[Any, ...]:
    """As plain values; whole numbers as integers, whatever dtype the encoder met them in."""
    plain = [value for value in values.tolist() if value is not None and value == value]
    if len(plain) > _MOST or not all(isinstance(value, (str, int, float)) for value in plain):
        return ()
    return tuple(int(value) if isinstance(value, float) and value.is_integer() else value for value in plain)
