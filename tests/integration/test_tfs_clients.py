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


GRPC = """
import json, sys
import numpy as np
from ovmsclient import make_grpc_client

client, rows = make_grpc_client(sys.argv[1]), json.loads(sys.argv[2])
inputs = {"f0": np.array([[row[0]] for row in rows], np.float64), "f1": [row[1] for row in rows], "plan": [b"basic", b"gold"]}
found = client.predict(inputs, "churn")
told = {
    "label": found["label"].tolist(),
    "probabilities": found["probabilities"].tolist(),
    "first": client.predict(inputs, "churn", 1)["label"].tolist(),
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


def test_over_grpc(server: Supervisor) -> None:
    told = asked("ovmsclient", GRPC, str(server.grpc_address), json.dumps(ROWS))
    assert told["probabilities"] == answers(server)
    assert told["label"] == told["first"] == [0, 1]
    assert told["status"] == {"1": {"state": "AVAILABLE", "error_code": 0, "error_message": ""}}
    assert told["metadata"]["model_version"] == 1
    assert told["metadata"]["inputs"]["plan"] == {"shape": [-1, 1], "dtype": "DT_STRING"}
    assert told["metadata"]["outputs"]["probabilities"] == {"shape": [-1, 2], "dtype": "DT_DOUBLE"}
    assert told["missing"][0] == "InvalidInputError"
    assert "column f1 is missing" in told["missing"][1]
    assert told["unknown"][0] == told["version"][0] == "ModelNotFoundError"


FIELDS = """
import importlib, json, pathlib
import ovmsclient

root = pathlib.Path(ovmsclient.__file__).parent / "tfs_compat" / "protos"
found = {}


def walk(messages):
    for message in messages:
        fields = {field.name: [field.number, field.type, field.is_repeated] for field in message.fields}
        found.setdefault(message.name, []).append(fields)
        walk(message.nested_types)


for path in sorted(root.rglob("*_pb2.py")):
    if path.parent.name == "protobuf" and path.stem != "meta_graph_pb2":  # some of those do not import
        continue
    name = ".".join(path.relative_to(root.parents[2]).with_suffix("").parts)
    walk(importlib.import_module(name).DESCRIPTOR.message_types_by_name.values())
print(json.dumps(found))
"""


def test_our_messages_are_tensorflow_s_own() -> None:
    """Field by field as in the client's own copy. Any and Int64Value are Google's, and a code is a number on the wire."""
    from modelmark.serving.grpc.generated import tensorflow_serving_pb2

    theirs = asked("ovmsclient", FIELDS)
    for message in tensorflow_serving_pb2.DESCRIPTOR.message_types_by_name.values():
        ours = {field.name: [field.number, field.type, field.is_repeated] for field in message.fields}
        if message.name == "StatusProto":
            ours["error_code"][1] = 14
        if message.name not in ("Any", "Int64Value"):
            assert any(ours.items() <= known.items() for known in theirs[message.name]), message.name
