"""Rows as other servers' clients write them: the same rows whatever the form, and nothing that a body may do breaks it."""

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import serving_case as case
from modelmark.contract import jsontext
from modelmark.contract.rows import RowCodec
from modelmark.domain.contract import DataType, Input
from modelmark.domain.errors import Malformed, Rejected
from modelmark.serving.wire import errors
from modelmark.serving.wire.errors import Doubtful, Unsupported
from modelmark.serving.wire.json_fields import nan_as_null
from modelmark.serving.wire.json_rows import JsonRows
from modelmark.serving.wire.tfs import Tfs, require_readable

NAMES = ("age", "paid", "job")
TYPED = RowCodec(
    case.contract(
        inputs=(
            Input(name="age", type=DataType.NUMBER, nullable=True),
            Input(name="paid", type=DataType.BOOLEAN),
            Input(name="job", type=DataType.STRING),
        )
    )
)
NUMBERS = RowCodec(case.contract(inputs=case.numbers(3)))
texts = st.text(st.characters(codec="utf-8"), max_size=8)
rows = st.lists(
    st.fixed_dictionaries({"age": st.none() | st.floats(-1e6, 1e6), "paid": st.booleans(), "job": texts}),
    min_size=1,
    max_size=4,
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def dumped(value) -> bytes:
    return json.dumps(value).encode()


@quick
@given(rows)
def test_every_form_gives_the_same_rows(given_rows):
    reader, expected = JsonRows(TYPED), TYPED.from_mappings(given_rows)
    columns = {name: [row[name] for row in given_rows] for name in NAMES}
    coded = [{**row, "job": {"b64": base64.b64encode(row["job"].encode()).decode()}} for row in given_rows]
    assert reader.objects(dumped(given_rows)) == expected
    assert reader.objects(dumped(coded)) == expected
    assert reader.objects(dumped([{name: [value] for name, value in row.items()} for row in given_rows])) == expected
    assert reader.columns(dumped(columns)) == expected
    assert reader.columns(dumped({name: [[value] for value in values] for name, values in columns.items()})) == expected
    assert reader.lists(dumped([[row[name] for name in NAMES[::-1]] for row in given_rows]), NAMES[::-1]) == expected


def test_a_matrix_stands_for_columns_that_are_all_numbers():
    reader, matrix = JsonRows(NUMBERS), [[1, 2, 3.5], [4, 5, 6]]
    expected = NUMBERS.from_mappings([dict(zip(NUMBERS.names, row, strict=True)) for row in matrix])
    assert reader.values(dumped(matrix)) == expected
    assert reader.columns(dumped({"X": matrix})) == expected
    for refused in (
        {"X": [[1, 2]]},
        {"X": matrix, "Y": matrix},
        {"X": [[1, 2, "a"]]},
        {"f0": [1]},
        {"X": matrix, "f0": [1]},
    ):
        with pytest.raises(Rejected):
            reader.columns(dumped(refused))


def test_values_of_an_only_column_stand_bare():
    reader = JsonRows(RowCodec(case.contract(inputs=(Input(name="text", type=DataType.STRING),))))
    coded = [{"b64": base64.b64encode(b"a").decode()}, "b"]
    for form in (["a", "b"], [["a"], ["b"]], [{"text": "a"}, {"text": "b"}], coded):
        assert reader.values(dumped(form)).texts == ["a", "b"]


def outcome(read, body: bytes):
    """Rows, or what is wrong with them."""
    try:
        return read(body)
    except Doubtful as error:
        return error.diagnose()
    except Rejected as error:
        return error


@quick
@given(rows, st.data())
def test_whatever_a_body_holds_it_is_rows_or_a_refusal(given_rows, data):
    reader = JsonRows(TYPED)
    sound = dumped(given_rows if data.draw(st.booleans()) else {n: [row[n] for row in given_rows] for n in NAMES})
    at = data.draw(st.integers(0, len(sound)))
    put = data.draw(
        st.sampled_from([b"", b'"', b"[", b"{", b"NaN", b"1e999", b"\\", b"\xff", b'{"b64":"/w=="}', b"," * 9])
    )
    body = sound[:at] + put + sound[data.draw(st.integers(at, len(sound))) :]
    for read in (reader.objects, reader.columns, reader.values, lambda text: reader.lists(text, NAMES)):
        found = outcome(read, nan_as_null(body))
        assert isinstance(found, Rejected) or found.count >= 1


@quick
@given(
    st.recursive(
        st.none() | st.just(math.nan) | texts.map(lambda t: t + 'NaN"\\'), lambda inner: st.lists(inner), max_leaves=9
    )
)
def test_nan_reads_as_null_outside_strings_alone(value):
    def plain(one):
        return [plain(item) for item in one] if isinstance(one, list) else None if one != one else one

    assert json.loads(nan_as_null(dumped(value))) == plain(value)


FAULTS = {
    "a wrong type": (lambda rows: dumped([*rows, {**rows[0], "age": "x"}]), "WRONG_TYPE", 400),
    "a key twice": (lambda rows: dumped(rows)[:-2] + b',"age":1}]', "DUPLICATE_COLUMN", 399),
    "a missing column": (lambda rows: dumped([*rows, {"age": 1}]), "MISSING_COLUMN", 400),
}


@pytest.mark.parametrize("name", FAULTS)
def test_of_a_large_body_the_fault_is_found_off_the_loop(name):
    make, code, row = FAULTS[name]
    body = make([{"age": 1.5, "paid": True, "job": "nurse" * 3}] * 400)
    assert len(body) > jsontext.SMALL
    with pytest.raises(Doubtful) as caught:
        JsonRows(TYPED).objects(body)
    found = caught.value.diagnose()
    assert (found.code, found.row) == (code, row)


def test_large_bodies_with_quotation_marks_in_texts_are_no_duplicates():
    found = JsonRows(TYPED).objects(dumped([{"age": 1, "paid": True, "job": 'say "x" \\'}] * 400))
    assert found.count == 400
    assert found.texts[0] == 'say "x" \\'


@pytest.mark.parametrize(
    ("columns", "code", "row"),
    [
        pytest.param({"age": [1.0] * 4000 + ["x"], "paid": [True], "job": ["a"]}, "WRONG_TYPE", 4000, id="type"),
        pytest.param({"age": [1.0] * 4000, "paid": [True] * 4000}, "UNKNOWN_COLUMN", None, id="missing"),
        pytest.param({"age": [1.0] * 4000, "paid": [True], "job": ["a"]}, "BAD_SHAPE", None, id="lengths"),
    ],
)
def test_of_large_columns_the_fault_is_told_with_its_row(columns, code, row):
    with pytest.raises(Rejected) as caught:
        JsonRows(TYPED).columns(dumped(columns))
    assert (caught.value.code, caught.value.row) == (code, row)


def test_too_many_texts_in_base64_are_refused_before_they_are_read():
    codec = RowCodec(case.contract(inputs=(Input(name="text", type=DataType.STRING),)))
    with pytest.raises(Rejected, match="too many texts"):
        JsonRows(codec).column(dumped([{"b64": "YQ=="}] * (codec.max_rows + 1)))


def test_a_browser_s_page_sends_json_or_nothing():
    require_readable({b"content-type": b"application/x-www-form-urlencoded"})
    require_readable({b"content-type": b"application/json", b"origin": b"http://localhost"})
    with pytest.raises(Unsupported):
        require_readable({b"content-type": b"application/x-www-form-urlencoded", b"origin": b"https://elsewhere"})
    with pytest.raises(Malformed):
        require_readable({errors.FRAME: b"7"})


def test_a_body_that_is_too_deep_is_refused():
    wire = Tfs()
    verb = wire._verbs["predict"]
    with pytest.raises(Rejected) as caught:
        verb.parse(b'{"instances":' + b"[" * 200 + b"]" * 200 + b"}", {}, NUMBERS)
    assert caught.value.code == "TOO_DEEP"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda reader, text: reader.lists(text, NAMES), b'[1,true,"a"]'),
        (lambda reader, text: reader.objects(text), b'{"age":[1],"paid":[true],"job":["a"]}'),
    ],
)
def test_too_many_rows_are_refused_before_columns_are_made_of_them(read, text, monkeypatch):
    reader, made = JsonRows(TYPED), []
    monkeypatch.setattr(RowCodec, "from_columns", lambda *given: made.append(given))
    with pytest.raises(Rejected, match="too many rows"):
        read(reader, b"[" + b",".join([text] * (TYPED.max_rows + 1)) + b"]")
    assert made == []


def test_what_overlaps_is_no_null():
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(nan_as_null(b"NaNaN"))
    assert nan_as_null(b'["NaN", NaN, "\\\\", NaN, "\\"NaN"]') == b'["NaN", null, "\\\\", null, "\\"NaN"]'
    assert nan_as_null(b"[NaN") == b"[null"
