"""Keys over gRPC, in the metadata `authorization` or `x-api-key`: looked at before a message is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import grpc
import grpc.aio

from modelmark.domain.errors import ModelmarkError, NotPermitted
from modelmark.serving.entry.access import Access, Need
from modelmark.serving.grpc.errors import metadata_of, status_of
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.wire.errors import sentence

_INFERENCE: Final = "/inference.GRPCInferenceService/"
_PREDICTION: Final = "/tensorflow.serving.PredictionService/"
_MODEL: Final = "/tensorflow.serving.ModelService/"
#: What each call needs; which model it is about stands in its message. A call that stands nowhere is refused.
NEEDS: Final = {
    **{f"{_INFERENCE}{name}": Need.OPEN for name in ("ServerLive", "ServerReady")},
    **{f"{_INFERENCE}{name}": Need.PREDICT for name in ("ModelInfer", "ModelStreamInfer")},
    **{
        f"{_INFERENCE}{name}": Need.KEY
        for name in ("ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics")
    },
    **{f"{_INFERENCE}{name}": Need.ALL for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload")},
    **{f"{_PREDICTION}{name}": Need.PREDICT for name in ("Predict", "Classify", "Regress")},
    f"{_PREDICTION}GetModelMetadata": Need.KEY,
    f"{_MODEL}GetModelStatus": Need.KEY,
    f"{_MODEL}HandleReloadConfigRequest": Need.ALL,
    "/modelmark.Labels/Take": Need.LABEL,
    **{f"/grpc.health.v1.Health/{name}": Need.OPEN for name in ("Check", "Watch")},
    **{f"/grpc.reflection.{v}.ServerReflection/ServerReflectionInfo": Need.KEY for v in ("v1", "v1alpha")},
}
_SHOWN: Final = ("authorization", "x-api-key")


def sent(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[bytes, ...]:
    """What stands where keys may stand."""
    return tuple(v if isinstance(v, bytes) else v.encode() for name, v in metadata or () if name in _SHOWN)


class AccessInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses before a call begins."""

    def __init__(self, access: Access, metrics: Metrics) -> None:
        self._access, self._metrics = access, metrics

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or not self._access.watches:
            return handler
        try:
            need = NEEDS.get(details.method)
            if need is None:
                raise NotPermitted("nobody may call this", code="BAD_SCOPE")
            self._access.admit(sent(details.invocation_metadata), need, None)
        except ModelmarkError as error:
            return self._refusing(handler, error)
        return handler

    def _refusing(self, handler: Any, error: ModelmarkError) -> Any:
        """A handler of the same kind that tells why."""
        status = status_of(error)
        self._metrics.add(key("modelmark_errors_total", status=status.name, code=error.code))

        async def one(_: Any, context: Any) -> None:
            await context.abort(status, sentence(error), metadata_of(error))

        async def many(_: Any, context: Any) -> Any:
            await context.abort(status, sentence(error), metadata_of(error))
            yield b""

        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(many)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)
