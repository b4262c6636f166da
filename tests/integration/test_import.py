"""Models in the folders of other servers get in as they are, or are refused by name; what is drafted was proven on rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

import serving_case as case
from child_here import sandbox_here
from modelmark.app.usecases.foreign.import_model import ImportModel, Tables, _compared, prove
from modelmark.contract import read
from modelmark.contract.table import agreed_table, rows_of
from modelmark.domain.contract import Policy
from modelmark.domain.errors import Malformed, Missing, ModelmarkError, Rejected
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.registry.layouts.find import find
from modelmark.serving.flavours import Model
from modelmark.serving.models import LoadedModel
from spoken import spoken

NAMES = ["f0", "f1", "f2"]


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with sandbox_here():
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, Any, Any]:
    """Tables, and what two teams trained on them."""
    folder, draw = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(600, 3)).astype(np.float32).astype(float), columns=NAMES)
    frame["y"] = (frame["f0"] - frame["f1"] + draw.normal(scale=0.3, size=600) > 0).astype(int)
    for name, part in {"train": frame[:400], "holdout": frame[400:]}.items():
        part.to_csv(folder / f"{name}.csv", index=False)
    x, y = frame[NAMES][:400], frame["y"][:400]
    boosted = XGBClassifier(n_estimators=5, max_depth=2).fit(x, y)
    tables = Tables(train=folder / "train.csv", holdout=folder / "holdout.csv", target="y")
    return tables, LogisticRegression().fit(x, y), boosted


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


SETTINGS = {"name": "churn", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}


def mlserver(folder: Path, model: Any) -> Path:
    written(folder, {"model-settings.json": json.dumps({**SETTINGS, "parameters": {"version": "v0.1.0"}})})
    joblib.dump(model, folder / "model.joblib")
    return folder


def triton(folder: Path, model: Any) -> Path:
    graph = case.converted(model, 3)
    config = (
        '# name: "no"\nname: "churn"\ninput [ { name: "X" data_type: TYPE_FP32 dims: [ 3 ] } ]\nbackend: "onnxruntime"'
    )
    return written(folder, {"churn/config.pbtxt": config, "churn/9/model.onnx": b"old", "churn/10/model.onnx": graph})


def mlmodel(folder: Path, model: Any) -> Path:
    joblib.dump(model, folder / "model.pkl")
    return written(folder, {"MLmodel": "flavors:\n  sklearn:\n    pickled_model: model.pkl\n  python_function: {}\n"})


def boosted(folder: Path, model: Any) -> Path:
    model.save_model(folder / "model.ubj")
    return written(folder, {"MLmodel": "flavors:\n  xgboost:\n    data: model.ubj\n"})


def tensorflow(folder: Path, model: Any) -> Path:
    return written(folder, {"3/saved_model.pb": b"\x08\x01", "3/exported.onnx": case.converted(model, 3)})


@pytest.mark.parametrize(
    ("make", "which", "kind", "version", "file"),
    [
        (mlserver, 1, "MLServer", "v0.1.0", "model.joblib"),
        (triton, 1, "Triton", "10", "model.onnx"),
        (mlmodel, 1, "MLflow", "", "model.pkl"),
        (boosted, 2, "MLflow", "", "model.ubj"),
        (tensorflow, 1, "TensorFlow Serving", "3", "exported.onnx"),
    ],
)
def test_what_a_layout_holds_is_drafted_and_answered_here_as_it_answers(
    tmp_path: Path, kept: Any, make: Any, which: int, kind: str, version: str, file: str
) -> None:
    (tmp_path / "there").mkdir()
    place, out = make(tmp_path / "there", kept[which]), tmp_path / "modelmark.yaml"
    found = ImportModel(progress=lambda *_: None)(place, kept[0], out)
    assert (found.found.kind, found.found.version, found.found.file.name) == (kind, version, file)
    assert found.proof.holds, found.proof
    assert found.proof.rows + found.proof.refused == 200
    assert found.proof.rows > 150, "few rows are beyond what training saw"
    assert found.proof.difference < 1e-6
    agreed = read.load(out).contract
    assert (tmp_path / agreed.model.source).resolve() == found.found.file.resolve()


def test_a_model_that_is_answered_otherwise_is_no_proof(tmp_path: Path, kept: Any) -> None:
    tables, model, _ = kept
    (tmp_path / "there").mkdir()
    place, out = mlserver(tmp_path / "there", model), tmp_path / "modelmark.yaml"
    found = ImportModel(progress=lambda *_: None)(place, tables, out)
    agreed = read.load(out).contract
    few = agreed_table(tables.holdout, agreed, [*NAMES, "y"])
    conversion = convert(found.found.file, agreed, few, limits=sandbox.Limits(), progress=lambda _: None)
    served = Model(conversion.flavour, conversion.files, conversion.signature)
    version = LoadedModel(case.NOTHING, "staged", agreed, served)
    moved = conversion.original.copy()
    moved[7] = moved[7][::-1]
    proof = _compared(version, agreed, replace(conversion, original=moved), rows_of(few, agreed))
    assert (proof.holds, proof.differing) == (False, 1)
    beyond = {"minimum": 50.0, "maximum": 60.0, "on_out_of_range": Policy.REJECT}
    strict = replace(agreed, inputs=tuple(replace(item, **beyond) for item in agreed.inputs))
    nothing = prove(found.found.file, strict, tables.holdout)
    assert (nothing.holds, nothing.refused, nothing.obstacle.code) == (False, 200, "NOTHING_COMPARED")


GRAPHLESS = {"config.pbtxt": 'backend: "python"', "1/model.py": ""}


@pytest.mark.parametrize(
    ("files", "kind", "code", "words"),
    [
        pytest.param(GRAPHLESS, Rejected, "UNKNOWN_FLAVOUR", "'python' runs the model", id="another backend"),
        pytest.param({"7/saved_model.pb": "x"}, Rejected, "UNKNOWN_FLAVOUR", "TensorFlow alone", id="SavedModel"),
        pytest.param(
            {"model-settings.json": '{"implementation": "models.Mine"}'},
            Rejected,
            "UNKNOWN_FLAVOUR",
            "the runtime 'models.Mine'",
            id="another runtime",
        ),
        pytest.param(
            {"model-settings.json": json.dumps({**SETTINGS, "parameters": {"uri": "s3://b/m"}})},
            Malformed,
            "NOT_A_MODEL",
            "no file here",
            id="elsewhere",
        ),
        pytest.param(
            {"model-settings.json": json.dumps({**SETTINGS, "parameters": {"uri": "../outside.joblib"}})},
            Malformed,
            "NOT_A_MODEL",
            "names outside.joblib, which is no file in",
            id="outside",
        ),
        pytest.param({"model-settings.json": "[" * 100_000}, Malformed, "NOT_A_MODEL", "no JSON", id="deep"),
        pytest.param({"config.pbtxt": "", "1/x": ""}, Malformed, "NOT_A_MODEL", "names model.onnx", id="no graph"),
        pytest.param({"readme.txt": ""}, Malformed, "NOT_A_MODEL", "no model's folder", id="nothing"),
        pytest.param(
            {"a/1/model.onnx": "", "b/1/model.onnx": ""}, Missing, "WHICH_MODEL", "several models", id="several"
        ),
    ],
)
def test_what_cannot_come_in_is_refused_by_name(
    tmp_path: Path, files: dict[str, str], kind: type[ModelmarkError], code: str, words: str
) -> None:
    (tmp_path / "outside.joblib").write_bytes(b"somebody's")
    with pytest.raises(kind) as caught:
        find(written(tmp_path / "m", files))
    assert (caught.value.code, words in caught.value.message) == (code, True), caught.value.message
    assert caught.value.hint or caught.value.limit


def test_the_command_says_what_was_found_and_proven(tmp_path: Path, kept: Any) -> None:
    tables, model, _ = kept
    triton(tmp_path / "models", model)
    written(tmp_path / "models" / "other", GRAPHLESS)
    words = ("import", "models", "--train", str(tables.train), "--holdout", str(tables.holdout), "--target", "y")
    several = spoken(*words, folder=tmp_path)
    assert (several.returncode, "by --model" in several.stderr) == (3, True), several
    refused = spoken(*words, "--model", "other", folder=tmp_path)
    assert (refused.returncode, "upstream.yaml" in refused.stderr) == (3, True)
    assert not (tmp_path / "modelmark.yaml").exists()
    done = spoken(*words, "--model", "churn", folder=tmp_path)
    assert done.returncode == 0, done
    assert "✓ Triton: churn version 10" in done.stdout
    assert "rows are answered here as the model answers them" in done.stdout
    told = json.loads(spoken(*words, "--model", "churn", "--force", "--json", folder=tmp_path).stdout)
    assert (told["layout"], told["version"], told["proof"]["holds"]) == ("Triton", "10", True)
