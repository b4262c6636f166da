"""What MLServer is told of a model: model-settings.json names a runtime and the model's file.

Source: MLServer's docs/reference/model-settings.md, and `get_model_uri` of its runtimes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Malformed
from modelmark.registry import mlflow_folder
from modelmark.registry.layouts import layout
from modelmark.registry.layouts.layout import Found, Kind

SETTINGS: Final = "model-settings.json"
_MLFLOW: Final = "mlserver_mlflow.MLflowRuntime"
#: By runtime, the names that it looks for where none is said.
_RUNTIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "mlserver_sklearn.SKLearnModel": ("model.joblib", "model.pickle", "model.pkl"),
    "mlserver_xgboost.XGBoostModel": ("model.bst", "model.json", "model.ubj"),
    "mlserver_lightgbm.LightGBMModel": ("model.bst",),
    "mlserver_catboost.CatboostModel": ("model.cbm", "model.bin"),
    _MLFLOW: (mlflow_folder.DESCRIPTION,),
}


def holds(folder: Path) -> bool:
    return (folder / SETTINGS).is_file()


def read(folder: Path) -> Found:
    """Raises Malformed, and Rejected for a runtime whose models are of no kind that is known here."""
    settings = folder / SETTINGS
    said = _object(settings)
    runtime, parameters = said.get("implementation"), said.get("parameters") or {}
    if runtime not in _RUNTIMES:
        raise layout.unknown(
            f"{settings} names the runtime {runtime!a}",
            ", ".join(sorted(_RUNTIMES)),
            "a class with predict(frame) can be given to modelmark init as a .py file",
        )
    if not isinstance(parameters, dict):
        raise Malformed(f"{settings} has parameters that are no object", code="NOT_A_MODEL", field="parameters")
    place = _place(folder, settings, str(runtime), parameters.get("uri"))
    file = mlflow_folder.model_file(place.parent, str(place.parent))[0] if runtime == _MLFLOW else place
    name, version = said.get("name"), parameters.get("version")
    return Found(
        kind=Kind.MLSERVER,
        file=file,
        name=name if isinstance(name, str) and name else folder.name,
        version=version if isinstance(version, str) else "",
    )


def _place(folder: Path, settings: Path, runtime: str, uri: Any) -> Path:
    """A uri may name the file, or the folder that holds one of the runtime's usual names."""
    if uri is not None and (not isinstance(uri, str) or "://" in uri):
        raise Malformed(
            f"{settings} names a model that is no file here", code="NOT_A_MODEL", field="parameters.uri",
            hint="fetch it, and name it by its path",
        )  # fmt: skip
    named = folder / (uri or ".")
    usual = _RUNTIMES[runtime]
    if named.is_dir():
        named = next((named / name for name in usual if (named / name).is_file()), named / usual[0])
    return layout.inside(folder, named, settings)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(layout.text_of(path))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Malformed(
            f"{path} is no JSON object", code="NOT_A_MODEL", limit='{"name", "implementation", "parameters"}'
        )
    return found
