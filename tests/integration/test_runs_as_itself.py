"""A model that no conversion answers like runs as itself: the same object, behind walls, with the same answers."""

from __future__ import annotations

import io
import os
import pickle
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from xgboost import XGBClassifier, XGBRanker

import models
from child_here import sandbox_here
from modelmark.contract.rows import RowCodec
from modelmark.contract.table import rows_of
from modelmark.domain import errors
from modelmark.domain.contract import Contract, HowItRuns, Outputs
from modelmark.domain.metrics import Task
from modelmark.domain.version import ASKED, ORIGINAL, SAVED
from modelmark.registry import sandbox
from modelmark.registry.convert import Conversion, convert, request_of
from modelmark.registry.drafting.draft import draft_contract
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.original.served import as_served, matrix_of, table_of
from modelmark.registry.register import lock
from modelmark.serving.execution import Execution
from modelmark.serving.flavours import Model
from modelmark.serving.isolated import ChildFailed

NULLABLE = models.contract(nullable=True)


def isolated(contract: Contract) -> Contract:
    return replace(contract, model=replace(contract.model, run=HowItRuns.ISOLATED))


def merging():
    """Rare categories are merged and columns that say what was missing are added: ONNX can do neither."""
    columns = make_column_transformer(
        (SimpleImputer(add_indicator=True), models.NUMERIC),
        (OneHotEncoder(min_frequency=0.3, handle_unknown="infrequent_if_exist"), models.TEXT),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=500))


def boosted(classifier):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(make_column_transformer((codes, models.TEXT), remainder="passthrough"), classifier)


def taken(model, folder: Path) -> tuple[Conversion, pd.DataFrame]:
    """As `register` takes it, in this process; and the holdout."""
    train, holdout = models.frame(300, 1, nulls=0.1), models.frame(200, 2, nulls=0.1)
    path = models.save(model.fit(train[models.FEATURES], (train["y"] == "yes").astype(int)), folder)
    agreed = isolated(replace(NULLABLE, outputs=replace(NULLABLE.outputs, classes=(0, 1), positive=1)))
    with sandbox_here():
        found = convert(path, agreed, holdout, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    return found, holdout


def opened(found: Conversion, contract: Contract = NULLABLE) -> Execution:
    codec = RowCodec(contract, found.signature)
    numeric, textual = ([column.name for column in columns] for columns in (codec.numeric, codec.textual))
    model = Model(found.flavour, found.files, found.signature)
    return Execution.of(model, numeric=numeric, textual=textual, deadline=1.0)


def served(found: Conversion, frame: pd.DataFrame, contract: Contract = NULLABLE) -> np.ndarray:
    """What the process answers to rows as they come over the network."""
    codec = RowCodec(contract, found.signature)
    batch = codec.batch(codec.from_mappings(rows_of(frame, contract)))
    return opened(found, contract).run(batch.numbers, batch.texts)


@pytest.mark.parametrize(
    ("model", "libraries"),
    [
        pytest.param(merging(), (), id="rare categories merged"),
        pytest.param(boosted(XGBClassifier(n_estimators=20, n_jobs=1)), ("xgboost",), id="xgboost"),
        pytest.param(boosted(LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1)), ("lightgbm",), id="lightgbm"),
        pytest.param(
            boosted(CatBoostClassifier(iterations=20, verbose=False, allow_writing_files=False)), ("catboost",), id="catboost"
        ),
    ],
)  # fmt: skip
def test_it_answers_as_its_author_s_model_does(tmp_path, model, libraries):
    found, holdout = taken(model, tmp_path)
    assert (found.flavour, found.libraries, tuple(found.files)) == (ORIGINAL, libraries, (SAVED, ASKED))
    assert found.files[SAVED] == (tmp_path / "model.joblib").read_bytes()
    assert (found.parity.flipped, found.parity.max_difference) == (0, 0.0)
    numbers = holdout[holdout["income per year"].between(-50, 150) | holdout["income per year"].isna()]
    expected = model.predict_proba(numbers[models.FEATURES])
    assert served(found, numbers).tolist() == expected.tolist(), "to the last bit"
    assert all(any(line.startswith(f"{name}") for line in lock(libraries).decode().splitlines()) for name in libraries)


def test_a_skops_file_is_converted_and_runs_as_itself_behind_the_real_walls(tmp_path):
    train, holdout = models.frame(300, 1), models.frame(60, 2)
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), models.TEXT), remainder="passthrough"),
        RandomForestClassifier(5, random_state=0),
    ).fit(train[models.FEATURES], train["y"])
    skops.io.dump(model, tmp_path / "model.skops")
    taken = lambda agreed: convert(  # noqa: E731
        tmp_path / "model.skops", agreed, holdout, train=train, limits=sandbox.Limits(), progress=lambda _: None
    )
    with sandbox_here():
        converted = taken(models.contract())
    itself = taken(isolated(models.contract()))
    assert (converted.flavour, converted.parity.flipped, converted.libraries) == ("onnx", 0, ("skops.io",))
    assert (itself.flavour, itself.files[SAVED]) == (ORIGINAL, (tmp_path / "model.skops").read_bytes())
    assert any(line.startswith("skops==") for line in lock(itself.libraries).decode().splitlines())
    inside = holdout[holdout["income per year"].between(-50, 150)]
    expected = model.predict_proba(inside[models.FEATURES])
    assert served(itself, inside, models.contract()).tolist() == expected.tolist()


def xgboost_file(folder, frame, y):
    model = XGBClassifier(n_estimators=15, n_jobs=1).fit(frame, y)
    model.save_model(folder / "own.ubj")
    return folder / "own.ubj", model.predict_proba


def xgboost_of_matrix(folder, frame, y):
    model = XGBClassifier(n_estimators=15, n_jobs=1).fit(frame.to_numpy(), y)
    model.save_model(folder / "own.json")
    return folder / "own.json", lambda rows: model.predict_proba(rows.to_numpy())


def lightgbm_file(folder, frame, y):
    model = LGBMClassifier(n_estimators=15, n_jobs=1, verbose=-1).fit(frame, y)
    model.booster_.save_model(folder / "own.txt")
    return folder / "own.txt", model.predict_proba


def catboost_file(folder, frame, y):
    model = CatBoostClassifier(iterations=15, verbose=False, allow_writing_files=False).fit(frame, y)
    model.save_model(folder / "own.cbm")
    return folder / "own.cbm", model.predict_proba


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("made", [xgboost_file, xgboost_of_matrix, lightgbm_file, catboost_file])
def test_a_booster_s_own_file_answers_as_the_booster(tmp_path, made, classes):
    train, holdout = models.frame(300, 1, nulls=0.1), models.frame(100, 2, nulls=0.1)
    y = np.digitize(train["amount"], [0.0] if classes == 2 else [-5.0, 5.0])
    path, answers = made(tmp_path, train[models.NUMERIC], y)
    task, positive = (Task.BINARY, 1) if classes == 2 else (Task.MULTICLASS, None)
    outputs = Outputs(classes=tuple(range(classes)), positive=positive)
    agreed = models.contract(names=models.NUMERIC, nullable=True, task=task, outputs=outputs)
    with sandbox_here():
        found = convert(path, isolated(agreed), holdout, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    assert (found.flavour, len(found.libraries), found.parity.flipped) == (ORIGINAL, 1, 0)
    inside = holdout[holdout["income per year"].between(-50, 150) | holdout["income per year"].isna()]
    expected = np.asarray(answers(inside[models.NUMERIC]), dtype=np.float64)
    if classes == 2 and made is xgboost_file:
        assert served(found, inside, agreed).tolist() == expected.tolist(), "behind its walls, too"
    assert found.original.tolist() == np.asarray(answers(holdout[models.NUMERIC]), dtype=np.float64).tolist()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("m.json", b'{"learner":{"attributes":{}}}', "xgboost cannot read the file"),
        ("m.txt", b"tree\nversion=v4\n", "lightgbm cannot read the file"),
        ("m.cbm", b"CBM1" + bytes(8), "catboost cannot read the file"),
    ],
)
def test_a_damaged_booster_is_refused_by_name(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(errors.Rejected, match=said):
        convert(tmp_path / name, isolated(NULLABLE), models.frame(50), limits=sandbox.Limits(), progress=lambda _: None)


def test_a_booster_that_ranks_is_refused_by_its_objective(tmp_path):
    train = models.frame(60, 1)
    XGBRanker(n_estimators=2, n_jobs=1).fit(
        train[models.NUMERIC], train["age"] % 2, qid=np.arange(60) // 10
    ).save_model(tmp_path / "rank.json")
    with sandbox_here(), pytest.raises(errors.Rejected, match="trained for rank:ndcg") as refused:
        inspect(tmp_path / "rank.json")
    assert refused.value.code == "WRONG_TASK"


def test_nothing_opens_an_object_that_asks_for_what_no_model_may(tmp_path):
    found, _ = taken(merging(), tmp_path)
    marker = tmp_path / "it ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch '{marker}'",)

    hostile = replace(found, files={SAVED: pickle.dumps(Evil()), ASKED: found.files[ASKED]})
    with pytest.raises(ChildFailed, match="asked for a name no model may ask for"):
        opened(hostile)
    assert not marker.exists()


def test_its_walls_stand_while_it_serves(tmp_path):
    """Two filters of system calls: that of loading, and the narrow one from before the first byte of the object."""
    found, _ = taken(merging(), tmp_path)
    execution = opened(found)
    child = execution.flavour._child._process.pid  # type: ignore[attr-defined]
    inner = Path(f"/proc/{child}/task/{child}/children").read_text().split()
    said = Path(f"/proc/{inner[0] if inner else child}/status").read_text()
    status = dict(line.split(":\t", 1) for line in said.splitlines())
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert int(status["Seccomp_filters"]) >= 2


def test_what_an_object_says_reaches_nobody(tmp_path):
    """Rows that it cannot answer fail in our words."""
    found, _ = taken(merging(), tmp_path)
    execution = opened(found)
    with pytest.raises(ChildFailed, match=r"^the model cannot answer|cannot answer the holdout table"):
        execution.run(np.array([[np.inf, 30.0]]), ["nurse", "A"])
    assert np.isfinite(execution.run(np.array([[50.0, 30.0]]), ["nurse", "A"])).all(), "it goes on"


def test_a_table_has_the_same_types_whoever_else_asks():
    request = request_of(NULLABLE)
    numeric, textual = models.NUMERIC, models.TEXT
    whole = table_of(np.array([[1.0, 30.0]]), ["nurse", "A"], numeric, textual, request)
    gaps = table_of(np.array([[np.nan, 30.0]]), ["nurse", ""], numeric, textual, request)
    assert whole.dtypes.tolist() == gaps.dtypes.tolist() == ["float64", "int64", "str", "str"]
    assert gaps.isna().to_numpy().tolist() == [[True, False, False, True]]
    assert list(gaps.columns) == [item["name"] for item in request["inputs"]]
    frame = models.frame(50, nulls=0.3)
    again = as_served(frame, request)
    pd.testing.assert_frame_equal(again, frame[models.FEATURES], check_dtype=False, check_names=False)


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize(
    "names", [["income per year"], models.NUMERIC, models.FEATURES, ["income per year", *models.TEXT]]
)
def test_a_matrix_is_the_table_s(nullable, names):
    agreed = models.contract(nullable=nullable, names=names)
    request = request_of(agreed)
    numeric, textual = [n for n in names if n in models.NUMERIC], [n for n in names if n in models.TEXT]
    gap = np.nan if nullable else 2.0
    numbers = np.array([[1.5, 30.0], [gap, 40.0]])[:, : len(numeric)]
    texts = [text for row in (["nurse", "A"], ["clerk", "" if nullable else "B"]) for text in row if textual]
    table = table_of(numbers, texts, numeric, textual, request)
    matrix = matrix_of(numbers, texts, numeric, textual, request)
    assert matrix.dtype == table.to_numpy().dtype
    pd.testing.assert_frame_equal(pd.DataFrame(matrix), pd.DataFrame(table.to_numpy()))
    slow = {name: table[name].dtype for name in names}
    assert slow == {n: "float64" if n == "income per year" else "int64" if n == "age" else "str" for n in names}


def test_init_proposes_it_where_no_conversion_works(tmp_path):
    train = models.frame(300, 1)
    models.write_tables(tmp_path, train.drop(columns="amount"), models.frame(120, 2).drop(columns="amount"))
    words = make_pipeline(
        make_column_transformer((TfidfVectorizer(strip_accents="unicode"), "job-title"), remainder="drop"),
        LogisticRegression(),
    )
    models.save(words.fit(train[["job-title"]], train["y"]), tmp_path)
    with sandbox_here():
        drafted = draft_contract(
            str(tmp_path / "model.joblib"), train=tmp_path / "train.csv", holdout=tmp_path / "holdout.csv", target="y",
            name=None, out=tmp_path / "modelmark.yaml", progress=lambda *_: None,
        )  # fmt: skip
    assert drafted.rehearsal is not None
    assert drafted.rehearsal.run is HowItRuns.ISOLATED
    (why,) = [reason for field, _, reason in drafted.guesses if field == "run"]
    assert "TfidfVectorizer strips accents" in why
    assert "run: isolated" in (tmp_path / "modelmark.yaml").read_text()


def test_a_model_whose_library_is_not_installed_is_refused_by_name(tmp_path, monkeypatch):
    path = models.save(boosted(XGBClassifier(n_estimators=1)).fit(*_few()), tmp_path)
    data = io.BytesIO()
    joblib.dump(joblib.load(path), data)
    monkeypatch.setitem(__import__("sys").modules, "xgboost.sklearn", None)
    with sandbox_here(), pytest.raises(errors.Rejected, match="needs xgboost, which is not installed") as refused:
        convert(path, isolated(NULLABLE), models.frame(50), limits=sandbox.Limits(), progress=lambda _: None)
    assert "modelmark[boosters]" in (refused.value.hint or "")


def _few():
    train = models.frame(60, 1)
    return train[models.FEATURES], (train["y"] == "yes").astype(int)
