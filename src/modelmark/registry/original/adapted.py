"""What scikit-learn calls an estimator, around a model that is none. Runs in the child only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from modelmark.registry.original.kinds import CLASSIFIER, REGRESSOR
from modelmark.registry.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np

_NEAR: Final = 1e-3


class Adapted:
    """kind: CLASSIFIER, REGRESSOR, or empty while nobody has said: then the target will. Its kinds answer `predict` and
    `predict_proba` of a table; `classes_` and `feature_names_in_` are there where the model or the contract says them."""

    kind = ""

    def bind(self, request: Mapping[str, Any]) -> None:
        """Take from the contract what the model does not say itself. request: as `convert.request_of` makes it."""
        if not hasattr(self, "classes_") and request.get("classes"):
            self.classes_ = as_objects(request["classes"])
        if not hasattr(self, "feature_names_in_") and request.get("inputs"):
            self.feature_names_in_ = as_objects([item["name"] for item in request["inputs"]])
        if request.get("task"):
            self.kind = CLASSIFIER if hasattr(self, "classes_") else REGRESSOR

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def fit(self, *_: Any) -> NoReturn:
        raise NotImplementedError("it was trained where it comes from")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=self.kind or None, target_tags=TargetTags(required=True))

    def shares(self, found: np.ndarray) -> np.ndarray:
        """(rows, classes) of what it answered: that, or of two classes the probability of the second, a number a row. Raises
        Refusal for what is neither."""
        import numpy as np

        count, rows = len(self.classes_), len(found)
        if found.dtype.kind != "f" or found.size not in ((rows, rows * count) if count == 2 else (rows * count,)):
            raise Refusal("own_labels", names=[type(self).__name__], numbers=[count, found.size // max(rows, 1)])
        wide = found.reshape(rows, -1).astype(np.float64)
        if wide.shape[1] == 1:
            wide = np.column_stack([1 - wide, wide])
        return wide


def require_shares(model: Any, scores: np.ndarray) -> None:
    """Raises Refusal for an adapted classifier whose answers to a sound table are no probabilities; NaN is looked at elsewhere."""
    import numpy as np

    if not isinstance(model, Adapted) or model.kind != CLASSIFIER:
        return
    sound = scores[np.isfinite(scores).all(axis=1)]
    if (sound < -_NEAR).any() or (sound > 1 + _NEAR).any() or (np.abs(sound.sum(axis=1) - 1) > _NEAR).any():
        raise Refusal("no_shares", names=[type(model).__name__])


def as_objects(values: list[Any]) -> np.ndarray:
    import numpy as np

    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
