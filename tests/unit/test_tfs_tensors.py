"""TensorFlow's tensors and examples: the same rows however they are packed, and what is wrong with them is told."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tfs import answer, loaded

import serving_case as case
from modelmark.contract.rows import RowCodec
from modelmark.domain.contract import DataType, Input, Outputs
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.grpc import tensorflow
from modelmark.serving.grpc.generated import tensorflow_serving_pb2 as pb
from modelmark.serving.grpc.tensors import rows, rows_of_examples, tensor_of
from modelmark.serving.models import LiveRoute
from modelmark.serving.wire.oip_tensors import Output

TYPED = RowCodec(
    case.contract(
        inputs=(
            Input(name="age", type=DataType.NUMBER, nullable=True),
            Input(name="paid", type=DataType.BOOLEAN),
            Input(name="job", type=DataType.STRING),
        )
    )
)
ROWS = [{"age": 41.5, "paid": True, "job": "nurse"}, {"age": None, "paid": False, "job": "Bäcker"}]
EXPECTED = TYPED.from_mappings(ROWS)


def tensor(kind, *shape, **how):
    dims = [pb.TensorShapeProto.Dim(size=size) for size in shape]
    return pb.TensorProto(dtype=kind, tensor_shape=pb.TensorShapeProto(dim=dims), **how)


JOB = tensor(pb.DT_STRING, 2, 1, string_val=[b"nurse", "Bäcker".encode()])
PAID = tensor(pb.DT_BOOL, 2, bool_val=[True, False])


@pytest.mark.parametrize(
    "age",
    [
        tensor(pb.DT_FLOAT, 2, float_val=[41.5, nan]),
        tensor(pb.DT_DOUBLE, 2, 1, double_val=[41.5, nan]),
        tensor(pb.DT_DOUBLE, 2, tensor_content=np.array([41.5, nan], "<f8").tobytes()),
    ],
)
def test_tensors_are_the_rows_that_json_would_have_been(age):
    assert rows({"age": age, "paid": PAID, "job": JOB}, TYPED) == EXPECTED
    packed = tensor(pb.DT_BOOL, 2, tensor_content=b"\1\0")
    assert rows({"age": age, "paid": packed, "job": JOB}, TYPED) == EXPECTED


def test_the_last_value_stands_for_those_that_are_not_sent():
    codec = RowCodec(case.contract())
    filled = {f"f{j}": tensor(pb.DT_FLOAT, 3, float_val=[0.5]) for j in range(3)}
    assert rows(filled, codec) == codec.from_mappings([{f"f{j}": 0.5 for j in range(3)}] * 3)
    assert rows({"X": tensor(pb.DT_INT64, 2, 3, int64_val=[1, 2])}, codec) == codec.from_mappings(
        [{"f0": 1, "f1": 2, "f2": 2}, {"f0": 2, "f1": 2, "f2": 2}]
    )


AGE = tensor(pb.DT_DOUBLE, 2, double_val=[1, 2])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"age": tensor(pb.DT_DOUBLE, 2, double_val=[1, inf])}, "NON_FINITE"),
        ({"age": tensor(pb.DT_DOUBLE, 2)}, "NO_DATA"),
        ({"age": tensor(pb.DT_DOUBLE, 2, double_val=[1, 2, 3])}, "BAD_SHAPE"),
        ({"age": tensor(pb.DT_DOUBLE, 2, tensor_content=b"1234567")}, "BAD_BINARY"),
        ({"age": tensor(pb.DT_DOUBLE, double_val=[1])}, "BAD_SHAPE"),
        ({"age": tensor(pb.DT_DOUBLE, -1, double_val=[1])}, "BAD_SHAPE"),
        ({"age": tensor(pb.DT_DOUBLE, 10**9, double_val=[1])}, "TOO_MANY_ROWS"),
        ({"age": tensor(pb.DT_HALF, 2)}, "BAD_DATATYPE"),
        ({"age": tensor(99, 2)}, "BAD_DATATYPE"),
        ({"age": JOB}, "WRONG_TYPE"),
        ({"job": AGE}, "WRONG_TYPE"),
        ({"job": tensor(pb.DT_STRING, 2, string_val=[b"a", b"\xff"])}, "BAD_BINARY"),
        ({"job": tensor(pb.DT_STRING, 2, tensor_content=b"ab")}, "BAD_BINARY"),
        ({"age": tensor(pb.DT_INT8, 2, int_val=[1, 200])}, "OUT_OF_RANGE"),
        ({"pet": AGE}, "UNKNOWN_COLUMN"),
    ],
)
def test_of_tensors_it_is_told_what_is_wrong(changes, code):
    with pytest.raises(Rejected) as caught:
        rows({"age": AGE, "paid": PAID, "job": JOB} | changes, TYPED)
    assert caught.value.code == code


def feature(value):
    if isinstance(value, str):
        return pb.Feature(bytes_list=pb.BytesList(value=[value.encode()]))
    if isinstance(value, bool | int):
        return pb.Feature(int64_list=pb.Int64List(value=[value]))
    return pb.Feature() if value is None else pb.Feature(float_list=pb.FloatList(value=[value]))


def example(row):
    return pb.Example(features=pb.Features(feature={name: feature(value) for name, value in row.items()}))


def examples(*found):
    return pb.Input(example_list=pb.ExampleList(examples=[example(row) for row in found]))


def test_examples_are_the_rows_that_json_would_have_been():
    assert rows_of_examples(examples(*ROWS), TYPED) == EXPECTED


@pytest.mark.parametrize(
    ("message", "code", "row"),
    [
        pytest.param(pb.Input(), "NO_ROWS", None, id="nothing"),
        pytest.param(examples(*ROWS * TYPED.max_rows, {}), "TOO_MANY_ROWS", None, id="too many"),
        pytest.param(examples(ROWS[0], {"age": 1.0, "paid": True}), "MISSING_COLUMN", 1, id="a missing feature"),
        pytest.param(examples(ROWS[0] | {"pet": 1}), "UNKNOWN_COLUMN", 0, id="an unknown feature"),
        pytest.param(examples(ROWS[0] | {"age": "x"}), "WRONG_TYPE", 0, id="text for a number"),
        pytest.param(examples(ROWS[0] | {"job": 1}), "WRONG_TYPE", 0, id="a number for text"),
        pytest.param(examples(ROWS[0] | {"paid": 2}), "WRONG_TYPE", 0, id="no boolean"),
        pytest.param(examples(ROWS[0] | {"paid": None}), "NULL_NOT_ALLOWED", 0, id="null that may not be"),
        pytest.param(examples(ROWS[0] | {"age": inf}), "NON_FINITE", 0, id="an infinity"),
        pytest.param(pb.Input(example_list_with_context=pb.ExampleListWithContext()), "UNSUPPORTED_PARAMETER", None, id="context"),
    ],
)  # fmt: skip
def test_of_examples_it_is_told_what_is_wrong(message, code, row):
    with pytest.raises(Rejected) as caught:
        rows_of_examples(message, TYPED)
    assert (caught.value.code, caught.value.row) == (code, row)


def test_a_feature_of_several_values_is_refused():
    message = examples(ROWS[0])
    message.example_list.examples[0].features.feature["age"].float_list.value.append(2)
    with pytest.raises(Malformed, match="several values"):
        rows_of_examples(message, TYPED)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_messages_are_refused_or_rows(data):
    sound = pb.PredictRequest(inputs={"age": AGE, "paid": PAID, "job": JOB}).SerializeToString()
    changed = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    found = outcome(bytes(changed))
    assert isinstance(found, Rejected) or found.count >= 1


def outcome(body: bytes):
    try:
        return tensorflow._Predict.read(body).rows(TYPED)
    except Rejected as error:
        return error


def test_tensors_of_answers_are_read_as_they_were_meant():
    for output, field in (
        (Output("label", [2], "BYTES", ["a", "ü"]), "string_val"),
        (Output("label", [2], "INT64", [0, 1]), "int64_val"),
        (Output("label", [2], "BOOL", [True, False]), "bool_val"),
        (Output("probabilities", [1, 2], "FP64", [0.25, 0.75]), "double_val"),
    ):
        found = tensor_of(output)
        assert [dim.size for dim in found.tensor_shape.dim] == output.shape
        assert [v.decode() if isinstance(v, bytes) else v for v in getattr(found, field)] == output.data


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return loaded(tmp_path_factory)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return loaded(tmp_path_factory, agreed=case.contract(task=Task.REGRESSION, outputs=Outputs(unit="EUR")), number=2)


def asked(kind, model="churn", **spec):
    return kind.read(kind.kind(model_spec=pb.ModelSpec(name=model, **spec)).SerializeToString())


def test_versions_labels_and_signatures_are_those_of_rest(version):
    route = LiveRoute.alone(version)
    kind = tensorflow._Predict
    for spec, arm in (({}, None), ({"version": pb.Int64Value()}, None), ({"version": pb.Int64Value(value=1)}, 0),
                      ({"version_label": "stable"}, 0), ({"signature_name": "serving_default"}, None)):  # fmt: skip
        assert asked(kind, **spec).arm(route) == arm
    for spec in (
        {"version": pb.Int64Value(value=2)},
        {"version_label": "canary"},
        {"version": pb.Int64Value(value=-1)},
    ):
        with pytest.raises(Missing):
            asked(kind, **spec).arm(route)
    with pytest.raises(Malformed, match="signature"):
        asked(kind, signature_name="other")


def test_classes_values_and_outputs_are_answered(version, regression):
    found = asked(tensorflow._Classify).renderer(version)(answer(version))
    told = pb.ClassificationResponse.FromString(found)
    assert [(one.label, one.score) for one in told.result.classifications[0].classes] == [("1", 0.75), ("0", 0.25)]
    assert (told.model_spec.name, told.model_spec.version.value) == ("churn", 1)
    found = asked(tensorflow._Regress).renderer(regression)(answer(regression, decided=(), scores=(2.5,)))
    assert [one.value for one in pb.RegressionResponse.FromString(found).result.regressions] == [2.5]
    person = asked(tensorflow._Regress).renderer(regression)(answer(regression, ServedBy.REVIEW, (), ()))
    assert not pb.RegressionResponse.FromString(person).result.regressions
    one = tensorflow._Predict(pb.PredictRequest(model_spec=pb.ModelSpec(name="churn"), output_filter=["label"]))
    assert list(pb.PredictResponse.FromString(one.renderer(version)(answer(version))).outputs) == ["label"]


@pytest.mark.parametrize("kind", [tensorflow._Classify, tensorflow._Regress])
def test_a_verb_is_refused_to_a_model_of_another_task(kind, version, regression):
    with pytest.raises(Malformed, match="cannot"):
        asked(kind).renderer(regression if kind is tensorflow._Classify else version)
