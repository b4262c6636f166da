"""The Open Inference Protocol's calls, with what Triton adds: a stream of inferences, repository, configuration, statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import grpc

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import ModelmarkError
from modelmark.serving.answers import Answer
from modelmark.serving.grpc import extensions, messages
from modelmark.serving.grpc.calls import Calls, Context, Handler
from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.wire import oip_tensors
from modelmark.serving.wire.errors import sentence

NAME: Final = "inference.GRPCInferenceService"


class Infer:
    """Implements `calls.Question`."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self.model: str = message.model_name

    @classmethod
    def read(cls, body: bytes) -> Infer:
        """Raises Malformed."""
        return cls(messages.read(pb.ModelInferRequest, body))

    def arm(self, route: LiveRoute) -> int | None:
        return oip_tensors.arm_named(route, self.message.model_version) if self.message.model_version else None

    def entity(self) -> str:
        return messages.entity(self.message)

    def rows(self, codec: RowCodec) -> Rows:
        return messages.rows(self.message, codec)

    def renderer(self, version: LoadedModel) -> Callable[[Answer], bytes]:
        wanted, counts = messages.wanted(self.message, version.codec.task), messages.class_counts(self.message)
        return partial(messages.response, self.message, wanted, counts)


class InferenceService:
    """The protocol's service over the calls of one worker."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._runtime = calls, calls.runtime

    def handlers(self) -> Any:
        """What a gRPC server is given."""
        plain = self._calls.plain
        calls: dict[str, Handler] = {
            "ServerLive": plain(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": plain(pb.ServerReadyRequest, self._server_ready),
            "ModelReady": plain(
                pb.ModelReadyRequest, self._model_ready, absent=lambda: pb.ModelReadyResponse(ready=False)
            ),
            "ServerMetadata": plain(pb.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": plain(pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": self._calls.predict(Infer.read),
            **{name: plain(kind, partial(act, self._runtime)) for name, (kind, act) in extensions.CALLS.items()},
        }
        methods = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def _stream(self, _: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """Answers in the order of the questions, one at a time; what is refused is told in the stream, which goes on."""
        while (body := await self._calls.next(context)) is not None:
            responder = self._calls.responder(context)
            outcome = await self._calls.outcome(Infer.read, body, context, responder)
            told = pb.ModelStreamInferResponse()
            if isinstance(outcome, ModelmarkError):
                told.error_message = sentence(outcome)
                told.infer_response.id = _id_in(body)
            else:
                told.infer_response.ParseFromString(outcome)
            yield bytes(told.SerializeToString())

    def _server_ready(self, message: Any) -> Any:
        return pb.ServerReadyResponse(ready=self._runtime.ready()[0])

    def _model_ready(self, message: Any) -> Any:
        """Of an unknown model or version: not ready, and no error."""
        try:
            route = self._runtime.route(message.name)
            if message.version:
                oip_tensors.arm_named(route, message.version)
        except ModelmarkError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._runtime.answers(route.model))

    def _server_metadata(self, message: Any) -> Any:
        return pb.ServerMetadataResponse(
            name=oip_tensors.NAME, version=oip_tensors.RELEASE, extensions=oip_tensors.EXTENSIONS
        )

    def _model_metadata(self, message: Any) -> Any:
        route = self._runtime.route(message.name)
        arm = oip_tensors.arm_named(route, message.version) if message.version else 0
        return pb.ModelMetadataResponse(**oip_tensors.metadata(route, route.arms[arm].version))


def _id_in(body: bytes) -> str:
    """The id of a question, empty where it cannot be read."""
    try:
        return str(messages.read(pb.ModelInferRequest, body).id)
    except ModelmarkError:
        return ""
