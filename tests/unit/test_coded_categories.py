"""Whole numbers that stand for categories: sent as numbers, known one by one, without order."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import models
from builders.domain import contract as loans
from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import Facts, infer
from modelmark.contract.probes import probes
from modelmark.contract.read import parse
from modelmark.contract.rows import RowCodec
from modelmark.contract.rules import rule_violations
from modelmark.contract.table import check_table, rows_of
from modelmark.domain.contract import DataType, Input, Policy
from modelmark.domain.errors import ContractInvalid, Rejected
from modelmark.explaining.encoder import RowEncoder
from modelmark.gates.common.baselines import Encoder
from modelmark.gates.common.edge_inputs import Promise, odd_requests
from modelmark.gates.common.probe_model import matrix
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.stats import profile

#: Five codes with a gap between them.
CODES = ("0", "1", "2", "3", "6")


def education(**changes):
    return Input(**{"name": "EDUCATION", "type": DataType.INTEGER, "categories": CODES, **changes})


def asking(item):
    codec = RowCodec(dataclasses.replace(loans(), inputs=(item,)))

    def ask(*values):
        body = msgspec.json.encode([{item.name: value} for value in values])
        rows = codec.rows(msgspec.json.decode(body, type=codec.rows_type))
        return codec.batch(rows)

    return ask


@pytest.mark.parametrize("many", [1, 100], ids=["few", "many"])
@pytest.mark.parametrize("code", [-1, 4, 7])
def test_a_code_that_is_none_gets_what_the_contract_says(code, many):
    known = [0, 6.0, 3] * many
    assert asking(education(on_unseen=Policy.REJECT))(*known).flags == []
    with pytest.raises(Rejected) as caught:
        asking(education(on_unseen=Policy.REJECT))(*known, code)
    assert (caught.value.code, caught.value.field, caught.value.row) == ("UNSEEN_CATEGORY", "EDUCATION", len(known))
    flagged = asking(education())(*known, code)
    assert flagged.flags == [(len(known), "EDUCATION", "UNSEEN")]
    assert flagged.numbers[-1, 0] == code, "the model answers what it answers"
    imputed = asking(education(on_unseen=Policy.IMPUTE, impute=2.0))(*known, code)
    assert [flag for *_, flag in imputed.flags] == ["UNSEEN", "IMPUTED"]
    assert imputed.numbers[-1, 0] == 2


def test_what_is_no_whole_number_is_refused_and_null_only_where_it_may_be():
    for value in (2.5, "3", True, None):
        codec = RowCodec(dataclasses.replace(loans(), inputs=(education(),)))
        with pytest.raises(Rejected) as caught:
            codec.batch(codec.from_mappings([{"EDUCATION": value}]))
        assert caught.value.code == ("NULL_NOT_ALLOWED" if value is None else "WRONG_TYPE")
    assert asking(education(nullable=True))(3, None).flags == [(1, "EDUCATION", "MISSING")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"categories": ("0", "01")}, "categories"),
        ({"categories": ("0", "low")}, "categories"),
        ({"categories": ("-0",)}, "categories"),
        ({"categories": ("9007199254740992",)}, "categories"),
        ({"categories": ()}, "categories"),
        ({"minimum": 0.0}, "minimum"),
        ({"impute": "3"}, "impute"),
        ({"on_unseen": Policy.IMPUTE}, "impute"),
        ({"type": DataType.NUMBER}, "categories"),
    ],
)
def test_a_contract_says_codes_one_way(changes, field):
    broken = dataclasses.replace(loans(), inputs=(education(**changes),))
    assert ("inputs", 0, field) in [rule.path for rule in rule_violations(broken)]
    good = dataclasses.replace(loans(), inputs=(education(categories=("-1", *CODES)),))
    assert list(rule_violations(good)) == []


def test_codes_are_written_with_or_without_quotes(tmp_path):
    table = pd.DataFrame({"EDUCATION": [0, 1, 2, 3], "y": [0, 1, 0, 1]})
    draft = infer(table, target="y", facts=Facts(categories={"EDUCATION": (0, 1, 2, 3, 6)}))
    text = render(draft, Paths(name="loans", model="m.joblib", train="t.csv", holdout="h.csv", target="y"))
    quoted = 'categories: ["0", "1", "2", "3", "6"]'
    for written in (text, text.replace(quoted, "categories: [0, 1, 2, 3, 6]")):
        assert parse(written.encode(), tmp_path / "modelmark.yaml").contract.inputs == (education(),)
    assert quoted in text
    with pytest.raises(ContractInvalid):
        parse(text.replace(quoted, "categories: [0, 1.5]").encode(), tmp_path / "modelmark.yaml")


@pytest.mark.parametrize("null", [False, True])
def test_a_draft_lists_the_codes_and_counts_those_the_encoder_lacks(null):
    table = pd.DataFrame({"EDUCATION": [1, 2, 9, 1], "y": [0, 1, 0, 1]})
    if null:
        table = pd.concat([table, pd.DataFrame({"EDUCATION": [np.nan], "y": [1]})], ignore_index=True)
    facts = Facts(kinds={"EDUCATION": "number"}, categories={"EDUCATION": (0, 1, 2, 3, 6)})
    draft = infer(table, target="y", facts=facts)
    assert draft.inputs == (education(nullable=null),)
    assert "1 more in the training table that it does not know" in draft.guesses["inputs.EDUCATION"]
    parted = infer(table.assign(EDUCATION=table["EDUCATION"] + 0.5), target="y", facts=facts)
    assert parted.inputs[0].categories is None, "fractions are no codes"


def test_a_table_is_held_to_the_codes():
    contract = dataclasses.replace(loans(), inputs=(education(),))
    (found,) = check_table(pd.DataFrame({"EDUCATION": [0.0, 4.0, 6.0], "y": [0, 1, 0]}), contract)
    assert (found.rule, found.rows, found.policy) == ("unseen category", (1,), Policy.FLAG)


def test_drift_counts_codes_one_by_one():
    contract = dataclasses.replace(loans(), inputs=(education(),))
    train = pd.DataFrame({"EDUCATION": [0.0, 1.0, 1.0, None]})
    reference = profile.Reference.from_bytes(profile.reference(contract, train, np.array([[0.4, 0.6]])))
    column = reference.columns["EDUCATION"]
    assert (column.values, column.closed, column.counts.tolist()) == (CODES, True, [1, 2, 0, 0, 0, 0, 1])
    window = column.tally(pa.chunked_array([[6.0, 4.0, 0.5], [None, 0.0]]))
    assert window.tolist() == [1, 0, 0, 0, 1, 2, 1]


def test_probes_try_each_code_and_what_is_none():
    contract = dataclasses.replace(loans(), inputs=(education(),))
    found = probes(contract, pd.DataFrame({"EDUCATION": [0, 1, 2, 6] * 20, "y": [0, 1] * 40}))
    rows = {family: found.frame["EDUCATION"][np.array(found.families) == family] for family in found.families}
    assert set(rows["categories"]) == {0, 1, 2, 6}
    assert set(rows["unseen categories"]) == {-1, 4, 7, 1006}
    assert not {"bounds", "split points"} & {*found.families}


def test_gates_ask_codes_as_categories():
    contract = dataclasses.replace(loans(), inputs=(education(on_unseen=Policy.REJECT),))
    promised = {odd.name: odd.promise for odd in odd_requests(contract, {"EDUCATION": 1})}
    assert promised["EDUCATION: code 6"] is Promise.ANSWER
    assert {promised[f"EDUCATION: unseen code {code}"] for code in (-1, 4, 7)} == {Promise.REFUSAL}
    table = pd.DataFrame({"EDUCATION": [6, 6, 6, 1]})
    assert Encoder(contract.inputs, table)(table).tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    assert matrix(contract.inputs, table)[:, 0].tolist() == [0, 0, 0, 1], "ranks of frequency"


@pytest.mark.parametrize("null", [False, True])
def test_explainers_take_codes_for_categories_and_send_them_as_numbers(null):
    contract = dataclasses.replace(loans(), inputs=(education(nullable=null), loans().inputs[1]))
    table = pd.DataFrame({"EDUCATION": [6, 1, 3, 6], "job": ["a", "b", "b", "a"]})
    table["EDUCATION"] = table["EDUCATION"].where(~(table["EDUCATION"].eq(3) & null))
    encoder = RowEncoder(contract, table)
    coded = encoder.encode(table)
    assert set(coded[~np.isnan(coded[:, 0]), 0]) == set(range(2 if null else 3)), (
        "places of codes, which have no distance"
    )
    sent = rows_of(encoder.decode(coded), contract)
    assert sent == rows_of(table, contract)
    RowCodec(contract).batch(RowCodec(contract).from_mappings(sent))


ENCODERS = {
    "one-hot": OneHotEncoder(handle_unknown="ignore"),
    "one-hot, the first left out": OneHotEncoder(handle_unknown="ignore", drop="first"),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "ordinal, null and the unknown apart": OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=9, encoded_missing_value=-2
    ),
    "ordinal, the unknown as null": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
}


@pytest.mark.usefixtures("sandbox_here")
@pytest.mark.parametrize(
    ("name", "null"), [("one-hot", False), ("ordinal", False), *((name, True) for name in ENCODERS)]
)
def test_the_graph_answers_every_code_as_the_model_does(tmp_path, name, null):
    """The rows compared hold every code, unseen ones and null: see the probes above."""
    table = models.frame(400, 1)
    table["EDUCATION"] = np.random.default_rng(3).choice([0, 1, 2, 3, 6], 400, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    table["y"] = np.where((table["EDUCATION"] % 3 == 0) ^ (table["age"] > 50), "yes", "no")
    if null:
        table["EDUCATION"] = table["EDUCATION"].where(table["EDUCATION"] != 2)
    names = ["age", "EDUCATION"]
    model = make_pipeline(
        make_column_transformer((ENCODERS[name], ["EDUCATION"]), (StandardScaler(), ["age"])),
        HistGradientBoostingClassifier(max_iter=10, random_state=0) if "ordinal" in name else LogisticRegression(),
    )
    known = tuple(code for code in CODES if not null or code != "2")
    item = education(categories=known, nullable=null)
    contract = dataclasses.replace(models.contract(), inputs=(*models.inputs(names=["age"]), item))
    model.fit(table[names], table["y"])
    path = models.save(model, tmp_path)
    found = convert(path, contract, table, train=table, limits=sandbox.Limits(seconds=120), progress=lambda _: None)
    assert found.parity.flipped == 0
    assert found.parity.max_difference < 1e-4
    (feed,) = (feed for feed in found.signature.feeds if "EDUCATION" in feed.columns)
    assert feed.dtype != "string"
    families = {probe.family for probe in found.sample.probes}
    assert {"categories", "unseen categories"} <= families
    for probe in found.sample.probes:
        assert probe.original is not None, f"{probe.row} was never answered by the model itself"
