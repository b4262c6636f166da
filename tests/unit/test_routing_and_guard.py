"""Who answers, and what may leave."""

from __future__ import annotations

import numpy as np
import pytest

import serving_case as case
from modelmark.domain.classes import Decider
from modelmark.domain.contract import Outputs
from modelmark.domain.errors import NotPermitted, OutputInvalid
from modelmark.domain.metrics import Task
from modelmark.serving.guard import Guard
from modelmark.serving.onnx_graph import refuse_external_data
from modelmark.serving.routing import pick, position

PROBABILITIES = Guard(case.contract())
EUROS = Guard(case.contract(task=Task.REGRESSION, outputs=Outputs(minimum=0, maximum=100)))


def share(weights: list[float], keys: int = 20_000) -> float:
    return sum(pick(weights, position("churn", str(k))) == 1 for k in range(keys)) / keys


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5, 1.0])
def test_a_canary_gets_its_share(weight):
    assert share([1 - weight, weight]) == pytest.approx(weight, abs=0.012)


def test_an_entity_keeps_its_arm_while_the_canary_grows():
    keys = [position("churn", str(k)) for k in range(2000)]
    before = {at for at in keys if pick([0.95, 0.05], at) == 1}
    after = {at for at in keys if pick([0.7, 0.3], at) == 1}
    assert before < after


def test_models_do_not_share_their_canaries():
    both = [(position("a", str(k)) < 0.5, position("b", str(k)) < 0.5) for k in range(4000)]
    assert sum(x == y for x, y in both) / 4000 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.01, -0.01])
def test_a_probability_that_is_none_is_stopped(bad):
    found = PROBABILITIES.check(np.array([[0.5, 0.5], [bad, 0.5]]), 2)
    assert found is not None
    assert found.tolist() == [False, True]


def test_rounding_past_one_is_put_back():
    scores = np.array([[-1e-7, 1.0000001]])
    assert PROBABILITIES.check(scores, 1) is None
    assert scores.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 100.5])
def test_a_value_outside_the_contract_is_stopped(bad):
    found = EUROS.check(np.array([[bad]]), 1)
    assert found is not None


def test_infinity_is_stopped_even_without_limits():
    free = Guard(case.contract(task=Task.REGRESSION, outputs=Outputs()))
    assert free.check(np.array([[np.inf]]), 1) is not None


@pytest.mark.parametrize("shape", [(2, 2), (1, 3), (1, 1)])
def test_an_answer_of_another_shape_is_stopped(shape):
    with pytest.raises(OutputInvalid):
        PROBABILITIES.check(np.full(shape, 0.5), 1)


@pytest.mark.parametrize(("score", "label"), [(0.49, "no"), (0.3, "no"), (0.5, "yes")])
def test_the_threshold_decides_for_the_positive_class_wherever_it_stands(score, label):
    agreed = case.contract(outputs=Outputs(classes=("yes", "no"), positive="yes"))
    assert [agreed.outputs.classes[at] for at in Decider(agreed)([score, 1 - score])] == [label]


def external(where: str) -> bytes:
    """A model with one external tensor in the named place."""
    import onnx
    from onnx import TensorProto, helper

    outside = TensorProto(name="w", data_type=1, dims=[2])
    outside.data_location = TensorProto.EXTERNAL
    entry = outside.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    good = helper.make_tensor("g", 1, [2], [1.0, 2.0])
    y = helper.make_tensor_value_info("y", 1, [2])
    nodes = [helper.make_node("Constant", [], ["y"], value=outside if where == "attribute" else good)]
    if where == "subgraph":
        inner = helper.make_graph([], "inner", [], [y], initializer=[outside])
        nodes.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    graph = helper.make_graph(nodes, "g", [], [y], initializer=[outside] if where == "initializer" else [good])
    if where == "sparse":
        indices = helper.make_tensor("i", 7, [2], [0, 1])
        graph.sparse_initializer.append(onnx.SparseTensorProto(values=outside, indices=indices, dims=[9]))
    model = helper.make_model(graph)
    if where == "function":
        body = [helper.make_node("Constant", [], ["o"], value=outside)]
        model.functions.append(helper.make_function("d", "f", [], ["o"], body, [helper.make_opsetid("", 17)]))
    if where == "training":
        model.training_info.add().algorithm.CopyFrom(helper.make_graph([], "t", [], [], initializer=[outside]))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph", "sparse", "function", "training"])
def test_a_tensor_in_another_file_is_refused_wherever_it_hides(where):
    with pytest.raises(NotPermitted, match="another file"):
        refuse_external_data(external(where))


def test_a_model_in_one_piece_passes():
    refuse_external_data(external("nowhere"))
    refuse_external_data(case.gradient_boosting(3))


@pytest.mark.parametrize("junk", [b"\xff" * 64, b"\x3a\xff\xff\xff\xff\x0f", b"\x08"])
def test_what_is_no_protobuf_is_refused(junk):
    with pytest.raises(NotPermitted):
        refuse_external_data(junk)
