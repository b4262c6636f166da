"""Names that cannot be served are refused where they first come in, with a way on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelmark.contract.draft import Paths, render
from modelmark.contract.dtypes import with_columns
from modelmark.contract.infer import Facts, infer
from modelmark.contract.names import name_from, names_a_model, require_model_name
from modelmark.contract.read import parse
from modelmark.contract.rows import RowCodec
from modelmark.contract.table import check_table
from modelmark.domain.errors import ContractInvalid, Rejected
from modelmark.registry.drafting.draft import draft_contract
from modelmark.stats.profile import reference

ODD = ['5" pipe', "back\\slash", "two\nlines", "tab\there", "x" * 256]
FINE = [
    "a b",
    "a-b",
    "a.b",
    " padded ",
    "年齢",
    "возраст",
    "price (EUR)",
    "100%",
    "label",
    "rows",
    "id",
    "it's",
    "{x}",
    "x" * 255,
]
PATHS = Paths(name="c", model="m.joblib", train="t.csv", holdout="h.csv", target="y")


def table(name: str) -> pd.DataFrame:
    return pd.DataFrame({name: [1, 2, 3, 4], "w": [4, 3, 2, 1], "y": [0, 1, 0, 1]})


@pytest.mark.parametrize("name", ODD)
def test_an_input_that_no_request_can_carry_is_refused_at_init_and_in_the_contract(name: str) -> None:
    with pytest.raises(Rejected) as caught:
        infer(table(name), target="y")
    assert (caught.value.code, caught.value.field) == ("BAD_COLUMN_NAME", name[:255])
    assert caught.value.hint
    with pytest.raises(Rejected):
        infer(table(name), target="y", facts=Facts(features=("w", name)))
    assert infer(table(name), target="y", facts=Facts(features=("w",))).left_out == (name,)
    text = render(infer(table("v"), target="y"), PATHS).replace(
        "{name: v,", "{name: " + pd.Series([name]).to_json(orient="values")[1:-1] + ","
    )
    with pytest.raises(ContractInvalid, match=r"inputs\[0\]\.name: found "):
        parse(text.encode(), Path("modelmark.yaml"))


@pytest.mark.parametrize("name", FINE)
def test_any_other_name_is_drafted_read_back_and_sent(name: str) -> None:
    contract = parse(render(infer(table(name), target="y"), PATHS).encode(), Path("modelmark.yaml")).contract
    assert [item.name for item in contract.inputs] == [name, "w"]
    assert RowCodec(contract).from_mappings([{name: 1, "w": 2}]).count == 1


@pytest.mark.parametrize("name", ["bank_dur", "Bank", "-x", "x-", "", "a" * 64, "ä", "a b"])
def test_a_model_s_name_is_looked_at_before_any_file(name: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.csv"
    with pytest.raises(Rejected) as caught:
        draft_contract(
            "no.joblib", train=nowhere, holdout=nowhere, target="y", name=name, out=tmp_path / "c.yaml",
            progress=lambda *_: None,
        )  # fmt: skip
    assert (caught.value.code, caught.value.field) == ("BAD_NAME", "--name")
    proposed = str(caught.value.hint).removeprefix("--name ")
    require_model_name(proposed)
    assert not (tmp_path / "c.yaml").exists()


@pytest.mark.parametrize("text", ["bank_dur", "My Churn_model", "---", "a" * 62 + "_b", "Größe", ""])
def test_a_name_can_be_made_of_any_text(text: str) -> None:
    assert names_a_model(name_from(text))


@pytest.mark.parametrize(
    "name", ["self", "cls", "args", "index", "columns", "dtype", "frame", "name", "__class__", "None"]
)
def test_a_column_may_be_called_what_a_function_calls_its_own(name: str) -> None:
    given = table(name)
    changed = with_columns(given, {name: given[name] + 1})
    assert list(changed.columns) == list(given.columns)
    assert (changed[name] == given[name] + 1).all()
    contract = parse(render(infer(given, target="y"), PATHS).encode(), Path("modelmark.yaml")).contract
    assert check_table(given, contract) == ()
    assert RowCodec(contract).from_mappings([{name: 1, "w": 2}]).count == 1
    assert reference(contract, changed, np.zeros((len(given), 2)))
