"""A model that is its author's own code, or needs it, runs as itself behind the same walls."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import cases
import models
from child_here import imports_restored, sandbox_here
from modelmark.contract.rows import RowCodec
from modelmark.contract.table import rows_of
from modelmark.domain import errors
from modelmark.domain.catalogue.gate_settings import SupplyChainGate, Vulnerabilities
from modelmark.domain.contract import Contract, HowItRuns, ModelSource
from modelmark.domain.metrics import Task
from modelmark.domain.version import ASKED, PYTHON, File
from modelmark.gates.supply_chain.gate import SupplyChain
from modelmark.registry import sandbox
from modelmark.registry.convert import Conversion, convert
from modelmark.registry.drafting.draft import draft_contract
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.original import opening, serving
from modelmark.registry.register import lock
from modelmark.sandbox.frames import Run
from modelmark.seal import source
from modelmark.seal.digests import digest_file
from modelmark.serving.execution import Execution
from modelmark.serving.flavours import Model, Runs
from modelmark.serving.isolated import ChildFailed
from modelmark.testing.flavours import check_flavour

SCORER = """
from pathlib import Path

import numpy as np
from scipy import special

from bands_of import floor


class Scorer:
    classes_ = ["no", "yes"]

    def __init__(self):
        self.weights = np.load(Path(__file__).parent / "data" / "weights.npy")

    def predict_proba(self, frame):
        nurse = (frame["job-title"] == "nurse").to_numpy(float)
        columns = np.column_stack([floor(frame["income per year"].fillna(50)), frame["age"], nurse])
        second = special.expit(columns @ self.weights)
        frame.iloc[:, 0] = 0
        return np.column_stack([1 - second, second])

    def predict(self, frame):
        return np.where(self.predict_proba(frame)[:, 1] > 0.5, "yes", "no")
"""
TABLES = "def floor(values):\n    return values.to_numpy() // 10\n"
WEIGHTS = np.array([0.5, -0.06, 1.0])


def agreed(source: str, **changes) -> Contract:
    found = models.contract(**changes)
    return replace(found, model=ModelSource(source=source, task=found.model.task, run=HowItRuns.ISOLATED))


def folder_of(place: Path, files: dict[str, str | bytes]) -> Path:
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return place


def scorer(place: Path) -> Path:
    folder_of(place, {"model.py": SCORER, "bands_of.py": TABLES, "__pycache__/x.pyc": b"", ".git/config": b""})
    (place / "data").mkdir()
    np.save(place / "data" / "weights.npy", WEIGHTS)
    return place


def expected(frame: pd.DataFrame) -> np.ndarray:
    nurse = (frame["job-title"] == "nurse").to_numpy(float)
    columns = [frame["income per year"].fillna(50).to_numpy() // 10, frame["age"], nurse]
    second = 1 / (1 + np.exp(-(np.column_stack(columns) @ WEIGHTS)))
    return np.column_stack([1 - second, second])


def opened(found: Conversion, contract: Contract) -> tuple[Execution, RowCodec]:
    codec = RowCodec(contract, found.signature)
    numeric, textual = ([column.name for column in columns] for columns in (codec.numeric, codec.textual))
    model = Model(found.flavour, found.files, found.signature)
    return Execution.of(model, numeric=numeric, textual=textual, deadline=1.0), codec


def converted(place: Path, contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame) -> Conversion:
    return convert(place, contract, holdout, train=train, limits=sandbox.Limits(), progress=lambda _: None)


def test_a_folder_of_code_and_data_answers_as_its_author_s_class_from_file_to_process(tmp_path):
    """Through the real walls, both times."""
    train, holdout = models.frame(80, 1, nulls=0.1), models.frame(60, 2, nulls=0.1)
    contract = agreed("scorer", nullable=True)
    found = converted(scorer(tmp_path / "scorer"), contract, train, holdout)
    assert (found.flavour, found.estimator, found.parity.flipped) == (PYTHON, "Scorer", 0)
    assert list(found.files) == ["model/model.py", "model/bands_of.py", "model/data/weights.npy", ASKED]
    np.testing.assert_allclose(found.original, expected(holdout), rtol=1e-12)
    assert {"numpy", "scipy.special"} <= set(found.libraries)
    assert any(line.startswith("scipy==") for line in lock(found.libraries).decode().splitlines())
    execution, codec = opened(found, contract)
    inside = holdout[holdout["income per year"].between(-50, 150) | holdout["income per year"].isna()]
    batch = codec.batch(codec.from_mappings(rows_of(inside, contract)))
    np.testing.assert_allclose(execution.run(batch.numbers, batch.texts), expected(inside), rtol=1e-12)
    folder = execution.flavour._child._folder.path  # type: ignore[attr-defined]
    assert sorted(path.name for path in folder.rglob("*.py")) == ["bands_of.py", "model.py"]
    execution.flavour._child.end()  # type: ignore[attr-defined]
    assert not folder.exists()


HOSTILE = {
    "starts a process": "import os; os.system('true')",
    "opens a socket": "import socket; socket.socket()",
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_code_that_does_what_no_model_may_is_ended_or_told_no(tmp_path, line):
    (tmp_path / "bad.py").write_text(f"{line}\ndef predict(frame):\n    return frame['age'] * 1.0\n")
    with pytest.raises(errors.Rejected) as refused:
        inspect(tmp_path / "bad.py")
    assert refused.value.code in ("UNSAFE_ARTIFACT", "MODEL_FAILED")


def test_code_that_was_tame_at_registration_is_held_by_the_same_walls_when_it_serves(tmp_path):
    train = models.frame(40, 1)
    contract = agreed("tame.py", task=Task.REGRESSION, names=models.NUMERIC)
    (tmp_path / "tame.py").write_text("def predict(frame):\n    return frame['age'] * 2.0\n")
    with sandbox_here():
        found = converted(tmp_path / "tame.py", contract, train, train)
    turned = b"def predict(frame):\n    open('/etc/passwd').read()\n    return frame['age'] * 2.0\n"
    execution, _ = opened(replace(found, files={**found.files, "model/tame.py": turned}), contract)
    with pytest.raises(ChildFailed):
        execution.run(np.array([[50.0, 30.0]]), [])


@pytest.mark.parametrize(
    ("text", "source", "estimator"),
    [
        ("def predict(frame):\n    return frame['age'] / 100.0\n", "own.py", "own"),
        ("def score(frame):\n    return frame['age'] / 100.0\n", "own.py:score", "score"),
        ("class A:\n    def predict(self, f):\n        return f[['age']] / 100.0\nclass B(A):\n    pass\n", "own.py:B", "B"),
        ("class A:\n    def predict(self, f):\n        return f['age'] / 100.0\na = A()\n", "own.py:a", "A"),
        ("#!/usr/bin/python\nimport numpy as np\nclass One:\n    def predict(self, f):\n        return np.array(f['age'] / 100)\n",
         "own.py", "One"),
    ],
)  # fmt: skip
def test_a_function_a_class_and_an_object_may_answer_probabilities_or_values(tmp_path, text, source, estimator):
    (tmp_path / "own.py").write_text(text)
    frame = models.frame(40, 1)
    for task, answer in (
        (Task.BINARY, [1 - frame["age"] / 100, frame["age"] / 100]),
        (Task.REGRESSION, [frame["age"] / 100]),
    ):
        with sandbox_here():
            found = converted(tmp_path / "own.py", agreed(source, task=task), frame, frame)
        assert (found.flavour, found.estimator) == (PYTHON, estimator)
        np.testing.assert_allclose(found.scores, np.column_stack(answer))


@pytest.mark.parametrize(
    ("text", "named", "code", "said"),
    [
        (
            "import no_such_thing_at_all\ndef predict(f): return f",
            "",
            "MISSING_MODULE",
            "imports no_such_thing_at_all, which",
        ),
        ("x = 1 / 0\ndef predict(f): return f", "", "MODEL_FAILED", "own.py raises ZeroDivisionError in line 1"),
        (
            "class A:\n  def __init__(self, x): pass\n  def predict(self, f): return f",
            "",
            "MODEL_FAILED",
            "raises TypeError",
        ),
        ("def predict(f): return f", "Scorer", "NOT_A_MODEL", "defines no another"),
        ("def helper(f): return f", "", "NOT_A_MODEL", "nothing in own can predict"),
        ("class A:\n  def predict(self, f): return f\nclass B(A): pass", "", "NOT_A_MODEL", "can predict: A, B"),
        ("def predict(f) return f\nimport os", "", "NOT_A_MODEL", "the file is text, and no model"),
        ("age,y\n1,2\n", "", "NOT_A_MODEL", "the file is text, and no model"),
    ],
)
def test_code_that_is_no_model_is_refused_in_one_sentence(tmp_path, text, named, code, said):
    (tmp_path / "own.py").write_text(text)
    with sandbox_here(), pytest.raises(errors.Rejected, match=said) as refused:
        inspect(tmp_path / "own.py", named=named)
    assert refused.value.code == code
    assert refused.value.hint


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return ['yes'] * len(frame)", "NO_PROBABILITIES", "must answer 2 probabilities a row"),
        ("return [1] * len(frame)", "NO_PROBABILITIES", "must answer 2 probabilities a row"),
        ("return [0.5]", "MODEL_FAILED", "answers 1 rows of 40"),
        ("raise KeyError('secret')", "MODEL_FAILED", r"cannot answer the holdout table \(KeyError\)"),
    ],
)
def test_answers_of_another_form_are_refused_by_what_they_are(tmp_path, body, code, said):
    (tmp_path / "own.py").write_text(f"def predict(frame):\n    {body}\n")
    frame = models.frame(40, 1)
    with sandbox_here(), pytest.raises(errors.Rejected, match=said) as refused:
        converted(tmp_path / "own.py", agreed("own.py"), frame, frame)
    assert refused.value.code == code


def test_a_module_that_would_be_taken_for_an_installed_one_is_refused(tmp_path):
    folder_of(tmp_path / "own", {"model.py": "def predict(f): return f", "json.py": "", "sklearn/__init__.py": ""})
    with sandbox_here(), pytest.raises(errors.Rejected, match="json is also the name of an installed module"):
        inspect(tmp_path / "own")


FEATURES = """
from sklearn.base import BaseEstimator, TransformerMixin


class Halved(TransformerMixin, BaseEstimator):
    def fit(self, table, y=None):
        return self

    def transform(self, table):
        return table / 2


def squared(table):
    return table ** 2
"""


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    """A folder with a pipeline whose steps are the author's, and their module; the pipeline itself. Afterwards nothing here knows
    the module."""
    place = folder_of(tmp_path / "kept", {"features_of_ours.py": FEATURES})
    with monkeypatch.context() as there:
        there.syspath_prepend(str(place))
        found = saved(importlib.import_module("features_of_ours"), place)
    del sys.modules["features_of_ours"]
    return found


def saved(ours, place: Path):
    columns = make_column_transformer(
        (ours.Halved(), ["income per year"]), (FunctionTransformer(ours.squared), ["age"])
    )
    train = models.frame(120, 1)
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(train[models.NUMERIC], train["y"])
    models.save(model, place, "pipeline.joblib")
    return place, model


def test_a_pipeline_with_steps_of_its_author_s_module_answers_as_it_does_there(pickled):
    place, model = pickled
    holdout = models.frame(60, 2)
    contract = agreed("kept", names=models.NUMERIC)
    with sandbox_here():
        found = converted(place, contract, holdout, holdout)
    assert (found.flavour, found.parity.flipped) == (PYTHON, 0)
    assert list(found.files) == ["model/pipeline.joblib", "model/features_of_ours.py", ASKED]
    execution, codec = opened(found, contract)
    inside = holdout[holdout["income per year"].between(-50, 150)]
    batch = codec.batch(codec.from_mappings(rows_of(inside, contract)))
    assert execution.run(batch.numbers, batch.texts).tolist() == model.predict_proba(inside[models.NUMERIC]).tolist()


def test_without_its_module_it_is_refused_and_the_way_on_is_said(pickled):
    place, _ = pickled
    with sandbox_here(), pytest.raises(errors.Rejected, match="needs code of its own") as refused:
        inspect(place / "pipeline.joblib")
    assert refused.value.code == "FOREIGN_CODE"
    assert "give a folder that holds both" in str(refused.value.hint)


def test_init_drafts_a_contract_for_code_and_says_that_it_runs_as_itself(tmp_path):
    models.write_tables(tmp_path, *(models.frame(60, seed).drop(columns="amount") for seed in (1, 2)))
    (tmp_path / "own.py").write_text("def score(frame):\n    return frame['age'] / 100.0\n")
    out = tmp_path / "modelmark.yaml"
    with sandbox_here():
        drafted = draft_contract(
            f"{tmp_path / 'own.py'}:score", train=tmp_path / "train.csv", holdout=tmp_path / "holdout.csv", target="y",
            name=None, out=out, progress=lambda *_: None,
        )  # fmt: skip
    assert drafted.rehearsal is not None and drafted.rehearsal.run is HowItRuns.ISOLATED  # noqa: PT018
    assert {'source: "own.py:score"', "run: isolated"} <= {
        line.strip().split("  #")[0] for line in out.read_text().splitlines()
    }


def test_a_folder_with_links_or_two_models_is_refused(tmp_path):
    place = folder_of(tmp_path / "two", {"a.joblib": b"x", "b.joblib": b"y"})
    with pytest.raises(errors.Rejected, match="which file of two is the model") as refused:
        inspect(place)
    assert refused.value.code == "NOT_A_MODEL"
    (place / "model.py").symlink_to("/etc/passwd")
    with pytest.raises(errors.Rejected, match=r"model\.py in two is no plain file"):
        inspect(place)


def test_it_keeps_what_every_flavour_promises(tmp_path):
    """Without the process around it, which is `original`'s, and the walls."""
    train = models.frame(40, 1)
    contract = agreed("scorer", names=["income per year", "age", "job-title"])
    with sandbox_here():
        found = converted(scorer(tmp_path / "scorer"), contract, train, train)
    made = iter(range(1000))

    def kind(files, signature, *, numeric, textual):
        place = folder_of(tmp_path / f"loaded {next(made)}", files)
        request = json.loads(files[ASKED])
        with imports_restored():
            answer = serving.answering(opening.opened(request, place).model, request, numeric, textual)

        def run(numbers, texts):
            return np.array(answer(Run(len(numbers), np.ascontiguousarray(numbers, "<f8").tobytes(), list(texts))))

        return SimpleNamespace(runs=Runs.PROCESS, run=run)

    numbers = np.array([[50.0, 30.0], [20.0, 60.0], [90.0, 44.0]])
    check_flavour(
        kind, found.files, found.signature, numeric=models.NUMERIC, textual=["job-title"], numbers=numbers,
        texts=["nurse", "clerk", "smith"], width=2,
    )  # fmt: skip


def test_the_gate_says_that_nobody_judged_the_code(tmp_path):
    case = cases.case(tmp_path, models.contract())
    scorer(tmp_path / "scorer")
    files = [
        File(path=f"model/{name}", digest=digest_file(path)) for name, path in source.files(tmp_path / "scorer").items()
    ]
    version = replace(
        case.version,
        components=replace(case.version.components, flavour=PYTHON),
        lineage=replace(case.version.lineage, source_digest=source.digest(tmp_path / "scorer")),
        files=tuple(sorted(files, key=lambda file: file.path != "model/model.py")),
    )  # fmt: skip
    settings = SupplyChainGate(vulnerabilities=Vulnerabilities.OFF)
    whole = replace(case, version=version, contract=agreed("scorer"))
    found = SupplyChain(settings).measure(whole, lambda *_: None)
    checks = {check.name: check.measured for check in found.checks}
    assert (checks["format of the source"], checks["served object"]) == (0.0, 0.0)
    assert any("No scanner judges that" in note for note in found.notes)
    (tmp_path / "scorer" / "bands_of.py").write_text("changed = 1")
    assert SupplyChain(settings).measure(whole, lambda *_: None).checks[0].measured is None
