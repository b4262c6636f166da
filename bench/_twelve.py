"""Twelve pipelines of different make, two of a family, each fitted on a small table and saved as its author would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pandas as pd

ROWS: Final = 1500
NUMBERS: Final = ("income", "age")
KINDS: Final = ("job", "town")
WORDS: Final = (
    "café", "naïve", "über", "straße", "Ångström", "crème", "niño", "jalapeño", "école", "fête", "große", "kühl", "Zürich", "señal",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """model: the fitted object. given: what `init` is given. columns: what it was fitted on. target: what it learned."""

    model: Any
    given: Path
    columns: tuple[str, ...]
    target: str = "y"


def table(rows: int, seed: int) -> pd.DataFrame:
    """Numbers and categories with gaps, a text with accents, a class and a value."""
    draw = np.random.default_rng(seed)
    found = pd.DataFrame({
        "income": draw.normal(50, 15, rows).round(2),
        "age": draw.integers(18, 80, rows),
        "job": draw.choice(["clerk", "nurse", "smith", "cook"], rows, p=[0.5, 0.3, 0.18, 0.02]),
        "town": draw.choice(["A", "B", "C"], rows),
        "note": [" ".join(draw.choice(WORDS, 6)) for _ in range(rows)],
    })  # fmt: skip
    signal = np.sin(found["income"] / 9) + (found["job"] == "nurse") - found["age"] / 60
    signal += found["note"].str.count("é") * 0.3
    found["y"] = (signal + draw.normal(0, 0.5, rows) > 0).astype(int)
    found["amount"] = (10 * signal + draw.normal(0, 1, rows)).round(3)
    found.loc[draw.random(rows) < 0.1, "income"] = np.nan
    found.loc[draw.random(rows) < 0.1, "town"] = None
    return found


def _saved(
    model: Any, train: pd.DataFrame, folder: Path, columns: tuple[str, ...], target: str = "y", **how: Any
) -> Made:
    """how: of its `fit`."""
    model.fit(train[list(columns)], train[target], **how)
    joblib.dump(model, folder / "model.joblib")
    return Made(model, folder / "model.joblib", columns, target)


def _codes() -> Any:
    """Categories as codes, gaps as NaN, in front of numbers as they are."""
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    return make_column_transformer((codes, list(KINDS)), remainder="passthrough")


def _dense() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    kinds = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((numbers, list(NUMBERS)), (kinds, list(KINDS)))


ALL: Final = (*NUMBERS, *KINDS)


def xgboost(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBClassifier

    kinds = ["c", "c", "q", "q"]
    model = XGBClassifier(n_estimators=30, n_jobs=1, enable_categorical=True, feature_types=kinds)
    return _saved(make_pipeline(_codes(), model), train, folder, ALL)


def lightgbm(train: pd.DataFrame, folder: Path) -> Made:
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(_codes(), LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1))
    return _saved(model, train, folder, ALL, lgbmclassifier__categorical_feature=[0, 1])


def words_without_accents(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = make_column_transformer((TfidfVectorizer(strip_accents="unicode", ngram_range=(1, 2)), "note"))
    return _saved(make_pipeline(words, LogisticRegression(max_iter=500)), train, folder, ("note",))


def words_with_accents(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    words = make_column_transformer((CountVectorizer(), "note"))
    return _saved(make_pipeline(words, MultinomialNB()), train, folder, ("note",))


def calibrated_forest(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    forest = RandomForestClassifier(30, max_depth=6, random_state=0)
    model = CalibratedClassifierCV(forest, method="isotonic", cv=3)
    return _saved(make_pipeline(_dense(), model), train, folder, ALL)


def calibrated_margin(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    whole = make_pipeline(_dense(), LinearSVC(random_state=0))
    return _saved(CalibratedClassifierCV(whole, method="sigmoid", cv=3), train, folder, ALL)


def stacked_classes(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.ensemble import ExtraTreesClassifier, StackingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline

    parts = [("trees", ExtraTreesClassifier(20, max_depth=6, random_state=0)), ("bayes", GaussianNB())]
    model = StackingClassifier(parts, LogisticRegression(), cv=3)
    return _saved(make_pipeline(_dense(), model), train, folder, ALL)


def stacked_values(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.ensemble import GradientBoostingRegressor, StackingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    parts = [("boosted", GradientBoostingRegressor(n_estimators=30, random_state=0)), ("ridge", Ridge())]
    return _saved(make_pipeline(_dense(), StackingRegressor(parts, Ridge(), cv=3)), train, folder, ALL, "amount")


def tuned_threshold(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import TunedThresholdClassifierCV
    from sklearn.pipeline import make_pipeline

    whole = make_pipeline(_dense(), LogisticRegression(max_iter=500))
    return _saved(TunedThresholdClassifierCV(whole, scoring="f1", cv=3), train, folder, ALL)


def fixed_threshold(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import FixedThresholdClassifier
    from sklearn.pipeline import make_pipeline

    whole = make_pipeline(_dense(), HistGradientBoostingClassifier(max_iter=30, random_state=0))
    return _saved(FixedThresholdClassifier(whole, threshold=0.3), train, folder, ALL)


STEPS: Final = '''
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Capped(TransformerMixin, BaseEstimator):
    """Numbers between what it saw at both ends, gaps filled with the middle."""

    def fit(self, table, y=None):
        self.low_, self.middle_, self.high_ = np.nanpercentile(np.asarray(table, float), [5, 50, 95], axis=0)
        return self

    def transform(self, table):
        values = np.asarray(table, float)
        return np.clip(np.where(np.isnan(values), self.middle_, values), self.low_, self.high_)


def lengths(table):
    return np.column_stack([table.iloc[:, 0].str.len(), table.iloc[:, 0].str.count("é")])
'''


def _with_steps(folder: Path, train: pd.DataFrame, parts: Callable[[Any], list[Any]], columns: tuple[str, ...]) -> Made:
    """A folder with the pipeline and the module of its steps. The module is forgotten here once the model is saved."""
    import importlib
    import sys

    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    place = folder / "kept"
    place.mkdir()
    (place / "steps_of_ours.py").write_text(STEPS)
    sys.path.insert(0, str(place))
    try:
        steps = importlib.import_module("steps_of_ours")
        model = make_pipeline(make_column_transformer(*parts(steps)), LogisticRegression(max_iter=500))
        made = _saved(model, train, place, columns)
    finally:
        sys.path.remove(str(place))
        sys.modules.pop("steps_of_ours", None)
    return Made(made.model, place, columns)


def custom_class(train: pd.DataFrame, folder: Path) -> Made:
    return _with_steps(folder, train, lambda steps: [(steps.Capped(), list(NUMBERS))], NUMBERS)


def custom_function(train: pd.DataFrame, folder: Path) -> Made:
    from sklearn.preprocessing import FunctionTransformer

    return _with_steps(folder, train, lambda steps: [(FunctionTransformer(steps.lengths), ["note"])], ("note",))


TWELVE: Final[Mapping[str, Callable[[pd.DataFrame, Path], Made]]] = {
    one.__name__.replace("_", " "): one
    for one in (
        xgboost, lightgbm, words_without_accents, words_with_accents, calibrated_forest, calibrated_margin, stacked_classes,
        stacked_values, tuned_threshold, fixed_threshold, custom_class, custom_function,
    )
}  # fmt: skip
