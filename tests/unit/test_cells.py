"""What is written in a column decides its type, reading a number loses nothing, and the contract has the last word."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from modelmark.contract.infer import Facts, infer
from modelmark.contract.rows import RowCodec
from modelmark.contract.table import check_table, read_table, rows_of
from modelmark.domain.contract import Contract, Data, DataType, Input, ModelSource, Objective, Outputs
from modelmark.domain.metrics import Metric, Task


def table(folder, *cells, inputs=()):
    (folder / "t.csv").write_text("\n".join(["c,y", *(f"{cell},{i % 2}" for i, cell in enumerate(cells))]) + "\n")
    return read_table(folder / "t.csv", inputs=inputs)


def agreed(**changes):
    item = Input(name="c", **changes)
    return Contract(
        modelmark=1, name="c", model=ModelSource(source="m", task=Task.BINARY),
        data=Data(train="t.csv", holdout="t.csv", target="y"), inputs=(item,),
        outputs=Outputs(classes=(0, 1), positive=1), objective=Objective(metric=Metric.ACCURACY),
    )  # fmt: skip


def sent(folder, *cells, **changes):
    """What requests hold of the column, as the contract types it."""
    contract = agreed(**changes)
    found = table(folder, *cells, inputs=contract.inputs)
    assert check_table(found, contract) == ()
    return [row["c"] for row in rows_of(found, contract)]


BIG = 2**53


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        pytest.param(["0123", "4567", "NA"], ["0123", "4567", "NA"], id="a leading zero"),
        pytest.param(["-07", "8"], ["-07", "8"], id="a leading zero after a sign"),
        pytest.param(["0", "10"], [0, 10], id="nought"),
        pytest.param(["0.5", "00.5"], [0.5, 0.5], id="nought before a point"),
        pytest.param(["0", "-0", "1"], [0, 0, 1], id="minus nought"),
        pytest.param([str(BIG - 1), "1"], [BIG - 1, 1], id="the last exact number"),
        pytest.param([str(BIG), "1"], [str(BIG), "1"], id="the first that is not exact"),
        pytest.param([f"-{BIG}", "", "1"], [f"-{BIG}", None, "1"], id="below, with a null"),
        pytest.param(["9" * 30, "1"], ["9" * 30, "1"], id="beyond 64 bits"),
        pytest.param(["1e20", "1.5"], [1e20, 1.5], id="no whole number"),
    ],
)
def test_what_a_number_would_lose_stays_text(tmp_path, cells, read):
    found = table(tmp_path, *cells)["c"]
    assert found.astype(object).where(found.notna(), None).tolist() == read


@pytest.mark.parametrize(
    ("cells", "changes", "values"),
    [
        pytest.param(["0123", "4567"], {"type": DataType.INTEGER}, [123, 4567], id="leading zeros as integers"),
        pytest.param([str(BIG * 4), "1"], {"type": DataType.NUMBER}, [float(BIG * 4), 1.0], id="beyond 2⁵³ as numbers"),
        pytest.param(
            ["007", "", "NA"], {"type": DataType.NUMBER, "nullable": True}, [7.0, None, None], id="with nulls"
        ),
        pytest.param(["1", "02", "1.50"], {"type": DataType.STRING}, ["1", "02", "1.50"], id="numbers as text"),
        pytest.param(
            ["1", "2.0", "", "NA"],
            {"type": DataType.CATEGORY, "categories": ("1", "2", "NA"), "nullable": True},
            ["1", "2", None, "NA"],
            id="categories that spell numbers otherwise",
        ),
        pytest.param(
            ["1.0", "2.50"],
            {"type": DataType.CATEGORY, "categories": ("1.0", "2.50")},
            ["1.0", "2.50"],
            id="as written",
        ),
        pytest.param(
            ["true", "False"],
            {"type": DataType.CATEGORY, "categories": ("False", "true")},
            ["true", "False"],
            id="truth",
        ),
        pytest.param(["True", "FALSE"], {"type": DataType.BOOLEAN}, [True, False], id="truth values"),
        pytest.param(["1", "0"], {"type": DataType.BOOLEAN}, [True, False], id="one and nought"),
    ],
)
def test_the_contract_has_the_last_word(tmp_path, cells, changes, values):
    assert sent(tmp_path, *cells, **changes) == values


def test_a_parquet_column_of_ids_is_a_number_where_the_contract_says_so(tmp_path):
    ids = pd.Series([BIG + 1, None, 5], dtype="Int64")
    pd.DataFrame({"c": ids}).to_parquet(tmp_path / "t.parquet")
    item = Input(name="c", type=DataType.NUMBER, nullable=True)
    assert read_table(tmp_path / "t.parquet", inputs=[item])["c"].tolist()[0] == float(BIG + 1)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.0", "2.0"], DataType.NUMBER),
        (["1", "2.0"], DataType.NUMBER),
        (["1", "2"], DataType.INTEGER),
        (["0123", "4567"], DataType.CATEGORY),
    ],
)
def test_only_what_is_written_whole_is_drafted_as_whole(tmp_path, cells, kind):
    (found,) = infer(table(tmp_path, *cells), target="y").inputs
    assert found.type is kind


@pytest.mark.parametrize("learned", [None, "number", "text"])
@pytest.mark.parametrize("big", [BIG, -BIG, BIG - 1])
def test_a_draft_of_ids_can_be_sent(learned, big):
    """Of integers the endpoint takes none at 2^53 or beyond."""
    frame = pd.DataFrame({"c": [1, big], "y": [0, 1]})
    (found,) = infer(frame, target="y", facts=Facts(features=("c",), kinds={"c": learned} if learned else {})).inputs
    contract = dataclasses.replace(agreed(type=DataType.NUMBER), inputs=(found,))
    assert check_table(frame, contract) == ()
    rows = RowCodec(contract).from_mappings(rows_of(frame, contract))
    assert RowCodec(contract).batch(rows).flags == []
    assert (found.type is DataType.CATEGORY) == (learned == "text" or (learned is None and abs(big) == BIG))
