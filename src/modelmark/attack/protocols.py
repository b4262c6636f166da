"""Other protocols' addresses, and labels: their own rules broken one by one, and good bodies changed by a seeded hand."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelmark.attack.bodies import change
from modelmark.attack.case import READ, REFUSED, TAKEN, Case, Target, request

_BINARY: Final = "application/octet-stream"


def protocols(target: Target, rng: random.Random, changed: int) -> Iterator[Case]:
    """changed: how many seeded changes of good bodies, over all addresses."""
    good = goods(target)
    for family, (path, body) in good.items():
        yield Case(family, request(path, body), TAKEN if family != "labels" else READ, why="a good body")
    yield from _v2(target)
    yield from _binary(target)
    yield from _labels(target)
    families = list(good)
    for at in range(changed):
        family = families[at % len(families)]
        path, body = good[family]
        yield Case(family, request(path, change(body, rng)), READ)


def goods(target: Target) -> dict[str, tuple[str, bytes]]:
    """family -> (address, a body that is answered)."""
    row = dict(target.row)
    inputs = [_tensor(target, name, [value]) for name, value in row.items()]
    columns, values = list(row), list(row.values())
    base = f"/v1/models/{target.model}"
    made: dict[str, tuple[str, Any]] = {
        "v2": (f"/v2/models/{target.model}/infer", {"id": "a", "inputs": inputs}),
        "tensorflow serving": (f"{base}:predict", {"instances": [row]}),
        "mlflow": ("/invocations", {"dataframe_split": {"columns": columns, "data": [values]}}),
        "labels": (f"/models/{target.model}/labels", {"labels": [{"id": "0" * 32, "row": 0, "label": 1}]}),
    }
    return {family: (path, json.dumps(body).encode()) for family, (path, body) in made.items()}


def _tensor(target: Target, name: str, values: list[Any], **changes: Any) -> dict[str, Any]:
    text, truth = name in target.of_type("category", "string"), name in target.of_type("boolean")
    return {
        "name": name, "shape": [len(values)], "datatype": "BYTES" if text else "BOOL" if truth else "FP64", "data": values,
    } | changes  # fmt: skip


def _v2(target: Target) -> Iterator[Case]:
    path = f"/v2/models/{target.model}/infer"
    row = dict(target.row)
    inputs = [_tensor(target, name, [value]) for name, value in row.items()]
    first, others = inputs[0], inputs[1:]
    bad: dict[str, Mapping[str, Any]] = {
        "no inputs": {"inputs": []},
        "inputs that are none": {"inputs": 7},
        "one input twice": {"inputs": [first, *inputs]},
        "an unknown input": {"inputs": [*inputs, {**first, "name": "no such"}]},
        "a shape that is not its data's": {"inputs": [{**first, "shape": [7]}, *others]},
        "a negative shape": {"inputs": [{**first, "shape": [-1]}, *others]},
        "a shape that overflows": {"inputs": [{**first, "shape": [2**62, 4]}, *others]},
        "a shape of text": {"inputs": [{**first, "shape": "1"}, *others]},
        "three dimensions": {"inputs": [{**first, "shape": [1, 1, 1, 1, 1]}, *others]},
        "an unknown type": {"inputs": [{**first, "datatype": "FP128"}, *others]},
        "no type": {"inputs": [{k: v for k, v in first.items() if k != "datatype"}, *others]},
        "no data": {"inputs": [{k: v for k, v in first.items() if k != "data"}, *others]},
        "ragged data": {"inputs": [{**first, "data": [[1], [1, 2]]}, *others]},
        "an unknown output": {"inputs": inputs, "outputs": [{"name": "no such"}]},
        "outputs that are none": {"inputs": inputs, "outputs": 7},
        "parameters of the wrong kind": {"inputs": inputs, "parameters": []},
        "a parameter of the wrong kind": {"inputs": inputs, "parameters": {"timeout": {}}},
        "a number for an id": {"id": 7, "inputs": inputs},
        "binary data that is not there": {"inputs": [{**first, "parameters": {"binary_data_size": 8}}, *others]},
    }
    for why, body in bad.items():
        yield Case("v2", request(path, json.dumps(body).encode()), REFUSED, why=why)


def _binary(target: Target) -> Iterator[Case]:
    path = f"/v2/models/{target.model}/infer"
    number = next((name for name in target.row if name in target.of_type("number", "integer")), None)
    if number is None:
        return
    others = [_tensor(target, name, [value]) for name, value in target.row.items() if name != number]
    raw = struct.pack("<d", float(target.row[number]))

    def sent(size: Any, tail: bytes, header: Any = None, **changes: Any) -> bytes:
        tensor = {"name": number, "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": size}} | changes
        head = json.dumps({"inputs": [tensor, *others]}).encode()
        told = len(head) if header is None else header
        return request(path, head + tail, f"Inference-Header-Content-Length: {told}", kind=_BINARY)

    yield Case("v2 binary", sent(8, raw), TAKEN, why="as it should be")
    for why, size, tail, header, changes in (
        ("too few bytes", 8, raw[:4], None, {}), ("too many bytes", 8, raw + raw, None, {}), ("a size that lies", 4, raw, None, {}),
        ("a negative size", -8, raw, None, {}), ("a size of text", "8", raw, None, {}), ("an endless size", 2**62, raw, None, {}),
        ("a header length beyond the body", 8, raw, 10**9, {}), ("a negative header length", 8, raw, -1, {}),
        ("a header length in words", 8, raw, "eight", {}), ("a header that ends early", 8, raw, 5, {}),
        ("a header of nothing", 8, raw, 0, {}), ("texts whose lengths lie", 8,
        b"\xff\xff\xff\x7fabcd", None, {"datatype": "BYTES"}),
        ("NaN", 8, struct.pack("<d", float("nan")), None, {}), ("infinity", 8, struct.pack("<d", float("inf")), None, {}),
    ):  # fmt: skip
        nullable = why == "NaN"
        yield Case("v2 binary", sent(size, tail, header, **changes), READ if nullable else REFUSED, why=why)


def _labels(target: Target) -> Iterator[Case]:
    path = f"/models/{target.model}/labels"
    one = {"id": "0" * 32, "row": 0, "label": 1}
    for why, labels in (
        ("none", []), ("no list", {}), ("no id", [{"row": 0, "label": 1}]), ("an odd id", [{**one, "id": "zz"}]),
        ("no label", [{"id": "0" * 32}]),
        ("a label that is no class", [{**one, "label": "=1+1"}]), ("a label of a list", [{**one, "label": [1]}]), ("NaN", [{**one,
        "label": "NaN"}]),
        ("a negative row", [{**one, "row": -1}]), ("half a row", [{**one, "row": 0.5}]), ("a row of text", [{**one, "row": "0"}]),
        ("one field more", [{**one, "x": 1}]), ("a source that is too long", [{**one, "source": "s" * 100}]),
        ("a hundred thousand and one", [one] * 100_001),
    ):  # fmt: skip
        allowed = READ if why in ("NaN", "half a row") else REFUSED
        yield Case("labels", request(path, json.dumps({"labels": labels}).encode()), allowed, why=why)
