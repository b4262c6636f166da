"""scikit-learn estimators to ONNX. Runs in the child only.

A conversion is tried with several types for the inputs, because float32 can push a value over a split; the first
that flips no decision wins, else the one that flips fewest.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelmark.domain.classes import class_text, same_classes
from modelmark.registry import compare, tensors
from modelmark.registry.refusal import Refusal, kind_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Fixed, so that the same model gives the same bytes whatever skl2onnx defaults to later.
TARGET_OPSET: Final = {"": 18, "ai.onnx.ml": 3}
#: Where an estimator keeps those it is made of.
_PARTS: Final = ("estimators_", "estimator", "estimator_", "calibrated_classifiers_", "final_estimator_")


@dataclass(frozen=True, slots=True)
class Plan:
    """Input types of numbers and of integers. narrow: steps compute in double, the last one is handed float32.

    `narrow` is what scikit-learn's own trees do; without it a scaled integer that ties with a split may cross it.
    """

    numbers: str
    whole: str
    narrow: bool = False

    def __str__(self) -> str:
        return f"{self.numbers}/{self.whole}" + (" narrowed" if self.narrow else "")


PLANS: Final = (
    Plan("float32", "float32"),
    Plan("float64", "float64", narrow=True),
    Plan("float64", "float64"),
    Plan("float32", "int64"),
    Plan("float64", "int64", narrow=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """signature: plain form of domain.version.Signature. plan: which input types won, for people."""

    model: bytes
    signature: dict[str, Any]
    plan: str


def unwrap(model: Any) -> Any:
    """The estimator that answers, from inside a finished search."""
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
    return model


def names_of(model: Any) -> list[str]:
    """The kind of each step, first to last."""
    return [type(step).__name__ for _, step in getattr(model, "steps", ((None, model),))]


def parameters_of(model: Any) -> dict[str, Any]:
    """Hyper-parameters of the last step: numbers, texts, and of other objects what kind they are; at most a hundred."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    return {name: _value(value) for name, value in sorted(last.get_params(deep=False).items())[:100]}


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, str)) else type(value).__name__


def check(model: Any, request: Mapping[str, Any]) -> None:
    """Refuse what is no fitted scikit-learn model of the contract's task, classes and columns."""
    if not hasattr(model, "predict") or not hasattr(model, "get_params"):
        raise Refusal("not_an_estimator", names=[type(model).__name__])
    wants_classes = request["task"] != "regression"
    if wants_classes and not hasattr(model, "predict_proba"):
        raise Refusal("no_probabilities", names=names_of(model))
    if not wants_classes and hasattr(model, "classes_"):
        raise Refusal("is_a_classifier", names=names_of(model))
    learned = [value.item() if hasattr(value, "item") else value for value in getattr(model, "classes_", ())]
    if wants_classes and not same_classes(learned, request["classes"]):
        raise Refusal("classes_differ", names=[class_text(c)[:200] for c in learned[:20]])
    _check_columns(model, [item["name"] for item in request["inputs"]])


def _check_columns(model: Any, names: list[str]) -> None:
    learned = getattr(model, "feature_names_in_", None)
    if learned is not None and list(learned) != names:
        alike = [a == b for a, b in zip(learned, names, strict=False)]
        first = alike.index(False) if False in alike else len(alike)
        raise Refusal("columns_differ", names=[str(name)[:200] for name in learned[:20]], numbers=[first + 1])
    count = getattr(model, "n_features_in_", len(names))
    if count != len(names):
        raise Refusal("column_count", numbers=[int(count), len(names)])


def original_scores(model: Any, frame: pd.DataFrame, request: Mapping[str, Any]) -> np.ndarray:
    """float64 (rows, classes) or (rows, 1): what the model itself answers, as its author would have called it."""
    import numpy as np

    columns = frame[[item["name"] for item in request["inputs"]]]
    table = columns if hasattr(model, "feature_names_in_") else columns.to_numpy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = model.predict(table) if request["task"] == "regression" else model.predict_proba(table)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - any failure of foreign code is the artifact's fault
        raise Refusal("cannot_answer", names=names_of(model), kind=kind_of(error)) from None
    scores = np.asarray(answers, dtype=np.float64)
    if scores.ndim > 2 or (scores.ndim == 2 and request["task"] == "regression" and scores.shape[1] != 1):
        raise Refusal("not_one_answer", numbers=[int(np.size(scores)) // max(len(frame), 1)])
    return scores.reshape(len(frame), -1)


def convert(model: Any, frame: pd.DataFrame, original: np.ndarray, request: Mapping[str, Any]) -> Converted:
    """The conversion that decides most like the original. Raises Refusal when none works."""
    prepared = with_empty_text_as_null(model)
    finite_thresholds(_walk(prepared))
    best: tuple[tuple[int, float], Converted] | None = None
    failures: list[Exception] = []
    for plan in _plans(model, request):
        try:
            candidate = _attempt(prepared, plan, model, request)
            scores = tensors.run(tensors.session(candidate.model), frame, candidate.signature)
        except (MemoryError, Refusal):
            raise
        except Exception as error:  # noqa: BLE001 - the next plan may work; all reasons are kept
            failures.append(error)
            continue
        flipped, distance = compare.parity(original, scores, request)
        if best is None or (flipped, distance) < best[0]:
            best = ((flipped, distance), candidate)
        if flipped == 0 and distance <= 1e-5 * max(1.0, float(abs(original).max(initial=0.0))):
            break
    if best is None:
        raise _explain(model, failures[0])
    return best[1]


def _plans(model: Any, request: Mapping[str, Any]) -> Iterator[Plan]:
    integers = any(item["type"] in ("integer", "boolean") for item in request["inputs"])
    steps = len(getattr(model, "steps", ()))
    for plan in PLANS:
        if (plan.whole != "int64" or integers) and (not plan.narrow or steps > 1):
            yield plan


def _attempt(prepared: Any, plan: Plan, model: Any, request: Mapping[str, Any]) -> Converted:
    import skl2onnx

    if plan.narrow:
        prepared = _narrowed(prepared)
    initial, feeds = _inputs(model, plan, request)
    options = _options(prepared, request["task"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = skl2onnx.convert_sklearn(
            prepared, name=request["name"], initial_types=initial, options=options, target_opset=TARGET_OPSET
        )
    route_missing(graph.graph, _walk(prepared))
    for feed, value in zip(feeds, graph.graph.input, strict=True):
        feed["graph_input"] = value.name  # skl2onnx renames: `education-num` becomes `education_num`
    output = graph.graph.output[-1].name
    signature = {"feeds": feeds, "score_output": output}
    return Converted(model=graph.SerializeToString(deterministic=True), signature=signature, plan=str(plan))


def _options(prepared: Any, task: str) -> dict[Any, dict[str, Any]]:
    """Probabilities as a tensor; text lower-cased by a locale that every machine has."""
    options: dict[Any, dict[str, Any]] = {}
    if task != "regression":
        options[id(prepared)] = {"zipmap": False}
    for step in _walk(prepared):
        if type(step).__name__ in ("TfidfVectorizer", "CountVectorizer"):
            options[id(step)] = {"locale": "C"}
    return options


def _narrowed(pipeline: Any) -> Any:
    import numpy as np
    from skl2onnx.sklapi import CastTransformer
    from sklearn.pipeline import Pipeline

    *first, last = pipeline.steps
    return Pipeline([*first, ("to_float32", CastTransformer(dtype=np.float32)), last])


def _inputs(model: Any, plan: Plan, request: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], list[dict[str, Any]]]:
    """One matrix where every column is alike; else one graph input per column, named as the model knows it."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

    kinds = {"float32": FloatTensorType, "float64": DoubleTensorType, "int64": Int64TensorType}
    kinds["string"] = StringTensorType
    dtypes = {item["name"]: _dtype(item, plan) for item in request["inputs"]}
    by_name = hasattr(model, "feature_names_in_") and _selects_columns(model)
    if not by_name and len(set(dtypes.values())) == 1:
        dtype = next(iter(dtypes.values()))
        feeds = [{"graph_input": "X", "columns": list(dtypes), "dtype": dtype}]
        return [("X", kinds[dtype]([None, len(dtypes)]))], feeds
    initial = [(name, kinds[dtype]([None, 1])) for name, dtype in dtypes.items()]
    return initial, [{"graph_input": name, "columns": [name], "dtype": dtype} for name, dtype in dtypes.items()]


def _dtype(item: Mapping[str, Any], plan: Plan) -> str:
    if item["type"] in ("category", "string"):
        return "string"
    whole = item["type"] in ("integer", "boolean") and not item["nullable"]
    return plan.whole if whole else plan.numbers


def _selects_columns(model: Any) -> bool:
    return type(model).__name__ == "ColumnTransformer" or any(
        type(step).__name__ == "ColumnTransformer" for _, step in getattr(model, "steps", ())
    )


def with_empty_text_as_null(model: Any) -> Any:
    """A copy in which text steps know "" where they knew NaN or None: tensors of strings have no null.

    Whether that answers as the original did is for parity to prove, on every holdout row.
    """
    prepared = copy.deepcopy(model)
    for step in _walk(prepared):
        kind = type(step).__name__
        if kind == "SimpleImputer" and getattr(step, "statistics_", None) is not None:
            if step.statistics_.dtype.kind in "OUS" and not isinstance(step.missing_values, str):
                step.missing_values = ""
        elif kind in ("OneHotEncoder", "OrdinalEncoder") and hasattr(step, "categories_"):
            step.categories_ = [_without_null(values) for values in step.categories_]
    return prepared


def _without_null(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "O" or not any(isinstance(v, str) for v in values):
        return values
    clean = values.copy()
    clean[[v is None or v != v for v in values]] = ""
    return clean


def _walk(model: Any) -> Iterator[Any]:
    yield model
    for _, step in getattr(model, "steps", ()):
        yield from _walk(step)
    for _, step, *_ in getattr(model, "transformers_", ()):
        if hasattr(step, "get_params"):
            yield from _walk(step)
    for _, step in getattr(model, "transformer_list", ()):
        yield from _walk(step)


def finite_thresholds(models: Iterable[Any]) -> None:
    """Change copies: a split into "missing" and "there" has the threshold infinity, on which skl2onnx computes for ever when
    inputs are doubles; the largest float32 parts every number alike."""
    import numpy as np

    largest = float(np.finfo(np.float32).max)
    for tree in _trees(models):
        np.clip(tree.threshold, -largest, largest, out=tree.threshold)


def route_missing(graph: Any, models: Iterable[Any]) -> None:
    """Change a converted graph: each of its trees that is one of the models' sends missing values where that one does.

    A tree is known again by its shape and features; those that are alike are taken in their order.
    """
    import numpy as np
    from onnx import helper

    known: dict[tuple[bytes, bytes], list[Any]] = {}
    for tree in _trees(models):
        known.setdefault(_tree_shape(tree.children_left, tree.feature), []).append(tree.missing_go_to_left)
    for node in graph.node if known else ():
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        had = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        owner, branch = np.array(had["nodes_treeids"]), np.array([mode != b"LEAF" for mode in had["nodes_modes"]])
        left = np.where(branch, had["nodes_truenodeids"], -1)
        feature = np.where(branch, had["nodes_featureids"], -2)  # as scikit-learn writes a leaf
        routed = np.array(had.get("nodes_missing_value_tracks_true") or np.zeros(len(owner)), dtype=np.int64)
        for one in dict.fromkeys(had["nodes_treeids"]):
            of_one = owner == one
            if alike := known.get(_tree_shape(left[of_one], feature[of_one])):
                routed[of_one] = (alike.pop(0) if len(alike) > 1 else alike[0]) & branch[of_one]
        kept = [item for item in node.attribute if item.name != "nodes_missing_value_tracks_true"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("nodes_missing_value_tracks_true", routed.tolist())])


def _tree_shape(left: Any, feature: Any) -> tuple[bytes, bytes]:
    import numpy as np

    return np.asarray(left, np.int64).tobytes(), np.asarray(feature, np.int64).tobytes()


def _trees(models: Iterable[Any]) -> Iterator[Any]:
    """In the order in which they are converted, each once."""
    seen: set[int] = set()
    waiting = list(models)
    while waiting:
        model = waiting.pop(0)
        if id(model) in seen or isinstance(model, str):
            continue
        seen.add(id(model))
        if hasattr(model, "tree_"):
            yield model.tree_
        for name in _PARTS:
            part: Any = getattr(model, name, None)
            part = part.ravel().tolist() if hasattr(part, "ravel") else part
            parts = part if isinstance(part, (list, tuple)) else [part]
            waiting += [each for each in parts if hasattr(each, "__dict__")]


def _explain(model: Any, error: Exception) -> Refusal:
    """Name the estimator that could not be converted."""
    text = str(error)
    names = sorted({type(step).__name__ for step in _walk(model)}, key=len, reverse=True)
    culprit = next((name for name in names if name in text), None)
    return Refusal("not_convertible", names=[culprit] if culprit else names_of(model), kind=kind_of(error))
