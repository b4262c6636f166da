"""A bare grpc.aio handler of ModelInfer: it reads the message, runs the session and answers its scores. No duty at all.

python _grpc_bare.py PORT, with BENCH_ASKED as the servers over HTTP have it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import numpy as np
from _asked import ASKED, session

from modelmark.serving.grpc.generated import open_inference_pb2 as pb

run = session().run
output, feed = ASKED.output, ASKED.feeds[0].name
columns = [name for name, _ in ASKED.columns]


async def infer(request: Any, context: Any) -> Any:
    """One tensor a column, as our client sends them: FP64 in `contents`."""
    found = {tensor.name: tensor.contents.fp64_contents for tensor in request.inputs}
    rows = np.array([found[name] for name in columns], np.float32).T
    (scores,) = run([output], {feed: rows})
    reply = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    told = reply.outputs.add(name="probabilities", datatype="FP64", shape=scores.shape)
    told.contents.fp64_contents.extend(scores.ravel().tolist())
    return reply


async def serve(port: int) -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        infer,
        request_deserializer=pb.ModelInferRequest.FromString,
        response_serializer=pb.ModelInferResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


asyncio.run(serve(int(sys.argv[1])))
