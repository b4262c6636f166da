"""Libraries beside scikit-learn whose models may be opened, where they are installed. Standard library only."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from modelmark.registry.words import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """names: module -> the classes a pickle may name. distributions: what may bring it. symbols: how its native functions
    begin, where Python looks them up by name. marks: words by which a file that is no pickle says that it is needed. extra: of
    ours, that brings it."""

    names: Mapping[str, frozenset[str]]
    distributions: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()
    extra: str = "boosters"

    @property
    def classes(self) -> frozenset[str]:
        return frozenset().union(*self.names.values(), self.marks) - {"Booster"}


KNOWN: Final[Mapping[str, Library]] = {
    "xgboost": Library(
        names={
            "xgboost.sklearn": words("XGBModel XGBClassifier XGBRegressor XGBRFClassifier XGBRFRegressor"),
            "xgboost.core": words("Booster"),
        },
        distributions=("xgboost-cpu", "xgboost"),
        symbols=("XG",),
    ),
    "lightgbm": Library(
        names={"lightgbm.sklearn": words("LGBMModel LGBMClassifier LGBMRegressor"), "lightgbm.basic": words("Booster")},
        distributions=("lightgbm",),
        symbols=("LGBM_",),
    ),
    "catboost": Library(
        names={"catboost.core": words("CatBoost CatBoostClassifier CatBoostRegressor")}, distributions=("catboost",)
    ),
    "torch": Library(names={}, distributions=("torch", "onnxscript"), marks=words("ExportedProgram"), extra="networks"),
    "keras": Library(
        names={}, distributions=("keras", "torch", "onnxscript"), marks=words("KerasModel"), extra="networks"
    ),
}


def allows(module: str, name: str) -> bool:
    """Whether a pickle may ask one of these libraries for this name."""
    library = KNOWN.get(module.partition(".")[0])
    return library is not None and name in library.names.get(module, frozenset())


def named(found: Collection[str]) -> list[str]:
    """The libraries whose classes stand among these words."""
    return [name for name, library in KNOWN.items() if not library.classes.isdisjoint(found)]


def distributions(names: Collection[str]) -> frozenset[str]:
    """What brought these libraries, or modules of whoever: the names of installed packages."""
    roots = {name.partition(".")[0] for name in names}
    brought = importlib.metadata.packages_distributions() if roots - KNOWN.keys() else {}
    found = (KNOWN[root].distributions if root in KNOWN else brought.get(root, ()) for root in roots)
    return frozenset(name for names in found for name in names if _is_there(name))


def _is_there(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def warm_up(names: Collection[str]) -> None:
    """Load what is native in them, or in modules that somebody's code asks for: after arming nothing can be loaded. One that is not
    installed is left out; whatever needs it is refused by name."""
    import importlib

    import numpy as np

    rows, y_true = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    for name in names:
        if name not in KNOWN:
            with contextlib.suppress(Exception):  # what it lacks is said where it is used
                importlib.import_module(name)
            continue
        if not installed(name) or KNOWN[name].extra == "networks":
            continue  # `original.network` warms those up
        library = importlib.import_module(name)
        if name == "xgboost":
            library.XGBClassifier(n_estimators=1, n_jobs=1).fit(rows, y_true).predict_proba(rows)
        elif name == "lightgbm":
            library.LGBMClassifier(n_estimators=1, n_jobs=1, verbose=-1).fit(rows, y_true).predict_proba(rows)
