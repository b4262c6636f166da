"""What each column was to the model that learned it, text or number. Runs in the child only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

TEXT: Final = "text"
NUMBER: Final = "number"
UNKNOWN: Final = ""


def learned_kinds(model: Any, count: int) -> list[str]:
    """One of TEXT, NUMBER, UNKNOWN a column, by the first fitted part that meets it: an encoder's categories, an imputer's
    values, a vocabulary; scalers and predictors take numbers. A column that nothing takes is UNKNOWN."""
    found = [UNKNOWN] * count
    for step in _steps(model):
        if hasattr(step, "transformers_"):
            _of_parts(step, found)
            break
        if not _of_step(step, found):
            break
    return found


def _steps(model: Any) -> list[Any]:
    return [step for _, step in model.steps] if hasattr(model, "steps") else [model]


def _of_parts(columns: Any, found: list[str]) -> None:
    """Of a ColumnTransformer: each part meets its own columns, and one may be met by several; text goes first."""
    places = getattr(columns, "_transformer_to_input_indices", {})
    for name, part, _ in columns.transformers_:
        at = list(places.get(name, ())) if part != "drop" else []
        kinds = [NUMBER] * len(at) if _passes(part) else learned_kinds(part, len(at))
        for place, kind in zip(at, kinds, strict=True):
            found[place] = kind if found[place] != TEXT else TEXT


def _of_step(step: Any, found: list[str]) -> bool:
    """Fill in what a step says of its columns; True where the next step meets the same ones."""
    if _passes(step):
        return True
    if hasattr(step, "categories_") and len(step.categories_) == len(found):
        found[:] = [_kind(values) for values in step.categories_]
    elif hasattr(step, "vocabulary_") or _kind(getattr(step, "statistics_", ())) == TEXT:
        found[:] = [TEXT] * len(found)
    elif type(step).__name__ != "FunctionTransformer":  # which may take anything
        found[:] = [NUMBER] * len(found)
    return False


def _passes(step: Any) -> bool:
    """Whether it hands its columns on as they are, by either of scikit-learn's words for that."""
    return step == "passthrough" or (type(step).__name__ == "FunctionTransformer" and step.func is None)


def _kind(values: Sequence[Any]) -> str:
    return TEXT if any(isinstance(value, str) for value in values) else NUMBER
