"""Calls over the runtime, whichever protocol they are of: the same validation, routing, journal and guard as over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Missing, ModelmarkError, NotYet, TooLarge
from modelmark.serving import routing
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.grpc import messages
from modelmark.serving.grpc.access import sent
from modelmark.serving.grpc.errors import metadata_of, status_of
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.runtime import LARGE_BODY, Runtime
from modelmark.serving.timing.timing import Timing
from modelmark.serving.wire import provenance
from modelmark.serving.wire.errors import sentence
from modelmark.serving.wire.event import AT, happened

#: How often a stream that waits for its caller looks whether this worker ends, and how long it waits, in seconds.
POLL: Final = 0.2
IDLE: Final = 300.0
#: Bytes of a message that asks for no prediction, and is read on the loop.
PLAIN: Final = 4 * 1024 * 1024
REQUEST_ID: Final = "x-request-id"
_ID_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

T = TypeVar("T")
Context = Any  # grpc.aio.ServicerContext, which has no types
Handler = Callable[[bytes, Context], Awaitable[bytes]]
Outcome = bytes | ModelmarkError


class Question(Protocol):
    """A message that asks for predictions."""

    @property
    def model(self) -> str: ...

    def arm(self, route: LiveRoute) -> int | None:
        """The only one that may answer; None to let the router choose. Raises Missing."""
        ...

    def entity(self) -> str:
        """Whom it is about, empty when it does not say. Raises Rejected."""
        ...

    def renderer(self, version: LoadedModel) -> Callable[[Answer], bytes]:
        """How its answer is written. Raises Malformed for what a version cannot answer."""
        ...

    def rows(self, codec: RowCodec) -> Rows:
        """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
        ...


class GrpcResponder:
    """Implements `answers.Responder`: the call's coroutine waits for `outcome`."""

    def __init__(self, request_id: str, metrics: Metrics) -> None:
        self.request_id = request_id
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.render: Callable[[Answer], bytes] | None = None
        self.route: LiveRoute | None = None  # of whom an answer is wanted, once that is known
        self.arm: int | None = None
        self.told: tuple[tuple[str, str], ...] = ()  # which prediction the answer is
        self.timing: Timing | None = None
        self._metrics = metrics

    @property
    def gone(self) -> bool:
        return self.outcome.done()

    def answer(self, answer: Answer) -> None:
        if self.render is None:
            raise TypeError("nothing was parsed, so nothing can be answered")
        rendered, self.told = self.render(answer), provenance.pairs(answer)
        if self.timing is not None and self.timing.asked:
            name, _, value = self.timing.header().decode().strip().partition(": ")
            self.told += ((name, value),)
        self._tell(rendered)

    def refuse(self, error: ModelmarkError) -> None:
        self._metrics.add(key("modelmark_errors_total", status=status_of(error).name, code=error.code))
        self._tell(error)

    def _tell(self, what: Outcome) -> None:
        if not self.outcome.done():  # the caller may have hung up
            self.outcome.set_result(what)


class Calls:
    """Handlers take and give bytes: what cannot be read is the caller's fault, which gRPC's own reader calls INTERNAL."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._count = 0
        self.ending = False  # from now on calls are refused with a status that clients try again elsewhere

    def predict(self, read: Callable[[bytes], Question]) -> Handler:
        """read: raises Malformed."""

        async def call(body: bytes, context: Context) -> bytes:
            responder = self.responder(context)
            outcome = await self.outcome(read, body, context, responder)
            if isinstance(outcome, ModelmarkError):
                await self._abort(context, outcome, responder.request_id)
                raise outcome
            context.set_trailing_metadata(((REQUEST_ID, responder.request_id), *responder.told))
            return outcome

        return call

    def plain(
        self, kind: Callable[[], Any], act: Callable[[Any], Any], absent: Callable[[], Any] | None = None
    ) -> Handler:
        """A call that is answered at once, without a model. absent: the answer about a model that there is not, where that is no
        error."""

        async def call(body: bytes, context: Context) -> bytes:
            responder = self.responder(context)
            try:
                if len(body) > PLAIN:
                    raise TooLarge("the message is too large", limit=f"{PLAIN} bytes")
                message = messages.read(kind, body)
                try:
                    self._require_model(context, _model_in(message))
                except Missing:
                    if absent is None:
                        raise
                    return bytes(absent().SerializeToString())
                return bytes(act(message).SerializeToString())
            except ModelmarkError as error:
                responder.refuse(error)
            except Exception as error:  # noqa: BLE001  # a defect of ours must not show
                self._defect(responder, error)
            outcome = await responder.outcome
            await self._abort(context, outcome, responder.request_id)
            return b""

        return call

    async def next(self, context: Context) -> bytes | None:
        """What the caller of a stream sends next; None when it sends no more, was silent for IDLE, or this worker ends."""
        coming = asyncio.ensure_future(context.read())
        until = perf_counter() + IDLE
        try:
            while not (await asyncio.wait({coming}, timeout=POLL))[0]:
                if self.ending or perf_counter() > until:
                    return None
        finally:
            if not coming.done():
                coming.cancel()
        found = coming.result()
        return found if isinstance(found, bytes) else None

    def responder(self, context: Context) -> GrpcResponder:
        given = next((value for name, value in context.invocation_metadata() or () if name == REQUEST_ID), None)
        if isinstance(given, str) and _ID_FORM.fullmatch(given):
            return GrpcResponder(given, self.runtime.metrics)
        self._count += 1
        return GrpcResponder(f"{self.runtime.writer.id[:12]}-g{self._count:x}", self.runtime.metrics)

    async def outcome(
        self, read: Callable[[bytes], Question], body: bytes, context: Context, responder: GrpcResponder
    ) -> Outcome:
        """The answer's bytes, or why there is none."""
        received = perf_counter()
        try:
            question = await self._read(body, partial(read, body))
            due = received + (context.time_remaining() or inf)
            await self._submit(question, body, responder, received, due, context)
        except ModelmarkError as error:
            self.runtime.refuse(responder, error, responder.route, responder.arm)
        except Exception as error:  # noqa: BLE001  # a defect of ours must not show
            self._defect(responder, error)
        return await responder.outcome

    async def _read(self, body: bytes, work: Callable[[], T]) -> T:
        """What is made of a message: of a large one, off the loop."""
        if len(body) <= LARGE_BODY:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self.runtime.reader, work)

    async def _submit(
        self, question: Question, body: bytes, responder: GrpcResponder, received: float, due: float, context: Context
    ) -> None:
        """due: the caller's own deadline, by `perf_counter`; the contract's holds as well."""
        if self.ending:
            raise NotYet("this worker ends", hint="try again")
        self._require_model(context, question.model)
        responder.route = route = self.runtime.route(question.model)
        caller = self._caller(context)
        limit = route.champion.contract.serving.max_body_bytes
        if len(body) > limit:
            raise TooLarge("the message is too large", limit=f"{limit} bytes")
        entity, arm = question.entity(), question.arm(route)
        if arm is None:
            choose = partial(routing.choose, route, entity, question.rows, responder.request_id)
            arm = await self._read(body, choose)
        responder.arm, version = arm, route.arms[arm].version
        responder.render = question.renderer(version)
        due = min(due, received + version.deadline)
        self.runtime.require_room(version, caller, due)
        rows = await self._read(body, partial(question.rows, version.codec))
        timing = responder.timing = self.runtime.timing(received, _timing_asked(context))
        if timing is not None:
            timing.part("parse", received, perf_counter())
        event = _happened(context)
        self.runtime.submit(
            PredictRequest(
                responder, route, arm, rows, entity, received, due, len(body), question.rows, caller, timing, event
            )
        )

    def _require_model(self, context: Context, model: str | None) -> None:
        """Raises Missing for a model that the caller's key is not for."""
        if self.runtime.access.watches:
            self.runtime.access.require_sent_for(sent(context.invocation_metadata()), model)

    def _caller(self, context: Context) -> bytes:
        """Whom a call counts for when many want more than there is: as over HTTP."""
        shown = sent(context.invocation_metadata())
        known = self.runtime.access.caller(shown) if self.runtime.access.watches else None
        return known or next(iter(shown), None) or str(context.peer().rpartition(":")[0]).encode()

    def _defect(self, responder: GrpcResponder, error: Exception) -> None:
        message = {"message": "a request handler failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(message)
        self.runtime.refuse(responder, ModelmarkError("the server made a mistake"), responder.route, responder.arm)

    async def _abort(self, context: Context, error: Any, request_id: str) -> None:
        await context.abort(status_of(error), sentence(error), (*metadata_of(error), (REQUEST_ID, request_id)))


def _timing_asked(context: Context) -> dict[bytes, bytes]:
    """What stands in the metadata of what HTTP has as headers."""
    return {
        name.encode(): value.encode()
        for name, value in context.invocation_metadata() or ()
        if name in ("server-timing", "traceparent") and isinstance(value, str)
    }


def _happened(context: Context) -> bytes:
    """When it happened, as the journal has it; empty where the metadata do not say. Raises Rejected."""
    said = [value for name, value in context.invocation_metadata() or () if name == AT.decode()]
    return happened(said[-1].encode()) if said else b""


def _model_in(message: Any) -> str | None:
    """The model that a message is about, empty for all of them; None for what is about the server."""
    if hasattr(message, "model_spec"):
        return str(message.model_spec.name)
    return next((str(getattr(message, name)) for name in ("model", "name") if hasattr(message, name)), None)
