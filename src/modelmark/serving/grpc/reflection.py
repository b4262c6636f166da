"""Server reflection: which services there are and how their messages look, for grpcurl and the like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

import grpc

from modelmark.domain.errors import Malformed, TooLarge
from modelmark.serving.grpc import messages
from modelmark.serving.grpc.calls import Calls
from modelmark.serving.grpc.errors import status_of
from modelmark.serving.grpc.generated import reflection_pb2 as pb
from modelmark.serving.wire.errors import sentence

#: Their messages are the same.
NAMES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
#: Questions of one call.
MOST: Final = 1000


class ReflectionService:
    """Over the calls of one worker. files: the descriptors of the protocols that are spoken, each after those that it imports."""

    def __init__(self, calls: Calls, files: Iterable[Any]) -> None:
        self._calls = calls
        self._files = (*files, pb.DESCRIPTOR)
        self._services = sorted({*NAMES, *(s.full_name for f in self._files for s in f.services_by_name.values())})
        self._symbols: Mapping[str, Any] = {name: file for file in self._files for name in _symbols(file)}

    def handlers(self) -> list[Any]:
        method = {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._info)}
        return [grpc.method_handlers_generic_handler(name, method) for name in NAMES]

    async def _info(self, _: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        count = 0
        while (body := await self._calls.next(context)) is not None:
            count += 1
            try:
                if count > MOST:
                    raise TooLarge("too many questions in one call", limit=f"{MOST} questions")
                asked = messages.read(pb.ServerReflectionRequest, body)
            except (Malformed, TooLarge) as error:
                await context.abort(status_of(error), sentence(error))
                raise
            yield bytes(self._answer(asked).SerializeToString())

    def _answer(self, asked: Any) -> Any:
        kind = asked.WhichOneof("message_request")
        found = pb.ServerReflectionResponse(valid_host=asked.host, original_request=asked)
        if kind == "list_services":
            found.list_services_response.service.extend(pb.ServiceResponse(name=name) for name in self._services)
            return found
        file = None
        if kind == "file_by_filename":
            file = next((one for one in self._files if one.name == asked.file_by_filename), None)
        elif kind == "file_containing_symbol":
            file = self._symbols.get(asked.file_containing_symbol)
        if file is not None:
            found.file_descriptor_response.file_descriptor_proto.extend(_with_imports(file))
            return found
        found.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
        found.error_response.error_message = "nothing of that name is here"
        return found


def _symbols(file: Any) -> Iterable[str]:
    """Full names of all that a file defines."""
    for service in file.services_by_name.values():
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    waiting = [*file.message_types_by_name.values()]
    while waiting:
        message = waiting.pop()
        yield message.full_name
        waiting += message.nested_types
    yield from (enum.full_name for enum in file.enum_types_by_name.values())


def _with_imports(file: Any) -> list[bytes]:
    """The file's description and those of what it imports, each once."""
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        found[one.name] = one.serialized_pb
        waiting += [other for other in one.dependencies if other.name not in found]
    return list(found.values())
