"""The parent's own reading of a graph agrees with the onnx library's, and ends on anything."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import models
import serving_case
from modelmark.contract.onnx_graph import foreign_operators, outside_tensors
from modelmark.domain.contract import Outputs
from modelmark.domain.errors import Rejected
from modelmark.domain.version import Feed, Signature
from modelmark.registry import graph_facts
from modelmark.registry.convert import require_fit

IDENTITY = helper.make_node("Identity", ["X"], ["probabilities"])


def graph(nodes=(IDENTITY,), **more):
    x = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])]
    y = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    return helper.make_model(helper.make_graph(list(nodes), "g", x, y, **more))


def test_it_reads_what_the_library_reads():
    data = serving_case.gradient_boosting(2)
    model, found = onnx.load_model_from_string(data), graph_facts.read(data)
    weights = {tensor.name for tensor in model.graph.initializer}
    assert found.inputs == {v.name: v.type.tensor_type.elem_type for v in model.graph.input if v.name not in weights}
    assert found.outputs == {v.name: v.type.tensor_type.elem_type for v in model.graph.output}
    assert found.nodes == len(model.graph.node)


def test_an_input_with_a_value_is_no_input():
    weight = helper.make_tensor("X", TensorProto.FLOAT, [1, 2], [1.0, 2.0])
    assert graph_facts.read(graph(initializer=[weight]).SerializeToString()).inputs == {}


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_end_in_a_verdict_that_the_library_shares_where_it_reads_them(seed):
    draw, sound = np.random.default_rng(seed), serving_case.gradient_boosting(2)
    agreed = 0
    for _ in range(150):
        data = bytearray(sound)
        for place in draw.integers(0, min(len(data), 400), 2):
            data[place] = int(draw.integers(0, 256))
        try:
            model = onnx.load_model_from_string(bytes(data))
        except Exception:  # noqa: BLE001 - protobuf's own family
            model = None
        try:
            found = graph_facts.read(bytes(data))
        except Rejected:
            continue
        if model is not None:
            agreed += 1
            assert len(model.graph.node) == found.nodes
            assert not list(foreign_operators(model))
            assert not list(outside_tensors(model))
    assert agreed > 5


def test_a_forest_of_a_million_texts_is_read_in_reasonable_time():
    node = helper.make_node("Identity", ["X"], ["probabilities"], modes=["BRANCH_LEQ"] * 300_000)
    data = graph([node]).SerializeToString()
    started = time.process_time()
    graph_facts.read(data)
    assert time.process_time() - started < 10


def test_a_file_of_nothing_but_fields_is_given_up_on(monkeypatch):
    monkeypatch.setattr(graph_facts, "_FIELDS", 1000)
    with pytest.raises(Rejected) as caught:
        graph_facts.read(graph([IDENTITY] * 2000).SerializeToString())
    assert caught.value.code == "NOT_A_MODEL"


SIGNATURE = Signature(feeds=(Feed(graph_input="X", columns=tuple(models.NUMERIC), dtype="float32"),), score_output="p")


@pytest.mark.parametrize(
    ("facts", "fits"),
    [
        ({"inputs": {"X": 1}, "outputs": {"p": 1}}, True),
        ({"inputs": {"Y": 1}, "outputs": {"p": 1}}, False),
        ({"inputs": {"X": 1, "Y": 1}, "outputs": {"p": 1}}, False),
        ({"inputs": {"X": 11}, "outputs": {"p": 1}}, False),
        ({"inputs": {"X": 1}, "outputs": {"q": 1}}, False),
        ({"inputs": {"X": 1}, "outputs": {"p": 7}}, False),
    ],
)
def test_a_childs_signature_must_be_of_this_graph(facts, fits):
    contract = models.contract(names=models.NUMERIC, outputs=Outputs(classes=(0, 1), positive=1))
    found = graph_facts.GraphFacts(**facts)
    if fits:
        require_fit(SIGNATURE, found, contract)
    else:
        with pytest.raises(Rejected) as caught:
            require_fit(SIGNATURE, found, contract)
        assert caught.value.code == "CONVERSION_FAILED"


def test_a_childs_signature_must_feed_the_contracts_inputs():
    contract = models.contract(names=models.NUMERIC[:1], outputs=Outputs(classes=(0, 1), positive=1))
    with pytest.raises(Rejected):
        require_fit(SIGNATURE, graph_facts.GraphFacts(inputs={"X": 1}, outputs={"p": 1}), contract)
