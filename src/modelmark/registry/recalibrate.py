"""A version whose probabilities mean what they say: a map fitted on validation rows, appended to its graph.

The result is an ONNX graph with the same inputs and one output of probabilities: a new model, to be registered and
judged like any other. Every operator is standard, so the serving path does not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelmark.domain.errors import Missing, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.version import ARTIFACT, SIGNATURE, Signature
from modelmark.gates.case import Case
from modelmark.gates.common.evaluation_set import validation_set
from modelmark.seal.values import decode
from modelmark.stats.calibration import CalibrationError, calibration_error
from modelmark.stats.metrics import Array
from modelmark.stats.recalibration import CLIP, Map, Method, fit
from modelmark.stats.thresholds import cheapest

OUTPUT: Final = "recalibrated_probabilities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibrated:
    """model: the new graph. after: measured on halves of the validation rows that the map of the other half never saw.

    threshold: where decisions stay as they were. cheapest: the cheapest one on validation rows, where costs are known.
    """

    model: bytes
    map: Map
    before: CalibrationError
    after: CalibrationError
    threshold: float
    cheapest: float | None


def recalibrate(case: Case, method: Method | None) -> Recalibrated:
    """The candidate with a map behind it. None: the method is chosen by the number of rows.

    Raises Rejected for a task that is not binary and a model that runs as itself, Missing without `data.validation`,
    Unmeasured for a table that has changed since, NotEnoughData for too few rows.
    """
    contract = case.contract
    if contract.model.task is not Task.BINARY:
        raise Rejected("only a binary model can be recalibrated", code="WRONG_TASK", field="model.task", limit="binary")
    if case.version.as_itself:
        raise Rejected(
            "a model that runs as itself carries no map", code="WRONG_FLAVOUR", field="model.run", limit="converted",
            hint="calibrate it before it is saved (CalibratedClassifierCV), and register that",
        )  # fmt: skip
    _ = case.looked_at  # raises when a table has changed
    evaluation = validation_set(case)
    if evaluation is None:
        raise Missing(
            "the contract names no rows to recalibrate on",
            code="NO_VALIDATION",
            field="data.validation",
            hint="name a table of rows that neither trained nor judge the model, and register again",
        )
    score = np.clip(evaluation.judged.scores[:, evaluation.judged.positive], 0, 1)
    outcome = np.asarray(np.asarray(evaluation.judged.y_true) == evaluation.judged.positive, dtype=np.float64)
    found = fit(score, outcome, method)
    signature = _signature(case)
    model = append((case.folder / ARTIFACT).read_bytes(), signature.score_output, evaluation.judged.positive, found)
    costs = contract.objective.costs
    return Recalibrated(
        model=model,
        map=found,
        before=calibration_error(score, outcome),
        after=calibration_error(_crosswise(score, outcome, found.method), outcome),
        threshold=float(found(np.array([contract.outputs.threshold]))[0]),
        cheapest=None if costs is None else cheapest(found(score), outcome == 1, costs)[0],
    )


def _signature(case: Case) -> Signature:
    """The version's, when a graph of its inputs alone is fed the same way."""
    signature = decode(Signature, (case.folder / SIGNATURE).read_bytes())
    names = tuple(item.name for item in case.contract.inputs)
    if len(signature.feeds) == 1 and signature.feeds[0].columns != names:
        raise Rejected(
            "the graph takes its columns in another order than the contract lists them",
            code="COLUMNS_DIFFER",
            field="inputs",
            limit=", ".join(signature.feeds[0].columns),
        )
    return signature


def _crosswise(score: Array, outcome: Array, method: Method) -> Array:
    """Each half's scores through the map of the other half."""
    half = np.random.default_rng(0).permutation(len(score)) < len(score) // 2
    found = np.empty(len(score))
    for learn, ask in ((half, ~half), (~half, half)):
        found[ask] = fit(score[learn], outcome[learn], method)(score[ask])
    return found


def append(model: bytes, score_output: str, positive: int, found: Map) -> bytes:
    """The graph with the map behind its score output (rows, 2); its only output is then `OUTPUT`, (rows, 2).

    positive: the positive class's column. Raises Rejected when the graph has no such output.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = onnx.load_model_from_string(model)
    given = next((value for value in graph.graph.output if value.name == score_output), None)
    if given is None:
        raise Rejected(f"the graph has no output {score_output!r}", code="CONVERSION_FAILED")
    double = given.type.tensor_type.elem_type == TensorProto.DOUBLE
    build = _Builder(graph, np.float64 if double else np.float32)
    score = build.node("Gather", [score_output, build.constant(np.array([positive], dtype=np.int64))], axis=1)
    yes = (_platt_nodes if found.method is Method.PLATT else _isotonic_nodes)(build, score, found)
    no = build.node("Sub", [build.number(1.0), yes])
    build.node("Concat", [no, yes] if positive else [yes, no], axis=1, output=OUTPUT)
    kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(OUTPUT, kind, [None, 2]))
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


class _Builder:
    """Appends nodes and constants of one element type to a graph, under names of its own."""

    def __init__(self, model: Any, kind: type) -> None:
        self._graph, self._kind, self._count = model.graph, kind, 0

    def _name(self) -> str:
        self._count += 1
        return f"recalibrate_{self._count}"

    def constant(self, values: np.ndarray) -> str:
        from onnx import numpy_helper

        name = self._name()
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def number(self, *values: float) -> str:
        return self.constant(np.array(values, dtype=self._kind))

    def node(self, operator: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or self._name()
        self._graph.node.append(helper.make_node(operator, inputs, [name], name=f"node_{name}", **attributes))
        return name


def _platt_nodes(build: _Builder, score: str, found: Map) -> str:
    low = build.node("Max", [score, build.number(CLIP)])
    clipped = build.node("Min", [low, build.number(1 - CLIP)])
    odds = build.node("Div", [clipped, build.node("Sub", [build.number(1.0), clipped])])
    scaled = build.node("Mul", [build.node("Log", [odds]), build.number(found.x[0])])
    return build.node("Sigmoid", [build.node("Add", [scaled, build.number(found.x[1])])])


def _isotonic_nodes(build: _Builder, score: str, found: Map) -> str:
    """y0 + the sum over segments of slope * clip(score - start, 0, width): each segment adds what lies below it."""
    x, y = np.array(found.x), np.array(found.y)
    if len(x) < 2:
        return build.node("Add", [build.node("Mul", [score, build.number(0.0)]), build.number(float(y[0]))])
    past = build.node("Sub", [score, build.number(*map(float, x[:-1]))])
    inside = build.node("Min", [build.node("Max", [past, build.number(0.0)]), build.number(*map(float, np.diff(x)))])
    slope = (np.diff(y) / np.diff(x))[:, None]
    total = build.node("MatMul", [inside, build.constant(slope.astype(build._kind))])
    return build.node("Add", [total, build.number(float(y[0]))])
