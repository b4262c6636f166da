"""What the author's model answers: scores and labels, also on rows that it may refuse."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelmark.registry.estimators import original_scores
from modelmark.registry.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Seconds after which rows that come after a refusal are not looked at one by one any more.
_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Made-up rows and the answers. scores: (rows, classes) or (rows, 1), NaN where the model refuses the row."""

    frame: pd.DataFrame
    scores: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        import numpy as np

        found: np.ndarray = np.isfinite(self.scores).all(axis=1)
        return found


def ask(model: Any, frame: pd.DataFrame, request: Mapping[str, Any]) -> Asked:
    """Ask all at once; where the model refuses, ever smaller parts, down to the rows that it refuses."""
    import numpy as np

    width = 1 if request["task"] == "regression" else len(request["classes"])
    scores = np.full((len(frame), width), np.nan)
    for start, stop, found in _parts(model, frame, request):
        scores[start:stop] = found
    return Asked(frame=frame, scores=scores)


def _parts(model: Any, frame: pd.DataFrame, request: Mapping[str, Any]) -> Iterator[tuple[int, int, np.ndarray]]:
    waiting, ends = [(0, len(frame))] if len(frame) else [], time.monotonic() + _PATIENCE
    while waiting:
        start, stop = waiting.pop()
        try:
            yield start, stop, original_scores(model, frame.iloc[start:stop], request)
        except Refusal as refusal:
            if refusal.reason != "cannot_answer":
                raise
            if stop - start > 1 and time.monotonic() < ends:
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]


def together(holdout: pd.DataFrame, original: np.ndarray, asked: Asked) -> tuple[pd.DataFrame, np.ndarray]:
    """Every row that the original answers, in one table, and its scores."""
    import numpy as np
    import pandas as pd

    answered = asked.answered
    if not answered.any():
        return holdout, original
    frame = pd.concat([holdout[list(asked.frame.columns)], asked.frame[answered]], ignore_index=True)
    return frame, np.concatenate([original, asked.scores[answered]])


def labels_of(model: Any, sample: pd.DataFrame, request: Mapping[str, Any], asked: Asked) -> np.ndarray:
    """float64 positions in the model's classes of what `predict` says of the sample's rows, then of the probes; -1 where it
    says nothing, and throughout for regression."""
    import numpy as np

    found = np.full(len(sample) + len(asked.frame), -1.0)
    if request["task"] == "regression":
        return found
    found[: len(sample)] = _labels(model, sample, request)
    answered = np.flatnonzero(asked.answered)
    if len(answered):
        found[len(sample) + answered] = _labels(model, asked.frame.iloc[answered], request)
    return found


def _labels(model: Any, frame: pd.DataFrame, request: Mapping[str, Any]) -> Sequence[float]:
    columns = frame[[item["name"] for item in request["inputs"]]]
    places = {value: float(at) for at, value in enumerate(model.classes_.tolist())}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = model.predict(columns if hasattr(model, "feature_names_in_") else columns.to_numpy())
        return [places.get(value, -1.0) for value in said.tolist()]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a model that scores and cannot say its label has none
        return [-1.0] * len(frame)


def cutoff_of(model: Any) -> float | None:
    """The probability of the second class at which a wrapped classifier decides for it; None where it keeps no such number."""
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
    kept = getattr(model, "best_threshold_", None)
    if kept is None and type(model).__name__ == "FixedThresholdClassifier":
        kept = model.threshold if isinstance(model.threshold, (int, float)) else 0.5
    classes = getattr(model, "classes_", None)
    if kept is None or classes is None or len(classes) != 2 or model.response_method == "decision_function":
        return None
    named = getattr(model, "pos_label", None)
    return float(1 - kept) if named is not None and named == classes[0] else float(kept)
