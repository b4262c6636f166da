"""Does the model, at its threshold, decide for hardly anybody, or for nearly everybody? Ranks do not tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from modelmark.domain.classes import class_text
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.domain.metrics import Task
from modelmark.gates.common.evaluation_set import EvaluationSet
from modelmark.stats.rates import clopper_pearson

#: Of the share that truly is of a class, the least share that is decided for it without a word to people.
_HARDLY: Final = 0.1


def hardly_selected(evaluation: EvaluationSet) -> Iterator[Check]:
    """A check that informs, where one side of a binary decision is surely chosen ten times more rarely than it is true."""
    judged, outputs = evaluation.judged, evaluation.contract.outputs
    if judged.task is not Task.BINARY:
        return
    said, n = judged.decisions(), len(judged.y_true)
    for k, name in enumerate(outputs.classes):
        chosen, real = int(np.sum(said == k)), int(np.sum(judged.y_true == k))
        low, high = clopper_pearson(chosen, n)
        if high >= _HARDLY * real / n:
            continue
        yield Check(
            name="decided at the threshold",
            measured=high,
            estimate=chosen / n,
            low=low,
            high=high,
            n=n,
            confidence=0.95,
            limit=Limit(bound=Bound.AT_LEAST, value=_HARDLY * real / n),
            sentence=f"At threshold {outputs.threshold:g} the model decides for {class_text(name)} in {chosen:,} of {n:,} rows "
            f"({chosen / n:.2%} [{low:.2%}, {high:.2%}]), which is the truth of {real / n:.2%}: whoever acts on decisions "
            "gets nearly none; choose outputs.threshold on data.validation.",
            decides=False,
        )
