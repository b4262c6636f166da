"""From a folder of another server to the one model in it that is meant."""

from __future__ import annotations

from pathlib import Path

from modelmark.domain.errors import Malformed, Missing
from modelmark.registry import mlflow_folder
from modelmark.registry.layouts import layout, mlserver, tensorflow, triton
from modelmark.registry.layouts.layout import Found, Kind


def find(place: Path, model: str | None = None) -> Found:
    """model: of a repository that holds several, which one.

    Raises Missing (NO_MODEL, WHICH_MODEL), Malformed (NOT_A_MODEL) for a folder of no known layout, Rejected (UNKNOWN_FLAVOUR)
    for a model of a kind that is not registered from files.
    """
    if not place.is_dir():
        raise Missing(
            f"there is no folder {place}", code="NO_MODEL", field="PATH", hint="modelmark init takes a model's file"
        )
    if (found := _of_model(place)) is not None:
        return found
    models = {path.name: path for path in layout.folders(place) if _is_model(path)}
    if not models:
        raise Malformed(
            f"{place} is no model's folder of a known layout", code="NOT_A_MODEL", field="PATH",
            limit="MLmodel, Triton's config.pbtxt, MLServer's model-settings.json, TensorFlow Serving's VERSION/saved_model.pb",
            hint="modelmark init takes a model's file",
        )  # fmt: skip
    if (model is None and len(models) > 1) or (model is not None and model not in models):
        raise Missing(
            f"{place} holds several models" if model is None else f"{place} holds no model {model!a}",
            code="WHICH_MODEL", field="--model", limit=", ".join(sorted(models)[:20]),
            hint="name one by --model",
        )  # fmt: skip
    chosen = _of_model(models[model or next(iter(models))])
    assert chosen is not None  # it is a model's
    return chosen


def _is_model(folder: Path) -> bool:
    return (folder / mlflow_folder.DESCRIPTION).is_file() or any(
        one.holds(folder) for one in (mlserver, triton, tensorflow)
    )


def _of_model(folder: Path) -> Found | None:
    if mlserver.holds(folder):  # its MLmodel, if there is one, is what these settings name
        return mlserver.read(folder)
    if (folder / mlflow_folder.DESCRIPTION).is_file():
        return Found(
            kind=Kind.MLFLOW, file=mlflow_folder.model_file(folder, str(folder))[0], name=folder.resolve().name
        )
    if triton.holds(folder):
        return triton.read(folder)
    return tensorflow.read(folder) if tensorflow.holds(folder) else None
