"""A request for a prediction, its answer, and a label that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import isfinite
from typing import NamedTuple

from modelmark.domain.contract import Contract, Task
from modelmark.domain.errors import Rejected
from modelmark.domain.strict import Scalar


class ServedBy(StrEnum):
    """What answered."""

    MODEL = "model"
    PREVIOUS_VERSION = "previous_version"
    CONSTANT = "constant"
    REVIEW = "review"


class Decision(NamedTuple):
    """One row's answer. Classification: label, score (of the positive class, or of the label) and probabilities.

    Regression: value alone. Everything None: a person will answer.
    """

    label: Scalar | None = None
    score: float | None = None
    probabilities: Sequence[float] | None = None
    value: float | None = None


class Decider:
    """Turns scores into decisions as one contract says.

    Binary tasks decide for the positive class at `outputs.threshold` or above, multiclass tasks for the likeliest.
    """

    def __init__(self, contract: Contract) -> None:
        self.classes = contract.outputs.classes
        self.threshold = contract.outputs.threshold
        self.regression = contract.model.task is Task.REGRESSION
        self.binary = contract.model.task is Task.BINARY and len(self.classes) == 2
        self.positive = positive_index(contract)

    def __call__(self, scores: Sequence[float]) -> Decision:
        """scores: probabilities in the order of `outputs.classes`, or one value."""
        if self.regression:
            return Decision(None, None, None, scores[0])
        if self.binary:
            at = self.positive
            score = scores[at]
            return Decision(self.classes[at if score >= self.threshold else 1 - at], score, scores)
        best = max(range(len(scores)), key=scores.__getitem__)
        return Decision(self.classes[best], scores[best], scores)


def positive_index(contract: Contract) -> int:
    """Where the positive class stands; the last one when none is named."""
    classes = contract.outputs.classes
    positive = contract.outputs.positive
    for index, name in enumerate(classes):
        if name == positive and type(name) is type(positive):
            return index
    return len(classes) - 1


def check_label(contract: Contract, label: object) -> Scalar:
    """The label as the contract writes it. Raises Rejected when it is none of the classes, or no finite number.

    A class may also be sent as its text, since CSV files know no types.
    """
    if contract.model.task is Task.REGRESSION:
        if isinstance(label, (int, float)) and not isinstance(label, bool) and abs(label) < 1e308 and isfinite(label):
            return float(label)
        raise Rejected("a label must be a finite number", code="BAD_LABEL", field="label", limit="a finite number")
    for name in contract.outputs.classes:
        if (label == name and type(label) is type(name)) or (isinstance(label, str) and label == class_name(name)):
            return name
    allowed = ", ".join(class_name(name) for name in contract.outputs.classes[:20])
    raise Rejected("a label is not one of the classes", code="BAD_LABEL", field="label", limit=f"one of: {allowed}")


def class_name(name: Scalar) -> str:
    """A class as text: JSON spelling for booleans.

    >>> class_name(True), class_name(3), class_name("yes")
    ('true', '3', 'yes')
    """
    return str(name).lower() if isinstance(name, bool) else str(name)
