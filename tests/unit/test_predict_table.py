"""A table is answered row by row as the endpoint would, wherever it is cut, and each answer is in the journal once."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

import serving_case as case
from modelmark.app.usecases.predictions.predict_table import PredictedTable, PredictTable
from modelmark.contract.rows import RowCodec
from modelmark.contract.timestamps import moments
from modelmark.domain.contract import Csv, DataType, Fallback, FallbackKind, Input, Outputs, Policy
from modelmark.domain.errors import Conflict, Missing, ModelmarkError, Rejected
from modelmark.domain.metrics import Task
from modelmark.feedback.labels import import_labels, rows_of_each
from modelmark.journal.wal.reader import sealed_segments
from modelmark.journal.wal.records import Predicted, Refused
from modelmark.journal.wal.salvage import sound_records
from modelmark.journal.wal.writer import Writer
from modelmark.seal import keys
from modelmark.serving.execution import Execution
from modelmark.serving.predictor import LocalPredictor
from modelmark.serving.tables import parts, scoring
from modelmark.serving.tables.columns import Columns
from modelmark.serving.tables.output import Job, Output

ROWS = 50


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> case.Built:
    built = case.build(tmp_path_factory.mktemp("served"))
    case.release(built)
    return built


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 7)


def drawn(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    found = np.random.default_rng(seed).normal(0, 2, (rows, 3)).round(3)
    return pd.DataFrame(found, columns=["f0", "f1", "f2"]).assign(key=[f"k{i}" for i in range(rows)])


def use_of(built: case.Built) -> PredictTable:
    verifier = keys.signer(built.workspace.keys).verifier()
    return PredictTable(workspace=built.workspace, verifier=lambda: verifier)


def answered(built: case.Built, table: Path, out: Path, **how: Any) -> tuple[PredictedTable, pd.DataFrame]:
    found = use_of(built)("churn", table, out, progress=lambda *_: None, **how)
    return found, pd.read_parquet(out)


def journaled(built: case.Built) -> list[Any]:
    return [record for file in sealed_segments(built.workspace.wal) for record in sound_records(file)]


def written(frame: pd.DataFrame, folder: Path, form: str) -> Path:
    path = folder / f"table.{form}"
    if form == "csv":
        frame.to_csv(path, index=False)
    elif form == "parquet":
        frame.to_parquet(path)
    else:
        write_deltalake(str(path), pa.Table.from_pandas(frame))
    return path


@pytest.mark.parametrize("form", ["csv", "parquet", "delta"])
def test_answers_are_those_of_the_endpoint(served: case.Built, tmp_path: Path, form: str) -> None:
    frame = drawn()
    verifier = keys.signer(served.workspace.keys).verifier()
    predictor = LocalPredictor.of_marked(served.folder, verifier, served.id)
    expected = predictor.predict(frame.drop(columns="key").to_dict("records"))
    found, out = answered(served, written(frame, tmp_path, form), tmp_path / "out.parquet", keep=["key"])
    assert out[["probability_0", "probability_1"]].to_numpy().tolist() == expected
    assert out["prediction"].tolist() == [int(row[1] >= 0.5) for row in expected]
    assert out["score"].tolist() == [row[1] for row in expected]
    assert out["row"].tolist() == list(range(ROWS))
    assert out["key"].tolist() == frame["key"].tolist()
    assert (found.rows, found.served_by, found.refused, found.went_on_at) == (ROWS, {"model": ROWS}, {}, 0)
    assert not (tmp_path / "out.parquet.parts").exists()
    records = {r.id: r for r in journaled(served) if isinstance(r, Predicted)}
    for at, (id, row) in enumerate(zip(out["prediction_id"], out["prediction_row"], strict=True)):
        record = records[id]
        assert np.frombuffer(record.numbers).reshape(-1, 3)[row].tolist() == frame.loc[at, ["f0", "f1", "f2"]].tolist()
        assert np.frombuffer(record.scores).reshape(-1, 2)[row].tolist() == expected[at]
        assert (record.arm, record.micros) == ("champion", 0)


def test_a_cell_costs_its_own_row_only(tmp_path: Path) -> None:
    built = case.build(tmp_path / "served")
    case.release(built)
    frame = drawn(20).astype(object)
    frame.loc[3, "f0"], frame.loc[4, "f1"], frame.loc[11, "f2"], frame.loc[12, "f0"] = "abc", None, 1e6, "inf"
    found, out = answered(built, written(frame, tmp_path, "csv"), tmp_path / "out.parquet")
    errors = out[out["error_code"].notna()]
    assert errors[["row", "error_code", "error_field"]].to_numpy().tolist() == [
        [3, "WRONG_TYPE", "f0"], [4, "NULL_NOT_ALLOWED", "f1"], [11, "OUT_OF_RANGE", "f2"], [12, "WRONG_TYPE", "f0"],
    ]  # fmt: skip
    assert errors["prediction_id"].isna().all()
    assert out["prediction_id"].notna().sum() == 16
    assert found.refused == {"WRONG_TYPE": 2, "NULL_NOT_ALLOWED": 1, "OUT_OF_RANGE": 1}
    told = Counter({(r.code, r.field): r.count for r in journaled(built) if isinstance(r, Refused)})
    assert told["OUT_OF_RANGE", "f2"] == 1
    assert told["WRONG_TYPE", "f0"] >= 1


INPUTS = (
    Input(name="age", type=DataType.INTEGER, minimum=0, maximum=120, nullable=True),
    Input(name="rate", type=DataType.NUMBER, minimum=-10, maximum=10),
    Input(name="member", type=DataType.BOOLEAN),
    Input(name="grade", type=DataType.CATEGORY, categories=("1", "2", "3"), nullable=True),
    Input(name="country", type=DataType.CATEGORY, categories=("NA", "DE"), on_unseen=Policy.FLAG),
)
#: A line of a CSV, and the row that the same would be as JSON; None where it cannot be one.
CELLS = [
    ("34,1.5,true,2,NA", {"age": 34, "rate": 1.5, "member": True, "grade": "2", "country": "NA"}),
    (",0.25,False,2.0,DE", {"age": None, "rate": 0.25, "member": False, "grade": "2", "country": "DE"}),
    ("NA,1e1,1,,FR", {"age": None, "rate": 10.0, "member": True, "grade": None, "country": "FR"}),
    (" 7 ,-3,0,NA,DE", {"age": 7, "rate": -3.0, "member": False, "grade": None, "country": "DE"}),
    ("1.5,2,true,1,DE", {"age": 1.5, "rate": 2.0, "member": True, "grade": "1", "country": "DE"}),
    ("200,2,true,1,DE", {"age": 200, "rate": 2.0, "member": True, "grade": "1", "country": "DE"}),
    ("20,2,true,9,DE", {"age": 20, "rate": 2.0, "member": True, "grade": "9", "country": "DE"}),
    ("20,true,true,1,DE", None),
    ("20,2,maybe,1,DE", None),
    ("20,2,2,1,DE", None),
    ("20,nan?,true,1,DE", None),
]  # fmt: skip


@pytest.mark.parametrize("cut", [1, 2, 3, 100])
def test_cells_are_what_they_are_in_a_request_wherever_the_table_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    agreed = case.contract(inputs=INPUTS)
    codec = RowCodec(agreed)
    table = tmp_path / "t.csv"
    table.write_text("age,rate,member,grade,country\n" + "".join(f"{line}\n" for line, _ in CELLS))
    columns = Columns(agreed, codec, Csv())
    read = parts.source(table, Csv())
    at = 0
    for part in read.parts(cut):
        typed = columns.typed(part, texts=True)
        for place in range(len(part)):
            row = CELLS[at][1]
            assert (place in typed.wrong) == (row is None), CELLS[at]
            if row is not None:
                sent = codec.from_mappings([row])
                k, m = 8 * len(codec.numeric), len(codec.textual)
                assert np.array_equal(
                    np.frombuffer(typed.rows.numbers[place * k : (place + 1) * k]),
                    np.frombuffer(sent.numbers),
                    equal_nan=True,
                )
                assert typed.rows.texts[place * m : (place + 1) * m] == sent.texts
            at += 1
    assert at == len(CELLS)


def test_types_of_parquet_are_taken_as_they_come() -> None:
    agreed = case.contract(inputs=INPUTS)
    codec = RowCodec(agreed)
    frame = pd.DataFrame(
        {
            "age": pd.array([1, None, 3], "Int32"),
            "rate": pd.array([1.5, 2.5, None], "Float32"),
            "member": pd.array([True, False, None], "boolean"),
            "grade": pd.Categorical([1, 2, None]),
            "country": ["NA", "DE", None],
        }
    )
    typed = Columns(agreed, codec, Csv()).typed(pa.Table.from_pandas(frame), texts=False)
    assert not typed.wrong
    numbers = np.frombuffer(typed.rows.numbers).reshape(3, 3)
    assert np.array_equal(numbers, [[1, 1.5, 1], [np.nan, 2.5, 0], [3, np.nan, np.nan]], equal_nan=True)
    assert typed.rows.texts == ["1", "NA", "2", "DE", None, None]
    odd = pa.table({"age": [1], "rate": [True], "member": [3], "grade": ["1"], "country": ["DE"]})
    assert list(Columns(agreed, codec, Csv()).typed(odd, texts=False).wrong) == [0]


def test_plain_columns_mean_what_pandas_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's own values, and the long way round, for each type that has a short one."""
    draw, names = np.random.default_rng(3), ("age", "rate", "member")
    agreed = case.contract(inputs=INPUTS)
    columns = Columns(agreed, RowCodec(agreed), Csv())
    many: list[tuple[pa.Array, ...]] = []
    for kind in (pa.int8(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_()):
        whole = pa.array(draw.integers(0, 3, 40)).cast(kind)
        gaps = pa.array([None if at % 7 == 3 else value for at, value in enumerate(whole.to_pylist())], kind)
        many += [(whole,) * 3, (gaps,) * 3]
    many.append((pa.array([2**60, -(2**53) - 1] * 20), pa.array([np.nan, np.inf] * 20), pa.array([0.5, 1.0] * 20)))
    for arrays in many:
        texts = {name: pa.array(["NA", "2", None, "é", ""] * 8, kind) for name, kind in (
            ("grade", pa.string()), ("country", pa.large_string()),
        )}  # fmt: skip
        table = pa.concat_tables([pa.table(dict(zip(names, arrays, strict=True)) | texts)] * 2)
        quick = columns.typed(table, texts=False)
        with monkeypatch.context() as patched:
            patched.setattr("modelmark.serving.tables.columns._is_plain", lambda column, item: False)
            slow = columns.typed(table, texts=False)
        assert quick.rows == slow.rows, arrays[0].type
        assert {at: str(error) for at, error in quick.wrong.items()} == {at: str(e) for at, e in slow.wrong.items()}


def test_runs_beside_one_another_answer_in_the_rows_order(
    served: case.Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 1000)
    frame = drawn()
    table = written(frame, tmp_path, "parquet")
    _, one = answered(served, table, tmp_path / "one.parquet")
    monkeypatch.setattr(scoring, "RUN_ROWS", 3)
    monkeypatch.setattr(scoring, "_at_a_time", lambda version: 4)
    _, many = answered(served, table, tmp_path / "many.parquet")
    assert many["prediction_id"].nunique() == -(-ROWS // 3)
    assert many["prediction_row"].tolist() == [at % 3 for at in range(ROWS)]
    columns = ["row", "prediction", "score", "probability_0", "probability_1"]
    pd.testing.assert_frame_equal(one[columns], many[columns], check_exact=True)


class Cut(Exception):
    """What a kill does to a process, as far as its files can tell."""


@pytest.mark.parametrize("stage", ["prepare", "append", "keep"])
def test_what_was_cut_short_goes_on_and_every_answer_is_journaled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    built = case.build(tmp_path / "served")
    case.release(built)
    table, out = written(drawn(), tmp_path, "parquet"), tmp_path / "out.parquet"
    real, times = getattr(Output, "keep" if stage != "prepare" else "prepare"), []

    def cut(self: Output, *given: Any) -> None:
        times.append(1)
        if len(times) == 4:
            raise Cut
        real(self, *given)

    with monkeypatch.context() as patched:
        if stage == "append":
            append = Writer.append_many

            def refuse(self: Writer, records: Any) -> None:
                times.append(1)
                if len(times) == 4:
                    raise Cut
                append(self, records)

            patched.setattr(Writer, "append_many", refuse)
        else:
            patched.setattr(Output, stage, cut)
        with pytest.raises(Cut):
            answered(built, table, out)
    assert not out.exists()
    found, frame = answered(built, table, out)
    assert found.went_on_at == (28 if stage == "keep" else 21)
    kept = {record.id: record.rows for record in journaled(built) if isinstance(record, Predicted)}
    assert kept == frame.groupby("prediction_id").size().to_dict()
    assert sum(kept.values()) == ROWS
    assert frame["row"].tolist() == list(range(ROWS))


def test_parts_of_another_job_are_not_gone_on_with(served: case.Built, tmp_path: Path) -> None:
    table, out = written(drawn(), tmp_path, "parquet"), tmp_path / "out.parquet"
    folder = tmp_path / "out.parquet.parts"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"table": "0", "version": "0", "part_rows": 7, "keep": []}))
    with pytest.raises(Conflict, match="another table") as refused:
        answered(served, table, out)
    assert refused.value.code == "OTHER_JOB"
    assert "--again" in str(refused.value.hint)
    assert answered(served, table, out, again=True)[0].rows == ROWS


def test_two_may_not_write_one_file(served: case.Built, tmp_path: Path) -> None:
    job = Job("0", "0", 7, [])
    with Output.opened(tmp_path / "o.csv", job):
        second = Output.opened(tmp_path / "o.csv", job)
        with pytest.raises(Conflict, match="another process"):
            second.__enter__()


def test_what_the_model_cannot_answer_goes_to_the_fallbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that kills the run, and one whose answer is no number."""
    agreed = case.contract(fallback=(Fallback(kind=FallbackKind.CONSTANT, value=0),))
    built = case.build(tmp_path / "served", agreed)
    case.release(built)
    frame = drawn()
    frame.loc[5, "f0"], frame.loc[30, "f0"] = 99.0, 98.0
    run = Execution.run

    def faulty(self: Execution, numbers: Any, texts: Any) -> Any:
        if (numbers[:, 0] == 99).any():
            raise RuntimeError("the model died")
        scores = run(self, numbers, texts)
        scores[numbers[:, 0] == 98] = np.nan
        return scores

    monkeypatch.setattr(Execution, "run", faulty)
    found, out = answered(built, written(frame, tmp_path, "csv"), tmp_path / "out.parquet")
    assert found.served_by == {"model": ROWS - 2, "constant": 2}
    assert out.loc[[5, 30], "served_by"].tolist() == ["constant", "constant"]
    assert out.loc[[5, 30], "prediction"].tolist() == [0, 0]
    assert out.loc[[5, 30], "score"].isna().all()
    paths: Counter[str] = Counter()
    for record in journaled(built):
        if isinstance(record, Predicted):
            paths[record.path] += record.rows
    assert paths == {"model": ROWS - 2, "constant": 2}


def test_the_version_before_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = case.contract(fallback=(Fallback(kind=FallbackKind.PREVIOUS_VERSION),))
    first = case.build(tmp_path / "served", agreed, number=1)
    second = case.build(tmp_path / "served", agreed, number=2)
    case.release(second, previous=first)
    run = Execution.run
    frame = drawn(9)
    frame.loc[4, "f0"] = 97.0
    champion: list[Execution] = []

    def faulty(self: Execution, numbers: Any, texts: Any) -> Any:
        champion.append(self) if not champion else None
        if self is champion[0] and (numbers[:, 0] == 97).any():
            raise RuntimeError("the model died")
        return run(self, numbers, texts)

    table = written(frame, tmp_path, "parquet")
    verifier = keys.signer(second.workspace.keys).verifier()
    expected = LocalPredictor.of_marked(first.folder, verifier, first.id).predict(
        frame.drop(columns="key").loc[[4]].to_dict("records")
    )
    use = use_of(second)
    live = use._live("churn")
    champion.append(live.champion.execution)
    monkeypatch.setattr(PredictTable, "_live", lambda self, model: live)
    monkeypatch.setattr(Execution, "run", faulty)
    use("churn", table, tmp_path / "out.parquet", progress=lambda *_: None)
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert out.loc[4, ["served_by", "version"]].tolist() == ["previous_version", "v1"]
    assert out.loc[4, ["probability_0", "probability_1"]].tolist() == expected[0]
    assert set(out.drop(index=4)["version"]) == {"v2"}


def refusals() -> list[Any]:
    return [
        ("t.csv", "f0,f1\n1,2\n", {}, Rejected, "MISSING_COLUMN", "TABLE"),
        ("t.csv", "f0,f1,f2\n", {}, Rejected, "EMPTY_TABLE", "TABLE"),
        ("t.csv", "f0,f1,f2\n1,2,3,4\n", {}, Rejected, "FIELD_COUNT", "f2"),
        ("t.csv", "f0,f1,f2,f2\n1,2,3,4\n", {}, Rejected, "DUPLICATE_COLUMN", "f2"),
        ("t.csv", 'f0,f1,f2\n1,2,"3\n', {}, Rejected, "MALFORMED_TABLE", "TABLE"),
        ("t.csv", "f0,f1,f2\n1,2,3\n", {"keep": ["who"]}, Rejected, "MISSING_COLUMN", "--keep"),
        ("t.csv", "f0,f1,f2,row\n1,2,3,4\n", {"keep": ["row"]}, Rejected, "COLUMN_TAKEN", "--keep"),
        ("t.parquet", "no parquet", {}, Rejected, "MALFORMED_TABLE", "TABLE"),
        ("t.xlsx", "f0", {}, Rejected, "UNKNOWN_FORMAT", "TABLE"),
        ("none.csv", None, {}, Missing, "NO_TABLE", "TABLE"),
    ]


@pytest.mark.parametrize(("name", "text", "how", "kind", "code", "field"), refusals())
def test_a_table_that_cannot_be_answered_is_refused_by_name(
    served: case.Built, tmp_path: Path, name: str, text: str | None, how: Any, kind: Any, code: str, field: str
) -> None:
    table = tmp_path / name
    if text is not None:
        table.write_text(text)
    with pytest.raises(kind) as refused:
        answered(served, table, tmp_path / "out.parquet", **how)
    assert isinstance(refused.value, ModelmarkError)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not (tmp_path / "out.parquet").exists()


def test_no_release_no_answers(tmp_path: Path) -> None:
    built = case.build(tmp_path / "served")
    with pytest.raises(Missing) as refused:
        answered(built, written(drawn(), tmp_path, "csv"), tmp_path / "out.parquet")
    assert refused.value.code == "NO_SNAPSHOT"
    case.release(dataclasses.replace(built))
    (built.folder / "mark.dsse.json").unlink()
    with pytest.raises(ModelmarkError) as unmarked:
        answered(built, written(drawn(), tmp_path, "csv"), tmp_path / "out.parquet")
    assert unmarked.value.code == "NO_MARK"


def test_numbers_into_a_csv(tmp_path: Path) -> None:
    built = case.build(tmp_path / "served", case.contract(task=Task.REGRESSION, outputs=Outputs()))
    case.release(built)
    use_of(built)(
        "churn", written(drawn(), tmp_path, "csv"), tmp_path / "out.csv", keep=["all"], progress=lambda *_: None
    )
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns)[:8] == ["f0", "f1", "f2", "key", "row", "prediction_id", "prediction_row", "prediction"]
    verifier = keys.signer(built.workspace.keys).verifier()
    rows = drawn().drop(columns="key").to_dict("records")
    expected = LocalPredictor.of_marked(built.folder, verifier, built.id).predict(rows)
    assert out["prediction"].tolist() == [row[0] for row in expected]


def test_the_answers_with_a_label_beside_them_are_what_label_reads(served: case.Built, tmp_path: Path) -> None:
    out = answered(served, written(drawn(), tmp_path, "csv"), tmp_path / "out.parquet", keep=["key"])[1]
    out.assign(label=1).to_csv(tmp_path / "labels.csv", index=False)
    with Writer(served.workspace.wal) as writer:
        found = import_labels(
            tmp_path / "labels.csv", "churn", served.contract, served.workspace, writer, datetime.now(UTC)
        )
    assert (found.accepted, found.refused, found.unknown) == (ROWS, 0, 0)
    counted = out.groupby("prediction_id").size().to_dict()
    assert rows_of_each(served.workspace, "churn", set(out["prediction_id"])) == counted


@pytest.mark.parametrize("form", ["csv", "parquet", "delta"])
def test_rows_may_say_when_they_happened(tmp_path: Path, form: str) -> None:
    built = case.build(tmp_path / "served")
    case.release(built)
    moment = pd.Timestamp("2026-03-01T10:00:00Z")
    frame = drawn(20).assign(when=[moment + pd.Timedelta(hours=place) for place in range(20)])
    frame.loc[5, "when"] = pd.NaT
    frame.loc[6, "when"] = pd.Timestamp.now("UTC") + pd.Timedelta(hours=1)
    found, out = answered(built, written(frame, tmp_path, form), tmp_path / "out.parquet", at="when")
    assert found.refused == {"BAD_TIME": 2}
    assert out.loc[[5, 6], "error_field"].tolist() == ["when", "when"]
    events = [int(ns) for r in journaled(built) if isinstance(r, Predicted) for ns in np.frombuffer(r.event, "<i8")]
    assert sorted(events) == [(moment + pd.Timedelta(hours=place)).value for place in range(20) if place not in (5, 6)]


@pytest.mark.parametrize(
    ("written_as", "said"),
    [
        ("2026-03-01T10:00:00+02:00", 1_772_352_000), ("2026-03-01", 1_772_323_200), ("1772323200", 1_772_323_200),
        ("1772323200000", 1_772_323_200), ("1772323200000000", 1_772_323_200), ("03/04/2026", None),
        ("soon", None), ("7", None), ("", None),
    ],
)  # fmt: skip
def test_a_moment_means_the_same_wherever_the_table_is_cut(written_as: str, said: int | None) -> None:
    (found,) = moments(pd.Series([written_as], dtype=object))
    assert (found / 1e6 == said) if said else np.isnan(found)
