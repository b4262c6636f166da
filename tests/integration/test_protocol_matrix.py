"""Every kind of model over every protocol, each by its own client: the answers of the author's object, and errors that it reads.

docs/protocols.md shows what was found here; `--update-goldens` writes it anew.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import loops
import serving_case as case
from child_here import sandbox_here
from foreign_clients import asked
from modelmark import Client
from modelmark.domain.contract import HowItRuns
from modelmark.domain.version import ONNX, ONNX_FILE, ORIGINAL, PYTHON, UPSTREAM, Signature
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.serving import flavours
from modelmark.serving.supervisor import Supervisor, running

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"
NAMES = ["f0", "f1", "f2"]
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32).astype(float), columns=NAMES)
MISSING = "column f2 is missing"
#: Of float32 graphs; the labels must be equal.
TOLERANCE = 1e-6

#: The author's own class around what was trained.
CODE = """
from pathlib import Path

import joblib


class Kept:
    def __init__(self):
        self.model = joblib.load(Path(__file__).parent / "kept.pkl")

    def predict_proba(self, frame):
        return self.model.predict_proba(frame)

    def predict(self, frame):
        return self.model.predict(frame)
"""

Heard = tuple[list[int], np.ndarray, str]


def trained() -> Any:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 3)).astype(np.float32)
    return make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=10, random_state=0)).fit(
        pd.DataFrame(x, columns=NAMES), (x[:, 0] > x[:, 1]).astype(int)
    )


@contextmanager
def elsewhere(model: Any, folder: Path) -> Iterator[Path]:
    """The graph on a server of its own, and the file that says where."""
    version = case.build(folder / "elsewhere", case.contract(), case.converted(model, 3))
    case.release(version)
    with running(version.workspace) as server:
        place = folder / "upstream.yaml"
        place.write_text(f"protocol: v2\nurl: {server.address}\nmodel: churn\n")
        yield place


def built(flavour: str, model: Any, folder: Path, place: Path) -> case.Built:
    agreed, graph = case.contract(), None
    if flavour == UPSTREAM:
        found = convert(place, agreed, FRAME, limits=sandbox.Limits(), progress=lambda _: None)
        return case.build(folder / "w", agreed, flavour=flavour, files=found.files, signature=found.signature)
    if flavour in (ORIGINAL, PYTHON):
        given = folder / "given"
        given.mkdir()
        (given / "kept.pkl").write_bytes(pickle.dumps(model))
        (given / "model.py").write_text(CODE)
        agreed = replace(agreed, model=replace(agreed.model, run=HowItRuns.ISOLATED))
        source = given if flavour == PYTHON else given / "kept.pkl"
        with sandbox_here():
            found = convert(source, agreed, FRAME, limits=sandbox.Limits(), progress=lambda _: None)
        return case.build(folder / "w", agreed, flavour=flavour, files=found.files, signature=found.signature)
    graph = case.converted(model, 3)
    silent = Signature(feeds=(), score_output="probabilities") if flavour == ONNX_FILE else None
    return case.build(folder / "w", agreed, graph, flavour=flavour, signature=silent)


def refused(ask: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as caught:  # every client has an error of its own
        ask()
    return str(caught.value)


def native(server: Supervisor) -> Heard:
    rows = FRAME.to_dict("records")
    with Client(server.address) as client:
        told = client.predict("churn", rows)
        error = refused(lambda: client.predict("churn", [{"f0": 1.0, "f1": 2.0}]))
    shares = [[one.probabilities["0"], one.probabilities["1"]] for one in told.answers]
    return [one.label for one in told.answers], np.array(shares), error


def tensors(kind: Any, names: list[str], **how: Any) -> list[Any]:
    found = []
    for name in names:
        tensor = kind.InferInput(name, [len(FRAME), 1], "FP64")
        tensor.set_data_from_numpy(FRAME[[name]].to_numpy(), **how)
        found.append(tensor)
    return found


def v2(kind: Any, address: str, *, binary: bool | None) -> Heard:
    how = {} if binary is None else {"binary_data": binary}
    outputs = [kind.InferRequestedOutput(name, **how) for name in ("label", "probabilities")]
    with kind.InferenceServerClient(address) as client:
        told = client.infer("churn", tensors(kind, NAMES, **how), outputs=outputs)
        error = refused(lambda: client.infer("churn", tensors(kind, NAMES[:2], **how)))
    return told.as_numpy("label").tolist(), told.as_numpy("probabilities"), error


def v2_async(kind: Any, address: str) -> Heard:
    """The same by the client that waits for many at a time."""

    async def ask() -> Heard:
        outputs = [kind.InferRequestedOutput(name) for name in ("label", "probabilities")]
        async with kind.InferenceServerClient(address) as client:
            told = await client.infer("churn", tensors(kind, NAMES), outputs=outputs)
            error = await refused_later(client.infer("churn", tensors(kind, NAMES[:2])))
        return told.as_numpy("label").tolist(), told.as_numpy("probabilities"), error

    return loops.run(ask())


async def refused_later(work: Awaitable[Any]) -> str:
    with pytest.raises(Exception) as caught:  # every client has an error of its own
        await work
    return str(caught.value)


def mlflow(server: Supervisor) -> Heard:
    client = ScoringServerClient("127.0.0.1", server.port)
    labels = client.invoke(FRAME).get_predictions().iloc[:, 0].tolist()
    shares = client.invoke(FRAME, params={"predict_method": "predict_proba"}).get_predictions().to_numpy()
    return labels, shares, refused(lambda: client.invoke(FRAME[NAMES[:2]]))


#: Each asks every server once, in a process of its own, and prints [labels, probabilities, error] by client and server.
OPENVINO = """
import json, sys
import numpy as np
from ovmsclient import make_grpc_client, make_http_client

columns, places, told = json.loads(sys.argv[1]), json.loads(sys.argv[2]), {}
for name, make, at in (("TensorFlow Serving REST, ovmsclient", make_http_client, 0),
                       ("TensorFlow Serving gRPC, ovmsclient", make_grpc_client, 1)):
    told[name] = []
    for place in places:
        client = make(place[at])
        found = client.predict({name: np.array(values)[:, None] for name, values in columns.items()}, "churn")
        try:
            client.predict({"f0": [1.0], "f1": [2.0]}, "churn")
        except Exception as error:
            told[name].append([found["label"].tolist(), found["probabilities"].tolist(), str(error)])
print(json.dumps(told))
"""

STUBS = """
import json, sys
import grpc
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

columns, places, told = json.loads(sys.argv[1]), json.loads(sys.argv[2]), []
for _, place in places:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(place))

    def ask(names):
        asked = predict_pb2.PredictRequest()
        asked.model_spec.name = "churn"
        for name in names:
            tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_DOUBLE, double_val=columns[name])
            for size in (len(columns[name]), 1):
                tensor.tensor_shape.dim.add(size=size)
            asked.inputs[name].CopyFrom(tensor)
        return stub.Predict(asked, timeout=20)

    found = ask(columns).outputs
    labels = [*found["label"].int64_val]
    shares = [*found["probabilities"].double_val]
    try:
        ask(["f0", "f1"])
    except grpc.RpcError as error:
        told.append([labels, [shares[at : at + 2] for at in range(0, len(shares), 2)], error.details()])
print(json.dumps({"TensorFlow Serving gRPC, tensorflow-serving-api": told}))
"""

#: Its package loads a server and Kubernetes' client; the client's own modules do without.
KSERVE = """
import asyncio, importlib.util, json, sys, types

bare = types.ModuleType("kserve")
bare.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = bare
import numpy as np
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import InferInput, InferRequest

columns, places = json.loads(sys.argv[1]), json.loads(sys.argv[2])


def request(names, binary):
    found = [InferInput(name=name, shape=[len(columns[name]), 1], datatype="FP64") for name in names]
    for one in found:
        one.set_data_from_numpy(np.array(columns[one.name])[:, None], binary_data=binary)
    return InferRequest(model_name="churn", infer_inputs=found)


async def heard(ask):
    found = {one.name: one.as_numpy().tolist() for one in (await ask(list(columns))).outputs}
    try:
        await ask(["f0", "f1"])
    except Exception as error:
        return [found["label"], found["probabilities"], str(error)]


async def main():
    told = {"v2 REST, kserve": [], "v2 gRPC, kserve": []}
    for rest, grpc in places:
        http = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
        client = InferenceGRPCClient(url=grpc)
        told["v2 REST, kserve"].append(
            await heard(lambda names: http.infer(f"http://{rest}", request(names, False), model_name="churn"))
        )
        told["v2 gRPC, kserve"].append(await heard(lambda names: client.infer(request(names, True))))
    return told


print(json.dumps(asyncio.run(main())))
"""


def foreign(servers: Sequence[Supervisor]) -> dict[str, list[Heard]]:
    """By client, what each server told it."""
    columns = json.dumps(FRAME.to_dict("list"))
    places = json.dumps([(f"127.0.0.1:{server.port}", str(server.grpc_address)) for server in servers])
    told: dict[str, list[Any]] = {}
    for client, script in (("ovmsclient", OPENVINO), ("tensorflow_serving_api", STUBS), ("kserve", KSERVE)):
        told |= asked(client, script, columns, places)
    return {name: [(one[0], np.array(one[1]), one[2]) for one in heard] for name, heard in told.items()}


def own(server: Supervisor) -> dict[str, Heard]:
    """By client, what a server told those that are installed here."""
    address, grpc = f"127.0.0.1:{server.port}", server.grpc_address or ""
    return {
        "native, modelmark.Client": native(server),
        "v2 REST, tritonclient.http, JSON": v2(triton, address, binary=False),
        "v2 REST, tritonclient.http, binary": v2(triton, address, binary=True),
        "v2 REST, tritonclient.http.aio": v2_async(triton_aio, address),
        "v2 gRPC, tritonclient.grpc": v2(triton_grpc, grpc, binary=None),
        "v2 gRPC, tritonclient.grpc.aio": v2_async(triton_grpc_aio, grpc),
        "MLflow, ScoringServerClient": mlflow(server),
    }


def cell(told: Heard, labels: list[int], shares: np.ndarray) -> str:
    """How it went."""
    if told[0] != labels:
        return "other labels"
    if told[1].shape != shares.shape or np.abs(told[1] - shares).max() > TOLERANCE:
        return "other probabilities"
    return "same" if MISSING in told[2] else "unreadable error"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """By client and flavour."""
    model = trained()
    labels, shares = model.predict(FRAME).tolist(), model.predict_proba(FRAME)
    with ExitStack() as stack:
        place = stack.enter_context(elsewhere(model, tmp_path_factory.mktemp("elsewhere")))
        servers: list[Supervisor] = []
        for flavour in flavours.BUILTIN:
            version = built(flavour, model, tmp_path_factory.mktemp(flavour), place)
            case.release(version)
            servers.append(stack.enter_context(running(version.workspace, grpc_port=0)))
        heard = [own(server) for server in servers]
        told = {name: [one[name] for one in heard] for name in heard[0]} | foreign(servers)
    return {
        client: {flavour: cell(one, labels, shares) for flavour, one in zip(flavours.BUILTIN, ones, strict=True)}
        for client, ones in sorted(told.items())
    }


def rendered(table: dict[str, dict[str, str]]) -> str:
    names = list(next(iter(table.values())))
    lines = [f"| | {' | '.join(f'`{name}`' for name in names)} |", f"|---|{'---|' * len(names)}"]
    lines += [f"| {client} | {' | '.join(row[name] for name in names)} |" for client, row in table.items()]
    return "\n".join(lines)


def test_every_protocol_answers_every_kind_of_model_as_its_author_s_object_does(found):
    assert len(found) == 12, "every client was asked"
    for row in found.values():
        assert set(row) == set(flavours.BUILTIN) >= {ONNX, ONNX_FILE, ORIGINAL, PYTHON, UPSTREAM}
    assert {(client, name, how) for client, row in found.items() for name, how in row.items() if how != "same"} == set()


def test_the_page_shows_what_was_found(found, update_goldens: bool):
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition("<!-- the matrix -->\n")
    _, _, tail = rest.partition("<!-- the end of the matrix -->\n")
    whole = f"{head}<!-- the matrix -->\n{rendered(found)}\n<!-- the end of the matrix -->\n{tail}"
    if update_goldens:
        PAGE.write_text(whole, "utf-8")
    assert PAGE.read_text("utf-8") == whole
