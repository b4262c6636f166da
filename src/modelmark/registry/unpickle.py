"""Unpickling, in the child only, behind its walls: the single place in Modelmark that does it."""

from __future__ import annotations

import warnings
from typing import Any, Final

from modelmark.registry.refusal import Refusal

_PRELOADED: Final = (
    "joblib",
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
    "sklearn.linear_model",
    "sklearn.mixture",
    "sklearn.model_selection",
    "sklearn.multiclass",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.random_projection",
    "sklearn.svm",
    "sklearn.tree",
    "skl2onnx",
    "joblib.numpy_pickle",
    "skl2onnx.sklapi",
)


def warm_up() -> None:
    """Load scikit-learn and the thread-pool handles it looks up by ctypes at first use."""
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
    """The object in a joblib (compressed too), pickle or cloudpickle file, and notes for people."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            import joblib

            model = joblib.load(path)
        except ModuleNotFoundError as error:
            raise Refusal(
                "MISSING_MODULE",
                f"the model needs the module {error.name!r}, which is not installed here",
                "install it, or export the model without code of its own",
            ) from None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged pickle may raise anything
            kind = "gzip " if _is_gzip(path) else ""
            raise Refusal(
                "NOT_A_MODEL",
                f"the {kind}file cannot be read as joblib or pickle: {type(error).__name__}: {str(error)[:200]}",
                "save it with joblib.dump(model, path) and the scikit-learn version installed here",
            ) from None
    for warning in heard:
        if type(warning.message).__name__ == "InconsistentVersionWarning":
            notes.append(str(warning.message).split(". ")[0])
    return model, sorted(set(notes))


def _is_gzip(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"
