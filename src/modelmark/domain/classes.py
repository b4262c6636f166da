"""One notion of class, label and decision: for REST, label files, tables, gates, monitors and pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.strict import Scalar

_SHOWN = 20


def class_text(value: Scalar) -> str:
    """The one text of a class, so that a label 1.0, a class 1 and a prediction 1 are equal. JSON spelling for booleans.

    >>> [class_text(v) for v in (True, 1, 1.0, 0.5, "yes")]
    ['true', '1', '1', '0.5', 'yes']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def class_index(classes: Sequence[Scalar], value: Scalar) -> int | None:
    """Where the class stands that a value means; None when it means none of them.

    A value means the class of its text, and text also means the number or the boolean it spells, since CSV files know no
    types.

    >>> [class_index((0, 1), v) for v in (1, 1.0, "1", "1.0", True, 2)]
    [1, 1, 1, 1, None, None]
    >>> [class_index((False, True), v) for v in (True, "TRUE", 1)]
    [1, 1, None]
    """
    texts = [class_text(name) for name in classes]
    for form in _forms(value):
        if form in texts:
            return texts.index(form)
    return None


def _forms(value: Scalar) -> tuple[str, ...]:
    if not isinstance(value, str):
        return (class_text(value),)
    lowered = value.lower()
    spelled = (lowered,) if lowered in ("true", "false") else ()
    try:
        number = float(value)
    except ValueError:
        return (value, *spelled)
    return (value, class_text(number)) if isfinite(number) else (value,)


def same_classes(some: Sequence[Scalar], others: Sequence[Scalar]) -> bool:
    """Whether both name the same classes in the same order, whatever their types: a class means one of the others.

    >>> same_classes((0.0, 1.0), (0, 1)), same_classes((0, 1), ("0", "1")), same_classes((0, 1), (1, 0))
    (True, True, False)
    """
    return len(some) == len(others) and all(
        class_index(others, one) == at or class_index(some, other) == at
        for at, (one, other) in enumerate(zip(some, others, strict=True))
    )


def positive_index(classes: Sequence[Scalar], positive: Scalar | None) -> int:
    """Where the positive class stands; the last one when none is named."""
    found = None if positive is None else class_index(classes, positive)
    return len(classes) - 1 if found is None else found


def positive_of(contract: Contract) -> int:
    """`positive_index` of a contract."""
    return positive_index(contract.outputs.classes, contract.outputs.positive)


def parse_label(contract: Contract, label: Scalar) -> Scalar:
    """The label as the contract writes it, whoever sent it. Raises Rejected (BAD_LABEL) for what is none of the classes,
    or no finite number.

    Text in other letters counts where no class is spelled so ("Yes" for yes).
    """
    if contract.model.task is Task.REGRESSION:
        return _number(label)
    classes = contract.outputs.classes
    found = class_index(classes, label)
    if found is None and isinstance(label, str):
        found = class_index(classes, label.lower())
    if found is None:
        allowed = ", ".join(map(class_text, classes[:_SHOWN])) + (", …" if len(classes) > _SHOWN else "")
        raise Rejected("a label is not one of the classes", code="BAD_LABEL", field="label", limit=f"one of: {allowed}")
    return classes[found]


def _number(label: Scalar) -> float:
    if not isinstance(label, bool):
        try:
            value = float(label)
        except (ValueError, OverflowError):
            value = float("nan")
        if isfinite(value) and abs(value) < 1e308:
            return value
    raise Rejected("a label must be a finite number", code="BAD_LABEL", field="label", limit="a finite number")


class Decider:
    """Which classes scores decide for, as one contract says; `stats.decisions.decided` is the same over arrays.

    Binary tasks decide for the positive class at `outputs.threshold` or above, multiclass tasks for the likeliest.
    """

    def __init__(self, contract: Contract) -> None:
        self.width = 1 if contract.model.task is Task.REGRESSION else len(contract.outputs.classes)
        self.threshold = contract.outputs.threshold
        self.regression = contract.model.task is Task.REGRESSION
        self.binary = contract.model.task is Task.BINARY and self.width == 2
        self.positive = positive_of(contract)

    def __call__(self, scores: Sequence[float]) -> list[int]:
        """Positions in `outputs.classes`, one a row; none of a regression. scores: probabilities, row-major."""
        if self.regression:
            return []
        if self.binary:
            at, other, threshold = self.positive, 1 - self.positive, self.threshold
            return [at if score >= threshold else other for score in scores[at::2]]
        rows = (scores[start : start + self.width] for start in range(0, len(scores), self.width))
        return [row.index(max(row)) for row in rows]
