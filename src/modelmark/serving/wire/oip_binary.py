"""The binary tensor extension of the Open Inference Protocol: tensors as raw bytes behind the JSON.

Little-endian and row-major; BOOL is one byte, 0 or 1; BYTES elements each follow their length, uint32. Incoming tensors
are turned into the JSON they stand for, so that they meet the same checks. Raw requests without any JSON are not taken.
Source: kserve/open-inference-protocol, Triton's extension_binary_data.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from modelmark.contract import jsontext, row_errors
from modelmark.domain.errors import Malformed
from modelmark.serving.wire import Reply
from modelmark.serving.wire.errors import FRAME

EXTENSION: Final = "binary_tensor_data"
_SIZE: Final = "binary_data_size"
_LENGTH: Final = struct.Struct("<I")
_DTYPES: Final[Mapping[str, Any]] = {
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    "BOOL": np.dtype("u1"),
}
_encode: Final = msgspec.json.Encoder().encode

Parameters = Mapping[str, str | float | bool] | None


class Described(Protocol):
    """What must be known of a tensor to read its bytes."""

    shape: list[int]
    datatype: str


class Tensor(Protocol):
    """What of an input tensor is read and written here."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, str | float | bool] | None


class Wanted(Protocol):
    name: str
    parameters: dict[str, str | float | bool] | None


def split(body: bytes, head: int) -> tuple[bytes, bytes]:
    """(the JSON, the tensors behind it). Raises Malformed."""
    if not 0 < head <= len(body):
        raise Malformed(
            "the JSON's length does not fit the body", code="BAD_BINARY", limit=f"{FRAME.decode()}: 1 to {len(body)}"
        )
    return body[:head], body[head:]


def fill(tensors: Sequence[Tensor], raw: bytes) -> None:
    """Give every tensor that says how many bytes it has its data, as JSON. Raises Malformed."""
    at = 0
    for tensor in tensors:
        size = (tensor.parameters or {}).get(_SIZE)
        if size is None:
            continue
        field = jsontext.shown(tensor.name)
        if isinstance(size, (bool, str)) or not 0 <= size <= len(raw) - at or size != int(size) or tensor.data:
            raise Malformed(
                "a tensor's bytes are not there, or it has data as well",
                code="BAD_BINARY",
                field=field,
                limit=f"{_SIZE}: 0 to {len(raw) - at}",
            )
        end = at + int(size)
        tensor.data = msgspec.Raw(_encode(values_of(tensor, raw[at:end], field)))
        at = end
    if at != len(raw):
        raise Malformed("there are bytes that no tensor names", code="BAD_BINARY", limit=f"{at} bytes")


def require_none(tensors: Sequence[Tensor]) -> None:
    """Raises Malformed for a tensor that says its bytes follow, in a request that says that none do: which of them is meant?"""
    for tensor in tensors:
        if _SIZE in (tensor.parameters or {}):
            raise Malformed(
                "a tensor says that its bytes follow, and the request says that none do", code="BAD_BINARY",
                field=jsontext.shown(tensor.name), limit=f"data without {_SIZE}, or the header {FRAME.decode()}",
            )  # fmt: skip


def chosen(parameters: Parameters, outputs: Sequence[Wanted] | None) -> Callable[[str], bool]:
    """Whether an output is to be sent as bytes: as it says itself, else as the request does."""
    usual = (parameters or {}).get("binary_data_output") is True
    said = {o.name: (o.parameters or {}).get("binary_data", usual) is True for o in outputs or ()}
    return lambda name: said.get(name, usual)


def framed(reply: dict[str, Any], binary: Callable[[str], bool]) -> Reply:
    """The answer's bytes, with the outputs that `binary` names behind the JSON."""
    raw: list[bytes] = []
    for output in reply["outputs"]:
        if binary(output["name"]):
            raw.append(bytes_of(output["datatype"], output.pop("data")))
            output["parameters"] = {_SIZE: len(raw[-1])}
    head = _encode(reply)
    if not raw:
        return Reply(200, head)
    return Reply(200, b"".join((head, *raw)), b"application/octet-stream", b"%b: %d\r\n" % (FRAME, len(head)))


def values_of(tensor: Described, raw: bytes, field: str | None) -> list[Any]:
    """The elements of a tensor's bytes, flat. Raises Malformed."""
    most = prod(size for size in tensor.shape if size > 0)
    if tensor.datatype == "BYTES":
        return _texts(raw, field, most)
    dtype = _DTYPES.get(tensor.datatype)
    if dtype is None:
        raise Malformed(
            "the datatype is not known", code="BAD_DATATYPE", field=field, limit=", ".join((*_DTYPES, "BYTES"))
        )
    if len(raw) % dtype.itemsize:
        raise Malformed(
            "the bytes do not fill whole elements", code="BAD_BINARY", field=field, limit=f"{dtype.itemsize} bytes each"
        )
    found = np.frombuffer(raw, dtype)
    if found.size > most:
        raise _overfull(field, most)
    if tensor.datatype == "BOOL":
        if found.size and found.max() > 1:
            raise Malformed("a boolean is neither 0 nor 1", code="WRONG_TYPE", field=field, limit="0 or 1")
        found = found.astype(np.bool_)
    elif dtype.kind == "f" and not (finite := np.isfinite(found)).all():
        width = tensor.shape[1] if len(tensor.shape) == 2 and tensor.shape[1] > 0 else 1
        raise row_errors.not_finite(field, int(finite.argmin()) // width)
    values: list[Any] = found.tolist()
    return values


def _overfull(field: str | None, most: int) -> Malformed:
    return Malformed("the data does not fill the shape", code="BAD_SHAPE", field=field, limit=f"{most} elements")


def _texts(raw: bytes, field: str | None, most: int) -> list[str]:
    found: list[str] = []
    at = 0
    try:
        while at < len(raw):
            if len(found) == most:
                raise _overfull(field, most)
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size + length
            if at > len(raw):
                raise ValueError("cut short")
            found.append(raw[at - length : at].decode())
    except (struct.error, ValueError):
        raise Malformed(
            "the texts cannot be read", code="BAD_BINARY", field=field, limit="uint32 length and UTF-8 each"
        ) from None
    return found


def bytes_of(datatype: str, data: Sequence[Any]) -> bytes:
    if datatype != "BYTES":
        return np.array(data, _DTYPES[datatype]).tobytes()
    texts = [str(item).encode() for item in data]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
