"""The Open Inference Protocol's calls over the runtime: the same validation, routing, journal and guard as over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, Final, TypeVar

import grpc

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import ModelmarkError, NotYet, TooLarge
from modelmark.serving import routing
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.grpc import messages
from modelmark.serving.grpc.errors import metadata_of, status_of
from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import LARGE_BODY, Runtime
from modelmark.serving.wire import oip_tensors
from modelmark.serving.wire.errors import sentence

NAME: Final = "inference.GRPCInferenceService"
_REQUEST_ID: Final = "x-request-id"
_ID_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

T = TypeVar("T")
Context = Any  # grpc.aio.ServicerContext, which has no types
Handler = Callable[[bytes, Context], Awaitable[bytes]]


class GrpcResponder:
    """Implements `answers.Responder`: the call's coroutine waits for `outcome`."""

    def __init__(self, request_id: str, metrics: Metrics) -> None:
        self.request_id = request_id
        self.outcome: asyncio.Future[bytes | ModelmarkError] = asyncio.get_running_loop().create_future()
        self.render: Callable[[Answer], bytes] | None = None
        self.route: LiveRoute | None = None  # of whom an answer is wanted, once that is known
        self.arm: int | None = None
        self._metrics = metrics

    @property
    def gone(self) -> bool:
        return self.outcome.done()

    def answer(self, answer: Answer) -> None:
        if self.render is None:
            raise TypeError("nothing was parsed, so nothing can be answered")
        self._tell(self.render(answer))

    def refuse(self, error: ModelmarkError) -> None:
        self._metrics.add(key("modelmark_errors_total", status=status_of(error).name, code=error.code))
        self._tell(error)

    def _tell(self, what: bytes | ModelmarkError) -> None:
        if not self.outcome.done():  # the caller may have hung up
            self.outcome.set_result(what)


class InferenceService:
    """Handlers take and give bytes: what cannot be read is the caller's fault, which gRPC's own reader calls INTERNAL."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._count = 0
        self.ending = False  # from now on calls are refused with a status that clients try again elsewhere

    def handlers(self) -> Any:
        """What a gRPC server is given."""
        calls: dict[str, Handler] = {
            "ServerLive": self._plain(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": self._plain(pb.ServerReadyRequest, self._server_ready),
            "ModelReady": self._plain(pb.ModelReadyRequest, self._model_ready),
            "ServerMetadata": self._plain(pb.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": self._plain(pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": self._infer,
        }
        methods = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def _infer(self, body: bytes, context: Context) -> bytes:
        received = perf_counter()
        responder = GrpcResponder(self._request_id(context), self._runtime.metrics)
        try:
            message = await self._read(body, partial(messages.read, pb.ModelInferRequest, body))
            due = received + (context.time_remaining() or inf)
            await self._submit(message, body, responder, received, due, _caller(context))
        except ModelmarkError as error:
            self._runtime.refuse(responder, error, responder.route, responder.arm)
        except Exception as error:  # noqa: BLE001  # a defect of ours must not show
            self._defect(responder, error)
        outcome = await responder.outcome
        if isinstance(outcome, ModelmarkError):
            await self._abort(context, outcome, responder.request_id)
            raise outcome
        context.set_trailing_metadata(((_REQUEST_ID, responder.request_id),))
        return outcome

    async def _read(self, body: bytes, work: Callable[[], T]) -> T:
        """What is made of a message: of a large one, off the loop."""
        if len(body) <= LARGE_BODY:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._runtime.reader, work)

    async def _submit(
        self, message: Any, body: bytes, responder: GrpcResponder, received: float, due: float, caller: bytes
    ) -> None:
        """due: the caller's own deadline, by `perf_counter`; the contract's holds as well."""
        if self.ending:
            raise NotYet("this worker ends", hint="try again")
        responder.route = route = self._route(message.model_name)
        limit = route.champion.contract.serving.max_body_bytes
        if len(body) > limit:
            raise TooLarge("the message is too large", limit=f"{limit} bytes")

        def read(codec: RowCodec) -> Rows:
            return messages.rows(message, codec)

        entity = messages.entity(message)
        if message.model_version:
            arm = oip_tensors.arm_named(route, message.model_version)
        else:
            arm = await self._read(body, partial(routing.choose, route, entity, read, responder.request_id))
        responder.arm, version = arm, route.arms[arm].version
        wanted, counts = messages.wanted(message, version.codec.task), messages.class_counts(message)
        responder.render = partial(messages.response, message, wanted, counts)
        due = min(due, received + version.deadline)
        self._runtime.require_room(version, caller, due)
        rows = await self._read(body, partial(read, version.codec))
        self._runtime.submit(
            PredictRequest(responder, route, arm, rows, entity, received, due, len(body), read, caller)
        )

    def _plain(self, kind: Callable[[], Any], act: Callable[[Any], Any]) -> Handler:
        async def call(body: bytes, context: Context) -> bytes:
            responder = GrpcResponder(self._request_id(context), self._runtime.metrics)
            try:
                return bytes(act(messages.read(kind, body)).SerializeToString())
            except ModelmarkError as error:
                responder.refuse(error)
            except Exception as error:  # noqa: BLE001  # a defect of ours must not show
                self._defect(responder, error)
            outcome = await responder.outcome
            await self._abort(context, outcome, responder.request_id)
            return b""

        return call

    def _defect(self, responder: GrpcResponder, error: Exception) -> None:
        message = {"message": "a request handler failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(message)
        self._runtime.refuse(responder, ModelmarkError("the server made a mistake"), responder.route, responder.arm)

    async def _abort(self, context: Context, error: Any, request_id: str) -> None:
        await context.abort(
            status_of(error), sentence(error), (*metadata_of(error), (_REQUEST_ID, request_id))
        )  # fmt: skip

    def _request_id(self, context: Context) -> str:
        given = next((value for name, value in context.invocation_metadata() or () if name == _REQUEST_ID), None)
        if isinstance(given, str) and _ID_FORM.fullmatch(given):
            return given
        self._count += 1
        return f"{self._runtime.writer.id[:12]}-g{self._count:x}"

    def _route(self, model: str) -> LiveRoute:
        found = self._runtime.routes.get(model)
        if found is None:
            raise self._runtime.missing(model)
        return found

    def _server_ready(self, message: Any) -> Any:
        return pb.ServerReadyResponse(ready=self._runtime.ready()[0])

    def _model_ready(self, message: Any) -> Any:
        """Of an unknown model or version: not ready, and no error."""
        try:
            route = self._route(message.name)
            if message.version:
                oip_tensors.arm_named(route, message.version)
        except ModelmarkError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._runtime.ready()[0])

    def _server_metadata(self, message: Any) -> Any:
        return pb.ServerMetadataResponse(
            name=oip_tensors.NAME, version=oip_tensors.RELEASE, extensions=oip_tensors.EXTENSIONS
        )

    def _model_metadata(self, message: Any) -> Any:
        route = self._route(message.name)
        arm = oip_tensors.arm_named(route, message.version) if message.version else 0
        return pb.ModelMetadataResponse(**oip_tensors.metadata(route, route.arms[arm].version))


def _caller(context: Context) -> bytes:
    """Whom a call counts for when many want more than there is: as over HTTP."""
    given = dict(context.invocation_metadata() or ())
    named = given.get("authorization") or given.get("x-api-key") or context.peer().rpartition(":")[0]
    return named if isinstance(named, bytes) else str(named).encode()
