"""The Open Inference Protocol over gRPC, asked by its own client, against a real worker: the same answers as over REST."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import any_pb2, descriptor_pool, duration_pb2, message_factory  # noqa: F401  # known to the pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tritonclient.grpc import model_config_pb2, service_pb2

import loops
import serving_case as case
from modelmark import Client
from modelmark.cli.up import Up
from modelmark.domain.contract import DataType, Input, Outputs, Serving
from modelmark.domain.errors import Conflict, NotPermitted, Overloaded
from modelmark.domain.metrics import Task
from modelmark.domain.settings import Settings
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Predicted, Refused
from modelmark.serving.grpc.errors import DETAILS, FACTS, metadata_of
from modelmark.serving.grpc.generated import health_pb2, open_inference_pb2
from modelmark.serving.http.listening import reserve
from modelmark.serving.supervisor import Supervisor, running

NAMES = ["f0", "f1", "f2"]
PATH = "/inference.GRPCInferenceService/"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    agreed = case.contract(serving=Serving(deadline_ms=5000, max_rows=500, max_body_bytes=400_000))
    found = case.build(tmp_path_factory.mktemp("workspace"), agreed)
    case.release(found)
    return found


@pytest.fixture(scope="module")
def server(built):
    with running(built.workspace, grpc_port=0, worker_options=("--seal-after", "0.1")) as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def client(server):
    with triton.InferenceServerClient(server.grpc_address) as found:
        yield found


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as found:
        yield found


@pytest.fixture
def rest(server):
    with Client(server.address) as found:
        yield found


def eventually(check, seconds: float = 10.0):
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def journal(built) -> list:
    return [record for file in sealed_segments(built.workspace.wal) for record in read_segment(file).records]


def columns(values: np.ndarray, datatype: str = "FP64", names=NAMES):
    found = []
    for j, name in enumerate(names):
        tensor = triton.InferInput(name, [len(values)], datatype)
        tensor.set_data_from_numpy(values[:, j].copy())
        found.append(tensor)
    return found


def matrix(values: np.ndarray):
    tensor = triton.InferInput("X", list(values.shape), "FP64")
    tensor.set_data_from_numpy(values)
    return [tensor]


def typed(values: np.ndarray, **more):
    """A request with typed contents, which tritonclient reads and never sends."""
    request = open_inference_pb2.ModelInferRequest(model_name="churn", **more)
    for j, name in enumerate(NAMES):
        tensor = request.inputs.add(name=name, datatype="FP64", shape=[len(values), 1])
        tensor.contents.fp64_contents.extend(values[:, j].tolist())
    return request


def call(channel, method: str, body: bytes, **options) -> bytes:
    return channel.unary_unary(PATH + method)(body, timeout=options.pop("timeout", 10), **options)


def infer(channel, request):
    answer = call(channel, "ModelInfer", request.SerializeToString())
    return open_inference_pb2.ModelInferResponse.FromString(answer)


VALUES = np.array([[0.1, -3.0, 7.5], [1.0, 2.0, 3.0], [-9.0, 0.0, 0.5]])


def expected(rest) -> list[list[float]]:
    rows = [dict(zip(NAMES, row, strict=True)) for row in VALUES.tolist()]
    return [list(answer.probabilities.values()) for answer in rest.predict("churn", rows).answers]


@pytest.mark.parametrize("form", [columns, matrix])
def test_the_same_rows_get_the_answer_that_rest_gives(client, rest, form):
    found = client.infer("churn", form(VALUES), request_id="q-1")
    assert found.as_numpy("probabilities").tolist() == expected(rest)
    assert found.as_numpy("label").tolist() == [int(p[1] >= 0.5) for p in expected(rest)]
    answer = found.get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("q-1", "churn", "v1")
    assert answer.parameters["served_by"].string_param == "model"


def test_typed_contents_get_typed_contents(channel, rest):
    found = infer(channel, typed(VALUES))
    assert not found.raw_output_contents
    assert found.outputs[0].contents.int64_contents == [int(p[1] >= 0.5) for p in expected(rest)]
    flat = list(found.outputs[1].contents.fp64_contents)
    assert np.reshape(flat, found.outputs[1].shape).tolist() == expected(rest)


def test_only_the_outputs_asked_for_come_back(client):
    found = client.infer("churn", columns(VALUES), outputs=[triton.InferRequestedOutput("label")])
    assert [output.name for output in found.get_response().outputs] == ["label"]


def test_the_asynchronous_client_is_answered_too(server, rest):
    async def ask():
        async with triton_aio.InferenceServerClient(server.grpc_address) as found:
            assert await found.is_server_live()
            assert await found.is_model_ready("churn")
            return await asyncio.gather(*(found.infer("churn", columns(VALUES)) for _ in range(20)))

    answers = loops.run(ask())
    assert all(answer.as_numpy("probabilities").tolist() == expected(rest) for answer in answers)


def test_every_answer_is_in_the_journal_under_its_id(built, client):
    answer = client.infer(
        "churn", columns(VALUES), parameters={"entity": "anna"}, headers={"x-request-id": "mine-7"}
    ).get_response()
    id = answer.parameters["prediction_id"].string_param
    eventually(lambda: any(isinstance(r, Predicted) and r.id == id for r in journal(built)))
    (record,) = [r for r in journal(built) if isinstance(r, Predicted) and r.id == id]
    assert (record.rows, record.entity, record.request_id, record.path) == (3, "anna", "mine-7", "model")
    assert np.frombuffer(record.numbers, "<f8").reshape(3, 3).tolist() == VALUES.tolist()


def test_metadata_say_when_it_happened(built, client):
    said = np.datetime64(time.time_ns() - 3600 * 10**9, "ns").astype("datetime64[s]")
    found = client.infer("churn", columns(VALUES), headers={"x-modelmark-at": f"{said}Z"})
    id = found.get_response().parameters["prediction_id"].string_param
    eventually(lambda: any(isinstance(r, Predicted) and r.id == id for r in journal(built)))
    (record,) = [r for r in journal(built) if isinstance(r, Predicted) and r.id == id]
    assert int.from_bytes(record.event, "little") == int(said.astype("datetime64[ns]").astype(int))
    with pytest.raises(Exception, match="too long ago"):
        client.infer("churn", columns(VALUES), headers={"x-modelmark-at": "2020-01-01T00:00:00Z"})


def test_a_label_finds_what_was_answered_over_grpc(client, rest):
    answer = client.infer("churn", columns(VALUES)).get_response()
    assert rest.label("churn", [(answer.parameters["prediction_id"].string_param, 0, 1)]) == 1


def test_metadata_and_health_say_what_rest_says(client, channel):
    found = client.get_model_metadata("churn")
    assert [(i.name, i.datatype, list(i.shape)) for i in found.inputs] == [(name, "FP64", [-1, 1]) for name in NAMES]
    assert [(o.name, list(o.shape)) for o in found.outputs] == [("label", [-1]), ("probabilities", [-1, 2])]
    assert list(found.versions) == ["v1"]
    assert client.get_server_metadata().name == "modelmark"
    assert client.is_server_live()
    assert client.is_server_ready()
    for version in ("", "v1", "1"):
        assert client.is_model_ready("churn", version)
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready("churn", "v9")


def test_the_standard_health_service_answers(channel):
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    for service in ("", "inference.GRPCInferenceService"):
        answer = check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        check(health_pb2.HealthCheckRequest(service="other"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def without(field: str):
    def change(request) -> None:
        request.ClearField(field)

    return change


def change_first(**fields):
    def change(request) -> None:
        for name, value in fields.items():
            if name == "shape":
                del request.inputs[0].shape[:]
                request.inputs[0].shape.extend(value)
            elif name == "values":
                del request.inputs[0].contents.fp64_contents[:]
                request.inputs[0].contents.fp64_contents.extend(value)
            else:
                setattr(request.inputs[0], name, value)

    return change


def raw_beside(request) -> None:
    request.raw_input_contents.append(b"\0" * 24)


def ask_for(name: str):
    return lambda request: request.outputs.add(name=name)


def entity_of(request) -> None:
    request.parameters["entity"].int64_param = 7


BAD, GONE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param(without("inputs"), BAD, "NO_INPUTS", id="no inputs"),
        pytest.param(without("model_name"), GONE, "UNKNOWN_MODEL", id="no model"),
        pytest.param(lambda r: setattr(r, "model_name", "nobody"), GONE, "UNKNOWN_MODEL", id="unknown model"),
        pytest.param(lambda r: setattr(r, "model_version", "v9"), GONE, "NOT_FOUND", id="unknown version"),
        pytest.param(change_first(name="f9"), BAD, "MISSING_COLUMN", id="another column"),
        pytest.param(change_first(name="f1"), BAD, "DUPLICATE_COLUMN", id="column twice"),
        pytest.param(change_first(datatype="FP99"), BAD, "BAD_DATATYPE", id="unknown datatype"),
        pytest.param(change_first(datatype="FP32"), BAD, "NO_DATA", id="contents of another datatype"),
        pytest.param(change_first(datatype="FP16"), BAD, "NO_DATA", id="half floats in contents"),
        pytest.param(change_first(shape=[2, 1]), BAD, "BAD_SHAPE", id="another length"),
        pytest.param(change_first(shape=[3, 1, 1]), BAD, "BAD_SHAPE", id="another rank"),
        pytest.param(change_first(shape=[-1]), BAD, None, id="negative length"),
        pytest.param(change_first(shape=[2**62, 1]), BAD, None, id="enormous length"),
        pytest.param(change_first(values=[1, 2]), BAD, "BAD_SHAPE", id="too few elements"),
        pytest.param(change_first(values=[1, 2, np.nan]), BAD, "NON_FINITE", id="not a number"),
        pytest.param(change_first(values=[1, 2, np.inf]), BAD, "NON_FINITE", id="infinity"),
        pytest.param(change_first(values=[1, 2, 1000]), BAD, "OUT_OF_RANGE", id="outside the contract"),
        pytest.param(raw_beside, BAD, "BAD_BINARY", id="raw beside typed"),
        pytest.param(ask_for("secret"), BAD, "UNKNOWN_OUTPUT", id="unknown output"),
        pytest.param(entity_of, BAD, "WRONG_TYPE", id="entity is no text"),
    ],
)
def test_a_bad_request_is_refused_with_status_and_facts(channel, change, status, code):
    request = typed(VALUES)
    change(request)
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, request)
    facts = json.loads(dict(caught.value.trailing_metadata())[FACTS])
    assert (caught.value.code(), facts["code"]) == (status, code or facts["code"])
    assert caught.value.details()


def test_the_client_s_own_error_says_where_and_what_is_allowed(client):
    with pytest.raises(triton.InferenceServerException, match=r"f0; row 1; limit from -100 to 100") as caught:
        client.infer("churn", columns(np.array([[0, 0, 0], [1e6, 0, 0]], float)))
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_refusals_are_counted_in_the_journal(built, channel):
    request = typed(VALUES)
    change_first(values=[1, 2, 1000])(request)
    with pytest.raises(grpc.RpcError):
        infer(channel, request)
    eventually(
        lambda: any(isinstance(r, Refused) and (r.code, r.field) == ("OUT_OF_RANGE", "f0") for r in journal(built))
    )


def test_hostile_bytes_are_the_callers_fault_and_never_ours(channel):
    draw = np.random.default_rng(0)
    sound = typed(VALUES).SerializeToString()
    bodies = [b"\xff", b"\0", sound[:-3], sound[: len(sound) // 2], b"\x0a\xff\xff\xff\xff\x0f"]
    for _ in range(150):
        changed = bytearray(sound)
        for place in draw.integers(0, len(sound), 3):
            changed[place] ^= 1 << int(draw.integers(8))
        bodies.append(bytes(changed))
    fine = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    for method in ("ModelInfer", "ModelMetadata", "ModelReady"):
        for body in bodies:
            asked = channel.unary_unary(PATH + method).future(body, timeout=10)
            assert asked.code() in {*fine, grpc.StatusCode.OK}, (method, asked.code(), asked.details())


def test_a_message_over_the_contract_s_limit_is_refused(channel):
    request = typed(VALUES, id="x" * 500_000)
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "400000 bytes" in caught.value.details()


def test_compressed_messages_are_not_taken(server):
    with grpc.insecure_channel(server.grpc_address, compression=grpc.Compression.Gzip) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            infer(channel, typed(np.zeros((300, 3))))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_unknown_call_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "TraceSetting", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_too_many_rows_are_refused_as_over_rest(client):
    with pytest.raises(triton.InferenceServerException, match="500"):
        client.infer("churn", columns(np.zeros((501, 3))))


def test_many_callers_at_once_are_all_answered_and_journaled_once(built, server):
    def ask(seed: int) -> list[str]:
        values = np.random.default_rng(seed).normal(size=(2, 3))
        with triton.InferenceServerClient(server.grpc_address) as found:
            answers = [found.infer("churn", columns(values)).get_response() for _ in range(25)]
        return [answer.parameters["prediction_id"].string_param for answer in answers]

    with ThreadPoolExecutor(8) as threads:
        ids = [id for part in threads.map(ask, range(8)) for id in part]
    assert len(set(ids)) == 200
    eventually(lambda: set(ids) <= {r.id for r in journal(built) if isinstance(r, Predicted)})
    kept = [r.id for r in journal(built) if isinstance(r, Predicted)]
    assert len(kept) == len(set(kept))


def test_texts_and_booleans_travel_raw_and_typed(tmp_path):
    from pathlib import Path

    from modelmark.domain import version as names

    v1 = Path(__file__).resolve().parents[1] / "golden" / "v1" / "version"
    inputs = (
        Input(name="age", type=DataType.INTEGER, minimum=0, maximum=120),
        Input(name="income", type=DataType.NUMBER, minimum=0, maximum=1e6),
        Input(name="job", type=DataType.STRING),
    )
    from modelmark.domain.version import Signature
    from modelmark.seal.values import decode

    agreed = case.contract(inputs=inputs, outputs=Outputs(classes=("no", "yes"), positive="yes"))
    signature = decode(Signature, (v1 / names.SIGNATURE).read_bytes())
    made = case.build(tmp_path, agreed, (v1 / "model.onnx").read_bytes(), signature=signature)
    case.release(made)
    age, income, job = (
        triton.InferInput("age", [2], "INT64"),
        triton.InferInput("income", [2, 1], "FP32"),
        triton.InferInput("job", [2], "BYTES"),
    )
    age.set_data_from_numpy(np.array([41, 30]))
    income.set_data_from_numpy(np.array([[1500.5], [0]], np.float32))
    job.set_data_from_numpy(np.array([b"nurse", "Bäcker".encode()], object))
    request = open_inference_pb2.ModelInferRequest(model_name="churn")
    request.inputs.add(name="age", datatype="INT32", shape=[2]).contents.int_contents.extend([41, 30])
    request.inputs.add(name="income", datatype="FP32", shape=[2]).contents.fp32_contents.extend([1500.5, 0])
    texts = [b"nurse", "Bäcker".encode()]
    request.inputs.add(name="job", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(texts)
    with running(made.workspace, grpc_port=0) as supervisor:
        with triton.InferenceServerClient(supervisor.grpc_address) as found:
            answer = found.infer("churn", [age, income, job])
        with grpc.insecure_channel(supervisor.grpc_address) as channel:
            other = infer(channel, request)
            request.inputs[2].contents.bytes_contents[0] = b"\xff"
            with pytest.raises(grpc.RpcError) as caught:
                infer(channel, request)
    assert answer.as_numpy("label").tolist() == list(other.outputs[0].contents.bytes_contents)
    assert set(answer.as_numpy("label").tolist()) <= {b"no", b"yes"}
    flat = list(other.outputs[1].contents.fp64_contents)
    assert answer.as_numpy("probabilities").ravel().tolist() == flat
    assert caught.value.code() is BAD


def test_a_caller_s_own_deadline_holds(tmp_path):
    built = case.build(tmp_path, case.contract(task=Task.REGRESSION, outputs=Outputs(minimum=-1e9, maximum=1e9)))
    case.release(built)
    with running(built.workspace, grpc_port=0) as supervisor, grpc.insecure_channel(supervisor.grpc_address) as channel:
        infer(channel, typed(VALUES))
        (worker,) = supervisor.processes()
        os.kill(worker, signal.SIGSTOP)  # nobody answers in time, however quick the machine is
        try:
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, "ModelInfer", typed(VALUES).SerializeToString(), timeout=0.2)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        found = infer(channel, typed(VALUES))
        assert found.outputs[0].name == "value"


def test_a_large_message_is_answered_as_a_small_one(channel):
    small = infer(channel, typed(VALUES))
    large = infer(channel, typed(VALUES, id="x" * 300_000))
    assert [o.contents for o in large.outputs] == [o.contents for o in small.outputs]
    broken = typed(VALUES, id="x" * 300_000)
    broken.inputs[0].contents.fp64_contents.append(1.0)
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, broken)
    assert caught.value.code() is BAD
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", b"\xff" * 300_000)
    assert caught.value.code() is BAD


def test_more_elements_than_the_shape_says_are_not_read(channel):
    request = typed(VALUES)
    request.inputs[0].contents.fp64_contents.extend([1.0] * 10_000)
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, request)
    assert json.loads(dict(caught.value.trailing_metadata())["modelmark-error"])["code"] == "BAD_SHAPE"


def test_an_overloaded_server_says_when_to_come_back_as_grpc_s_own_libraries_read_it():
    file = FileDescriptorProto(name="rpc.proto", package="t", syntax="proto3")
    file.dependency.extend(["google/protobuf/any.proto", "google/protobuf/duration.proto"])
    for name, fields in {
        "Status": [("code", 5, ""), ("message", 9, ""), ("details", 11, ".google.protobuf.Any")],
        "RetryInfo": [("retry_delay", 11, ".google.protobuf.Duration")],
    }.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, typ) in enumerate(fields, 1):
            label = 3 if field == "details" else 1
            message.field.add(name=field, number=number, type=kind, label=label, **({"type_name": typ} if typ else {}))
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    status, info = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}")) for name in ("Status", "RetryInfo")
    )
    error = Overloaded("too many requests are waiting" + "!" * 200, retry_after=7)
    metadata = dict(metadata_of(error))
    found = status.FromString(metadata[DETAILS])
    assert (found.code, found.message) == (8, error.message)
    (detail,) = found.details
    assert detail.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    assert info.FromString(detail.value).retry_delay.seconds == 7
    assert metadata["grpc-retry-pushback-ms"] == "7000"


def test_workers_share_the_port_and_a_drained_one_answers_what_it_took(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    supervisor = Supervisor(built.workspace, port=0, grpc_port=0, workers=2)
    supervisor.start()
    errors: list[grpc.StatusCode] = []
    answered: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        with grpc.insecure_channel(supervisor.grpc_address, options=[("grpc.enable_retries", 1)]) as channel:
            while not stop.is_set():
                try:
                    answered.append(infer(channel, typed(VALUES)).parameters["prediction_id"].string_param)
                except grpc.RpcError as error:
                    errors.append(error.code())
                    return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    supervisor.stop()
    stop.set()
    for thread in threads:
        thread.join()
    assert len(answered) > 50
    assert set(errors) <= {grpc.StatusCode.UNAVAILABLE}, "refused when nobody listens any more, never cut off"
    eventually(lambda: set(answered) <= {r.id for r in journal(built) if isinstance(r, Predicted)})


def test_the_commands_that_serve_take_a_port_for_it(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    command = [sys.executable, "-m", "modelmark", "serve", "--workspace", str(built.workspace.root)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELMARK_")}
    process = subprocess.Popen(
        [*command, "--port", "0", "--grpc-port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        ready = [process.stdout.readline().split() for _ in range(2)]
        assert [line[:3] for line in ready] == [["ready:", "predictions", "on"], ["ready:", "gRPC", "on"]]
        with triton.InferenceServerClient(ready[1][3]) as found:
            assert found.is_model_ready("churn")
    finally:
        process.terminate()
        process.wait(35)
        process.stdout.close()


@pytest.mark.parametrize("given", [None, 0])
def test_up_tells_serve_of_the_port(built, given):
    up = Up(Settings(workspace=built.workspace.root, port=0, dashboard_port=0, grpc_port=given), print)
    serve, held = json.loads(up._children[0]._command[-1]), up._held
    assert ("grpc_port" in serve) == ("grpc_port" in held) == (given is not None)
    if given is not None:
        assert serve["grpc_port"] == held["grpc_port"].getsockname()[1] > 0
    up.close()


def test_only_loopback_and_only_a_free_port(built):
    with pytest.raises(NotPermitted):
        Supervisor(built.workspace, host="0.0.0.0", port=0, grpc_port=0)
    taken = reserve("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(Conflict, match="taken"):
        Supervisor(built.workspace, port=0, grpc_port=taken.getsockname()[1])
    taken.close()


def test_our_messages_are_the_protocol_s_own():
    """Field by field as in the client's own copy, which has some of its vendor's and lacks one of the text's."""
    known, ours = {}, FileDescriptorProto()
    for file in (service_pb2, model_config_pb2):
        theirs = FileDescriptorProto()
        file.DESCRIPTOR.CopyToProto(theirs)
        known |= {m.name: {(f.name, f.number, f.type, f.label) for f in m.field} for m in theirs.message_type}
    open_inference_pb2.DESCRIPTOR.CopyToProto(ours)
    for message in ours.message_type:
        fields = {(f.name, f.number, f.type, f.label) for f in message.field}
        assert {field for field in fields if field[0] != "properties"} <= known[message.name], message.name
