"""KServe's own client is answered over V1, v2 and gRPC, where KServe's V1 was chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import numpy as np
import pandas as pd
import pytest

import serving_case as case
from foreign_clients import asked
from modelmark import Client
from modelmark.serving.supervisor import Supervisor, running
from modelmark.stats.profile import reference

ROWS = [[0.5, -1.25, 2.0], [-3.0, 0.125, 0.0]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    train = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 3)), columns=["f0", "f1", "f2"])
    learned = reference(case.contract(), train, np.full((400, 2), 0.5))
    built = case.build(tmp_path_factory.mktemp("w"), reference=learned)
    case.release(built)
    with running(built.workspace, grpc_port=0, worker_options=("--kserve-v1",)) as supervisor:
        yield supervisor


#: Its package loads a server and Kubernetes' client; the client's own modules do without.
ASKED = """
import asyncio, importlib.util, json, logging, sys, types

bare = types.ModuleType("kserve")
bare.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = bare
import numpy as np
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import InferInput, InferRequest

address, grpc_address, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])


def tensors():
    found = InferInput(name="X", shape=[len(rows), 3], datatype="FP64")
    found.set_data_from_numpy(np.array(rows), binary_data=False)
    return InferRequest(model_name="churn", infer_inputs=[found])


async def error(work):
    try:
        await work
    except Exception as found:
        return str(found)


async def main():
    told = {}
    one, two = (InferenceRESTClient(RESTConfig(protocol=protocol, retries=0)) for protocol in ("v1", "v2"))
    told["v1"] = (await one.infer(address, {"instances": rows}, model_name="churn"))["predictions"]
    told["v1 live"], told["v1 ready"] = await one.is_server_live(address), await one.is_model_ready(address, "churn")
    told["v1 refused"] = await error(one.infer(address, {"instances": [[1.0]]}, model_name="churn"))
    told["v1 explain"] = await one.explain(address, "churn", {"instances": rows[:1]})
    told["v1 explain two"] = await error(one.explain(address, "churn", {"instances": rows}))
    found = await two.infer(address, tensors(), model_name="churn")
    told["v2"] = {one.name: one.data for one in found.outputs}["label"]
    ready = await two.is_model_ready(address, "churn")
    told["v2 ready"] = [await two.is_server_ready(address), await two.is_server_live(address), ready]
    client = InferenceGRPCClient(url=grpc_address)
    found = await client.infer(tensors())
    told["gRPC"] = {one.name: one.as_numpy().tolist() for one in found.outputs}["label"]
    told["gRPC ready"] = [await client.is_server_ready(), await client.is_model_ready("churn")]
    return told


print(json.dumps(asyncio.run(main())))
"""


def test_it_is_answered_over_each_of_its_protocols(server: Supervisor) -> None:
    told = asked("kserve", ASKED, server.address, str(server.grpc_address), json.dumps(ROWS))
    rows = [dict(zip(("f0", "f1", "f2"), row, strict=True)) for row in ROWS]
    with Client(server.address) as client:
        labels = [one.label for one in client.predict("churn", rows).answers]
    assert told["v1"] == told["v2"] == told["gRPC"] == labels
    assert told["v1 live"]
    assert told["v1 ready"]
    assert told["v2 ready"] == [True, True, True]
    assert told["gRPC ready"] == [True, True]
    assert "a row has another form" in told["v1 refused"]
    assert told["v1 explain"]["predictions"] == labels[:1]
    (explanation,) = told["v1 explain"]["explanations"]
    native = httpx2.post(f"{server.address}/models/churn/explain", json={"row": rows[0]}, timeout=60).json()
    assert explanation == native["explanation"]
    assert [part["value"] for part in explanation["parts"]] == ROWS[0]
    assert "one row is explained at a time" in told["v1 explain two"]


def test_what_is_explained_is_journaled_like_any_prediction_and_judged_by_the_contract(server: Supervisor) -> None:
    address = f"{server.address}/v1/models/churn:explain"
    told = httpx2.post(address, json={"instances": [ROWS[1]], "entity": "ann"}, timeout=60)
    assert (told.status_code, len(told.headers["x-modelmark-prediction-id"])) == (200, 32)
    refused = httpx2.post(address, json={"instances": [[1.0, 2.0, 300.0]]})
    assert (refused.status_code, refused.json()["field"]) == (400, "f2")
