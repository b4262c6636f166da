"""Messages over gRPC: good ones changed by a seeded hand, sent as bytes, and answered with a status that blames them or none."""

from __future__ import annotations

import base64
import random
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from modelmark.attack.bodies import change
from modelmark.attack.campaign import Attacked, Fault
from modelmark.attack.case import Target
from modelmark.domain.errors import NotYet
from modelmark.domain.progress import Progress

PATIENCE: Final = 15.0
#: Whoever is to blame, it is not the server.
ALLOWED: Final = frozenset(
    {
        "OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "FAILED_PRECONDITION",
        "OUT_OF_RANGE", "PERMISSION_DENIED", "UNAUTHENTICATED",
    }
)  # fmt: skip
_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"


def messages(target: Target) -> dict[str, tuple[str, bytes]]:
    """family -> (method, bytes of a message that is answered)."""
    named = _text(1, target.model)
    inputs = b"".join(_field(5, _tensor(target, name, value)) for name, value in target.row.items())
    return {
        "grpc infer": (_INFER, named + _text(3, "a") + inputs),
        "grpc metadata": ("/inference.GRPCInferenceService/ModelMetadata", named),
        "grpc ready": ("/inference.GRPCInferenceService/ModelReady", named),
        "grpc statistics": ("/inference.GRPCInferenceService/ModelStatistics", named),
        "grpc health": ("/grpc.health.v1.Health/Check", b""),
        "grpc tensorflow": ("/tensorflow.serving.PredictionService/Predict", _field(1, named) + _maps(target)),
        "grpc status": ("/tensorflow.serving.ModelService/GetModelStatus", _field(1, named)),
    }


def call(
    address: str, target: Target, found: Attacked, *, count: int, seed: int, progress: Progress, secure: Any = None
) -> None:
    """Into `found`. secure: credentials of a channel with TLS. Raises NotYet where the good messages are not answered."""
    import grpc

    channel = grpc.insecure_channel(address) if secure is None else grpc.secure_channel(address, secure)
    with channel:
        good = messages(target)
        asked = {family: channel.unary_unary(method) for family, (method, _) in good.items()}
        for family, (_, message) in good.items():
            status, said = _status(asked[family], message)
            if status != "OK":
                raise NotYet(
                    f"{family} at {address} answers {status}: {said}"[:300], code="NO_ENDPOINT", field="--grpc"
                )
        unknown = channel.unary_unary("/inference.GRPCInferenceService/NoSuchMethod")
        for number, (family, sent) in enumerate(_changed(good, seed, count), 1):
            ask = unknown if number % 500 == 0 else asked[family]
            status, said = _status(ask, sent)
            found.outcomes.setdefault(family, Counter())[_CODES.get(status, -1)] += 1
            if status not in ALLOWED:
                encoded = base64.b64encode(sent[:100_000]).decode()
                allowed = ", ".join(sorted(ALLOWED))
                found.faults.append(
                    Fault(
                        family=family, why="changed", outcome=f"{status}: {said}"[:300], allowed=allowed, sent=encoded
                    )
                )
            if number % 100 == 0:
                progress("attack over gRPC", min(number, count - 1), count)
        for family, (_, message) in good.items():
            status, said = _status(asked[family], message)
            if status != "OK":
                outcome = f"afterwards the good message is answered {status}: {said}"[:300]
                found.faults.append(Fault(family=family, why="good", outcome=outcome, allowed="OK", sent=""))
        progress("attack over gRPC", count, count)


#: The numbers of statuses, as gRPC has them.
NAMES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_CODES: Final = {name: number for number, name in enumerate(NAMES)}


def _status(ask: Any, message: bytes) -> tuple[str, str]:
    import grpc

    try:
        ask(message, timeout=PATIENCE)
    except grpc.RpcError as error:
        return str(error.code().name), str(error.details())
    return "OK", ""


def _changed(good: dict[str, tuple[str, bytes]], seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(seed)
    families = ["grpc infer", "grpc tensorflow", *good]  # predictions more often than the rest
    for at in range(count):
        family = families[at % len(families)]
        yield family, change(good[family][1] or b"\x0a\x01a", rng)


def _maps(target: Target) -> bytes:
    """Inputs of a PredictRequest: a map of name to TensorProto."""
    return b"".join(
        _field(2, _text(1, name) + _field(2, _proto(target, name, value))) for name, value in target.row.items()
    )


def _proto(target: Target, name: str, value: Any) -> bytes:
    shape = _field(2, _field(2, _number(1, 1)))
    if name in target.of_type("category", "string"):
        return _number(1, 7) + shape + _text(8, str(value))
    if name in target.of_type("boolean"):
        return _number(1, 10) + shape + _field(11, b"\x01" if value else b"\x00")
    return _number(1, 2) + shape + _field(6, struct.pack("<d", float(value)))


def _tensor(target: Target, name: str, value: Any) -> bytes:
    """An InferInputTensor of one element."""
    if name in target.of_type("category", "string"):
        kind, contents = "BYTES", _text(8, str(value))
    elif name in target.of_type("boolean"):
        kind, contents = "BOOL", _field(1, b"\x01" if value else b"\x00")
    else:
        kind, contents = "FP64", _field(7, struct.pack("<d", float(value)))
    return _text(1, name) + _text(2, kind) + _field(3, b"\x01") + _field(5, contents)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
