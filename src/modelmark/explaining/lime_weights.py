"""Local linear explanations by LIME. The only file that knows it: it is pinned, for nobody keeps it any more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.shapley import Ask

Array = NDArray[np.float64]


def weights(
    ask: Ask, rows: Array, background: Array, names: Sequence[str], values: Mapping[int, list[str]], samples: int = 400
) -> Array:
    """LIME's weight of each column for each row, (rows, columns): local slopes of the answer, seeded.

    rows, background: coded, without NaN. values: the texts of the columns that hold codes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lime.lime_tabular import LimeTabularExplainer

        explainer = LimeTabularExplainer(
            background,
            mode="regression",
            feature_names=list(names),
            categorical_features=sorted(values),
            categorical_names={k: list(v) for k, v in values.items()},
            discretize_continuous=False,
            feature_selection="none",  # every column is asked for, so there is nothing to choose
            random_state=0,
        )
        found = np.zeros(rows.shape)
        for r, row in enumerate(rows):
            said = explainer.explain_instance(row, ask, num_features=rows.shape[1], num_samples=samples)
            for column, weight in said.as_map()[1]:  # 0 is the same with other signs
                found[r, column] = weight
    return found
