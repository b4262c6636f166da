"""The steps that a model is made of, outermost first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

#: Where an estimator keeps those it is made of.
PARTS: Final = ("estimators_", "estimator", "estimator_", "calibrated_classifiers_", "final_estimator_")


def walk(model: Any) -> Iterator[Any]:
    """The model itself, and every step of its pipelines, column transformers and unions."""
    yield model
    for _, step in getattr(model, "steps", ()):
        yield from walk(step)
    for _, step, *_ in getattr(model, "transformers_", ()):
        if hasattr(step, "get_params"):
            yield from walk(step)
    for _, step in getattr(model, "transformer_list", ()):
        yield from walk(step)


def nested(model: Any) -> Iterator[Any]:
    """Every estimator inside, however deep: steps, and what votes, stacks, bags and wrappers are made of. Each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen or isinstance(one, (str, type)) or not hasattr(one, "get_params"):
            continue
        seen.add(id(one))
        yield one
        waiting += [step for _, step in getattr(one, "steps", ())]
        waiting += [step for _, step, *_ in getattr(one, "transformers_", ())]
        waiting += [step for _, step in getattr(one, "transformer_list", ())]
        for name in PARTS:
            part: Any = getattr(one, name, None)
            part = part.ravel().tolist() if hasattr(part, "ravel") else part
            waiting += part if isinstance(part, (list, tuple)) else [part]


def strangers(model: Any, seen: Mapping[str, Sequence[Any]]) -> list[tuple[str, int, int]]:
    """Where a model was fitted on other values than the training table holds as it is read here.

    seen: every value of a column, nulls left out. Answers (column, values that its encoder does not know, values that only its
    encoder knows) for each column of a list that one encoder reads, where either is above 0.
    """
    found = []
    for step in walk(model):
        for _, reader, columns in getattr(step, "transformers_", ()):
            encoders = [
                part for part in (walk(reader) if hasattr(reader, "get_params") else ()) if hasattr(part, "categories_")
            ]
            if len(encoders) != 1 or not isinstance(columns, list) or len(encoders[0].categories_) != len(columns):
                continue
            for name, values in zip(columns, encoders[0].categories_, strict=True):
                learned = {value for value in values.tolist() if value is not None and value == value}
                here = set(seen.get(name, ())) if isinstance(name, str) else set()
                if here and here != learned:
                    found.append((name, len(here - learned), len(learned - here)))
    return found
