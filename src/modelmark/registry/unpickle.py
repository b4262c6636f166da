"""Unpickling, in the child only, behind its walls: the single place in Modelmark that does it."""

from __future__ import annotations

import warnings
from typing import Any, Final

from modelmark.registry import pickle_names
from modelmark.registry.refusal import Refusal, kind_of

_PRELOADED: Final = (
    "joblib",
    "pandas",
    "pyarrow",
    "sklearn.calibration",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.decomposition",
    "sklearn.discriminant_analysis",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.feature_selection",
    "sklearn.gaussian_process",
    "sklearn.impute",
    "sklearn.isotonic",
    "sklearn.kernel_approximation",
    "sklearn.kernel_ridge",
    "sklearn.linear_model",
    "sklearn.manifold",
    "sklearn.mixture",
    "sklearn.model_selection",
    "sklearn.multiclass",
    "sklearn.multioutput",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.random_projection",
    "sklearn.semi_supervised",
    "sklearn.svm",
    "sklearn.tree",
    "skl2onnx",
    "joblib.numpy_pickle",
    "skl2onnx.sklapi",
)


def warm_up() -> None:
    """Load every native library a model of the closed list needs: after arming, none can be loaded any more."""
    import importlib

    for name in _PRELOADED:
        importlib.import_module(name)
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neighbors import KNeighborsClassifier

    rows, y_true = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    for model in (HistGradientBoostingClassifier(max_iter=1), KNeighborsClassifier()):
        model.fit(rows, y_true).predict_proba(rows)


def load(path: str) -> tuple[Any, list[str]]:
    """The object in a joblib (compressed too), pickle or cloudpickle file; which versions of scikit-learn wrote it."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            model = _open(path)
        except (MemoryError, Refusal):
            raise
        except ModuleNotFoundError:
            raise Refusal("missing_module") from None
        except Exception as error:  # noqa: BLE001 - a damaged pickle may raise anything
            raise Refusal("unreadable", kind=kind_of(error)) from None
    written_by = {
        str(warning.message.original_sklearn_version)  # type: ignore[union-attr]
        for warning in heard
        if type(warning.message).__name__ == "InconsistentVersionWarning"
    }
    return model, sorted(written_by)


def _open(path: str) -> Any:
    import joblib
    from joblib import numpy_pickle

    class ClosedList(numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            if not pickle_names.allows(module, name):
                raise Refusal("name_not_allowed")
            found = super().find_class(module, name)
            if not pickle_names.is_what_it_says(module, found):
                raise Refusal("name_not_allowed")
            return found

    numpy_pickle.NumpyUnpickler = ClosedList
    return joblib.load(path)
