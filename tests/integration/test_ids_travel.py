"""Every protocol says which prediction an answer is and which version gave it, where its clients can read it; a label finds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import httpx2
import pytest

import serving_case as case
from modelmark.serving.grpc.generated import labels_pb2, open_inference_pb2, tensorflow_serving_pb2
from modelmark.serving.supervisor import Supervisor, running

VALUES = [0.5, -1.25, 2.0]
ROW = dict(zip(("f0", "f1", "f2"), VALUES, strict=True))
TENSOR = {"name": "X", "shape": [1, 3], "datatype": "FP64", "data": VALUES}

Told = tuple[str, str]
"""(id of the prediction, version as the protocol names it)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    built = case.build(tmp_path_factory.mktemp("w"), number=3)
    case.release(built)
    with running(built.workspace, grpc_port=0, worker_options=("--kserve-v1",)) as supervisor:
        yield supervisor


def posted(server: Supervisor, path: str, body: Any) -> httpx2.Response:
    found = httpx2.post(f"{server.address}{path}", json=body)
    assert found.status_code == 200, found.text
    return found


def in_headers(server: Supervisor, path: str, body: Any) -> Told:
    said = posted(server, path, body).headers
    return said["x-modelmark-prediction-id"], said["x-modelmark-version"]


def native(server: Supervisor) -> Told:
    found = posted(server, "/models/churn/predict", {"row": ROW}).json()
    return found["id"], found["version"]


def v2(server: Supervisor) -> Told:
    found = posted(server, "/v2/models/churn/infer", {"inputs": [TENSOR]}).json()
    return found["parameters"]["prediction_id"], found["model_version"]


def called(server: Supervisor, method: str, asked: Any, kind: Any) -> tuple[Any, dict[str, Any]]:
    """(the answer, its trailing metadata)"""
    with grpc.insecure_channel(str(server.grpc_address)) as channel:
        call = channel.unary_unary(method, type(asked).SerializeToString, kind.FromString)
        found, done = call.with_call(asked, timeout=20)
        return found, dict(done.trailing_metadata())


def v2_grpc(server: Supervisor) -> Told:
    asked = open_inference_pb2.ModelInferRequest(model_name="churn")
    tensor = asked.inputs.add(name="X", datatype="FP64", shape=[1, 3])
    tensor.contents.fp64_contents.extend(VALUES)
    found, _ = called(
        server, "/inference.GRPCInferenceService/ModelInfer", asked, open_inference_pb2.ModelInferResponse
    )
    return found.parameters["prediction_id"].string_param, found.model_version


def tensorflow_grpc(server: Supervisor) -> Told:
    asked = tensorflow_serving_pb2.PredictRequest()
    asked.model_spec.name = "churn"
    for name, value in ROW.items():
        tensor = asked.inputs[name]
        tensor.dtype = tensorflow_serving_pb2.DT_DOUBLE
        tensor.double_val.append(value)
        for size in (1, 1):
            tensor.tensor_shape.dim.add(size=size)
    method = "/tensorflow.serving.PredictionService/Predict"
    found, said = called(server, method, asked, tensorflow_serving_pb2.PredictResponse)
    return said["x-modelmark-prediction-id"], str(found.model_spec.version.value)


PROTOCOLS = {
    "native": (native, "v3"),
    "v2 REST": (v2, "v3"),
    "v2 gRPC": (v2_grpc, "v3"),
    "TensorFlow Serving REST": (
        lambda server: in_headers(server, "/v1/models/churn/versions/3:predict", {"instances": [ROW]}),
        "v3",
    ),
    "TensorFlow Serving gRPC": (tensorflow_grpc, "3"),
    "MLflow": (lambda server: in_headers(server, "/invocations", {"dataframe_records": [ROW]}), "v3"),
    "KServe V1": (lambda server: in_headers(server, "/v1/models/churn:predict", {"instances": [VALUES]}), "v3"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_prediction_of_any_protocol_is_named_and_labelled_over_v2(server: Supervisor, protocol: str) -> None:
    ask, label = PROTOCOLS[protocol]
    id, version = ask(server)
    assert (len(id), version) == (32, label)
    told = posted(server, "/v2/models/churn/labels", {"labels": [{"id": id, "label": 1}]}).json()
    assert told == {"accepted": 1}, "an id that no prediction can have had would be counted as unknown"
    asked = labels_pb2.TakeLabelsRequest(model="churn")
    asked.labels.add(id=id, int64_label=1)
    found, _ = called(server, "/modelmark.Labels/Take", asked, labels_pb2.TakeLabelsResponse)
    assert (found.accepted, found.unknown) == (1, 0)
