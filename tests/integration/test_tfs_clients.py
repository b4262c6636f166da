"""OpenVINO's client of TensorFlow Serving's protocol is answered as it asks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest

import serving_case as case
from foreign_clients import asked
from modelmark.domain.contract import DataType, Input
from modelmark.domain.version import Feed, Signature
from modelmark.serving.supervisor import Supervisor, running

INPUTS = (*case.numbers(2), Input(name="plan", type=DataType.CATEGORY, categories=("basic", "gold")))
ROWS = [[0.5, -1.25], [2.0, 0.125]]


def graph() -> bytes:
    """Two numbers and a text, a tensor each, into two probabilities."""
    from onnx import TensorProto, helper

    number = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("f0", "f1")]
    plan = helper.make_tensor_value_info("plan", TensorProto.STRING, [None, 1])
    nodes = [
        helper.make_node("Add", ["f0", "f1"], ["sum"]),
        helper.make_node("LabelEncoder", ["plan"], ["coded"], domain="ai.onnx.ml", keys_strings=["gold"], values_floats=[1.0],
                         default_float=0.0),
        helper.make_node("Add", ["sum", "coded"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["p"]),
        helper.make_node("Neg", ["score"], ["other"]),
        helper.make_node("Sigmoid", ["other"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
    ]  # fmt: skip
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    made = helper.make_graph(nodes, "g", [*number, plan], [out])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    feeds = (
        *(Feed(graph_input=name, columns=(name,), dtype="float32") for name in ("f0", "f1")),
        Feed(graph_input="plan", columns=("plan",), dtype="string"),
    )
    signature = Signature(feeds=feeds, score_output="probabilities")
    built = case.build(tmp_path_factory.mktemp("w"), case.contract(inputs=INPUTS), graph(), signature=signature)
    case.release(built)
    with running(built.workspace, grpc_port=0) as supervisor:
        yield supervisor


REST = """
import json, sys
import numpy as np
from ovmsclient import make_http_client

client, rows = make_http_client(sys.argv[1]), json.loads(sys.argv[2])
plans = [b"basic", "gold"]
inputs = {"f0": np.array([[row[0]] for row in rows], np.float32), "f1": [row[1] for row in rows], "plan": plans}
found = client.predict(inputs, "churn")
told = {
    "label": found["label"].tolist(),
    "probabilities": found["probabilities"].tolist(),
    "third": client.predict(inputs, "churn", 1)["label"].tolist(),
    "status": client.get_model_status("churn"),
    "metadata": client.get_model_metadata("churn"),
}
for name, asked in {"missing": ({"f0": [1.0]}, "churn"), "unknown": (inputs, "cats"), "version": (inputs, "churn", 7)}.items():
    try:
        client.predict(*asked)
    except Exception as error:
        told[name] = [type(error).__name__, str(error)]
print(json.dumps(told))
"""


def answers(server: Supervisor) -> list[list[float]]:
    rows = [{"f0": a, "f1": b, "plan": plan} for (a, b), plan in zip(ROWS, ("basic", "gold"), strict=True)]
    told = httpx2.post(f"{server.address}/models/churn/predict", json={"rows": rows}).json()["predictions"]
    return [[one["probabilities"]["0"], one["probabilities"]["1"]] for one in told]


def test_over_rest(server: Supervisor) -> None:
    told = asked("ovmsclient", REST, f"127.0.0.1:{server.port}", json.dumps(ROWS))
    assert told["probabilities"] == answers(server)
    assert told["label"] == told["third"] == [0, 1]
    assert told["status"] == {"1": {"state": "AVAILABLE", "error_code": 0, "error_message": ""}}
    signature = told["metadata"]["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["plan"]["dtype"] == "DT_STRING"
    assert told["missing"][0] == "InvalidInputError"
    assert "column f1 is missing" in told["missing"][1]
    assert told["unknown"][0] == told["version"][0] == "ModelNotFoundError"
