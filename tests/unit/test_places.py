"""Where Delta Lake cannot keep a table is said before anything is written, and it can everywhere else."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from modelmark.app.configuration import configured
from modelmark.domain.contract import Csv
from modelmark.domain.errors import Rejected
from modelmark.serving.tables.parts import source


@pytest.mark.parametrize("name", ["a[b]", "100%", "a%20b"])
def test_a_workspace_that_delta_lake_cannot_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Rejected) as refused:
        configured({}, workspace=tmp_path / name)
    assert (refused.value.code, refused.value.field) == ("BAD_PLACE", "--workspace")
    (tmp_path / name / "_delta_log").mkdir(parents=True)
    with pytest.raises(Rejected) as table:
        source(tmp_path / name, Csv())
    assert (table.value.code, table.value.field) == ("BAD_PLACE", "TABLE")


@pytest.mark.parametrize("name", ["a b", "a#b", "a?b", "ä", "a*b", "a'b", 'a"b', "a;b", "a&b=c", "{a}", "~a", "a+b"])
def test_every_other_name_holds_a_table(tmp_path: Path, name: str) -> None:
    place = configured({}, workspace=tmp_path / name).place.tables / "labels"
    write_deltalake(str(place), pa.table({"x": [1, 2]}))
    assert DeltaTable(str(place)).to_pyarrow_dataset().count_rows() == 2
    assert source(place, Csv()).rows == 2
