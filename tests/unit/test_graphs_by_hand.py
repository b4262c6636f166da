"""Graphs written byte by byte, conversions plan by plan, and the map behind a score: each rule at its limit."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelmark.domain.errors import Rejected
from modelmark.registry import compare, estimators, graph, graph_facts, pickle_names, tensors
from modelmark.registry.estimators import Plan
from modelmark.registry.graph_facts import _DEPTH, _Walk
from modelmark.registry.original.parts import walk
from modelmark.registry.original.texts import _without_null, know_null
from modelmark.registry.recalibrate import _crosswise, append
from modelmark.registry.refusal import Refusal, kind_of
from modelmark.stats.recalibration import Map, Method, fit

# Protobuf by hand.


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def part(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(operator: bytes = b"Identity", domain: bytes = b"", inside: bytes = b"") -> bytes:
    return part(4, operator) + part(7, domain) + inside


def model(inside: bytes = b"", *, nodes: bytes | None = None, beside: bytes = b"") -> bytes:
    return part(7, (part(1, node()) if nodes is None else nodes) + inside) + beside


def tensor(name: bytes = b"w", *dims: int, inside: bytes = b"") -> bytes:
    return part(8, name) + b"".join(part(1, d) for d in dims) + inside


def code(data: bytes) -> str | None:
    try:
        graph_facts.read(data)
    except Rejected as error:
        return error.code
    return None


OUTSIDE = part(14, 1)
VALUE = part(1, b"x") + part(2, part(1, part(1, 11)))


def test_a_graph_says_what_it_takes_and_gives():
    found = graph_facts.read(
        model(part(11, VALUE) + part(12, VALUE) + part(11, part(1, b"list") + part(2, part(4, b""))))
    )
    assert (found.inputs, found.outputs, found.nodes) == ({"x": 11, "list": 0}, {"x": 11}, 1)
    assert graph_facts.read(model(part(11, VALUE) + part(5, tensor(b"x", 2)))).inputs == {}
    inner = part(11, part(1, b"inner")) + part(12, part(1, b"inner")) + part(1, node())
    within = graph_facts.read(model(nodes=part(1, node(inside=part(5, part(6, inner))))))
    assert (within.inputs, within.outputs, within.nodes) == ({}, {}, 1)
    assert code(model(nodes=b"")) == "NOT_A_MODEL"


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(part(5, tensor(inside=OUTSIDE)), id="an initializer"),
        pytest.param(part(5, tensor(inside=part(13, b"file"))), id="a file is named"),
        pytest.param(part(15, part(1, tensor(inside=OUTSIDE))), id="values of a sparse one"),
        pytest.param(part(15, part(2, tensor(inside=OUTSIDE))), id="indices of a sparse one"),
        *(
            pytest.param(
                part(1, node(inside=part(5, part(number, tensor(inside=OUTSIDE))))), id=f"attribute field {number}"
            )
            for number in (5, 10)
        ),
        *(
            pytest.param(
                part(1, node(inside=part(5, part(number, part(1, tensor(inside=OUTSIDE)))))), id=f"sparse {number}"
            )
            for number in (22, 23)
        ),
        *(
            pytest.param(
                part(1, node(inside=part(5, part(number, part(5, tensor(inside=OUTSIDE)))))), id=f"subgraph {number}"
            )
            for number in (6, 11)
        ),
    ],
)
def test_a_tensor_in_another_file_is_found_wherever_it_is(where):
    assert code(model(where)) == "EXTERNAL_DATA"


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(part(25, part(7, node(inside=part(5, part(5, tensor(inside=OUTSIDE)))))), id="a function's node"),
        pytest.param(part(25, part(11, part(5, tensor(inside=OUTSIDE)))), id="a function's attribute"),
        pytest.param(part(20, part(1, part(5, tensor(inside=OUTSIDE)))), id="training: first"),
        pytest.param(part(20, part(2, part(5, tensor(inside=OUTSIDE)))), id="training: each step"),
    ],
)
def test_beside_the_graph_too(beside):
    assert code(model(beside=beside)) == "EXTERNAL_DATA"


def test_what_lies_inside_is_inside_and_other_fields_say_nothing():
    assert code(model(part(5, tensor(inside=part(14, 0))))) is None
    assert code(model(beside=part(20, part(3, part(5, tensor(inside=OUTSIDE)))))) is None
    assert code(model(part(3, tensor(inside=OUTSIDE)))) is None


def test_operators_outside_the_standard_are_named_unless_the_model_brings_them():
    foreign = model(part(1, node(b"Spy", b"evil")))
    assert code(foreign) == "CUSTOM_OPERATOR"
    with pytest.raises(Rejected, match="operators of 'evil'"):
        graph_facts.read(foreign)
    own = part(25, part(1, b"Spy") + part(10, b"evil") + part(7, node()))
    assert code(foreign + own) is None
    assert code(foreign + part(25, part(1, b"Other") + part(10, b"evil"))) == "CUSTOM_OPERATOR"
    assert code(foreign + part(25, part(1, b"Spy") + part(10, b"other"))) == "CUSTOM_OPERATOR"
    assert code(model(part(1, node(b"Scaler", b"ai.onnx.ml")))) is None
    assert code(model(beside=part(25, part(7, node(b"Spy", b"evil"))))) == "CUSTOM_OPERATOR"
    many = b"".join(part(1, node(b"A", f"d{k}".encode())) for k in range(6))
    with pytest.raises(Rejected) as caught:
        graph_facts.read(model(many))
    assert caught.value.message == "the model uses operators of 'd0', 'd1', 'd2', 'd3', 'd4'"
    with pytest.raises(Rejected) as long:
        graph_facts.read(model(part(1, node(b"A", b"d" * 61))))
    assert long.value.message.endswith(repr("d" * 60))


def test_a_tensor_claims_at_most_eight_elements_a_byte():
    size = len(model(part(5, tensor(b"w", 10, 100))))
    for rows, refusal in ((8 * size // 100, None), (8 * size // 100 + 1, "NOT_A_MODEL")):
        data = model(part(5, tensor(b"w", rows, 100)))
        assert len(data) == size
        assert (code(data), 100 * rows > 8 * size) == (refusal, refusal is not None)
    assert code(model(part(5, tensor(b"w", -1, 1 << 40)))) == "NOT_A_MODEL"
    assert code(model(part(5, part(8, b"w") + part(1, varint(3) + varint(1 << 40))))) == "NOT_A_MODEL"
    assert code(model(part(5, tensor(b"w", 1 << 40)) + part(5, tensor(b"v", 1)))) == "NOT_A_MODEL"


def nested(levels: int) -> bytes:
    inside = b""
    for _ in range(levels):
        inside = part(5, part(6, part(1, node(inside=inside))))
    return model(nodes=part(1, node(inside=inside)))


def test_graphs_nest_a_hundred_deep_and_no_deeper():
    assert _DEPTH == 100
    assert code(nested(100)) is None
    assert code(nested(101)) == "NOT_A_MODEL"


@pytest.mark.parametrize(
    ("bytes_", "value"),
    [(b"\x00", 0), (b"\x7f", 127), (b"\x80\x01", 128), (b"\xac\x02", 300), (b"\xff" * 9 + b"\x01", (1 << 64) - 1)],
)
def test_varints_are_protobufs(bytes_, value):
    assert _Walk.varint(memoryview(b"?" + bytes_), 1) == (value, 1 + len(bytes_))
    assert _Walk(memoryview(b"")).packed(memoryview(bytes_ * 2)) == [value - (1 << 64) if value >> 63 else value] * 2


def test_a_number_has_at_most_ten_bytes():
    with pytest.raises(ValueError, match="without an end"):
        _Walk.varint(memoryview(b"\x80" * 10 + b"\x01"), 0)
    with pytest.raises(IndexError):
        _Walk.varint(memoryview(b"\x80"), 0)


@pytest.mark.parametrize(
    ("extra", "refusal"),
    [
        pytest.param(varint(99 << 3 | 1) + b"12345678", None, id="eight bytes"),
        pytest.param(varint(99 << 3 | 1) + b"1234567", "NOT_A_MODEL", id="seven of eight"),
        pytest.param(varint(99 << 3 | 5) + b"1234", None, id="four bytes"),
        pytest.param(varint(99 << 3 | 5) + b"123", "NOT_A_MODEL", id="three of four"),
        pytest.param(varint(99 << 3 | 2) + b"\x01a", None, id="a text"),
        pytest.param(varint(99 << 3 | 2) + b"\x02a", "NOT_A_MODEL", id="a text cut off"),
        pytest.param(varint(99 << 3) + b"\x05", None, id="a number"),
        pytest.param(varint(99 << 3 | 3), "NOT_A_MODEL", id="a group"),
        pytest.param(varint(2), "NOT_A_MODEL", id="field nought"),
        pytest.param(part(25, part(1, b"\xff")), "NOT_A_MODEL", id="no UTF-8"),
    ],
)
def test_the_wire_format_is_protobufs(extra, refusal):
    assert code(model() + extra) == refusal


def test_fields_are_counted_over_the_whole_file(monkeypatch):
    used = _Walk(memoryview(model()))
    used.model()
    count = graph_facts._FIELDS - used.left
    assert count == 4
    for most, refusal in ((count, None), (count - 1, "NOT_A_MODEL")):
        monkeypatch.setattr(graph_facts, "_FIELDS", most)
        assert code(model()) == refusal


# What a child makes of a graph.


def exported(inputs, outputs, *, kind=TensorProto.FLOAT):
    width = 1 if len(inputs) > 1 else None
    ends = [[helper.make_tensor_value_info(n, kind, [None, width]) for n in names] for names in (inputs, outputs)]
    return helper.make_model(helper.make_graph([helper.make_node("Identity", [inputs[0]], [outputs[0]])], "g", *ends))


def asked(task="binary", names=("a", "b"), **more):
    return {"task": task, "classes": [0, 1], "positive": 1, "threshold": 0.5, "name": "m",
            "inputs": [{"name": n, "type": "number", "nullable": False} for n in names], **more}  # fmt: skip


def reason(act) -> str | None:
    try:
        act()
    except Refusal as refusal:
        return refusal.reason
    return None


def test_a_foreign_graph_is_fed_one_matrix_or_each_input_by_its_name():
    one = graph.infer_signature(exported(["X"], ["p"]), asked())
    assert one == {"feeds": [{"graph_input": "X", "columns": ["a", "b"], "dtype": "float32"}], "score_output": "p"}
    named = graph.infer_signature(exported(["b_c", "a"], ["p"]), asked(names=("a", "b c")))
    assert [(f["graph_input"], f["columns"]) for f in named["feeds"]] == [("b_c", ["b c"]), ("a", ["a"])]
    single = graph.infer_signature(exported(["a"], ["p"]), asked(names=("a",)))
    assert single["feeds"][0]["columns"] == ["a"]
    for names in (("a", "b", "c"), ("a", "z")):
        assert (
            reason(lambda names=names: graph.infer_signature(exported(["a", "b"], ["p"]), asked(names=names)))
            == "graph_inputs"
        )
    for kind, dtype in graph.TYPES.items():
        assert graph._dtype(helper.make_tensor_value_info("x", kind, [1])) == dtype
    assert reason(lambda: graph._dtype(helper.make_tensor_value_info("x", TensorProto.INT32, [1]))) == "graph_type"


@pytest.mark.parametrize(
    ("outputs", "task", "score"),
    [
        (["label", "score"], "binary", "score"), (["probabilities", "raw"], "binary", "probabilities"),
        (["value", "spread"], "regression", "value"), (["a_prob", "b_PROB"], "binary", "b_PROB"),
    ],
)  # fmt: skip
def test_the_scores_are_the_output_named_so_or_the_last(outputs, task, score):
    assert graph._score_output(exported(["X"], outputs), asked(task)) == score
    assert (
        reason(lambda: graph._score_output(exported(["X"], outputs, kind=TensorProto.INT64), asked(task)))
        == "graph_no_numbers"
    )


def test_scores_have_a_column_for_each_class():
    assert graph.check_scores(np.zeros((3, 2)), asked()).shape == (3, 2)
    assert reason(lambda: graph.check_scores(np.zeros((3, 1)), asked())) == "graph_width"
    assert reason(lambda: graph.check_scores(np.zeros((3, 2)), asked("regression"))) == "graph_width"
    assert graph.check_scores(np.zeros((3, 1)), asked("regression")).shape == (3, 1)
    session = tensors.session(exported(["X"], ["p"]).SerializeToString())
    good = {"feeds": [{"graph_input": "X"}], "score_output": "p"}
    graph.check_signature(session, good)
    for wrong in ({**good, "score_output": "q"}, {**good, "feeds": [{"graph_input": "Y"}]}):
        assert reason(lambda wrong=wrong: graph.check_signature(session, wrong)) == "graph_signature"


def test_tables_become_tensors_by_column():
    frame = pd.DataFrame({"x": [1.5, None], "n": [1, 2], "t": ["a", None]})
    found = tensors.feeds_of(frame, {"feeds": [
        {"graph_input": "X", "columns": ["x", "n"], "dtype": "float32"}, {"graph_input": "T", "columns": ["t"], "dtype": "string"},
    ]})  # fmt: skip
    assert found["X"].dtype == np.float32
    assert found["X"][0].tolist() == [1.5, 1]
    assert np.isnan(found["X"][1, 0])
    assert found["T"].tolist() == [["a"], [""]]
    session = tensors.session(exported(["X"], ["p"]).SerializeToString())
    rows = pd.DataFrame({"x": np.arange(5.0)})
    signature = {"feeds": [{"graph_input": "X", "columns": ["x"], "dtype": "float32"}], "score_output": "p"}
    for step in (1, 2, 5, 10_000):
        assert tensors.run(session, rows, signature, step).tolist() == [[0], [1], [2], [3], [4]]


# Estimators.


def table(rows: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows)})
    return frame, (frame["a"] + frame["b"] > 0).to_numpy().astype(int)


def logistic() -> LogisticRegression:
    return LogisticRegression().fit(*table())


@pytest.mark.parametrize(
    ("fitted", "request_", "refusal"),
    [
        (logistic, asked(), None),
        (lambda: object(), asked(), "not_an_estimator"),
        (StandardScaler, asked(), "predicts_nothing"),
        (lambda: LinearRegression().fit(*table()), asked(), "is_a_regressor"),
        (logistic, asked("regression"), "is_a_classifier"),
        (lambda: LinearRegression().fit(*table()), asked("regression"), None),
        (logistic, asked(classes=[1, 0]), "classes_differ"),
        (lambda: LogisticRegression().fit(table()[0], table()[1].astype(float)), asked(), None),
        (lambda: LogisticRegression().fit(table()[0], table()[1] + 1.0), asked(), "classes_differ"),
        (logistic, asked(names=("b", "a")), "columns_differ"),
        (logistic, asked(names=("a", "b", "c")), "columns_differ"),
        (lambda: LogisticRegression().fit(table()[0].to_numpy(), table()[1]), asked(names=("a",)), "column_count"),
        (lambda: LogisticRegression().fit(table()[0].to_numpy(), table()[1]), asked(names=("y", "x")), None),
    ],
)
def test_an_estimator_is_of_the_contracts_task_classes_and_columns(fitted, request_, refusal):
    assert reason(lambda: estimators.check(fitted(), request_)) == refusal


def test_the_first_column_that_differs_is_counted_from_one():
    for names, first in ((("a", "c"), 2), (("c", "b"), 1), (("a", "b", "c"), 3)):
        with pytest.raises(Refusal) as caught:
            estimators.check(logistic(), asked(names=names))
        assert caught.value.numbers == [first]


def test_plans_with_whole_numbers_are_for_integers_and_narrowing_is_for_pipelines():
    def plans(kind: str, model: object) -> list[str]:
        request = asked()
        request["inputs"][0]["type"] = kind
        return [str(plan) for plan in estimators._plans(model, request)]

    steps = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())])
    assert plans("number", LogisticRegression()) == ["float32/float32", "float64/float64"]
    assert plans("integer", LogisticRegression()) == ["float32/float32", "float64/float64", "float32/int64"]
    assert plans("boolean", steps) == [
        "float32/float32", "float64/float64 narrowed", "float64/float64", "float32/int64", "float64/int64 narrowed",
    ]  # fmt: skip
    assert plans("number", Pipeline([("model", LogisticRegression())])) == ["float32/float32", "float64/float64"]
    whole = Plan("float32", "int64")
    types = [
        ("integer", False),
        ("boolean", False),
        ("integer", True),
        ("number", False),
        ("category", False),
        ("string", True),
    ]
    assert [estimators._dtype({"type": t, "nullable": n}, whole) for t, n in types] == [
        "int64", "int64", "float32", "float32", "string", "string",
    ]  # fmt: skip


def test_a_conversion_answers_as_the_original():
    frame, y = table()
    for made, request in ((logistic(), asked()), (LinearRegression().fit(frame, y), asked("regression"))):
        original = estimators.original_scores(made, frame, request)
        assert original.shape == (60, 1 if request["task"] == "regression" else 2)
        found = estimators.convert(made, frame, original, request)
        assert found.plan == "float32/float32"
        assert found.signature["feeds"] == [{"graph_input": "X", "columns": ["a", "b"], "dtype": "float32"}]
        ours = tensors.run(tensors.session(found.model), frame, found.signature)
        assert ours == pytest.approx(original, abs=1e-5)
        assert {(o.domain, o.version) for o in onnx.load_model_from_string(found.model).opset_import} <= {
            ("", 18), ("ai.onnx.ml", 3), ("ai.onnx.ml", 1),
        }  # fmt: skip
    boosted = GradientBoostingClassifier(n_estimators=3).fit(frame.to_numpy(), y)
    assert estimators.original_scores(boosted, frame, asked()).shape == (60, 2)
    assert reason(lambda: estimators.original_scores(logistic(), frame.assign(a="x"), asked())) == "cannot_answer"
    two = LinearRegression().fit(frame, np.c_[y, y])
    assert reason(lambda: estimators.original_scores(two, frame, asked("regression"))) == "not_one_answer"


def test_a_way_to_convert_that_takes_too_long_is_left_and_another_stands(monkeypatch):
    frame, y = table()
    import skl2onnx  # noqa: F401 - its import is not what is timed

    made, real, tried = LinearRegression().fit(frame, y), estimators._attempt, []

    def attempt(prepared, plan, *rest):
        tried.append(str(plan))
        while len(tried) == 1:
            pass
        return real(prepared, plan, *rest)

    monkeypatch.setattr(estimators, "_attempt", attempt)
    request = asked("regression") | {"cpu_seconds": 16}
    found = estimators.convert(made, frame, estimators.original_scores(made, frame, request), request)
    assert tried[0] == "float32/float32"
    assert found.plan == tried[-1] == "float64/float64"


def test_gaps_in_numbers_are_filled_where_a_model_computes_in_doubles():
    """ONNX Runtime's own operator for gaps knows float32 only."""
    frame, y = table()
    frame = frame.assign(a=frame["a"].where(frame.index % 4 > 0))
    made = Pipeline([("gaps", SimpleImputer()), ("scale", StandardScaler()), ("model", LogisticRegression())]).fit(
        frame, y
    )
    request = asked()
    found = estimators._attempt(made, estimators.Plan("float64", "float64", narrow=True), made, request, frozenset())
    original = estimators.original_scores(made, frame, request)
    assert tensors.run(tensors.session(found.model), frame, found.signature) == pytest.approx(original, abs=1e-6)


def test_text_steps_know_the_empty_text_where_they_knew_null():
    frame = pd.DataFrame({"t": pd.Series(["a", None, "b", None], dtype=object), "x": [1.0, 2, 3, 4]})
    encode = ColumnTransformer([("t", OneHotEncoder(handle_unknown="ignore"), ["t"]), ("x", "passthrough", ["x"])])
    made = Pipeline([("encode", encode), ("model", LogisticRegression())]).fit(frame, [0, 1, 0, 1])
    prepared = copy.deepcopy(made)
    know_null(prepared, ["t"])
    assert prepared.named_steps["encode"].transformers_[0][1].categories_[0].tolist() == ["a", "b", ""]
    assert pd.isna(made.named_steps["encode"].transformers_[0][1].categories_[0][2]), "the model itself stays as it was"
    numbers = np.array([1.0, np.nan], dtype=object)
    assert _without_null(numbers, "") is numbers
    texts = SimpleImputer(strategy="most_frequent", missing_values=None).fit(
        np.array([["a"], ["a"], [None]], dtype=object)
    )
    plain = SimpleImputer().fit([[1.0], [np.nan]])
    know_null(texts, ["t"])
    know_null(plain, ["t"])
    assert texts.missing_values == ""
    assert np.isnan(plain.missing_values)
    request = asked(names=("t", "x"))
    request["inputs"][0]["type"] = "category"
    original = estimators.original_scores(made, frame, request)
    found = estimators.convert(made, frame, original, request)
    assert [f["columns"] for f in found.signature["feeds"]] == [["t"], ["x"]]
    assert tensors.run(tensors.session(found.model), frame, found.signature) == pytest.approx(original, abs=1e-5)


def test_steps_are_walked_named_and_their_settings_told():
    union = FeatureUnion([("one", StandardScaler()), ("two", TfidfVectorizer())])
    whole = Pipeline([("both", union), ("model", LogisticRegression(C=2.0, tol=np.inf))])
    kinds = [type(step).__name__ for step in walk(whole)]
    assert kinds == ["Pipeline", "FeatureUnion", "StandardScaler", "TfidfVectorizer", "LogisticRegression"]
    assert estimators.names_of(whole) == ["FeatureUnion", "LogisticRegression"]
    assert estimators.names_of(StandardScaler()) == ["StandardScaler"]
    told = estimators.parameters_of(whole)
    assert (told["C"], told["tol"], told["max_iter"], told["class_weight"]) == (2.0, "inf", 100, None)
    assert estimators.parameters_of(GridSearchCV(LogisticRegression(), {}))["estimator"] == "LogisticRegression"
    options = estimators._options(whole, "binary")
    assert options[id(whole)] == {"zipmap": False}
    assert options[id(union.transformer_list[1][1])] == {"locale": "C", "tokenexp": r"[\p{L}\p{N}_]{2,}"}
    assert id(whole) not in estimators._options(whole, "regression")
    found = estimators._explain(whole, ValueError("no converter for TfidfVectorizer"))
    assert (found.reason, found.names, found.kind) == ("not_convertible", ["TfidfVectorizer"], "ValueError")
    assert estimators._explain(whole, ValueError("?")).names == ["FeatureUnion", "LogisticRegression"]
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(*table())
    assert type(estimators.unwrap(search)).__name__ == "LogisticRegression"

    class Own(KeyError):
        pass

    class Odd(BaseException):
        pass

    assert (kind_of(Own()), kind_of(Odd())) == ("KeyError", "Exception")


# How close, and the map behind.


def test_flips_are_decisions_that_differ_and_moves_of_a_thousandth_of_the_spread():
    one = np.array([[0.5, 0.5], [0.6, 0.4], [0.2, 0.8]])
    two = np.array([[0.51, 0.49], [0.6, 0.4], [0.2, np.inf]])
    assert compare.parity(one, one, asked()) == (0, 0.0)
    assert compare.parity(one, two, asked()) == (2, pytest.approx(0.01))
    assert compare.parity(two, one, asked()) == (2, pytest.approx(0.01))
    assert compare.parity(one, two[:, :1], asked()) == (3, float("inf"))
    assert compare.decisions(one, asked(threshold=0.81)).tolist() == [0, 0, 0]
    assert compare.decisions(one, asked(classes=[1, 0])).tolist() == [0, 0, 1]
    assert compare.decisions(np.array([[0.2, 0.5, 0.3]]), asked("multiclass", classes=["a", "b", "c"])).tolist() == [1]
    values = np.array([[0.0], [2.0]])  # a standard deviation of 1
    for move, flipped in ((0.00099, 0), (0.00101, 1)):
        assert compare.parity(values, values + np.array([[move], [0.0]]), asked("regression"))[0] == flipped
    nothing = np.full((2, 1), np.nan)
    assert compare.parity(nothing, nothing, asked("regression")) == (2, 0.0)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize(
    "found",
    [
        Map(method=Method.PLATT, x=(1.7, -0.4)),
        Map(method=Method.ISOTONIC, x=(0.1, 0.4, 0.9), y=(0.05, 0.3, 0.8)),
        Map(method=Method.ISOTONIC, x=(0.5,), y=(0.25,)),
    ],
    ids=["platt", "isotonic", "one point"],
)
def test_the_graph_with_the_map_behind_it_answers_as_the_map(kind, positive, found):
    ends = [helper.make_tensor_value_info(n, kind, [None, 2]) for n in ("X", "p")]
    plain = helper.make_model(
        helper.make_graph([helper.make_node("Identity", ["X"], ["p"])], "g", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    data = append(plain.SerializeToString(), "p", positive, found)
    score = np.array([0.0, 0.05, 0.1, 0.3, 0.4, 0.7, 0.9, 1.0])
    rows = np.c_[1 - score, score] if positive else np.c_[score, 1 - score]
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    dtype = np.float64 if kind == TensorProto.DOUBLE else np.float32
    (answer,) = session.run(None, {"X": rows.astype(dtype)})
    assert answer.dtype == dtype
    assert answer[:, positive] == pytest.approx(found(score.astype(dtype).astype(float)), abs=2e-6)
    assert answer.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-6)
    with pytest.raises(Rejected, match="no output"):
        append(plain.SerializeToString(), "q", positive, found)


def test_each_half_is_judged_by_the_map_of_the_other():
    score = np.linspace(0.01, 0.99, 200)
    outcome = (np.random.default_rng(1).random(200) < score).astype(float)
    half = np.random.default_rng(0).permutation(200) < 100
    ours = _crosswise(score, outcome, Method.PLATT)
    assert ours[half] == pytest.approx(fit(score[~half], outcome[~half], Method.PLATT)(score[half]))
    assert ours[~half] == pytest.approx(fit(score[half], outcome[half], Method.PLATT)(score[~half]))


# Names of a pickle.


@pytest.mark.parametrize(
    ("module", "name", "allowed"),
    [
        ("sklearn.linear_model._logistic", "LogisticRegression", True),
        ("sklearn.linear_model._logistic", "_logistic_regression_path", False),
        ("sklearn.metrics._scorer", "make_scorer", True),
        ("sklearn.tree._tree", "_Private", True),
        ("sklearn.utils", "Bunch", True),
        ("sklearn.utils", "Other", False),
        ("sklearn.tree.tests.test_tree", "Evil", False),
        ("sklearn", "Anything", False),
        ("numpy", "add", True),
        ("numpy", "float64", True),
        ("numpy", "load", False),
        ("numpy", "nobody", False),
        ("numpy", "ndarray", True),
        ("builtins", "eval", False),
        ("builtins", "dict", True),
        ("collections", "OrderedDict.fromkeys", False),
        ("sklearn.tree", "A" * 101, False),
        ("sklearn.tree", "A" * 100, True),
        ("sklearn.tree", "", False),
        ("sklearn._loss._loss", "__pyx_unpickle_CyHalfBinomialLoss", True),
        ("sklearn._loss._loss", "import_module", False),
    ],
)
def test_a_name_may_be_asked_for(module, name, allowed):
    assert pickle_names.allows(module, name) is allowed


def test_what_stands_behind_a_name_is_of_that_library():
    import sklearn.linear_model
    import sklearn.metrics._scorer as scorer

    assert pickle_names.is_what_it_says("sklearn.linear_model", sklearn.linear_model.LogisticRegression)
    assert not pickle_names.is_what_it_says("sklearn.metrics", np.ndarray)
    assert pickle_names.is_what_it_says("sklearn.metrics._scorer", scorer.make_scorer)
    assert not pickle_names.is_what_it_says("sklearn.metrics", scorer.make_scorer)
    assert not pickle_names.is_what_it_says("sklearn.metrics", 3)
    assert pickle_names.is_what_it_says("numpy", np.ndarray)
    hostile = {"os": True, "numpy.x": True, "_posix": True, "": True, "modelmark.app": True, "mycompany.models": False}
    assert {module: pickle_names.is_hostile(module) for module in hostile} == hostile
