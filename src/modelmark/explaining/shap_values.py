"""Exact Shapley values of linear models and trees, by shap. The only file that knows it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelmark.explaining.graph_parts import Linear, Trees
from modelmark.stats.shapley import Explained

Array = NDArray[np.float64]


def exact(model: Linear | Trees, rows: Array, background: Array) -> Explained:
    """Of the model's margin (log-odds, votes, value), per feature, against these background rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap's own deprecations
        found, base = _linear(model, rows, background) if isinstance(model, Linear) else _trees(model, rows, background)
    return Explained(phi=found, base=np.full(len(rows), base), error=np.zeros(found.shape))


def _linear(model: Linear, rows: Array, background: Array) -> tuple[Array, float]:
    import shap

    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer: Any = shap.LinearExplainer((model.coefficients, model.intercept), masker)
    return np.asarray(explainer.shap_values(rows), dtype=np.float64), float(np.ravel(explainer.expected_value)[0])


def _trees(model: Trees, rows: Array, background: Array) -> tuple[Array, float]:
    import shap

    described = {"trees": [dict(tree) for tree in model.trees], "base_offset": model.base}
    explainer: Any = shap.TreeExplainer(
        described, data=background, feature_perturbation="interventional", model_output="raw"
    )
    phi = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)
    return phi.reshape(rows.shape), float(np.ravel(explainer.expected_value)[0])
