"""What is no pickle and no graph is told apart by its bytes, each in one true sentence with the way on."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import child_here
from modelmark.domain.errors import Malformed, ModelmarkError, Rejected
from modelmark.registry import libraries, scan
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.mlflow_folder import model_file
from modelmark.registry.refusal import Refusal
from modelmark.registry.unpickle import load

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
MODEL = LogisticRegression().fit(X, Y)


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setattr(scan, "_asked", lambda streams: ())
    with child_here.sandbox_here():
        yield


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), "x")  # the same bytes each time: they name the test
    return data.getvalue()


def saved(what: Any) -> bytes:
    data = io.BytesIO()
    joblib.dump(what, data)
    return data.getvalue()


def said(folder: Path, data: bytes, name: str = "model.bin") -> ModelmarkError:
    (folder / name).write_bytes(data)
    with pytest.raises(Rejected) as caught:
        inspect(folder / name)
    assert caught.value.hint
    return caught.value


TORCH_OF_OLD = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zipped("variables/variables.index", "saved_model.pb"), "this is a TensorFlow SavedModel"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (zipped("archive/data.pkl", "archive/version"), "a PyTorch state_dict"),
        (zipped("archive/data.pkl", "archive/constants.pkl"), "TorchScript"),
        (TORCH_OF_OLD + b"more", "a PyTorch module, pickled"),
        (zipped("schema.json", "0.npy"), "skops's and cannot be followed"),
        (zipped("a.npy", "b.npy"), "NumPy's arrays"),
        (zipped("model/MLmodel", "model/model.pkl"), "an MLflow model's folder, packed"),
        (zipped("readme"), "a zip archive of nothing we know"),
        (b"PK\x03\x04 cut off", "a zip archive of nothing we know"),
        (b"binf" + bytes(20), "XGBoost's own, in the binary form"),
        (b'{\n  "model": "settings"}', "JSON"),
        (b"PAR1" + bytes(8), "a Parquet table"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(8), "TensorFlow Lite's"),
        (b'\x40\x00\x00\x00\x00\x00\x00\x00{"w":{}}', "weights (safetensors)"),
        (b"GGUF" + bytes(8), "GGUF"),
        (b'<?xml version="1.0"?>\n<PMML version="4.4">', "PMML"),
        (b"<html>", "a document"),
        (b"#!/bin/sh\n", "a program or a script"),
        (b"this is not a model\n", "text, and no model"),
        ("Gewicht: 3 — größer\n".encode(), "text, and no model"),
        (b"a,b\n1,2\n", "text, and no model"),
        (b"", "is empty"),
        (b"\x00\x01\x02\x03nothing", "neither a pickle (joblib, compressed too) nor ONNX"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, data, words):
    error = said(tmp_path, data)
    assert (error.code, words in error.message) == ("NOT_A_MODEL", True), error.message


@pytest.mark.parametrize(
    ("names", "library"),
    [
        (["metadata.json", "config.json", "model.weights.h5"], "keras"),
        (["m/archive_format", "m/models/model.json", "m/data/sample_inputs/model.pt"], "torch"),
    ],
)
def test_a_network_whose_library_is_not_installed_says_how_to_get_it(tmp_path, monkeypatch, names, library):
    monkeypatch.setattr(libraries, "installed", lambda _: False)
    error = said(tmp_path, zipped(*names))
    assert (error.code, f"needs {library}, which is not installed" in error.message) == ("MISSING_MODULE", True)
    assert "modelmark[networks]" in str(error.hint)


def test_a_folder_of_tensorflow_is_refused_by_name(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(Rejected, match="this is a TensorFlow SavedModel") as caught:
        inspect(tmp_path)
    assert (caught.value.code, "tf2onnx" in str(caught.value.hint)) == ("NOT_A_MODEL", True)


def test_the_one_estimator_of_a_dict_is_taken_and_its_key_said(tmp_path):
    (tmp_path / "m.sav").write_bytes(saved({"clf": MODEL, "columns": ["a", "b"], "auc": 0.9}))
    found = inspect(tmp_path / "m.sav")
    assert (found.estimator, found.taken, found.classes) == ("LogisticRegression", "clf", (0, 1))
    (tmp_path / "m.sav").write_bytes(saved((MODEL, 0.9)))
    assert inspect(tmp_path / "m.sav").taken == "0"


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"weights": [1, 2], "columns": ["a"]}, "no scikit-learn estimator, but weights, columns"),
        ({"old": MODEL, "new": MODEL}, "several estimators: old, new"),
        (
            {"scaler": StandardScaler().fit(X), "model": MODEL},
            "a pipeline in parts (scaler, model), of which only model",
        ),
        ([MODEL, MODEL], "several estimators: 0, 1"),
        (np.arange(3.0), "holds no scikit-learn estimator"),
    ],
)
def test_a_file_without_one_estimator_names_its_keys(tmp_path, held, words):
    assert words in said(tmp_path, saved(held)).message


def older(model: Any, version: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """As that version would have written it."""
    with monkeypatch.context() as then:
        then.setattr("sklearn.base.__version__", version)
        return saved(model)


def test_a_model_of_an_older_version_that_cannot_be_asked_names_both(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(older(MODEL, "1.1.3", monkeypatch))
    found = load(str(tmp_path / "m"))
    assert found.written_by == ("1.1.3",)
    with pytest.raises(Refusal) as caught, found.told_apart():
        raise Refusal("cannot_answer", kind="AttributeError")
    assert (caught.value.reason, caught.value.names) == ("other_version", ["1.1.3"])
    with pytest.raises(Refusal) as caught, found.told_apart():
        raise Refusal("cannot_answer", kind="ValueError")
    assert caught.value.reason == "cannot_answer", "columns are to blame, not versions"


def test_a_model_of_an_older_version_that_cannot_be_opened_names_both(tmp_path, monkeypatch):
    """A module that was there then and is gone now."""
    data = older(MODEL, "0.21.3", monkeypatch).replace(
        b"sklearn.linear_model._logistic", b"sklearn.linear_model.elsewhere"
    )
    error = said(tmp_path, data)
    assert error.code == "OTHER_VERSION"
    assert f"with scikit-learn 0.21.3, and {sklearn.__version__}, which is installed here" in error.message


def test_a_class_of_a_notebook_is_code_of_somebodys_own_and_no_attack(tmp_path):
    error = said(tmp_path, b"c__main__\nScaler\n.")
    assert (error.code, "code of its own (__main__.Scaler)" in error.message) == ("FOREIGN_CODE", True)


def folder_of(place: Path, flavors: dict[str, Any]) -> Path:
    (place / "MLmodel").write_text(json.dumps({"flavors": flavors}))
    return place


def test_a_folder_of_mlflow_is_its_model_s_file(tmp_path):
    (tmp_path / "model.pkl").write_bytes(saved(MODEL))
    found, graph = model_file(folder_of(tmp_path, {"sklearn": {"pickled_model": "model.pkl"}}), "logged")
    assert (found.name, graph) == ("model.pkl", False)


@pytest.mark.parametrize(
    ("flavors", "error", "words"),
    [
        ({"keras": {}, "python_function": {}}, Rejected, "flavours keras, python_function, of which none"),
        (None, Malformed, "a folder without MLmodel"),
        ({"sklearn": {"pickled_model": "gone.pkl"}}, Malformed, "names the model file 'gone.pkl'"),
    ],
)
def test_a_folder_that_holds_no_such_model_says_why(tmp_path, flavors, error, words):
    with contextlib.suppress(TypeError):
        folder_of(tmp_path, flavors) if flavors is not None else None
    with pytest.raises(error, match=words):
        model_file(tmp_path, "logged")
