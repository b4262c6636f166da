"""The protocol's own clients are answered as they ask: KServe's form, Triton's clients, compressed bodies, proxies' targets."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

import loops
import serving_case as case
from modelmark.domain.contract import Serving
from modelmark.serving.supervisor import Supervisor, running
from modelmark.serving.wire.compression import SMALL

VALUES = np.full((2, 3), 0.5, np.float32)
LIMIT = 200_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    built = case.build(
        tmp_path_factory.mktemp("w"), case.contract(serving=Serving(deadline_ms=5000, max_body_bytes=LIMIT))
    )
    case.release(built)
    with running(built.workspace, grpc_port=0) as supervisor:
        yield supervisor


def ask(port: int, path: str, body: bytes, headers: str = "", line: str = "POST {} HTTP/1.1") -> tuple[int, Any]:
    head = (
        f"{line.format(path)}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(head.encode() + body)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(said) if said else None


def infer(port: int, message: dict[str, Any], headers: str = "") -> tuple[int, Any]:
    return ask(port, "/v2/models/churn/infer", json.dumps(message).encode(), headers)


INPUTS = [{"name": "X", "shape": [2, 3], "datatype": "FP32", "data": VALUES.ravel().tolist()}]
PLAIN = json.dumps({"rows": [{"f0": 0.5, "f1": 0.5, "f2": 0.5}]}).encode()


def test_what_kserve_s_client_sends_is_answered(server: Supervisor) -> None:
    message = {"id": "1", "model_name": "churn", "inputs": INPUTS, "outputs": [{"name": "label"}]}
    status, said = infer(server.port, message, "Content-Type: application/json\r\n")
    assert (status, said["model_name"], [o["name"] for o in said["outputs"]]) == (200, "churn", ["label"])
    assert infer(server.port, {**message, "model_version": None})[0] == 200
    assert infer(server.port, {**message, "model_name": 5})[0] == 400
    assert infer(server.port, {**message, "model": "churn"})[0] == 400


def inputs(kind: Any, binary: bool) -> list[Any]:
    tensor = kind.InferInput("X", [2, 3], "FP32")
    tensor.set_data_from_numpy(VALUES, binary_data=binary) if binary is not None else tensor.set_data_from_numpy(VALUES)
    return [tensor]


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_triton_s_clients_are_answered_compressed_or_not(server: Supervisor, coding: str | None, binary: bool) -> None:
    address = f"127.0.0.1:{server.port}"
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary)]
    how = {"outputs": outputs, "request_compression_algorithm": coding}
    with triton.InferenceServerClient(address) as client:
        found = client.infer("churn", inputs(triton, binary), **how).as_numpy("probabilities")

    async def asked() -> Any:
        async with triton_aio.InferenceServerClient(address) as client:
            return (await client.infer("churn", inputs(triton_aio, binary), **how)).as_numpy("probabilities")

    np.testing.assert_array_equal(loops.run(asked()), found)
    assert found.shape == (2, 2)


def test_triton_s_clients_hear_of_the_repository_its_configuration_and_counts(server: Supervisor) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        asked = [triton.InferRequestedOutput("probabilities", class_count=1)]
        before = client.get_inference_statistics("churn")["model_stats"][0]["inference_stats"]["success"]
        found = client.infer("churn", inputs(triton, True), outputs=asked).as_numpy("probabilities")
        assert client.get_model_repository_index() == [
            {"name": "churn", "version": "v1", "state": "READY", "reason": ""}
        ]
        config = client.get_model_config("churn", "v1")
        (counted,) = client.get_inference_statistics()["model_stats"]
        for change in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="acts of governance") as refused:
                change("churn")
            assert refused.value.status() == "403"
        whole = client.infer("churn", inputs(triton, True)).as_numpy("probabilities")
    best = whole.argmax(1)
    assert found.tolist() == [[f"{row[at]:f}:{at}:{at}".encode()] for row, at in zip(whole, best, strict=True)]
    assert [(one["name"], one["dims"]) for one in config["input"]] == [(f"f{j}", [1]) for j in range(3)]
    assert counted["inference_stats"]["success"]["count"] == before["count"] + 1
    assert counted["inference_stats"]["success"]["ns"] > before["ns"]
    assert counted["inference_count"] >= 2


def test_octet_streams_are_json_where_clients_say_so_and_nowhere_else(server: Supervisor) -> None:
    said = "Content-Type: application/octet-stream\r\n"
    assert infer(server.port, {"inputs": INPUTS}, said)[0] == 200
    assert ask(server.port, "/models/churn/predict", PLAIN, said)[0] == 415
    assert infer(server.port, {"inputs": INPUTS}, "Content-Type: text/plain\r\n")[0] == 415


@pytest.mark.parametrize("path", ["/models/churn/predict", "/models/churn/labels"])
@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    [
        pytest.param("gzip", gzip.compress(PLAIN), 200, None, id="gzip"),
        pytest.param("x-gzip", gzip.compress(PLAIN), 200, None, id="its old name"),
        pytest.param("Deflate", zlib.compress(PLAIN), 200, None, id="deflate"),
        pytest.param("identity", PLAIN, 200, None, id="none"),
        pytest.param("gzip", gzip.compress(PLAIN)[:-9], 400, "BAD_ENCODING", id="cut"),
        pytest.param("gzip", b"", 400, "BAD_ENCODING", id="nothing"),
        pytest.param("gzip", gzip.compress(PLAIN)[:-8] + bytes(8), 400, "BAD_ENCODING", id="bad CRC"),
        pytest.param("gzip", gzip.compress(PLAIN) + b"more", 400, "BAD_ENCODING", id="followed by more"),
        pytest.param("gzip", PLAIN, 400, "BAD_ENCODING", id="not gzip"),
        pytest.param("deflate", gzip.compress(PLAIN), 400, "BAD_ENCODING", id="another framing"),
        pytest.param("gzip", gzip.compress(gzip.compress(PLAIN)), 400, None, id="twice, said once"),
        pytest.param("gzip, gzip", gzip.compress(gzip.compress(PLAIN)), 415, "UNSUPPORTED_ENCODING", id="nested"),
        pytest.param("br", PLAIN, 415, "UNSUPPORTED_ENCODING", id="br"),
        pytest.param("zstd", PLAIN, 415, "UNSUPPORTED_ENCODING", id="zstd"),
        pytest.param("x" * 100, PLAIN, 415, "UNSUPPORTED_ENCODING", id="unknown"),
        pytest.param("gzip", gzip.compress(PLAIN + b" " * SMALL), 413, "BODY_TOO_LARGE", id="over the ratio"),
        pytest.param("gzip", gzip.compress(bytes(10**8)), 413, "BODY_TOO_LARGE", id="a bomb"),
    ],
)
def test_compressed_bodies_are_taken_within_limits(
    server: Supervisor, path: str, coding: str, body: bytes, status: int, code: str | None
) -> None:
    found, said = ask(server.port, path, body, f"Content-Encoding: {coding}\r\n")
    if path.endswith("labels"):
        assert found == (422 if status == 200 else status), "what is unpacked is no labels"
    else:
        assert found == status
    if code is not None:
        assert said["code"] == code


def test_a_body_that_unpacks_to_more_than_the_contract_allows_is_refused(server: Supervisor) -> None:
    draw = np.random.default_rng(0)
    rows = [dict(zip(("f0", "f1", "f2"), values, strict=True)) for values in draw.uniform(-1, 1, (4000, 3)).tolist()]
    body = gzip.compress(json.dumps({"rows": rows}).encode())
    assert len(body) < LIMIT
    status, said = ask(server.port, "/models/churn/predict", body, "Content-Encoding: gzip\r\n")
    assert (status, said["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"outputs": [{"name": "value"}]}, "UNKNOWN_OUTPUT", "value"),
        (
            {"outputs": [{"name": "label", "parameters": {"classification": 2}}]},
            "UNSUPPORTED_PARAMETER",
            "classification",
        ),
        ({"parameters": {"priority": 1}}, "UNSUPPORTED_PARAMETER", "priority"),
        ({"parameters": {"sequence_id": 7}}, "UNSUPPORTED_PARAMETER", "sequence_id"),
        (
            {"inputs": [{**INPUTS[0], "parameters": {"shared_memory_region": "x"}}]},
            "UNSUPPORTED_PARAMETER",
            "shared_memory_region",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(server: Supervisor, more: dict[str, Any], code: str, field: str) -> None:
    status, said = infer(server.port, {"inputs": INPUTS, **more})
    assert (status, said["code"], said["field"]) == (400, code, field)
    assert "label, probabilities" in said["limit"] or code != "UNKNOWN_OUTPUT"


def test_hints_about_encodings_change_nothing(server: Supervisor) -> None:
    message = {"inputs": [{**INPUTS[0], "parameters": {"content_type": "np"}}], "parameters": {"content_type": "np"}}
    assert infer(server.port, message)[0] == 200


def test_over_grpc_it_is_refused_as_well(server: Supervisor) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_address) as client:
        for how in (
            {"outputs": [triton_grpc.InferRequestedOutput("value")]},
            {"outputs": [triton_grpc.InferRequestedOutput("label", class_count=2)]},
            {"outputs": [triton_grpc.InferRequestedOutput("probabilities", class_count=-1)]},
            {"priority": 3},
        ):
            with pytest.raises(InferenceServerException) as refused:
                client.infer("churn", inputs(triton_grpc, None), **how)
            assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
        assert client.infer("churn", inputs(triton_grpc, None)).as_numpy("label").shape == (2,)
        asked = [triton_grpc.InferRequestedOutput("probabilities", class_count=2)]
        found = client.infer("churn", inputs(triton_grpc, None), outputs=asked).as_numpy("probabilities")
        assert found.shape == (2, 2)
        assert found[0, 0].endswith((b":0:0", b":1:1"))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost{}", 200),
        ("HTTP://127.0.0.1:8080{}", 200),
        ("http://example.org{}", 421),
        ("http://user@localhost{}", 421),
        ("https://localhost{}", 404),
        ("http://localhost", 404),
    ],
)
def test_a_target_with_our_name_in_it_is_taken(server: Supervisor, target: str, status: int) -> None:
    found, _ = ask(server.port, target.format("/models/churn/predict"), PLAIN)
    assert found == status


@pytest.mark.parametrize("version", ["2.0", "0.9"])
def test_another_version_of_http_is_not_spoken(server: Supervisor, version: str) -> None:
    status, said = ask(server.port, "/v2", b"", line="GET {} HTTP/" + version)
    assert (status, said["code"], said["limit"]) == (505, "UNKNOWN_HTTP", "HTTP/1.1, HTTP/1.0")
