"""The standard gRPC health service: what load balancers and Kubernetes ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from modelmark.domain.errors import Malformed
from modelmark.serving.grpc import messages
from modelmark.serving.grpc.errors import status_of
from modelmark.serving.grpc.generated import health_pb2 as pb
from modelmark.serving.grpc.service import NAME as INFERENCE
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire.errors import sentence

NAME: Final = "grpc.health.v1.Health"
_POLL: Final = 0.2
_KNOWN: Final = frozenset({"", INFERENCE})


class HealthService:
    """SERVING exactly while the worker is ready, of the server as a whole and of the inference service."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def handlers(self) -> Any:
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def _check(self, body: bytes, context: Any) -> bytes:
        service = await self._service(body, context)
        if service not in _KNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no service of that name is here")
        return self._response(self._status())

    async def _watch(self, body: bytes, context: Any) -> AsyncIterator[bytes]:
        """The status now, then whenever it changes, until the worker drains."""
        service = await self._service(body, context)
        last = None
        while True:
            now = self._status() if service in _KNOWN else pb.HealthCheckResponse.SERVICE_UNKNOWN
            if now != last:
                yield self._response(now)
                last = now
            if self._runtime.health.draining:
                return
            await asyncio.sleep(_POLL)

    async def _service(self, body: bytes, context: Any) -> str:
        try:
            return str(messages.read(pb.HealthCheckRequest, body).service)
        except Malformed as error:
            await context.abort(status_of(error), sentence(error))
            raise

    def _status(self) -> pb.HealthCheckResponse.ServingStatus:
        ready = self._runtime.ready()[0]
        return pb.HealthCheckResponse.SERVING if ready else pb.HealthCheckResponse.NOT_SERVING

    @staticmethod
    def _response(status: pb.HealthCheckResponse.ServingStatus) -> bytes:
        return bytes(pb.HealthCheckResponse(status=status).SerializeToString())
