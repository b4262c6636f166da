"""A model as TensorFlow Serving's clients see it, over REST and gRPC alike: its signature, versions, labels and classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from modelmark.domain.classes import class_text
from modelmark.domain.errors import Malformed, Missing
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute, LoadedModel

SIGNATURE: Final = "serving_default"
METHOD: Final = "tensorflow/serving/predict"
STABLE: Final = "stable"
TYPE: Final[Mapping[str, str]] = {"FP64": "DT_DOUBLE", "INT64": "DT_INT64", "BOOL": "DT_BOOL", "BYTES": "DT_STRING"}


def places(route: LiveRoute) -> Iterable[tuple[str, int | None]]:
    """(where in the address, the only arm that may answer; None to let the router choose)."""
    yield "", None
    yield "/versions/0", None
    seen: set[str] = {"/versions/0"}
    for index, arm in enumerate(route.arms):
        for place in (f"/versions/{number(arm.version)}", f"/labels/{arm.name}"):
            if place not in seen:
                seen.add(place)
                yield place, index
    if f"/labels/{STABLE}" not in seen:
        yield f"/labels/{STABLE}", 0


def number(version: LoadedModel) -> int:
    """3 of v3; 0 of a candidate that has none."""
    digits = version.label.removeprefix("v")
    return int(digits) if digits.isdigit() else 0


def arm_of(route: LiveRoute, version: int, label: str) -> int | None:
    """The only arm that may answer; None where no version is named, or 0, and no label. Raises Missing."""
    if label:
        wanted = f"/labels/{label}"
    elif version:
        wanted = f"/versions/{version}"
    else:
        return None
    for place, arm in places(route):
        if place == wanted:
            return arm
    raise Missing("the model serves no such version or label", code="NOT_FOUND", field=route.model)


def require_signature(name: str) -> None:
    """Raises Malformed."""
    if name != SIGNATURE:
        raise Malformed("no signature has that name", code="UNKNOWN_SIGNATURE", field="signature_name", limit=SIGNATURE)


def require_task(verb: str, task: Task) -> None:
    """Raises Malformed: a regression has no classes, a classification no value."""
    if (task is Task.REGRESSION) != (verb == "regress"):
        other = "regress or predict" if task is Task.REGRESSION else "classify or predict"
        raise Malformed(f"this model cannot {verb}", code="WRONG_VERB", limit=other)


def classified(answer: Answer) -> list[list[tuple[str, float]]]:
    """By row: every class with its probability, the class that is decided for first. A constant is sure of itself; a
    person's answer is not known yet."""
    names = [class_text(name) for name in answer.version.contract.outputs.classes]
    if answer.served_by is ServedBy.REVIEW:
        return [[] for _ in range(answer.rows.count)]
    if answer.served_by is ServedBy.CONSTANT:
        return [[(names[at], 1.0)] for at in answer.decided]
    found: list[list[tuple[str, float]]] = []
    for row, first in enumerate(answer.decided):
        pairs = list(zip(names, answer.scores[row * len(names) : (row + 1) * len(names)], strict=True))
        found.append([pairs.pop(first), *pairs])
    return found
