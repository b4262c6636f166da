"""CSV files as they come: fields and names are counted before anything is typed, and nothing moves or goes in silence."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelmark.contract import csv_file
from modelmark.contract.csv_file import records
from modelmark.contract.table import read_table
from modelmark.domain.contract import Csv, DataType, Input
from modelmark.domain.errors import Malformed, Rejected


def written(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def refused(path: Path) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read_table(path)
    return caught.value


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    ("text", "line", "row", "column"),
    [
        pytest.param("a,b\n1,2,\n3,4,\n", 2, 0, "b", id="a comma at the end of each row"),
        pytest.param("a,b\n0,1,2\n1,3,4\n", 2, 0, "b", id="row names without a header"),
        pytest.param("a,b\n1,2\n\n5,6\n3,4,5\n", 5, 2, "b", id="one row too long, after a blank line"),
        pytest.param('a,b\n"x\ny",2\n3,4,5\n', 4, 1, "b", id="after a text of two lines"),
        pytest.param("a,b,c\n1,2,3\n4,5\n", 3, 1, "c", id="one row too short"),
        pytest.param("a,b\n1,2\n3,4\n'5,6',7\n", 4, 2, "b", id="a comma in quotes of another kind"),
    ],
)
def test_a_row_of_another_length_than_the_header_is_refused_with_its_line(tmp_path, name, text, line, row, column):
    error = refused(written(tmp_path, text, name))
    assert (error.code, error.row, error.field) == ("FIELD_COUNT", row, column)
    assert error.message.startswith(f"{name}, line {line} has ")
    assert error.limit
    assert error.hint


@pytest.mark.parametrize(
    ("text", "columns"),
    [("\na,b,a\n1,2,3\n", "1 and 3"), ('a,b,c,"b"\n1,2,3,4\n', "2 and 4"), ("\ufeffa,b,a\n1,2,3\n", "1 and 3")],
)
def test_a_name_that_stands_twice_in_a_header_is_refused(tmp_path, text, columns):
    error = refused(written(tmp_path, text))
    assert error.message.startswith(f"t.csv, line {2 if text[0] == chr(10) else 1}: ")
    assert error.code == "DUPLICATE_COLUMN"
    assert error.field in ("a", "b")
    assert f"as columns {columns}" in error.message
    assert error.hint


def test_a_name_that_stands_twice_in_a_parquet_file_is_refused_by_name(tmp_path):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    error = refused(tmp_path / "t.parquet")
    assert (error.code, error.field) == ("DUPLICATE_COLUMN", "a")


def test_names_that_only_look_alike_are_other_columns(tmp_path):
    text = 'a b,a-b,a.b,a_b,Age,age,a,a.1, padded ,年齢,"5"" pipe",100%\n' + ",".join(map(str, range(12))) + "\n"
    found = read_table(written(tmp_path, text))
    assert list(found.columns)[:4] == ["a b", "a-b", "a.b", "a_b"]
    assert list(found.columns)[4:] == ["Age", "age", "a", "a.1", " padded ", "年齢", '5" pipe', "100%"]
    assert found.iloc[0].tolist() == list(range(12))


def test_a_column_without_a_name_keeps_the_name_that_pandas_gives_it(tmp_path):
    """What `DataFrame.to_csv` writes with its index."""
    found = read_table(written(tmp_path, ",a\n0,5\n1,6\n"))
    assert list(found.columns) == ["Unnamed: 0", "a"]
    assert found["a"].tolist() == [5, 6]
    assert refused(written(tmp_path, ",Unnamed: 0\n1,2\n")).code == "DUPLICATE_COLUMN"


def test_a_column_without_a_name_and_without_a_value_is_none(tmp_path):
    """What a separator at the end of every line leaves."""
    path = written(tmp_path, "a,b,\n1,2,\n3,4,\n")
    assert list(read_table(path).columns) == ["a", "b"]
    assert list(read_table(path, columns=["Unnamed: 2"]).columns) == ["a", "b", "Unnamed: 2"], (
        "unless somebody asks for it"
    )
    agreed = Input(name="Unnamed: 2", type=DataType.NUMBER, nullable=True)
    assert list(read_table(path, inputs=[agreed]).columns) == ["a", "b", "Unnamed: 2"]
    assert list(read_table(written(tmp_path, "a,b\n1,\n")).columns) == ["a", "b"], "what has a name stays"
    assert refused(written(tmp_path, "a,b,\n1,2,\n3,4,5,\n")).code == "FIELD_COUNT"


def test_a_named_index_of_a_parquet_file_is_a_column_and_no_index_is_kept(tmp_path):
    pd.DataFrame({"a": [1, 2]}, index=pd.Index([7, 7], name="who")).to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert found["who"].tolist() == [7, 7]
    assert found.index.tolist() == [0, 1]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_one(tmp_path, end):
    found = read_table(written(tmp_path, end.join(["a,b", "1,x", "", "2,y", "   ", ""])))
    assert (found["a"].tolist(), found["b"].tolist()) == ([1, 2], ["x", "y"])


def test_cells_are_typed_as_they_are_written(tmp_path):
    text = "n,f,t,b,g,e,s,w\n1,1.5,x,True,true,,'1',NA\n-2,1e3,NA,False,,, 2 ,7\n+3,inf,?,TRUE,FALSE,,3,\n"
    found = read_table(written(tmp_path, text))
    assert found["n"].tolist() == [1, -2, 3]
    assert found["f"].tolist() == [1.5, 1000.0, np.inf]
    assert found["t"].tolist() == ["x", "NA", "?"]
    assert found["b"].tolist() == [True, False, True]
    assert found["g"].tolist() == [True, None, False]
    assert found["e"].isna().all()
    assert found["s"].tolist() == ["'1'", " 2 ", "3"]
    assert found["w"].tolist()[1] == 7
    assert found["w"].isna().tolist() == [True, False, True]
    assert [str(found[name].dtype) for name in "nftbgew"] == [
        "int64",
        "float64",
        "str",
        "bool",
        "object",
        "float64",
        "float64",
    ]


def test_decimals_are_read_as_a_request_reads_them(tmp_path):
    written_numbers = ["0.1234567890123456", "1.7976931348623157e308", "123456.789012345678", "5e-324"]
    found = read_table(written(tmp_path, "\n".join(["a", *written_numbers])))
    assert found["a"].tolist() == [float(text) for text in written_numbers]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', 2),
        ('a,b\n1,x\n\n2,"y', 4),
        ('a\n"x\ny\n', 2),
        ('a,b\n1,"x""', 2),
        ('a,b\n1,"\n', 2),
    ],
)
def test_a_quotation_mark_that_is_never_closed_hides_no_rows(tmp_path, text, line, encoding):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding=encoding, newline="")
    how = Csv(encoding="utf-8" if encoding.startswith("utf-8") else encoding)
    with pytest.raises(Malformed) as caught:
        read_table(path, csv=how)
    assert caught.value.code == "MALFORMED_TABLE"
    assert f"line {line}" in caught.value.message


@pytest.mark.parametrize("last", ['"x"', "x", 'x"y', '"x"z', '"x"" y"', "", '""', '"x\ny"', "7"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_last_row_is_read_however_it_ends(tmp_path, last, end):
    found = read_table(written(tmp_path, f"a,b\n1,0\n2,{last}{end}"))
    assert found["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"a,b\n1,x\n2,\xff\n", "utf-8"),
        (b"a,b\n1,x\n2,\x81\n", "windows-1252"),
        ("a,b\n1,x\n".encode("utf-16") + b"\x00\xd8", "utf-16"),
        (b"\xff,b\n1,x\n", "utf-8"),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path, data, encoding):
    with pytest.raises(Malformed) as caught:
        read_table(written(tmp_path, data), csv=Csv(encoding=encoding))
    assert caught.value.code == "MALFORMED_TABLE"


def test_reading_changes_nothing_for_other_readers_of_this_process(tmp_path):
    before = csv.field_size_limit()
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    list(records(path, ",", "utf-8"))
    next(records(path, ",", "utf-8"))
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("block", [32, 4096])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a,b\n" + "1,2\n" * 30, id="short rows"),
        pytest.param("a,b\n" + "1,2\n" * 30 + f"{'x' * 500},3\n" + "4,5\n" * 9, id="a long row among short ones"),
        pytest.param(f"{'n' * 300},b\n" + "1,2\n" * 30, id="a header longer than a block"),
        pytest.param('a,b\n1,2\n"' + "x\n" * 90 + '",3\n4,5\n', id="a text of many lines"),
        pytest.param("a,b\n1,2\n" + "\n" * 300 + "3,\n", id="many lines without a field"),
    ],
)
def test_a_file_in_blocks_is_the_file_whole_however_long_its_rows_are(tmp_path, monkeypatch, text, block):
    monkeypatch.setattr(csv_file, "_SMALL", block)
    path = written(tmp_path, text)
    names, batches = csv_file.texts_in_batches(path, Csv())
    whole = csv_file.read_texts(path, Csv())
    assert pa.Table.from_batches(batches()).equals(whole)
    assert list(names) == whole.column_names
    few = [len(batch) for batch in batches()]
    assert sum(few) == len(whole)
    if block == 32 and "x" not in text and "n" not in text:
        assert len(few) > 3


def test_what_cannot_be_read_in_blocks_is_refused_as_the_whole_is(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "_SMALL", 32)
    for text, kind in (("a,b\n" + "1,2\n" * 50 + "3\n", Rejected), ("a,b\n" + "1,2\n" * 50 + '3,"4\n', ValueError)):
        path = written(tmp_path, text)
        with pytest.raises(kind) as whole:
            csv_file.read_texts(path, Csv())
        with pytest.raises(kind) as parted:
            list(csv_file.texts_in_batches(path, Csv())[1]())
        assert str(parted.value) == str(whole.value)
