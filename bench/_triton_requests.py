"""Requests of the Open Inference Protocol, good and bad, and what became of each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import httpx2
import numpy as np
from tritonclient.grpc import service_pb2 as pb

NAMES: Final = ("f0", "f1", "f2")
VALUES: Final = {"f0": [0.5, -1.0], "f1": [0.25, 2.0], "f2": [1.0, 0.0]}
INFER: Final = "/v2/models/churn/infer"
#: Two ONNX Runtimes computed in float32.
NEAR: Final = 1e-6


@dataclass(frozen=True)
class Request:
    """body: an object is sent as JSON."""

    method: str = "POST"
    path: str = INFER
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """said: a status or code. kind: an answer, an error that clients read, or neither. tensors: by name their values, flat."""

    said: str
    kind: str
    tensors: Mapping[str, list[Any]] = field(default_factory=dict)

    def like(self, other: Outcome) -> bool:
        return (self.said, self.kind) == (other.said, other.kind) and _same(self.tensors, other.tensors)

    def __str__(self) -> str:
        return f"{self.said}, {self.kind}"


def _same(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> bool:
    return one.keys() == other.keys() and all(
        len(one[name]) == len(other[name])
        and all(
            a == b or (isinstance(a, float) and abs(a - b) < NEAR) for a, b in zip(one[name], other[name], strict=True)
        )
        for name in one
    )


def tensor(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "shape": [2, 1], "datatype": "FP64", "data": VALUES[name], **changes}


def infer(*changed: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Three columns of two rows, of which some are replaced by name."""
    by_name = {one["name"]: one for one in changed}
    return {"inputs": [by_name.get(name) or tensor(name) for name in NAMES], **more}


def binary() -> tuple[bytes, int]:
    said = {
        "inputs": [
            {"name": n, "shape": [2, 1], "datatype": "FP64", "parameters": {"binary_data_size": 16}} for n in NAMES
        ]
    }
    head = json.dumps(said).encode()
    return head + b"".join(np.array(VALUES[name], "<f8").tobytes() for name in NAMES), len(head)


_BINARY, _HEAD = binary()
_LENGTH: Final = "inference-header-content-length"
_MANY: Final = {"inputs": [{**tensor(name), "shape": [101, 1], "data": [0.5] * 101} for name in NAMES]}
_PLAIN: Final = json.dumps(infer()).encode()

REQUESTS: Final[dict[str, Request]] = {
    "columns": Request(body=infer()),
    "nested data": Request(body=infer(tensor("f0", data=[[0.5], [-1.0]]))),
    "an id": Request(body=infer(id="abc")),
    "one output": Request(body=infer(outputs=[{"name": "probabilities"}])),
    "no outputs wanted": Request(body=infer(outputs=[])),
    "by version": Request(path="/v2/models/churn/versions/1/infer", body=infer()),
    "binary tensors": Request(body=_BINARY, headers={_LENGTH: str(_HEAD)}),
    "no media type": Request(body=_PLAIN, headers={"content-type": ""}),
    "text as the media type": Request(body=_PLAIN, headers={"content-type": "text/plain"}),
    "gzip": Request(body=gzip.compress(_PLAIN), headers={"content-encoding": "gzip"}),
    "classification": Request(body=infer(outputs=[{"name": "probabilities", "parameters": {"classification": 1}}])),
    "a timeout": Request(body=infer(parameters={"timeout": 5_000_000})),
    "a priority": Request(body=infer(parameters={"priority": 1})),
    "a sequence": Request(body=infer(parameters={"sequence_id": 7, "sequence_start": True})),
    "a parameter nobody knows": Request(body=infer(parameters={"colour": "red"})),
    "a field nobody knows": Request(body=infer(colour="red")),
    "FP32 where FP64 is described": Request(body=infer(tensor("f0", datatype="FP32"))),
    "INT64 where FP64 is described": Request(body=infer(tensor("f0", datatype="INT64", data=[1, 2]))),
    "whole numbers as FP64": Request(body=infer(tensor("f0", data=[1, 2]))),
    "a matrix under another name": Request(
        body={"inputs": [{"name": "X", "shape": [2, 3], "datatype": "FP64", "data": [1.0, 0.0, 2.0, -1.0, 2.0, 0.0]}]}
    ),
    "one dimension": Request(body={"inputs": [tensor(name, shape=[2]) for name in NAMES]}),
    "not JSON": Request(body=b"{"),
    "an empty body": Request(body=b""),
    "a list": Request(body=b"[]"),
    "no inputs": Request(body={"inputs": []}),
    "an input is missing": Request(body={"inputs": [tensor("f0"), tensor("f1")]}),
    "an input nobody knows": Request(body={"inputs": [*infer()["inputs"], {**tensor("f0"), "name": "f9"}]}),
    "an input twice": Request(body={"inputs": [*infer()["inputs"], tensor("f0")]}),
    "too few values": Request(body=infer(tensor("f0", data=[0.5]))),
    "too many values": Request(body=infer(tensor("f0", data=[0.5] * 3))),
    "columns of other lengths": Request(body=infer(tensor("f0", shape=[1, 1], data=[0.5]))),
    "a negative shape": Request(body=infer(tensor("f0", shape=[-2, 1]))),
    "an output nobody knows": Request(body=infer(outputs=[{"name": "colour"}])),
    "a datatype nobody knows": Request(body=infer(tensor("f0", datatype="FP99"))),
    "NaN": Request(body=json.dumps(infer(tensor("f0", data=[float("nan"), 1.0]))).encode()),
    "Infinity": Request(body=json.dumps(infer(tensor("f0", data=[float("inf"), 1.0]))).encode()),
    "null": Request(body=infer(tensor("f0", data=[None, 1.0]))),
    "a text as a number": Request(body=infer(tensor("f0", data=["1", 1.0]))),
    "a number beyond its range": Request(body=infer(tensor("f0", data=[1e6, 1.0]))),
    "101 rows of 100": Request(body=_MANY),
    "a header's length too large": Request(body=_BINARY, headers={_LENGTH: str(len(_BINARY) + 1)}),
    "a header's length that is no number": Request(body=_BINARY, headers={_LENGTH: "many"}),
    "a model nobody knows": Request(path="/v2/models/none/infer", body=infer()),
    "a version nobody knows": Request(path="/v2/models/churn/versions/9/infer", body=infer()),
    "a version that is no number": Request(path="/v2/models/churn/versions/x/infer", body=infer()),
    "GET to infer": Request(method="GET"),
    "the server lives": Request("GET", "/v2/health/live"),
    "the server is ready": Request("GET", "/v2/health/ready"),
    "the server": Request("GET", "/v2"),
    "the model": Request("GET", "/v2/models/churn"),
    "the model by version": Request("GET", "/v2/models/churn/versions/1"),
    "a model nobody knows, described": Request("GET", "/v2/models/none"),
    "the model is ready": Request("GET", "/v2/models/churn/ready"),
    "whether a model nobody knows is ready": Request("GET", "/v2/models/none/ready"),
    "configuration": Request("GET", "/v2/models/churn/config"),
    "statistics": Request("GET", "/v2/models/churn/stats"),
    "statistics of all": Request("GET", "/v2/models/stats"),
    "the repository": Request(path="/v2/repository/index", body=b""),
    "load": Request(path="/v2/repository/models/churn/load", body=b""),
    "unload": Request(path="/v2/repository/models/churn/unload", body=b""),
    "nothing there": Request("GET", "/v2/nothing"),
}


def posted(address: str, asked: Request) -> Outcome:
    body = asked.body if isinstance(asked.body, bytes | None) else json.dumps(asked.body).encode()
    headers = {"content-type": "application/json", **asked.headers}
    if not headers["content-type"]:
        del headers["content-type"]
    try:
        found = httpx2.request(asked.method, address + asked.path, content=body, headers=headers, timeout=30)
    except httpx2.TransportError:
        return Outcome("no answer", "the connection ends")
    return Outcome(str(found.status_code), *_read(found))


def _read(found: httpx2.Response) -> tuple[str, dict[str, list[Any]]]:
    if found.status_code != 200:
        return ("an error", {}) if _is_error(found.content) else ("no error that clients read", {})
    length = found.headers.get(_LENGTH)
    if not found.content:
        return "an empty answer", {}
    try:
        told = json.loads(found.content[: int(length)] if length else found.content)
    except ValueError:
        return "no JSON", {}
    return "an answer", _tensors(told, found.content[int(length) :] if length else b"")


def _tensors(told: Any, raw: bytes) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in told.get("outputs", []) if isinstance(told, dict) and "model_name" in told else []:
        size = one.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[one["name"]] = one["data"]
        else:
            found[one["name"]] = np.frombuffer(raw[:size], "<f8" if one["datatype"] == "FP64" else "<i8").tolist()
            raw = raw[size:]
    return found


def _is_error(body: bytes) -> bool:
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and isinstance(told.get("error"), str)


def message(**changes: Any) -> Any:
    """Two rows, typed. Named changes replace a whole field."""
    found = pb.ModelInferRequest(model_name=changes.get("model", "churn"), model_version=changes.get("version", ""))
    for name in changes.get("names", NAMES):
        one = found.inputs.add(name=name, datatype=changes.get("datatype", "FP64"), shape=changes.get("shape", [2, 1]))
        if changes.get("typed", True):
            one.contents.fp64_contents.extend(changes.get("values", VALUES[name]))
    for name in changes.get("raw", ()):
        found.raw_input_contents.append(np.array(VALUES[name], "<f8").tobytes())
    for name in changes.get("outputs", ()):
        found.outputs.add(name=name)
    return found


_ANSWERS: Final = {"ModelInfer": pb.ModelInferResponse, "ServerLive": pb.ServerLiveResponse, "ModelReady": pb.ModelReadyResponse,
                   "ModelMetadata": pb.ModelMetadataResponse, "ServerMetadata": pb.ServerMetadataResponse,
                   "RepositoryIndex": pb.RepositoryIndexResponse, "RepositoryModelLoad": pb.RepositoryModelLoadResponse,
                   "ModelConfig": pb.ModelConfigResponse, "ModelStatistics": pb.ModelStatisticsResponse}  # fmt: skip

CALLS: Final[dict[str, tuple[str, Callable[[], Any]]]] = {
    "gRPC: columns": ("ModelInfer", message),
    "gRPC: raw columns": ("ModelInfer", lambda: message(typed=False, raw=NAMES)),
    "gRPC: typed and raw": ("ModelInfer", lambda: message(raw=NAMES)),
    "gRPC: neither": ("ModelInfer", lambda: message(typed=False)),
    "gRPC: raw for two of three": ("ModelInfer", lambda: message(typed=False, raw=NAMES[:2])),
    "gRPC: one output": ("ModelInfer", lambda: message(outputs=["probabilities"])),
    "gRPC: an output nobody knows": ("ModelInfer", lambda: message(outputs=["colour"])),
    "gRPC: an input is missing": ("ModelInfer", lambda: message(names=NAMES[:2])),
    "gRPC: a datatype nobody knows": ("ModelInfer", lambda: message(datatype="FP99")),
    "gRPC: too few values": ("ModelInfer", lambda: message(values=[1.0])),
    "gRPC: a negative shape": ("ModelInfer", lambda: message(shape=[-2, 1])),
    "gRPC: NaN": ("ModelInfer", lambda: message(values=[float("nan"), 1.0])),
    "gRPC: a number beyond its range": ("ModelInfer", lambda: message(values=[1e6, 1.0])),
    "gRPC: a model nobody knows": ("ModelInfer", lambda: message(model="none")),
    "gRPC: a version nobody knows": ("ModelInfer", lambda: message(version="9")),
    "gRPC: a version that is no number": ("ModelInfer", lambda: message(version="x")),
    "gRPC: the server lives": ("ServerLive", pb.ServerLiveRequest),
    "gRPC: the server": ("ServerMetadata", pb.ServerMetadataRequest),
    "gRPC: the model is ready": ("ModelReady", lambda: pb.ModelReadyRequest(name="churn")),
    "gRPC: whether a model nobody knows is ready": ("ModelReady", lambda: pb.ModelReadyRequest(name="none")),
    "gRPC: the model": ("ModelMetadata", lambda: pb.ModelMetadataRequest(name="churn")),
    "gRPC: a model nobody knows, described": ("ModelMetadata", lambda: pb.ModelMetadataRequest(name="none")),
    "gRPC: configuration": ("ModelConfig", lambda: pb.ModelConfigRequest(name="churn")),
    "gRPC: statistics": ("ModelStatistics", lambda: pb.ModelStatisticsRequest(name="churn")),
    "gRPC: the repository": ("RepositoryIndex", pb.RepositoryIndexRequest),
    "gRPC: load": ("RepositoryModelLoad", lambda: pb.RepositoryModelLoadRequest(model_name="churn")),
}


def called(address: str, name: str, make: Callable[[], Any]) -> Outcome:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            f"/inference.GRPCInferenceService/{name}", type(make()).SerializeToString, _ANSWERS[name].FromString
        )
        try:
            found = call(make(), timeout=30)
        except grpc.RpcError as error:
            return Outcome(error.code().name, "an error" if error.details() else "no error that clients read")
    said = "ready" if getattr(found, "ready", False) else "not ready" if name == "ModelReady" else "an answer"
    return Outcome("OK", said, _answered(found) if name == "ModelInfer" else {})


def _answered(found: Any) -> dict[str, list[Any]]:
    told = {}
    for at, one in enumerate(found.outputs):
        if found.raw_output_contents:
            told[one.name] = np.frombuffer(
                found.raw_output_contents[at], "<f8" if one.datatype == "FP64" else "<i8"
            ).tolist()
        else:
            told[one.name] = [*(one.contents.fp64_contents if one.datatype == "FP64" else one.contents.int64_contents)]
    return told
