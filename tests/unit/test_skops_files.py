"""skops's own files are read from the closed list, as pickles are: by our own reading first, and again at each import."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import child_here
import models
from modelmark.domain.errors import Rejected
from modelmark.gates.supply_chain import formats, skops_file
from modelmark.registry import libraries, unpickle
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.mlflow_folder import model_file
from modelmark.registry.original import skops_files
from modelmark.registry.refusal import Refusal

RNG = np.random.default_rng(0)
Y = np.tile([0, 1], 40)
TABLE = pd.DataFrame(
    {"age": RNG.uniform(1, 9, 80), "job": np.where(Y, "a", "b"), "said": ["one two", "three", "two three", "one"] * 20}
)
NUMBERS = TABLE[["age"]].to_numpy()
MIXED = make_column_transformer(
    (StandardScaler(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["job"]), (TfidfVectorizer(), "said")
)


@pytest.fixture(autouse=True)
def _here():
    with child_here.sandbox_here():
        yield


@pytest.mark.parametrize(
    ("model", "table"),
    [
        pytest.param(make_pipeline(MIXED, LogisticRegression()), TABLE, id="mixed columns"),
        pytest.param(
            make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()), NUMBERS, id="a function of NumPy's"
        ),
        pytest.param(HistGradientBoostingClassifier(max_iter=3), NUMBERS, id="boosting"),
        pytest.param(RandomForestClassifier(3, random_state=np.random.RandomState(0)), NUMBERS, id="a random state"),
        pytest.param(CalibratedClassifierCV(SGDClassifier(), cv=2), NUMBERS, id="calibrated"),
    ],
)
def test_what_skops_saved_is_taken_and_answers_as_it_did(tmp_path: Path, model: Any, table: Any):
    model.fit(table, Y)
    skops.io.dump(model, tmp_path / "model.skops")
    found = inspect(tmp_path / "model.skops")
    assert found.classes == (0, 1)
    opened = unpickle.load(str(tmp_path / "model.skops")).model
    assert (opened.predict(table) == model.predict(table)).all()
    assert unpickle.load(io.BytesIO((tmp_path / "model.skops").read_bytes())).model.predict(table).shape == (80,)


def node(loader: str, module: str, name: str, content: Any = None) -> dict[str, Any]:
    return {"__loader__": loader, "__module__": module, "__class__": name, "content": content, "__id__": 1}


EMPTY = node("DictNode", "builtins", "dict", {}) | {"key_types": node("ListNode", "builtins", "list", [])}
ESTIMATOR = "sklearn.linear_model._logistic", "LogisticRegression"


def packed(schema: Any, **files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        text = schema if isinstance(schema, bytes) else json.dumps({**schema, "protocol": 2}).encode()
        file.writestr("schema.json", text)
        for name, inside in files.items():
            file.writestr(name, inside)
    return data.getvalue()


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        pytest.param(node("ObjectNode", "os", "system"), "UNSAFE_ARTIFACT", id="a shell"),
        pytest.param(node("FunctionNode", "builtins", "eval"), "UNSAFE_ARTIFACT", id="eval"),
        pytest.param(node("TypeNode", "subprocess", "Popen"), "UNSAFE_ARTIFACT", id="a type"),
        pytest.param(node("ConstructorFromReduceNode", "pathlib", "Path", EMPTY), "UNSAFE_ARTIFACT", id="a path"),
        pytest.param(node("ObjectNode", "numpy", "load"), "UNSAFE_ARTIFACT", id="what loads"),
        pytest.param(node("FunctionNode", "sklearn.utils", "os.system"), "UNSAFE_ARTIFACT", id="an attribute of a module"),
        pytest.param(node("ObjectNode", *ESTIMATOR, node("ObjectNode", "os", "system")), "UNSAFE_ARTIFACT", id="inside"),
        pytest.param(
            node("MethodNode", *ESTIMATOR, {"func": "fit", "obj": node("ObjectNode", *ESTIMATOR)}), "FOREIGN_CODE",
            id="a method",
        ),
        pytest.param(node("PartialNode", "functools", "partial", {}), "UNSAFE_ARTIFACT", id="a call"),
        pytest.param(node("OperatorFuncNode", "operator", "methodcaller"), "UNSAFE_ARTIFACT", id="an operator"),
        pytest.param(node("ObjectNode", "theirs", "Model"), "FOREIGN_CODE", id="their own"),
        pytest.param({"__class__": "system", "__module__": "os"}, "UNSAFE_ARTIFACT", id="without its kind"),
        pytest.param({"__class__": "Pipeline", "__module__": "sklearn.pipeline", "protocol": 2}, "NOT_A_MODEL", id="a stand-in"),
        pytest.param({"__loader__": "ObjectNode"}, "FOREIGN_CODE", id="without a name"),
        pytest.param({"content": [1]}, "NOT_A_MODEL", id="nothing is built"),
        pytest.param(b"{}", "NOT_A_MODEL", id="an empty description"),
        pytest.param(b"[" * 1_000_000, "NOT_A_MODEL", id="too deep"),
        pytest.param(b"not JSON", "NOT_A_MODEL", id="no JSON"),
        pytest.param(EMPTY, "NOT_A_MODEL", id="no estimator"),
    ],
)  # fmt: skip
def test_what_no_model_may_ask_for_is_refused_before_skops_sees_it(
    tmp_path: Path, schema: Any, code: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "model.skops").write_bytes(packed(schema))
    if schema is not EMPTY:
        monkeypatch.setattr(skops_files, "load", lambda _: pytest.fail("it was opened"))
    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / "model.skops")
    assert caught.value.code == code, caught.value.message
    assert caught.value.hint


def test_a_bomb_is_refused_by_what_it_says_it_holds(tmp_path: Path):
    (tmp_path / "model.skops").write_bytes(packed(EMPTY, **{"0.npy": bytes(300 << 20)}))
    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / "model.skops")
    assert caught.value.code == "TOO_LARGE"


def test_without_skops_the_file_is_called_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libraries, "installed", lambda name: False)
    (tmp_path / "model.skops").write_bytes(packed(EMPTY))
    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / "model.skops")
    assert (caught.value.code, caught.value.hint) == ("MISSING_MODULE", "install it: pip install 'modelmark[skops]'")
    assert "the form in which MLflow 3 saves" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut off"),
        pytest.param(lambda data: data.replace(b'"__loader__": "NdArrayNode"', b'"__loader__": "ObjectNode" '), id="mixed up"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_no_model(tmp_path: Path, change: Callable[[bytes], bytes]):
    damaged = change(skops.io.dumps(LogisticRegression().fit(NUMBERS, Y)))
    (tmp_path / "model.skops").write_bytes(damaged)
    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / "model.skops")
    assert caught.value.code == "NOT_A_MODEL"


def test_each_import_is_held_again_while_it_is_opened(monkeypatch: pytest.MonkeyPatch):
    """Even where our reading had let a name through."""
    data = packed(node("FunctionNode", "sklearn.cluster._kmeans", "warnings"))
    with pytest.raises(Refusal, match="name_not_allowed"):
        skops_files.load(data)
    said = iter([True, False])
    monkeypatch.setattr(skops_files, "allows", lambda module, name: next(said))
    with pytest.raises(Refusal, match="name_not_allowed"):
        skops_files.load(packed(node("FunctionNode", "os", "getpid")))
    assert not [*said], "asked twice"


def test_what_mlflow_saves_by_default_names_its_file_and_is_taken(tmp_path: Path):
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    pickled_model: model.skops\n    serialization_format: skops\n"
    )
    table = models.frame(60, 1)
    skops.io.dump(LogisticRegression().fit(table[models.NUMERIC], table["y"]), tmp_path / "model.skops")
    path, is_graph = model_file(tmp_path, "the folder")
    assert (path.name, is_graph, inspect(path).features) == ("model.skops", False, tuple(models.NUMERIC))


def test_the_supply_chain_knows_the_file_for_what_it_is():
    data = skops.io.dumps(LogisticRegression().fit(NUMBERS, Y))
    assert formats.content_of(data)[0] is formats.Format.SKOPS
    assert skops_file.Name(*ESTIMATOR) in skops_file.read(data, 1 << 30).names
