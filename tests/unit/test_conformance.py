"""Our own protocols and flavours keep what the kits ask of everybody's."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

import serving_case as case
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, NotPermitted
from modelmark.domain.version import Feed, Signature
from modelmark.seal import keys
from modelmark.serving import flavours
from modelmark.serving.flavours import Runs
from modelmark.serving.models import load_marked
from modelmark.serving.wire import Parsed
from modelmark.serving.wire.kserve import KServe
from modelmark.serving.wire.mlflow import Mlflow
from modelmark.serving.wire.native import Native
from modelmark.serving.wire.oip import Oip
from modelmark.serving.wire.tfs import Tfs
from modelmark.testing.flavours import check_flavour
from modelmark.testing.wire import answered, check_wire, read_goldens, says_error, write_goldens

V1 = Path(__file__).resolve().parents[1] / "golden" / "v1"
WIRES = {"native": Native, "oip": Oip, "tfs": Tfs, "mlflow": Mlflow, "kserve": partial(KServe, chosen=True)}
REFUSALS = {"mlflow": lambda value: isinstance(value.get("error_code"), str) and bool(value["message"])}


@pytest.fixture(scope="module")
def version():
    id = Digest(json.loads((V1 / "facts.json").read_text())["version"])
    return load_marked(V1 / "version", keys.verifier(V1), id)


def goldens(name: str):
    return read_goldens(V1 / "wire" / f"{name}.json")


@pytest.mark.parametrize("name", WIRES)
def test_a_protocol_answers_as_it_always_has_and_refuses_in_its_own_form(name: str, version, update_goldens: bool):
    if update_goldens:
        write_goldens(V1 / "wire" / f"{name}.json", answered(WIRES[name], version, goldens(name)))
    check_wire(WIRES[name], version, goldens(name), refusal=REFUSALS.get(name, says_error))


def bent(reply):
    return msgspec.structs.replace(reply, body=reply.body.replace(b'"arm"', b'"limb"'))


def test_the_kit_notices_a_protocol_that_answers_differently(version):
    class Shy(Native):
        def parse(self, body, headers, codec):
            found = super().parse(body, headers, codec)
            return Parsed(found.rows, found.entity, lambda answer: bent(found.render(answer)))

    with pytest.raises(AssertionError, match="instead of"):
        check_wire(Shy, version, goldens("native"))


def test_the_kit_notices_a_protocol_that_hostile_bodies_make_fail(version):
    class Frail(Native):
        def parse(self, body, headers, codec):
            return super().parse(body, headers, codec) if len(body) > 2 else 1 / 0

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        check_wire(Frail, version, goldens("native"))


def test_the_kit_notices_answers_that_cannot_be_written(version):
    class Mute(Native):
        def parse(self, body, headers, codec):
            found = super().parse(body, headers, codec)
            return replace(found, render=lambda answer: 1 / 0) if b"-0" in body else found

    with pytest.raises(AssertionError, match="500 for /models/loans/predict"):
        check_wire(Mute, version, goldens("native"))


def test_the_kit_notices_another_error_form(version):
    with pytest.raises(AssertionError, match="error form"):
        check_wire(Native, version, goldens("native"), refusal=lambda value: "detail" in value)


def test_onnx_with_numbers_and_texts_keeps_the_conventions(version):
    found = check_flavour(
        flavours.kind("onnx"),
        {"model.onnx": (V1 / "version" / "model.onnx").read_bytes()},
        version.signature,
        numeric=["age", "income"],
        textual=["job"],
        numbers=np.array([[41, 1500.5], [30, 0], [120, 100000], [0, 0.1]]),
        texts=["nurse", "never seen", "clerk", "driver"],
        width=2,
    )
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_onnx_of_trees_keeps_the_conventions(tmp_path: Path):
    built = case.build(tmp_path)
    names = [item.name for item in built.contract.numeric()]
    check_flavour(
        flavours.kind("onnx"),
        {"model.onnx": (built.folder / "model.onnx").read_bytes()},
        built.signature,
        numeric=names,
        numbers=np.random.default_rng(0).normal(size=(33, len(names))),
        width=2,
    )


NAMED = [f"f{i}" for i in range(3)]


@pytest.mark.parametrize("regression", [False, True])
def test_a_plain_onnx_file_of_one_matrix_keeps_the_conventions(regression: bool):
    numbers = np.random.default_rng(0).normal(size=(9, 3))
    graph = {"model.onnx": case.gradient_boosting(3, regression=regression)}
    silent = Signature(feeds=(), score_output="variable" if regression else "probabilities")
    given = {"numeric": NAMED, "numbers": numbers, "width": 1 if regression else 2}
    found = check_flavour(flavours.kind("onnx_file"), graph, silent, **given)
    fed = replace(silent, feeds=(Feed(graph_input="X", columns=tuple(NAMED), dtype="float32"),))
    assert np.array_equal(found, check_flavour(flavours.kind("onnx"), graph, fed, **given))


def test_a_plain_onnx_file_of_named_tensors_keeps_the_conventions(version):
    graph = {"model.onnx": (V1 / "version" / "model.onnx").read_bytes()}
    with pytest.raises(NotPermitted, match="the contract lists"):
        flavours.kind("onnx_file")(graph, version.signature, numeric=["age", "income"], textual=["job"])
    check_flavour(
        flavours.kind("onnx_file"),
        {"model.onnx": named_tensors()},
        Signature(feeds=(), score_output="y"),
        numeric=["age", "in come"],
        numbers=np.array([[41, 1500.5], [30, 0]]),
        width=1,
    )


def named_tensors() -> bytes:
    """age + income, a tensor each, under the names an exporter writes, in another order than the contract's."""
    from onnx import TensorProto, helper

    def tensor(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])

    node = helper.make_node("Add", ["in_come", "age"], ["y"])
    graph = helper.make_graph([node], "g", [tensor("in_come"), tensor("age")], [tensor("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("numeric", "textual"),
    [
        pytest.param(NAMED[:2], [], id="too few columns"),
        pytest.param([*NAMED, "f3"], [], id="too many columns"),
        pytest.param(NAMED[:2], ["job"], id="a text among them"),
    ],
)
def test_a_plain_onnx_file_of_another_width_never_loads(numeric, textual):
    graph = {"model.onnx": case.gradient_boosting(3)}
    with pytest.raises(NotPermitted, match="the contract lists"):
        flavours.kind("onnx_file")(graph, Signature(feeds=(), score_output="p"), numeric=numeric, textual=textual)


def test_a_flavour_that_nobody_provides_is_named():
    with pytest.raises(Missing, match="no flavour 'cobol'"):
        flavours.kind("cobol")


class Bent:
    """ONNX with one promise broken."""

    runs = Runs.BY_COST

    def __init__(self, files, signature, *, numeric, textual):
        self.sound = flavours.kind("onnx")(files, signature, numeric=numeric, textual=textual)
        self.runs = 0

    def run(self, numbers, texts):
        self.runs += 1
        return self.bend(self.sound.run(numbers, texts), numbers)


class Forgetful(Bent):
    def bend(self, scores, numbers):
        return scores + 0.001 * self.runs


class Crowded(Bent):
    def bend(self, scores, numbers):
        return scores + 0.001 * len(numbers)


class Careless(Bent):
    def bend(self, scores, numbers):
        numbers[0] = 0
        return scores


class Narrow(Bent):
    def bend(self, scores, numbers):
        return scores[:, :1]


class Locked(Bent):
    def bend(self, scores, numbers):
        scores.setflags(write=False)
        return scores


@pytest.mark.parametrize("kind", [Forgetful, Crowded, Careless, Narrow, Locked])
def test_the_kit_notices_a_flavour_that_breaks_a_promise(kind, version):
    with pytest.raises((AssertionError, ValueError)):
        check_flavour(
            kind,
            {"model.onnx": (V1 / "version" / "model.onnx").read_bytes()},
            version.signature,
            numeric=["age", "income"],
            textual=["job"],
            numbers=np.array([[41, 1500.5], [30, 0]]),
            texts=["nurse", "clerk"],
            width=2,
        )
