"""The author's own class, object or functions with `predict`, imported and asked like an estimator. Runs in the child only,
behind its walls: what is imported here is code of somebody's own."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from modelmark.registry.original.adapted import Adapted, as_objects
from modelmark.registry.original.kinds import CLASSIFIER, REGRESSOR
from modelmark.registry.original.own_code import module_of, modules_in, names_in
from modelmark.registry.refusal import Refusal, kind_of

if TYPE_CHECKING:
    import numpy as np

PREDICT: Final = "predict"
PROBABILITIES: Final = "predict_proba"


def make_importable(folder: Path) -> frozenset[str]:
    """Let the modules of a folder be imported, and say which these are."""
    modules = modules_in(names_in(folder))
    for name in modules:
        sys.modules.pop(name, None)
    sys.path.insert(0, str(folder.absolute()))
    importlib.invalidate_caches()
    return modules


def load(main: str, request: Mapping[str, Any]) -> AuthorsModel:
    """The model as an estimator. main: its file, in a folder that `make_importable` saw. request: as `convert.request_of` makes
    it; before there is a contract it knows `object` alone, the name of what predicts, empty for the only one that can."""
    found = _chosen(imported(main), str(request.get("object", "")))
    kind = type(_name(found), (AuthorsModel,), {})  # which people will read
    model: AuthorsModel = kind(found, request)
    return model


def imported(main: str) -> ModuleType:
    """Raises Refusal, with the line of the file that raised."""
    try:
        return importlib.import_module(module_of(main))
    except (MemoryError, Refusal):
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody's code raises
        raise _failed(error, main) from None


def _failed(error: Exception, main: str) -> Refusal:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return Refusal("code_needs", names=[error.name.partition(".")[0]])
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(main)]
    return Refusal("code_failed", names=[main], kind=kind_of(error), numbers=lines[-1:])


def _chosen(module: ModuleType, name: str) -> Any:
    """The object named, or the only one that can predict; a class is made without arguments."""
    if name:
        if not hasattr(module, name):
            raise Refusal("no_such_object", names=[name])
        found = getattr(module, name)
    elif callable(getattr(module, PREDICT, None)):
        found = module
    else:
        able = {key: one for key, one in vars(module).items() if _predicts(one, module) and not key.startswith("_")}
        if len(able) != 1:
            raise Refusal("several_models" if able else "predicts_nothing_own", names=sorted(able) or [module.__name__])
        (found,) = able.values()
    return _made(found, module)


def _predicts(one: Any, module: ModuleType) -> bool:
    """Classes and objects of classes that are defined here: what was imported is not meant."""
    kind = one if isinstance(one, type) else type(one)
    return kind.__module__.partition(".")[0] == module.__name__ and callable(getattr(one, PREDICT, None))


def _made(found: Any, module: ModuleType) -> Any:
    if not isinstance(found, type):
        return found
    try:
        return found()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody's code raises
        raise _failed(error, f"{module.__name__}.py") from None


class AuthorsModel(Adapted):
    """Around the author's object. It is given a copy of each table."""

    def __init__(self, found: Any, request: Mapping[str, Any]) -> None:
        """Raises Refusal for an object that cannot predict."""
        predict = found if inspect.isfunction(found) else getattr(found, PREDICT, None)
        if not callable(predict):
            raise Refusal("predicts_nothing_own", names=[_name(found)])
        self._predict: Callable[[Any], Any] = predict
        self._probabilities = getattr(found, PROBABILITIES, None)
        self._says_labels = callable(self._probabilities)
        if classes := _listed(getattr(found, "classes_", None)):
            self.classes_ = as_objects(classes)
        if columns := _listed(getattr(found, "feature_names_in_", None)):
            self.feature_names_in_ = as_objects(columns)
        self.kind = CLASSIFIER if classes or self._says_labels else ""
        self.bind(request)

    def predict(self, table: Any) -> np.ndarray:
        """One number a row; of a classifier its labels."""
        import numpy as np

        if hasattr(self, "classes_") and not self._says_labels:
            chosen: np.ndarray = self.classes_[np.argmax(self.predict_proba(table), axis=1)]
            return chosen
        found = self._answer(self._predict, table)
        if self.kind == REGRESSOR and found.dtype.kind not in "fiu":
            raise Refusal("own_numbers", names=[type(self).__name__])
        return found

    def predict_proba(self, table: Any) -> np.ndarray:
        """(rows, classes)."""
        return self.shares(self._answer(self._probabilities if self._says_labels else self._predict, table))

    def _answer(self, ask: Any, table: Any) -> np.ndarray:
        import numpy as np

        found = np.asarray(ask(table.copy()))
        if found.ndim == 0 or len(found) != len(table):
            raise Refusal(
                "own_rows", names=[type(self).__name__], numbers=[found.shape[0] if found.ndim else 1, len(table)]
            )
        return found


def _name(found: Any) -> str:
    own = getattr(found, "__name__", None)
    return str(own if inspect.isfunction(found) or inspect.ismodule(found) else type(found).__name__)


def _listed(values: Any) -> list[Any]:
    found = values.tolist() if hasattr(values, "tolist") else values
    return list(found) if isinstance(found, (list, tuple)) else []
