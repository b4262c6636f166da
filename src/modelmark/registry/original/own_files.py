"""Boosters and networks from the files in which they keep themselves, as estimators. Runs in the child: their code reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from modelmark.gates.supply_chain.formats import Format
from modelmark.registry import libraries
from modelmark.registry.original.network import from_keras, from_torch
from modelmark.registry.refusal import Refusal, kind_of

if TYPE_CHECKING:
    import numpy as np

LIBRARY: Final[Mapping[Format, str]] = {
    Format.XGBOOST: "xgboost", Format.LIGHTGBM: "lightgbm", Format.CATBOOST: "catboost", Format.TORCH: "torch",
    Format.KERAS: "keras",
}  # fmt: skip
_XGB_CLASSES: Final = ("binary:logistic", "multi:softprob")
_XGB_VALUES: Final = ("reg:", "count:")
_LGB_VALUES: Final = ("regression", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie")
_CAT_NONE: Final = ("YetiRank", "PairLogit", "QueryRMSE", "QuerySoftMax", "StochasticRank", "LambdaMart")
_WORD: Final = re.compile(rb"[A-Za-z0-9_.:\- ]{1,100}")
_WORDS: Final = 20_000


def words(kind: Format, data: bytes) -> set[str]:
    """What of the file may be shown, and the names by which its library is known to be needed."""
    found = {text.decode() for text in _WORD.findall(data, 0, 1 << 20)[:_WORDS]}
    return {*sorted(found)[:_WORDS], *libraries.KNOWN[LIBRARY[kind]].classes}


def load(kind: Format, data: bytes) -> Any:
    """Raises Refusal for what cannot be read, and for a model that answers no probability or value."""
    name = LIBRARY[kind]
    if not libraries.installed(name):
        raise Refusal("missing_library", names=[name])
    read = _READERS[kind]
    try:
        return read(data)
    except (MemoryError, Refusal):
        raise
    except Exception as error:  # noqa: BLE001 - a library raises what it likes at a damaged file
        raise Refusal("damaged_booster", names=[name], kind=kind_of(error)) from None


def _xgboost(data: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(data))
    objective = str(json.loads(booster.save_config())["learner"]["objective"]["name"])
    if objective not in _XGB_CLASSES and not objective.startswith(_XGB_VALUES):
        raise Refusal("objective", names=[objective])
    model = (xgboost.XGBClassifier if objective in _XGB_CLASSES else xgboost.XGBRegressor)(n_jobs=1)
    model.load_model(bytearray(data))
    return model


def _lightgbm(data: bytes) -> Any:
    import lightgbm
    import numpy as np

    booster = lightgbm.Booster(model_str=data.decode())
    objective = re.search(r"^objective=(\w+)", data.decode(), re.MULTILINE)
    kind, names = objective[1] if objective else "none", list(booster.feature_name())
    if names == [f"Column_{at}" for at in range(len(names))]:
        names = []

    def answers(table: Any) -> np.ndarray:
        found: np.ndarray = np.asarray(booster.predict(table, num_threads=1), dtype=np.float64)
        return np.column_stack([1 - found, found]) if kind == "binary" else found

    count = booster.num_feature()
    if kind in ("binary", "multiclass", "multiclassova"):
        classes = np.arange(max(booster.num_model_per_iteration(), 2))
        model = _classifier("LGBMClassifier", answers, classes, names, count)
    elif kind in _LGB_VALUES:
        model = _regressor("LGBMRegressor", answers, names, count)
    else:
        raise Refusal("objective", names=[kind])
    model.spaces_lost = True  # its files write `_` for each in a column's name
    return model


def _catboost(data: bytes) -> Any:
    import catboost
    import numpy as np

    booster = catboost.CatBoost()
    booster.load_model(blob=data)
    names = [str(name) for name in booster.feature_names_]
    if names == [str(at) for at in range(len(names))]:
        names = []
    loss, count = str(booster.get_all_params().get("loss_function", "")), len(booster.feature_names_)
    if loss.startswith(_CAT_NONE):
        raise Refusal("objective", names=[loss.partition(":")[0]])
    classes = np.asarray(booster.classes_)
    if not classes.size:
        return _regressor("CatBoostRegressor", lambda table: booster.predict(table, thread_count=1), names, count)

    def answers(table: Any) -> Any:
        return booster.predict(table, prediction_type="Probability", thread_count=1)

    return _classifier("CatBoostClassifier", answers, classes, names, count)


def _classifier(kind: str, answers: Callable[[Any], Any], classes: np.ndarray, names: list[str], count: int) -> Any:
    """An estimator around them, called by the library's own name. names: empty where the model knows none."""
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Around(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        classes_, n_features_in_ = classes, count

        def fit(self, *_: Any) -> NoReturn:
            raise NotImplementedError("it was trained where it comes from")

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict_proba(self, table: Any) -> Any:
            return answers(table)

        def predict(self, table: Any) -> Any:
            return classes[np.argmax(answers(table), axis=1)]

    return _named(Around, kind, names)


def _regressor(kind: str, answers: Callable[[Any], Any], names: list[str], count: int) -> Any:
    from sklearn.base import BaseEstimator, RegressorMixin

    class Around(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        n_features_in_ = count

        def fit(self, *_: Any) -> NoReturn:
            raise NotImplementedError("it was trained where it comes from")

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, table: Any) -> Any:
            return answers(table)

    return _named(Around, kind, names)


def _named(around: type, kind: str, names: list[str]) -> Any:
    import numpy as np

    around.__name__ = around.__qualname__ = kind
    model = around()
    if names:
        model.feature_names_in_ = np.array(names, dtype=object)
    return model


_READERS: Final[Mapping[Format, Callable[[bytes], Any]]] = {
    Format.XGBOOST: _xgboost, Format.LIGHTGBM: _lightgbm, Format.CATBOOST: _catboost, Format.TORCH: from_torch,
    Format.KERAS: from_keras,
}  # fmt: skip
