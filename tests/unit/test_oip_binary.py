"""Tensors as raw bytes, by the numbers of the protocol's text; clients of others were tried by hand."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Malformed, ModelmarkError, Rejected
from modelmark.seal import keys
from modelmark.serving.models import load_marked
from modelmark.serving.wire import oip_binary
from modelmark.serving.wire.errors import FRAME
from modelmark.serving.wire.oip import Oip

V1 = Path(__file__).resolve().parents[1] / "golden" / "v1"


@pytest.fixture(scope="module")
def codec():
    id = Digest(json.loads((V1 / "facts.json").read_text())["version"])
    return load_marked(V1 / "version", keys.verifier(V1), id).codec


def tensor(name: str, datatype: str, raw: bytes, shape=(2,)):
    return {"name": name, "datatype": datatype, "shape": list(shape), "parameters": {"binary_data_size": len(raw)}}


def texts(*words: str) -> bytes:
    return b"".join(struct.pack("<I", len(word.encode())) + word.encode() for word in words)


AGE, INCOME, JOB = struct.pack("<2q", 41, 30), struct.pack("<2d", 1500.5, 0), texts("nurse", "Bäcker")
INPUTS = [tensor("age", "INT64", AGE), tensor("income", "FP64", INCOME), tensor("job", "BYTES", JOB)]


def body(inputs=None, raw=AGE + INCOME + JOB, **more) -> tuple[int, bytes]:
    head = json.dumps({"inputs": INPUTS if inputs is None else inputs, **more}).encode()
    return len(head), head + raw


def parse(codec, head: int, data: bytes):
    return Oip().parse(data, {FRAME: str(head).encode()}, codec)


def test_raw_tensors_are_the_rows_that_json_would_have_been(codec):
    found = parse(codec, *body()).rows
    plain = [
        {"name": "age", "datatype": "INT64", "shape": [2], "data": [41, 30]},
        {"name": "income", "datatype": "FP64", "shape": [2], "data": [1500.5, 0]},
        {"name": "job", "datatype": "BYTES", "shape": [2], "data": ["nurse", "Bäcker"]},
    ]
    assert found == Oip().parse(json.dumps({"inputs": plain}).encode(), {}, codec).rows


def test_raw_and_json_tensors_may_be_mixed(codec):
    income = {"name": "income", "datatype": "FP64", "shape": [2], "data": [1500.5, 0]}
    mixed = parse(codec, *body([INPUTS[0], income, INPUTS[2]], AGE + JOB))
    assert mixed.rows == parse(codec, *body()).rows


@pytest.mark.parametrize("kind", ["FP16", "FP32", "FP64"])
def test_every_float_width_is_little_endian(codec, kind):
    raw = np.array([0.5, 2], f"<f{int(kind[2:]) // 8}").tobytes()
    rows = parse(codec, *body([INPUTS[0], tensor("income", kind, raw), INPUTS[2]], AGE + raw + JOB)).rows
    np.testing.assert_array_equal(np.frombuffer(rows.numbers, "<f8"), [41, 0.5, 30, 2])


@pytest.mark.parametrize("kind", ["INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "UINT64"])
def test_every_integer_width_is_little_endian(codec, kind):
    raw = np.array([41, 30], np.dtype(kind.lower()).newbyteorder("<")).tobytes()
    rows = parse(codec, *body([tensor("age", kind, raw), *INPUTS[1:]], raw + INCOME + JOB)).rows
    np.testing.assert_array_equal(np.frombuffer(rows.numbers, "<f8"), [41, 1500.5, 30, 0])


@pytest.mark.parametrize(
    ("head", "data"),
    [
        (0, body()[1]),
        (len(body()[1]) + 1, body()[1]),
        body(raw=AGE + INCOME),
        body(raw=AGE + INCOME + JOB + b"\0"),
        body([{**INPUTS[0], "data": [1, 2]}, *INPUTS[1:]]),
        body([{**INPUTS[0], "parameters": {"binary_data_size": -1}}, *INPUTS[1:]]),
        body([{**INPUTS[0], "parameters": {"binary_data_size": True}}, *INPUTS[1:]]),
        body([{**INPUTS[0], "parameters": {"binary_data_size": 15.5}}, *INPUTS[1:]]),
        body([tensor("age", "INT64", AGE[:15]), *INPUTS[1:]], AGE[:15] + INCOME + JOB),
        body([tensor("age", "INT64", AGE, (3,)), *INPUTS[1:]]),
        body([tensor("age", "INT7", AGE), *INPUTS[1:]]),
        body([*INPUTS[:2], tensor("job", "BYTES", b"\xff\0\0\0x")], AGE + INCOME + b"\xff\0\0\0x"),
        body([*INPUTS[:2], tensor("job", "BYTES", b"\1\0\0\0\xff")], AGE + INCOME + b"\1\0\0\0\xff"),
        body([tensor("age", "BOOL", b"\2\0"), *INPUTS[1:]], b"\2\0" + INCOME + JOB),
    ],
)
def test_what_does_not_add_up_is_malformed(codec, head, data):
    with pytest.raises(Malformed):
        parse(codec, head, data)


def test_numbers_that_are_not_finite_are_refused_with_their_row(codec):
    raw = struct.pack("<2d", 1, float("nan"))
    with pytest.raises(Rejected) as caught:
        parse(codec, *body(raw=AGE + raw + JOB))
    assert (caught.value.code, caught.value.field, caught.value.row) == ("NON_FINITE", "income", 1)


def test_whatever_bytes_come_only_refusals_leave(codec):
    draw = random.Random(0)
    for _ in range(400):
        head, data = body()
        changed = bytearray(data)
        for _ in range(draw.randrange(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            parse(codec, head + draw.choice([0, 0, 0, -1, 1]), bytes(changed))
        except ModelmarkError:
            continue


def test_outputs_travel_as_bytes_where_the_caller_says_so():
    reply = {
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["yes", "nö"]},
            {"name": "probabilities", "datatype": "FP64", "shape": [2, 1], "data": [0.25, 0.75]},
        ]
    }
    binary = oip_binary.chosen({"binary_data_output": True}, None)
    found = oip_binary.framed(reply, binary)
    assert found.content_type == b"application/octet-stream"
    length = int(found.extra.partition(b": ")[2])
    head, raw = json.loads(found.body[:length]), found.body[length:]
    sizes = [output["parameters"]["binary_data_size"] for output in head["outputs"]]
    assert not any("data" in output for output in head["outputs"])
    assert raw == texts("yes", "nö") + struct.pack("<2d", 0.25, 0.75)
    assert sizes == [len(texts("yes", "nö")), 16]


def test_an_output_s_own_word_counts_more_than_the_request_s():
    class Output:
        name, parameters = "label", {"binary_data": False}

    binary = oip_binary.chosen({"binary_data_output": True}, [Output()])
    assert (binary("label"), binary("probabilities")) == (False, True)
