"""scikit-learn estimators to ONNX. Runs in the child only.

A conversion is tried with several types for the inputs, because float32 can push a value over a split; the first
that flips no decision wins, else the one that flips fewest.
"""

from __future__ import annotations

import copy
import ctypes
import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelmark.domain.classes import class_text, same_classes
from modelmark.registry import compare, tensors
from modelmark.registry.original import functions, imputing, number_codes, powers
from modelmark.registry.original.kinds import REGRESSOR, kind_of_model
from modelmark.registry.original.network import Network
from modelmark.registry.original.parts import nested, walk
from modelmark.registry.original.split_doubles import has_histograms, in_double
from modelmark.registry.original.supported import ask_plainly, require_answers, require_convertible
from modelmark.registry.original.texts import encode_missing, know_null, lowered, word_options
from modelmark.registry.original.trees import finite_thresholds, route_missing
from modelmark.registry.refusal import Refusal, kind_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Fixed, so that the same model gives the same bytes whatever skl2onnx defaults to later.
TARGET_OPSET: Final = {"": 18, "ai.onnx.ml": 3}
#: Of the seconds that the whole conversion may take, what one plan may.
_SHARE: Final = 1 / 8
_USUAL: Final = 120  # where nobody says how many
#: Raises in another thread; looked up before the sandbox closes. A signal would not do: whoever started us may ignore it.
_RAISE: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


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
    """The estimator that scores, from inside a finished search or a wrapper that keeps a cut-off of its own."""
    while True:
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif type(model).__name__ in ("TunedThresholdClassifierCV", "FixedThresholdClassifier"):
            model = model.estimator_
        else:
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
    require_estimator(model)
    (require_answers if request.get("run") == "isolated" else require_convertible)(model)
    kind = kind_of_model(model)
    wants_classes = request["task"] != "regression"
    if wants_classes and kind == REGRESSOR:
        raise Refusal("is_a_regressor", names=names_of(model))
    if not wants_classes and hasattr(model, "classes_"):
        raise Refusal("is_a_classifier", names=names_of(model))
    learned = [value.item() if hasattr(value, "item") else value for value in getattr(model, "classes_", ())]
    if wants_classes and not same_classes(learned, request["classes"]):
        raise Refusal("classes_differ", names=[class_text(c)[:200] for c in learned[:20]])
    _check_columns(model, [item["name"] for item in request["inputs"]])


def require_estimator(model: Any) -> None:
    """Raises Refusal for an object of any other kind."""
    if not hasattr(model, "get_params") or isinstance(model, type):
        raise Refusal("not_an_estimator", names=[type(model).__name__])


def _check_columns(model: Any, names: list[str]) -> None:
    learned = getattr(model, "feature_names_in_", None)
    said = [name.replace(" ", "_") for name in names] if getattr(model, "spaces_lost", False) else names
    if learned is not None and list(learned) != said:
        alike = [a == b for a, b in zip(learned, said, strict=False)]
        first = alike.index(False) if False in alike else len(alike)
        raise Refusal("columns_differ", names=[str(name)[:200] for name in learned[:20]], numbers=[first + 1])
    count = getattr(model, "n_features_in_", len(names))
    if count != len(names):
        raise Refusal("column_count", numbers=[int(count), len(names)])


def original_scores(model: Any, frame: pd.DataFrame, request: Mapping[str, Any]) -> np.ndarray:
    """float64 (rows, classes) or (rows, 1): what the model itself answers, as its author would have called it."""

    columns = frame[[item["name"] for item in request["inputs"]]]
    return scores_of(model, columns if takes_names(model) else columns.to_numpy(), request)


def takes_names(model: Any) -> bool:
    """Whether it was fitted on a table, not on a matrix."""
    return hasattr(model, "feature_names_in_")


def scores_of(model: Any, table: pd.DataFrame | np.ndarray, request: Mapping[str, Any]) -> np.ndarray:
    """The same, of a table or a matrix as the model takes it."""
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = model.predict(table) if request["task"] == "regression" else model.predict_proba(table)
    except (MemoryError, Refusal):
        raise
    except Exception as error:  # noqa: BLE001 - any failure of foreign code is the artifact's fault
        raise Refusal("cannot_answer", names=names_of(model), kind=kind_of(error)) from None
    scores = np.asarray(answers, dtype=np.float64)
    if scores.ndim > 2 or (scores.ndim == 2 and request["task"] == "regression" and scores.shape[1] != 1):
        raise Refusal("not_one_answer", numbers=[int(np.size(scores)) // max(len(table), 1)])
    return scores.reshape(len(table), -1)


def convert(model: Any, frame: pd.DataFrame, original: np.ndarray, request: Mapping[str, Any]) -> Converted:
    """The conversion that decides most like the original. Raises Refusal when none works.

    A plan that takes too long is left; the best of the others stands.
    """
    if isinstance(model, Network):
        data, signature = _exported(model, request)
        return Converted(model=data, signature=signature, plan="float32")
    prepared = copy.deepcopy(model)
    ask_plainly(prepared)
    gaps = frame.isna().any()
    know_null(prepared, [item["name"] for item in request["inputs"] if item["nullable"] or gaps.get(item["name"])])
    finite_thresholds(walk(prepared))
    lower = lowered(prepared)
    best: tuple[tuple[int, float], Converted] | None = None
    failures: list[Exception] = []
    for plan in _plans(model, request):
        try:
            with _within(request.get("cpu_seconds", _USUAL) * _SHARE):
                candidate = _attempt(prepared, plan, model, request, lower)
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


def _exported(network: Network, request: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    try:
        return network.to_onnx(request)
    except (MemoryError, Refusal):
        raise
    except Exception as error:  # noqa: BLE001 - an exporter raises what it likes
        raise Refusal("not_convertible", names=names_of(network), kind=kind_of(error)) from None


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raises TimeoutError when the block takes longer and is in Python's hands; native code is only stopped by the sandbox."""
    done, thread = threading.Event(), ctypes.c_ulong(threading.get_ident())

    def late() -> None:
        if not done.is_set():
            _RAISE(thread, ctypes.py_object(TimeoutError))

    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        done.set()
        timer.cancel()
        timer.join()  # what it raised arrives before this block is left


def _plans(model: Any, request: Mapping[str, Any]) -> Iterator[Plan]:
    """Where splits are doubles, plans that keep them so come first: a holdout seldom has a number beside a split."""
    integers = any(item["type"] in ("integer", "boolean") for item in request["inputs"])
    steps = len(getattr(model, "steps", ()))
    exact = has_histograms(nested(model))
    for plan in sorted(PLANS, key=lambda plan: exact and (plan.numbers != "float64" or plan.narrow)):
        if (plan.whole != "int64" or integers) and (not plan.narrow or steps > 1):
            yield plan


def _attempt(prepared: Any, plan: Plan, model: Any, request: Mapping[str, Any], lower: frozenset[str]) -> Converted:
    import skl2onnx

    functions.teach()
    imputing.teach()
    number_codes.teach()
    powers.teach()
    if plan.narrow:
        prepared = _narrowed(prepared)
    initial, feeds = _inputs(model, plan, request)
    options = _options(prepared, request["task"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = skl2onnx.convert_sklearn(
            prepared, name=request["name"], initial_types=initial, options=options, target_opset=TARGET_OPSET
        )
    route_missing(graph.graph, walk(prepared))
    if plan.numbers == "float64" and not plan.narrow:
        in_double(graph, nested(prepared))
    encode_missing(graph.graph, walk(prepared))
    for feed, value in zip(feeds, graph.graph.input, strict=True):
        feed["graph_input"] = value.name  # skl2onnx renames: `education-num` becomes `education_num`
        if lower.issuperset(feed["columns"]):
            feed["lower"] = True
    output = graph.graph.output[-1].name
    signature = {"feeds": feeds, "score_output": output}
    return Converted(model=graph.SerializeToString(deterministic=True), signature=signature, plan=str(plan))


def _options(prepared: Any, task: str) -> dict[Any, dict[str, Any]]:
    """Probabilities as a tensor; words and capitals of every alphabet."""
    options = {id(step): told for step in walk(prepared) if (told := word_options(step))}
    if task != "regression":
        options[id(prepared)] = {"zipmap": False}
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


def _explain(model: Any, error: Exception) -> Refusal:
    """Name the estimator that could not be converted."""
    text = str(error)
    names = sorted({type(step).__name__ for step in walk(model)}, key=len, reverse=True)
    culprit = next((name for name in names if name in text), None)
    return Refusal("not_convertible", names=[culprit] if culprit else names_of(model), kind=kind_of(error))
