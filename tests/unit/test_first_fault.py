"""What is wrong with a large body is found row by row, in bounded time and memory, and is what reading it whole would find."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest

import serving_case as case
from modelmark.contract import first_fault, jsontext
from modelmark.contract.rows import RowCodec
from modelmark.domain.contract import DataType, Input, Serving
from modelmark.domain.errors import Malformed, Rejected
from modelmark.serving.wire import labels, native, oip, oip_binary
from modelmark.serving.wire.errors import Doubtful
from modelmark.serving.wire.native import Native
from modelmark.serving.wire.oip import Oip

INPUTS = (
    *case.numbers(2),
    Input(name="n", type=DataType.INTEGER, minimum=0, maximum=9),
    Input(name="b", type=DataType.BOOLEAN),
    Input(name="town", type=DataType.CATEGORY, categories=("Köln", "X")),
)
CODEC = RowCodec(case.contract(inputs=INPUTS, serving=Serving(max_rows=40)))
ROW = {"f0": 1.5, "f1": -2, "n": 3, "b": True, "town": "Köln"}
OTHERS = {"entity": native._entity_fault}


def body(rows: Any, **more: Any) -> bytes:
    return json.dumps({"rows": rows} | more, ensure_ascii=False).encode("utf-8", "surrogatepass")


def facts(error: Rejected) -> tuple[Any, ...]:
    return type(error).__name__, error.code, error.field, error.row


#: One thing wrong in each, behind ten rows that are right.
FAULTS = {
    "a type": body([ROW] * 10 + [ROW | {"f1": "x"}]),
    "a text for a number": body([ROW] * 10 + [ROW | {"town": 3}]),
    "a fraction of a type": body([ROW] * 10 + [ROW | {"b": 1}]),
    "a null": body([ROW] * 10 + [ROW | {"n": None}]),
    "a column too many": body([ROW] * 10 + [ROW | {"more": 1}]),
    "a column missing": body([ROW] * 10 + [{"f0": 1}]),
    "no object": body([ROW] * 10 + [[1, 2]]),
    "no finite number": body([ROW] * 10 + [ROW | {"f1": float("nan")}]),
    "an infinity": body([ROW] * 10 + [ROW | {"f1": -float("inf")}]),
    "a number too large": body([ROW] * 10 + [ROW]).replace(b"-2", b"1e999"),
    "a column twice": body([ROW] * 10 + [ROW])[:-3] + b', "n": 3}]}',
    "half a surrogate pair": body([ROW] * 10 + [ROW])[:-3].replace("Köln".encode(), b"\\ud800") + b"}]}",
    "too many rows": body([ROW] * 41),
    "no rows": body([]),
    "rows that are none": body({"f0": 1}),
    "an unknown field": body([ROW] * 10, more=1),
    "an entity that is none": body([ROW] * 10, entity=[1]),
    "both": body([ROW] * 10, row=ROW),
    "neither": b'{"entity": "x"}',
    "no object at all": b"[1, 2, 3]",
    "a comma": body([ROW] * 10 + [ROW])[:-2] + b",]}",
    "no end": body([ROW] * 10 + [ROW])[:-1],
    "no JSON": body([ROW] * 10 + [ROW])[:-2] + b" nonsense]}",
    "too deep": body([ROW] * 10 + [ROW | {"f1": json.loads("[" * 40 + "]" * 40)}]),
    "a field twice": body([ROW] * 10)[:-1] + b', "rows": []}',
    "a row of one": b'{"row": {"f0": 1}}',
}


@pytest.mark.parametrize("block", [128, 300, 64 * 1024])
@pytest.mark.parametrize("name", FAULTS)
def test_it_is_the_fault_that_reading_the_whole_body_finds(name: str, block: int, monkeypatch) -> None:
    monkeypatch.setattr(first_fault, "_BLOCK", block)
    monkeypatch.setattr(first_fault, "_NEAR", 16)
    whole = native._diagnose(FAULTS[name], CODEC)
    assert not isinstance(whole, Doubtful)
    found = CODEC.first_fault(FAULTS[name], OTHERS)
    assert facts(found) == facts(whole)


def test_a_body_with_nothing_wrong_is_refused_in_general_terms() -> None:
    assert facts(CODEC.first_fault(body([ROW] * 10), OTHERS)) == ("Malformed", "MALFORMED", None, None)


@pytest.mark.parametrize("at", [0, 3, 200])
def test_bytes_that_are_no_text_are_named(at: int) -> None:
    data = body([ROW] * 10)
    found = CODEC.first_fault(data[:at] + b"\xff" + data[at:], OTHERS)
    assert (found.code, found.limit) == ("INVALID_UTF8", f"wrong at byte {at}")


MB = 1024 * 1024
WIDE = RowCodec(case.contract(inputs=INPUTS, serving=Serving(max_rows=10_000_000)))
GOOD = json.dumps(ROW).encode()
#: 8 MB each.
HOSTILE = {
    "objects": b'{"rows":[' + b'{"a":1},' * MB + b"{}]}",
    "keys": b'{"rows":[{' + b",".join(b'"k%d":1' % i for i in range(650_000)) + b"}]}",
    "keys at the top": b"{" + b",".join(b'"k%d":1' % i for i in range(650_000)) + b"}",
    "the same key": b'{"rows":[{' + b'"f0":1,' * (8 * MB // 7) + b'"f1":1}]}',
    "brackets": b"[" * (8 * MB),
    "brackets far behind": b'{"rows":[' + b"1," * (3 * MB) + b"[" * (2 * MB),
    "flat brackets": b'{"rows":[' + b"[]," * (8 * MB // 3) + b"[]]}",
    "texts": b'{"rows":[' + b'"",' * (8 * MB // 3) + b'""]}',
    "quotes": b'"' * (8 * MB),
    "backslashes": b'{"rows":["' + b"\\" * (8 * MB),
    "numbers": b'{"rows":[' + b"1," * (4 * MB) + b"1]}",
    "one number": b'{"rows":[' + b"1" * (8 * MB) + b"]}",
    "one text": b'{"rows":["' + b"a" * (8 * MB) + b'"]}',
    "space": b'{"rows":[' + b" " * (8 * MB) + b"]}",
    "a fault behind what is right": b'{"rows":[' + (GOOD + b",") * (8 * MB // len(GOOD)) + b"{}]}",
    "escapes": b'{"rows":["' + b'\\"' * (4 * MB) + b'"]}',
    "wide characters": b'{"rows":["' + "😀".encode() * (2 * MB) + b'"]}',
}


def refused(wire: Any, data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        wire.parse(data, {}, WIDE)
    return caught.value.diagnose() if isinstance(caught.value, Doubtful) else caught.value


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("wire", [Native(), Oip()], ids=["native", "oip"])
def test_no_refusal_of_a_large_body_takes_long(name: str, wire: Any) -> None:
    started = time.thread_time()
    assert isinstance(refused(wire, HOSTILE[name]), Rejected)
    assert time.thread_time() - started < 1, "seconds of processor time; it was up to ten"


@pytest.mark.parametrize("name", ["objects", "keys", "the same key", "brackets", "numbers", "quotes"])
@pytest.mark.parametrize("wire", [Native(), Oip()], ids=["native", "oip"])
def test_no_refusal_of_a_large_body_takes_much_memory(name: str, wire: Any) -> None:
    tracemalloc.start()
    try:
        refused(wire, HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 24 * MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("levels", [1, 10, 32, 33, 1000, 100_000])
def test_too_deep_is_what_has_more_than_32_levels(levels: int) -> None:
    for opens, closes in ((b"[", b"]"), (b'{"a":', b"}")):
        assert jsontext.too_deep(opens * levels + closes * levels) is (levels > 32)
        assert jsontext.too_deep(opens * levels) is (levels > 32)


def test_brackets_that_close_again_are_not_deep() -> None:
    assert not jsontext.too_deep(b"[" + b"[]," * 200_000 + b"1]")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_depth_is_the_same_in_blocks_of_any_size(size: int, monkeypatch) -> None:
    monkeypatch.setattr(jsontext, "BLOCK", size)
    shallow = b'["' + b"[{" * 40 + b'", "\\"[[[[", "\\\\", [[[]]]' + b", []" * 40 + b"]"
    assert not jsontext.too_deep(shallow)
    assert not jsontext.too_deep(b'["' + b"\\\\" * 9 + b'", "' + b"[" * 99 + b'"]')
    assert jsontext.too_deep(b'["' + b"\\\\" * 9 + b'", ' + b"[" * 99 + b"]")
    assert jsontext.too_deep(b"[" * 32 + b'"]]"[')


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"inputs": [' + b"1," * 9000 + b"NaN]}", "NON_FINITE"),
        (b'{"inputs": [' + b"1," * 9000 + b"-Infinity]}", "NON_FINITE"),
        (b'{"inputs": [' + b"1," * 9000 + b"]}", "BAD_JSON"),
        (b'{"inputs": [' + b"1," * 9000, "BAD_JSON"),
        (b'{"inputs": "' + b"a" * 9000 + b'\xff"}', "INVALID_UTF8"),
        (b'{"inputs": [' + b"1," * 9000 + b"[" * 33 + b"]" * 33 + b"]}", "TOO_DEEP"),
        (b'{"inputs": [' + b"1," * 9000 + b"1]}", "BAD_REQUEST"),
    ],
    ids=["NaN", "infinity", "a comma", "no end", "no text", "deep", "another form"],
)
def test_a_large_body_of_tensors_is_refused_for_what_is_wrong(data: bytes, code: str) -> None:
    assert oip._diagnose(data).code == code
    assert labels._fault(data).code == ("WRONG_TYPE" if code == "BAD_REQUEST" else code)


def tensor(data: bytes, rows: int, datatype: str = "FP64") -> oip._Tensor:
    return oip._infer(b'{"inputs": [{"name": "x", "shape": [%d], "datatype": "%b", "data": %b}]}' % (
        rows, datatype.encode(), data,
    )).inputs[0]  # fmt: skip


@pytest.mark.parametrize(
    ("last", "rows", "code", "row"),
    [(b"1e999", 5001, "NON_FINITE", 5000), (b'"x"', 5001, "WRONG_TYPE", None), (b"1", 10, "BAD_SHAPE", None)],
)
def test_a_large_flat_tensor_is_refused_for_what_is_wrong(last: bytes, rows: int, code: str, row: int | None) -> None:
    with pytest.raises(Rejected) as caught:
        tensor(b"[" + b"1," * 5000 + last + b"]", rows).values(rows, 1)
    assert (caught.value.code, caught.value.row) == (code, row)


def test_more_numbers_than_the_shape_says_are_never_made() -> None:
    given = tensor(b"[" + b"1," * MB + b"1]", 10)
    tracemalloc.start()
    try:
        with pytest.raises(Malformed) as caught:
            given.values(10, 1)
        assert tracemalloc.get_traced_memory()[1] < 4 * MB, "a float takes 24 bytes and a place in a list"
    finally:
        tracemalloc.stop()
    assert caught.value.code == "BAD_SHAPE"


def test_a_number_beyond_float64_is_found_in_nested_rows_too() -> None:
    with pytest.raises(Rejected) as caught:
        tensor(b"[" + b"[1,2]," * 4000 + b"[1,1e999]]", 4001).values(4001, 2)
    assert (caught.value.code, caught.value.row) == ("NON_FINITE", 4000)


@pytest.mark.parametrize(("datatype", "raw"), [("BYTES", b"\0\0\0\0"), ("FP64", b"\0" * 8), ("BOOL", b"\1")])
def test_raw_tensors_hold_no_more_than_their_shape_says(datatype: str, raw: bytes) -> None:
    given = tensor(b"[]", 10, datatype)
    assert len(oip_binary.values_of(given, raw * 10, "x")) == 10
    with pytest.raises(Malformed) as caught:
        oip_binary.values_of(given, raw * 1_000_000, "x")
    assert (caught.value.code, caught.value.limit) == ("BAD_SHAPE", "10 elements")


def test_a_body_with_quotation_marks_in_its_texts_needs_no_second_look() -> None:
    codec = RowCodec(case.contract(inputs=(Input(name="t", type=DataType.STRING),), serving=Serving(max_rows=100_000)))
    data = b'{"rows":[' + b",".join([b'{"t":"a \\"quote\\" and \\\\"}'] * 50_000) + b"]}"
    assert Native().parse(data, {}, codec).rows.count == 50_000
    with pytest.raises(Doubtful) as caught:
        Native().parse(data[:-2] + b',{"t":"x","t":"y"}]}', {}, codec)
    assert caught.value.diagnose().code in ("DUPLICATE_COLUMN", "MALFORMED")
