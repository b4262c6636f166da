"""Is one input so much stronger than every other that it may be known only afterwards?

The length of a call says how it ended, and is known when it has: alone it ranks at 0.94 where the next input ranks at 0.80.
No figure can tell such an input from an honest one that is strong, so it is named and a person is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.metrics import Metric, Task
from modelmark.gates.case import Array, Case, score, truth_of
from modelmark.gates.common import probe_model
from modelmark.gates.common.evaluation_set import EvaluationSet
from modelmark.gates.common.giveaway import Alone
from modelmark.stats.metrics import measure

if TYPE_CHECKING:
    import pandas as pd

#: Of the way from what knows nothing to what is perfect: an input is strong alone, and a model is worse without it, from here.
_STRONG: Final = 0.8
_LOSES: Final = 0.2
_TRAINED: Final = 20_000
_SHUFFLED: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOut:
    """name reaches `alone` by itself, the next input `second`; a quick model reaches `whole`, and `without` it; the
    candidate falls from `asked` to `shuffled` where its values are shuffled between rows."""

    name: str
    alone: float
    second: float
    whole: float
    without: float
    asked: float
    shuffled: float

    def __str__(self) -> str:
        return (
            f"{self.name} (alone {self.alone:.3g}, the next input {self.second:.3g}; without it a quick model falls from "
            f"{self.whole:.3g} to {self.without:.3g}, with its values shuffled this one from {self.asked:.3g} to "
            f"{self.shuffled:.3g})"
        )


def standing_out(case: Case, evaluation: EvaluationSet, found: Alone) -> StandingOut | None:
    """The strongest input, where it is strong, at least twice as near to perfect as the next, and nothing else in the table
    can stand in for it."""
    known = [(name, value) for name, value in found.values.items() if value is not None]
    if len(known) < 2:
        return None
    (name, alone), (_, second) = known[:2]
    floor = _floor(found.probe, evaluation)
    if alone < floor + _STRONG * (1 - floor) or 1 - alone > (1 - second) / 2:
        return None
    whole, without = (_quick(case, evaluation, found.probe, left_out) for left_out in ("", name))
    if whole - without < _LOSES * (whole - floor):
        return None
    asked, shuffled = _asked(case, evaluation, found.probe, name)
    return StandingOut(
        name=name, alone=alone, second=second, whole=whole, without=without, asked=asked, shuffled=shuffled
    )


def _floor(probe: Metric, evaluation: EvaluationSet) -> float:
    """What an answer that knows nothing reaches."""
    if probe is Metric.ROC_AUC:
        return 0.5
    return 0.0 if evaluation.judged.task is Task.REGRESSION else 1 / evaluation.judged.scores.shape[1]


def _quick(case: Case, evaluation: EvaluationSet, probe: Metric, left_out: str) -> float:
    import pandas as pd

    inputs = [item for item in case.contract.inputs if item.name != left_out]
    rows = np.random.default_rng(0).permutation(len(case.train))[:_TRAINED]
    y_true = truth_of(case.train, case.contract)[rows]
    # Both tables at once: texts are numbered by how common they are.
    both = probe_model.matrix(inputs, pd.concat([case.train.iloc[rows], case.holdout], ignore_index=True))
    scores = probe_model.scores(case.contract, both[: len(rows)], y_true, both[len(rows) :])
    return measure(probe, evaluation.of(scores))


def _asked(case: Case, evaluation: EvaluationSet, probe: Metric, name: str) -> tuple[float, float]:
    """What the candidate reaches on some rows, as they are and with one input's values shuffled between them."""
    rng = np.random.default_rng(0)
    places = np.sort(rng.permutation(len(evaluation.rows))[:_SHUFFLED])
    frame: pd.DataFrame = case.holdout.iloc[evaluation.rows[places]].reset_index(drop=True)
    mixed = frame.assign(**{name: frame[name].iloc[rng.permutation(len(frame))].to_numpy()})
    y_true, scores = evaluation.judged.y_true[places], evaluation.judged.scores[places]
    return _on(evaluation, probe, y_true, scores), _on(
        evaluation, probe, y_true, score(case.predictor, mixed, case.contract, set())
    )


def _on(evaluation: EvaluationSet, probe: Metric, y_true: NDArray[np.int64] | Array, scores: Array) -> float:
    answered = np.isfinite(scores).all(axis=1)
    return measure(probe, replace(evaluation.judged, y_true=y_true[answered], scores=scores[answered], units=None))
