"""HTTP and gRPC keep what the kit asks of every transport; their native clients ask."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import grpc
import httpx2
import pytest

import serving_case as case
from modelmark.seal import keys
from modelmark.serving.grpc.errors import FACTS
from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.grpc.server import GrpcServer
from modelmark.serving.http.connection import Connection
from modelmark.serving.http.edge import Edge
from modelmark.serving.http.service import Service
from modelmark.serving.models import load_marked
from modelmark.serving.wire import installed
from modelmark.testing.transports import Heard, check_transport

ROWS = [{"f0": 0.25 * i, "f1": -1.0, "f2": i / 3} for i in range(4)]
REFUSED = {"f0": 1e9, "f1": 0.0, "f2": 0.0}


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    built = case.build(tmp_path_factory.mktemp("workspace"))
    return load_marked(built.folder, keys.verifier(built.workspace.keys), built.id)


def refusal(facts) -> Heard:
    return Heard(code=facts["code"], field=facts.get("field", ""), row=facts.get("row"))


@asynccontextmanager
async def http(runtime):
    loop = asyncio.get_running_loop()
    hosts = frozenset({b"127.0.0.1"})
    edge = Edge(Service(runtime, installed()), runtime.metrics, hosts=hosts, loop=loop)
    server = await loop.create_server(lambda: Connection(edge), "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def ask(model, rows, request_id):
        answer = await client.post(
            f"/models/{model}/predict", json={"rows": list(rows)}, headers={"x-request-id": request_id}
        )
        found = answer.json()
        if answer.status_code != 200:
            return refusal(found)
        assert answer.headers["x-request-id"] == request_id
        return Heard(id=found["id"], scores=[list(p["probabilities"].values()) for p in found["predictions"]])

    async with httpx2.AsyncClient(base_url=base) as client:
        yield ask
    server.close()
    edge.abort_all()


@asynccontextmanager
async def over_grpc(runtime):
    server = GrpcServer(runtime, host="127.0.0.1", port=0, max_message=2**20, max_calls=100)
    port = await server.start()

    async def ask(model, rows, request_id):
        request = pb.ModelInferRequest(model_name=model)
        for name in ("f0", "f1", "f2"):
            tensor = request.inputs.add(name=name, datatype="FP64", shape=[len(rows)])
            tensor.contents.fp64_contents.extend(row[name] for row in rows)
        asked = infer(request.SerializeToString(), metadata=(("x-request-id", request_id),))
        try:
            found = pb.ModelInferResponse.FromString(await asked)
        except grpc.aio.AioRpcError as error:
            return refusal(json.loads(dict(error.trailing_metadata())[FACTS]))
        assert dict(await asked.trailing_metadata())["x-request-id"] == request_id
        scores = list(found.outputs[1].contents.fp64_contents)
        return Heard(
            id=found.parameters["prediction_id"].string_param,
            scores=[scores[at : at + 2] for at in range(0, len(scores), 2)],
        )

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        yield ask
    await server.drain(5)


@pytest.mark.parametrize("listen", [http, over_grpc])
def test_a_transport_keeps_the_promises(listen, version):
    check_transport(listen, version, ROWS, REFUSED)


def bent(change):
    """gRPC with one promise broken."""

    @asynccontextmanager
    async def listen(runtime):
        async with over_grpc(runtime) as ask:

            async def other(model, rows, request_id):
                return await change(ask, runtime, model, rows, request_id)

            yield other

    return listen


async def forgets_ids(ask, runtime, model, rows, request_id):
    return await ask(model, rows, "always-the-same")


async def swaps_rows(ask, runtime, model, rows, request_id):
    return await ask(model, [*rows][::-1], request_id)


async def hides_facts(ask, runtime, model, rows, request_id):
    found = await ask(model, rows, request_id)
    return Heard(code="INTERNAL") if found.code else found


async def invents_answers(ask, runtime, model, rows, request_id):
    found = await ask(model, rows, request_id)
    return Heard(id="made up", scores=[[0.5, 0.5]]) if found.code == "MODEL_OUTPUT_INVALID" else found


@pytest.mark.parametrize("change", [forgets_ids, swaps_rows, hides_facts, invents_answers])
def test_the_kit_notices_a_transport_that_breaks_a_promise(change, version):
    with pytest.raises(AssertionError):
        check_transport(bent(change), version, ROWS, REFUSED)
