"""The gRPC side of one worker: its port, its limits, its end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
import grpc.aio

from modelmark.domain.errors import Conflict
from modelmark.serving.entry.tls import Tls
from modelmark.serving.grpc.access import AccessInterceptor
from modelmark.serving.grpc.calls import Calls
from modelmark.serving.grpc.generated import health_pb2, labels_pb2, open_inference_pb2, tensorflow_serving_pb2
from modelmark.serving.grpc.health import HealthService
from modelmark.serving.grpc.labels import LabelService
from modelmark.serving.grpc.reflection import ReflectionService
from modelmark.serving.grpc.service import InferenceService
from modelmark.serving.grpc.tensorflow import TensorflowServices
from modelmark.serving.runtime import Runtime

#: How long new calls are refused in words before the port closes, in seconds.
NOTICE: Final = 0.1
#: How long a connection lasts where workers come and go, and then has to finish its calls, in milliseconds.
AGE: Final = 30_000


class GrpcServer:
    """Implements `worker.Transport`. The port is shared by the workers (SO_REUSEPORT)."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        host: str,
        port: int,
        max_message: int,
        max_calls: int,
        tls: Tls | None = None,
        ages: bool = False,
    ) -> None:
        """max_message: bytes that any message may have; each model's contract says less. max_calls: at a time. ages: connections
        come anew now and then, since workers come and go.

        Compressed messages are not taken: what they unpack to would have no limit.
        """
        name = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host else host
        self._address, self._tls = f"{name}:{port}", tls
        self._server: Any = grpc.aio.server(
            interceptors=(AccessInterceptor(runtime.access, runtime.metrics),),
            maximum_concurrent_rpcs=max_calls,
            options=(
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", max_message),
                ("grpc.max_send_message_length", -1),
                ("grpc.compression_enabled_algorithms_bitset", 1),
                ("grpc.max_metadata_size", 16 * 1024),
                *((("grpc.max_connection_age_ms", AGE), ("grpc.max_connection_age_grace_ms", AGE)) if ages else ()),
            ),
        )
        self._calls = Calls(runtime)
        described = (
            open_inference_pb2.DESCRIPTOR,
            health_pb2.DESCRIPTOR,
            tensorflow_serving_pb2.DESCRIPTOR,
            labels_pb2.DESCRIPTOR,
        )
        inference, tensorflow = InferenceService(self._calls), TensorflowServices(self._calls)
        labels = LabelService(self._calls)
        reflection, health = ReflectionService(self._calls, described), HealthService(runtime)
        self._server.add_generic_rpc_handlers(
            (inference.handlers(), labels.handlers(), health.handlers(), *tensorflow.handlers(), *reflection.handlers())
        )

    async def start(self) -> int:
        """Listen; the port. Raises Conflict when it is not to be had."""
        try:
            if self._tls is None:
                port = int(self._server.add_insecure_port(self._address))
            else:
                port = int(self._server.add_secure_port(self._address, _credentials(self._tls)))
        except RuntimeError:
            raise Conflict(f"{self._address} is not free for gRPC", code="PORT_TAKEN", field="grpc_port") from None
        await self._server.start()
        return port

    async def drain(self, grace: float) -> None:
        """Refuse new calls for a moment, since gRPC itself would cancel them, then end; calls in the making get so many
        seconds."""
        self._calls.ending = True
        await asyncio.sleep(NOTICE)
        await self._server.stop(grace)


def _credentials(tls: Tls) -> Any:
    """The newest of the files, asked for at each handshake."""

    def newest() -> Any:
        found = tls.credentials
        return grpc.ssl_server_certificate_configuration(
            [(found.key, found.chain)], root_certificates=found.authorities
        )

    asks = tls.credentials.authorities is not None
    return grpc.dynamic_ssl_server_credentials(newest(), newest, require_client_authentication=asks)
