"""The protocol's messages to rows, answers to messages. The rules of the tensors are those of `wire.oip_tensors`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from google.protobuf.message import DecodeError

from modelmark.contract import jsontext, row_errors
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Malformed
from modelmark.domain.metrics import Task
from modelmark.serving.answers import Answer
from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.wire import oip_binary, oip_tensors

#: Datatype -> the field of InferTensorContents that holds it. FP16 travels as raw bytes alone.
_CONTENTS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class InputTensor:
    """Implements `oip_tensors.Tensor`. raw: its bytes, None when its elements are in `contents`."""

    def __init__(self, tensor: Any, raw: bytes | None) -> None:
        self.name: str = tensor.name
        self.shape: list[int] = list(tensor.shape)
        self.datatype: str = tensor.datatype
        self._contents, self._raw = tensor.contents, raw

    def values(self, count: int, width: int) -> list[Any]:
        field = jsontext.shown(self.name)
        oip_tensors.kind_of(self.datatype, field)
        if self._raw is None and len(getattr(self._contents, _CONTENTS.get(self.datatype, ""), ())) > max(
            count * width, 0
        ):
            raise oip_tensors.unfilled(field, count * width)
        found = self._typed(field, width) if self._raw is None else oip_binary.values_of(self, self._raw, field)
        if not found and count * width:
            raise oip_tensors.no_data(field, f"contents.{_CONTENTS.get(self.datatype, '')}, or raw_input_contents")
        oip_tensors.require_fit(self.datatype, found, field, count, width)
        return found

    def _typed(self, field: str | None, width: int) -> list[Any]:
        if self.datatype not in _CONTENTS:
            raise Malformed(
                f"{self.datatype} travels as raw bytes", code="NO_DATA", field=field, limit="raw_input_contents"
            )
        found = list(getattr(self._contents, _CONTENTS[self.datatype]))
        if self.datatype == "BYTES":
            try:
                return [text.decode() for text in found]
            except UnicodeDecodeError:
                raise Malformed("the texts cannot be read", code="BAD_BINARY", field=field, limit="UTF-8") from None
        if self.datatype in ("FP32", "FP64"):
            for index, value in enumerate(found):
                if not isfinite(value):
                    raise row_errors.not_finite(field, index // max(width, 1))
        return found


def read(kind: Callable[[], Any], body: bytes) -> Any:
    """Raises Malformed for bytes that are no such message."""
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise Malformed("the message cannot be read", code="BAD_REQUEST", limit=type(message).__name__) from None
    return message


def rows(message: Any, codec: RowCodec) -> Rows:
    """A ModelInferRequest's rows. Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
    raw = message.raw_input_contents
    if raw and (len(raw) != len(message.inputs) or any(tensor.HasField("contents") for tensor in message.inputs)):
        raise Malformed(
            "raw contents stand for all inputs, in order, or for none",
            code="BAD_BINARY",
            field="raw_input_contents",
            limit=f"{len(message.inputs)} and no contents",
        )
    tensors = [InputTensor(tensor, raw[at] if raw else None) for at, tensor in enumerate(message.inputs)]
    return oip_tensors.rows(tensors, codec)


def entity(message: Any) -> str:
    """The parameter `entity`, empty when there is none. Raises Rejected."""
    given = message.parameters.get("entity")
    if given is None:
        return ""
    return oip_tensors.entity_of(_value(given))


def wanted(message: Any, task: Task) -> list[str] | None:
    """Names of the outputs that are asked for, of a model of that task; None for all. Raises Malformed, also for parameters
    that nobody here reads."""
    names = [output.name for output in message.outputs]
    oip_tensors.require_outputs(names, task)
    oip_tensors.require_parameters(message.parameters, oip_tensors.REQUEST_PARAMETERS)
    for tensor in message.inputs:
        oip_tensors.require_parameters(tensor.parameters, oip_tensors.INPUT_PARAMETERS)
    for output in message.outputs:
        oip_tensors.require_parameters(output.parameters, oip_tensors.OUTPUT_PARAMETERS)
    return names or None


def class_counts(message: Any) -> dict[str, int]:
    """How many classes are wanted of an output, by its name. Raises Malformed."""
    return oip_tensors.class_counts((o.name, _value(o.parameters.get("classification"))) for o in message.outputs)


def _value(parameter: Any) -> Any:
    return None if parameter is None else getattr(parameter, parameter.WhichOneof("parameter_choice") or "bool_param")


def response(message: Any, names: Sequence[str] | None, counts: Mapping[str, int], answer: Answer) -> bytes:
    """The ModelInferResponse to a request: raw outputs for raw inputs, typed ones for typed."""
    raw = bool(message.raw_input_contents)
    found = pb.ModelInferResponse(
        model_name=answer.version.model, model_version=answer.version.label, id=message.id
    )  # fmt: skip
    for name, value in oip_tensors.parameters(answer).items():
        found.parameters[name].string_param = value
    for output in oip_tensors.told(answer, names, counts):
        tensor = found.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if raw:
            found.raw_output_contents.append(oip_binary.bytes_of(output.datatype, output.data))
        else:
            data = [item.encode() for item in output.data] if output.datatype == "BYTES" else output.data
            getattr(tensor.contents, _CONTENTS[output.datatype]).extend(data)
    return bytes(found.SerializeToString())


def metadata(route: LiveRoute, version: LoadedModel) -> bytes:
    """A version's inputs and outputs as the protocol describes tensors; -1 where the number of rows stands."""
    return bytes(pb.ModelMetadataResponse(**oip_tensors.metadata(route, version)).SerializeToString())
