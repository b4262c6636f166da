"""A graph that somebody exported says how many columns it takes: that is compared before anything is drafted or run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper

from modelmark.contract.infer import Facts, infer
from modelmark.domain.errors import Rejected
from modelmark.registry import graph, graph_facts
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.refusal import Refusal


def exported(inputs: dict[str, list[object]], kind: int = TensorProto.FLOAT) -> bytes:
    taken = [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()]
    given = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    node = helper.make_node("Identity", [next(iter(inputs))], ["probabilities"])
    return helper.make_model(helper.make_graph([node], "g", taken, given)).SerializeToString()


def facts(folder: Path, inputs: dict[str, list[object]], known: tuple[str, ...] = ()) -> Facts:
    (folder / "m.onnx").write_bytes(exported(inputs))
    return inspect(folder / "m.onnx", known)


TABLE = pd.DataFrame(np.arange(12).reshape(4, 3), columns=["a b", "c", "d"]).assign(y=[0, 1, 0, 1])


@pytest.mark.parametrize(
    ("shape", "width"),
    [([None, 2], 2), (["N", 7], 7), ([1, 3], 3), ([None, None], None), ([None, "F"], None), ([4], None)],
)
def test_the_width_of_a_matrix_is_read_from_the_file(tmp_path, shape, width):
    data = exported({"X": shape})
    assert graph_facts.read(data).widths == {"X": width}
    assert facts(tmp_path, {"X": shape}).width == width


def test_inputs_named_like_columns_are_the_features_in_the_graph_s_order(tmp_path):
    found = facts(tmp_path, {"d": [None, 1], "a_b": [None, 1]}, ("a b", "c", "d", "y"))
    assert (found.features, found.width) == (("d", "a b"), None)
    assert [item.name for item in infer(TABLE, target="y", facts=found).inputs] == ["d", "a b"]
    unknown = facts(tmp_path, {"d": [None, 1], "e": [None, 1]}, ("a b", "c", "d", "y"))
    assert unknown.features == ("d", "e")
    with pytest.raises(Rejected) as caught:
        infer(TABLE, target="y", facts=unknown)
    assert (caught.value.code, caught.value.field) == ("MISSING_COLUMN", "e")


def test_a_graph_that_takes_more_columns_than_there_are_is_refused():
    with pytest.raises(Rejected) as caught:
        infer(TABLE, target="y", facts=Facts(width=4))
    assert caught.value.code == "COLUMNS_DIFFER"
    assert "the model takes 4 columns, the training table has 3" in caught.value.message
    assert caught.value.hint


def test_a_graph_that_takes_fewer_is_drafted_with_the_number_to_delete():
    found = infer(TABLE, target="y", facts=Facts(width=2))
    assert len(found.inputs) == 3
    assert found.guesses["inputs"].startswith("the model takes 2 columns, here are 3: delete 1")
    assert "delete" not in infer(TABLE, target="y", facts=Facts(width=3)).guesses["inputs"]


def asked(*kinds: str) -> dict[str, object]:
    inputs = [{"name": f"c{i}", "type": kind, "nullable": False} for i, kind in enumerate(kinds)]
    return {"task": "binary", "classes": [0, 1], "inputs": inputs}


@pytest.mark.parametrize(
    ("shape", "kind", "kinds", "reason", "numbers"),
    [
        ([None, 2], TensorProto.FLOAT, ("number", "number"), None, None),
        ([None, None], TensorProto.FLOAT, ("number",) * 3, None, None),
        ([None, 2], TensorProto.FLOAT, ("number",) * 3, "column_count", [2, 3]),
        ([None, 4], TensorProto.FLOAT, ("number",) * 3, "column_count", [4, 3]),
        ([None, 2], TensorProto.FLOAT, ("number", "category"), "graph_takes_numbers", []),
        ([None, 2], TensorProto.STRING, ("string", "category"), None, None),
        ([None, 2], TensorProto.STRING, ("number", "category"), "graph_takes_texts", []),
    ],
)
def test_a_matrix_that_does_not_fit_the_inputs_is_refused_before_it_runs(shape, kind, kinds, reason, numbers):
    model = graph.read(exported({"X": shape}, kind))
    if reason is None:
        assert len(graph.infer_signature(model, asked(*kinds))["feeds"]) == 1
        return
    with pytest.raises(Refusal) as caught:
        graph.infer_signature(model, asked(*kinds))
    assert (caught.value.reason, caught.value.numbers) == (reason, numbers)
