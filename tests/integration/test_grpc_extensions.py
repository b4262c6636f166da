"""What Triton adds to the protocol over gRPC, asked by its own client; and reflection, asked as grpcurl does."""

from __future__ import annotations

import asyncio
import queue
import time
from math import inf, nan

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tritonclient.utils import InferenceServerException

import loops
import serving_case as case
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Labelled
from modelmark.serving.grpc import calls
from modelmark.serving.grpc.generated import labels_pb2, open_inference_pb2, reflection_pb2
from modelmark.serving.supervisor import running

VALUES = np.array([[0.1, -3.0, 7.5], [1.0, 2.0, 3.0]])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    built = case.build(tmp_path_factory.mktemp("w"))
    case.release(built)
    with running(built.workspace, grpc_port=0, worker_options=("--seal-after", "0.1")) as supervisor:
        supervisor.journal = built.workspace.wal
        yield supervisor


@pytest.fixture(scope="module")
def client(server):
    with triton.InferenceServerClient(server.grpc_address) as found:
        yield found


def matrix(kind=triton, name="X"):
    tensor = kind.InferInput(name, list(VALUES.shape), "FP64")
    tensor.set_data_from_numpy(VALUES)
    return [tensor]


def test_the_repository_its_configuration_and_counts_are_told(client):
    (model,) = client.get_model_repository_index(as_json=True)["models"]
    assert model == {"name": "churn", "version": "v1", "state": "READY"}
    config = client.get_model_config("churn", "1").config
    assert [(one.name, one.data_type, list(one.dims)) for one in config.input] == [(f"f{j}", 12, [1]) for j in range(3)]
    assert [(one.name, list(one.dims), one.HasField("reshape")) for one in config.output] == [
        ("label", [1], True),
        ("probabilities", [2], False),
    ]
    assert (config.max_batch_size, config.backend) == (case.contract().serving.max_rows, "modelmark")
    client.infer("churn", matrix())
    for asked in ((), ("churn",), ("churn", "v1")):
        (counted,) = client.get_inference_statistics(*asked).model_stats
        assert counted.inference_count >= 2
        assert counted.inference_stats.success.count >= 1
    assert "statistics" in client.get_server_metadata().extensions


def test_nothing_is_loaded_or_unloaded_over_the_network(client):
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="acts of governance") as refused:
            change("churn")
        assert refused.value.status() == "StatusCode.PERMISSION_DENIED"
        with pytest.raises(InferenceServerException) as refused:
            change("cats")
        assert refused.value.status() == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("ask", ["get_model_config", "get_inference_statistics"])
@pytest.mark.parametrize("of", [("cats",), ("churn", "9")])
def test_of_unknown_models_and_versions_nothing_is_told(client, ask, of):
    with pytest.raises(InferenceServerException) as refused:
        getattr(client, ask)(*of)
    assert refused.value.status() == "StatusCode.NOT_FOUND"


def test_a_stream_answers_in_order_and_goes_on_after_a_refusal(client):
    heard: queue.Queue = queue.Queue()
    client.start_stream(lambda result, error: heard.put((result, error)))
    for id, inputs in (("a", matrix()), ("b", matrix(name="f0")), ("c", matrix())):
        client.async_stream_infer("churn", inputs, request_id=id)
    told = [heard.get(timeout=10) for _ in range(3)]
    client.stop_stream()
    expected = client.infer("churn", matrix()).as_numpy("probabilities")
    for at, id in ((0, "a"), (2, "c")):
        result, error = told[at]
        assert error is None
        assert result.get_response().id == id
        np.testing.assert_array_equal(result.as_numpy("probabilities"), expected)
    assert "column f1 is missing" in str(told[1][1])


def test_a_stream_is_answered_to_the_asynchronous_client(server):
    async def asked():
        async def questions():
            for _ in range(2):
                yield {"model_name": "churn", "inputs": matrix(triton_aio)}

        async with triton_aio.InferenceServerClient(server.grpc_address) as found:
            return [(result, error) async for result, error in found.stream_infer(questions())]

    told = loops.run(asked())
    assert [error for _, error in told] == [None, None]


def stream(server, name: str, bodies, timeout: float = 10):
    with grpc.insecure_channel(server.grpc_address) as channel:
        return list(channel.stream_stream(name)(iter(bodies), timeout=timeout))


def reflected(server, alpha="", **question):
    body = reflection_pb2.ServerReflectionRequest(**question).SerializeToString()
    (told,) = stream(server, f"/grpc.reflection.v1{alpha}.ServerReflection/ServerReflectionInfo", [body])
    return reflection_pb2.ServerReflectionResponse.FromString(told)


@pytest.mark.parametrize("alpha", ["", "alpha"])
def test_reflection_lists_the_services_and_a_call_can_be_made_of_what_it_describes(server, alpha):
    listed = [one.name for one in reflected(server, alpha, list_services="*").list_services_response.service]
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(
        listed
    )
    pool = descriptor_pool.DescriptorPool()
    described = reflected(server, alpha, file_containing_symbol="inference.GRPCInferenceService")
    for data in described.file_descriptor_response.file_descriptor_proto:
        pool.Add(FileDescriptorProto.FromString(data))
    method = pool.FindServiceByName("inference.GRPCInferenceService").methods_by_name["ModelReady"]
    question, answer = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
    with grpc.insecure_channel(server.grpc_address) as channel:
        path = "/inference.GRPCInferenceService/ModelReady"
        told = channel.unary_unary(path)(question(name="churn").SerializeToString(), timeout=10)
    assert answer.FromString(told).ready


def test_reflection_finds_files_by_name_and_says_what_it_has_not(server):
    file = reflected(server, file_by_filename="health.proto").file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(file[0]).package == "grpc.health.v1"
    nested = reflected(server, file_containing_symbol="inference.ModelInferRequest.InferInputTensor")
    assert (
        FileDescriptorProto.FromString(nested.file_descriptor_response.file_descriptor_proto[0]).package == "inference"
    )
    for question in ({"file_containing_symbol": "no.such.Thing"}, {"file_by_filename": "x"}, {"host": "h"}):
        assert reflected(server, **question).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_what_is_no_question_ends_a_stream_of_reflection_and_is_told_in_one_of_inferences(server):
    with pytest.raises(grpc.RpcError) as refused:
        stream(server, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", [b"\xff"])
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(stream(server, "/inference.GRPCInferenceService/ModelStreamInfer", [b"\xff", b"", b"\xff"])) == 3


def label(server, *labels, model="churn"):
    body = labels_pb2.TakeLabelsRequest(model=model, labels=labels).SerializeToString()
    with grpc.insecure_channel(server.grpc_address) as channel:
        return labels_pb2.TakeLabelsResponse.FromString(channel.unary_unary("/modelmark.Labels/Take")(body, timeout=10))


def kept(server, id: str) -> list[Labelled]:
    found = [record for file in sealed_segments(server.journal) for record in read_segment(file).records]
    return [record for record in found if isinstance(record, Labelled) and record.prediction == id]


def test_labels_of_a_prediction_are_journaled(client, server):
    id = client.infer("churn", matrix()).get_response().parameters["prediction_id"].string_param
    first = labels_pb2.Label(id=id, row=0, source="crm", int64_label=1)
    told = label(server, first, first, labels_pb2.Label(id=id, row=1, string_label="0"))
    assert (told.accepted, told.duplicates, told.conflicting) == (2, 1, 0)
    until = time.monotonic() + 10
    while len(found := kept(server, id)) < 2:
        assert time.monotonic() < until, "the labels were not journaled"
        time.sleep(0.05)
    assert [(one.row, one.label, one.source) for one in found] == [(0, 1, "crm"), (1, 0, "api")]


@pytest.mark.parametrize(
    ("labels", "how", "code"),
    [
        ([{"id": "1" * 32}], {}, "INVALID_ARGUMENT"),
        ([{"id": "x", "int64_label": 1}], {}, "INVALID_ARGUMENT"),
        ([{"id": "1" * 32, "int64_label": 7}], {}, "INVALID_ARGUMENT"),
        ([{"id": "1" * 32, "double_label": nan}], {}, "INVALID_ARGUMENT"),
        ([], {}, "INVALID_ARGUMENT"),
        ([{"id": "1" * 32, "int64_label": 1, "source": "s" * 65}], {}, "INVALID_ARGUMENT"),
        ([{"id": "1" * 32, "int64_label": 1}], {"model": "cats"}, "NOT_FOUND"),
        ([{"id": "1" * 32, "string_label": "s" * 5_000_000}], {}, "RESOURCE_EXHAUSTED"),
    ],
)
def test_labels_are_refused_as_over_rest(server, labels, how, code):
    with pytest.raises(grpc.RpcError) as refused:
        label(server, *(labels_pb2.Label(**one) for one in labels), **how)
    assert refused.value.code().name == code


def test_an_answer_names_its_prediction_in_trailing_metadata(server):
    with triton.InferenceServerClient(server.grpc_address) as found:
        body = found.infer("churn", matrix()).get_response()
    request = open_inference_pb2.ModelInferRequest(model_name="churn")
    tensor = request.inputs.add(name="X", datatype="FP64", shape=[1, 3])
    tensor.contents.fp64_contents.extend([1, 2, 3])
    with grpc.insecure_channel(server.grpc_address) as channel:
        path = "/inference.GRPCInferenceService/ModelInfer"
        told, call = channel.unary_unary(path).with_call(request.SerializeToString(), timeout=10)
    said = dict(call.trailing_metadata())
    id = open_inference_pb2.ModelInferResponse.FromString(told).parameters["prediction_id"].string_param
    assert (said["x-modelmark-prediction-id"], said["x-modelmark-version"]) == (id, body.model_version)


class Silent:
    """A caller that never asks."""

    async def read(self):
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("why", ["it was silent for too long", "this worker ends"])
def test_a_silent_stream_ends_when(why, monkeypatch):
    monkeypatch.setattr(calls, "POLL", 0.001)
    monkeypatch.setattr(calls, "IDLE", 0.0 if "silent" in why else inf)
    worker = calls.Calls(None)
    worker.ending = "ends" in why
    assert loops.run(asyncio.wait_for(worker.next(Silent()), 5)) is None
