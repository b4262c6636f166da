"""What a model is, by its own word: what learned no target, or several, is refused by name before a contract is drafted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from modelmark.registry.refusal import Refusal

CLASSIFIER: Final = "classifier"
REGRESSOR: Final = "regressor"


def kind_of_model(model: Any) -> str:
    """CLASSIFIER or REGRESSOR. Raises Refusal for whatever else it is, and for more than one answer a row."""
    from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

    names = [type(step).__name__ for _, step in getattr(model, "steps", ((None, model),))]
    if is_outlier_detector(model):
        raise Refusal("outlier_detector", names=[names[-1]])
    if is_clusterer(model):
        raise Refusal("clusterer", names=[names[-1]])
    if not hasattr(model, "predict"):
        raise Refusal("predicts_nothing", names=names)
    if not (is_classifier(model) or is_regressor(model)):
        raise Refusal("no_target", names=[names[-1]])
    _require_fitted(model, names)
    if is_classifier(model) and not hasattr(model, "predict_proba"):
        raise Refusal("no_probabilities", names=names)
    outputs = max(_outputs(model), default=1)
    if outputs > 1:
        raise Refusal("several_targets", names=[names[-1]], numbers=[outputs])
    return CLASSIFIER if is_classifier(model) else REGRESSOR


def _require_fitted(model: Any, names: list[str]) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        raise Refusal("not_fitted", names=names) from None


def _outputs(model: Any) -> Iterator[int]:
    """How many answers a row gets, wherever the last step says so."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    classes = getattr(last, "classes_", None)
    if isinstance(classes, list) and classes and all(hasattr(each, "shape") for each in classes):
        yield len(classes)
    count = getattr(last, "n_outputs_", None)
    if isinstance(count, int) and not hasattr(last, "classes_"):  # a network of three classes has three outputs
        yield count
    shape: Any = getattr(getattr(last, "coef_", None), "shape", ())
    if classes is None and len(shape) == 2 and not hasattr(last, "support_vectors_"):
        yield int(shape[0])
