"""Linear models and trees as they stand in a version's ONNX graph: float32 thresholds as ONNX Runtime compares them.

An explainer that reads the original estimator may compare in float64 and take another branch than the endpoint does
(shap issue 5116); this reads the graph that answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.version import ARTIFACT, SIGNATURE, Signature
from modelmark.seal.values import decode

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_LINEAR: Final = frozenset({"LinearClassifier", "LinearRegressor"})
_TREES: Final = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
#: Operations that keep a linear model readable: each column is scaled, filled in or spelled out by itself.
_PLAIN: Final = _LINEAR | {
    *(
        "Scaler",
        "OneHotEncoder",
        "Imputer",
        "IsNaN",
        "Cast",
        "Concat",
        "Identity",
        "Reshape",
        "Flatten",
        "Normalizer",
        "ArgMax",
    ),
    *(
        "ArrayFeatureExtractor",
        "ZipMap",
        "LabelEncoder",
        "Shape",
        "Slice",
        "Squeeze",
        "Unsqueeze",
        "Gather",
        "Where",  # texts that were missing; no comparison is plain, so its condition is a look-up
        "Sub",
        "Div",
    ),
}
_SMALL: Final = 63  # nodes of one tree a person can read


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """coefficients: (features,), of the explained output's margin."""

    coefficients: Array
    intercept: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """trees: arrays as shap's TreeExplainer takes them. base: added to their sum."""

    trees: tuple[Mapping[str, Any], ...]
    base: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPart:
    """The one model node of a graph, and the features that reach it."""

    model: Linear | Trees
    path: Path
    feature_tensor: str
    signature: Signature

    def features(self, frame: pd.DataFrame) -> Array:
        """What the model node receives for these rows, (rows, features), from ONNX Runtime itself."""
        import onnx
        import onnxruntime as runtime

        graph = onnx.load_model_from_string(self.path.read_bytes())
        del graph.graph.output[:]
        graph.graph.output.append(onnx.ValueInfoProto(name=self.feature_tensor))
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session = runtime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (found,) = session.run([self.feature_tensor], self._fed(frame))
        return np.asarray(found, dtype=np.float64)

    def _fed(self, frame: pd.DataFrame) -> dict[str, Any]:
        fed = {}
        for feed in self.signature.feeds:
            columns = frame[list(feed.columns)]
            if feed.dtype == "string":
                texts = columns.astype(object).where(columns.notna(), "").astype(str)
                fed[feed.graph_input] = (texts.map(str.lower) if feed.lower else texts).to_numpy(object)
            else:
                fed[feed.graph_input] = columns.to_numpy(dtype=feed.dtype)
        return fed


def part_of(folder: Path, output: int) -> GraphPart | None:
    """The graph's linear model or trees behind one output; None where there is neither, or more than one."""
    import onnx

    if not (folder / ARTIFACT).is_file() or not (folder / SIGNATURE).is_file():
        return None
    graph = onnx.load_model_from_string((folder / ARTIFACT).read_bytes()).graph
    nodes = [node for node in graph.node if node.op_type in _LINEAR | _TREES]
    if len(nodes) != 1:
        return None
    attributes = _attributes(nodes[0])
    model = _linear(attributes, output) if nodes[0].op_type in _LINEAR else _trees(attributes, output)
    if model is None:
        return None
    signature = decode(Signature, (folder / SIGNATURE).read_bytes())
    return GraphPart(model=model, path=folder / ARTIFACT, feature_tensor=nodes[0].input[0], signature=signature)


def glass_box(folder: Path) -> bool:
    """Whether a person can read the graph: a linear model behind plain preparation, or a single small tree."""
    import onnx

    graph = onnx.load_model_from_string((folder / ARTIFACT).read_bytes()).graph
    kinds = [node.op_type for node in graph.node]
    if any(kind in _LINEAR for kind in kinds):
        return all(kind in _PLAIN for kind in kinds)
    trees = [node for node in graph.node if node.op_type in _TREES]
    if len(trees) != 1:
        return False
    attributes = _attributes(trees[0])
    return len(set(attributes["nodes_treeids"])) == 1 and len(attributes["nodes_treeids"]) <= _SMALL


def _attributes(node: Any) -> dict[str, Any]:
    """By name. Numbers that are kept as a tensor of doubles go by the name of those that are not."""
    from onnx import helper, numpy_helper

    found = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    wide = {name: value for name, value in found.items() if name.endswith("_as_tensor")}
    return found | {name.removesuffix("_as_tensor"): numpy_helper.to_array(value) for name, value in wide.items()}


def _linear(attributes: Mapping[str, Any], output: int) -> Linear | None:
    intercepts = np.asarray(attributes.get("intercepts") or [0.0], dtype=np.float64)
    weights = np.asarray(attributes["coefficients"], dtype=np.float64).reshape(len(intercepts), -1)
    if len(intercepts) == 1:
        return Linear(coefficients=weights[0], intercept=float(intercepts[0]))
    if len(intercepts) == 2:  # two classes: the log-odds are linear, whether by logistic or softmax
        half = 0.5 if np.allclose(weights[0], -weights[1]) else 1.0
        gap = half * (weights[output] - weights[1 - output])
        return Linear(coefficients=gap, intercept=float(half * (intercepts[output] - intercepts[1 - output])))
    return None


def _trees(attributes: Mapping[str, Any], output: int) -> Trees | None:
    kind = "class" if "class_ids" in attributes else "target"
    ids = np.asarray(attributes[f"{kind}_ids"])
    mine = ids == output if len(set(ids.tolist())) > 1 else np.ones(len(ids), dtype=bool)
    leaves = {
        (tree, node): weight
        for tree, node, weight, keep in zip(
            attributes[f"{kind}_treeids"],
            attributes[f"{kind}_nodeids"],
            attributes[f"{kind}_weights"],
            mine,
            strict=True,
        )
        if keep
    }
    modes = [mode.decode() for mode in attributes["nodes_modes"]]
    if set(modes) - {"BRANCH_LEQ", "BRANCH_LT", "LEAF"} or attributes.get("aggregate_function", b"SUM") != b"SUM":
        return None
    owner = np.asarray(attributes["nodes_treeids"])
    trees = tuple(_tree(attributes, modes, np.flatnonzero(owner == tree), leaves) for tree in np.unique(owner))
    known = attributes.get("base_values")
    bases = np.asarray([0.0] if known is None or not len(known) else known, dtype=np.float64)
    return Trees(trees=trees, base=float(bases[output if len(bases) > 1 else 0]))


def _tree(
    attributes: Mapping[str, Any], modes: list[str], rows: NDArray[np.int64], leaves: Mapping[tuple[int, int], float]
) -> Mapping[str, Any]:
    """One tree as arrays; x < t becomes x <= the number before t, in the precision in which the graph compares."""
    wide = np.float64 if "nodes_values_as_tensor" in attributes else np.float32
    order = {int(attributes["nodes_nodeids"][i]): k for k, i in enumerate(rows)}
    size = len(rows)
    made: dict[str, Any] = {
        "children_left": np.full(size, -1, dtype=np.int32),
        "children_right": np.full(size, -1, dtype=np.int32),
        "children_default": np.full(size, -1, dtype=np.int32),
        "features": np.full(size, -2, dtype=np.int32),
        "thresholds": np.zeros(size),
        "values": np.zeros((size, 1)),
        "node_sample_weight": np.ones(size),
    }
    missing = attributes.get("nodes_missing_value_tracks_true") or [0] * len(modes)
    for k, i in enumerate(rows):
        if modes[i] == "LEAF":
            made["values"][k] = leaves.get((attributes["nodes_treeids"][i], attributes["nodes_nodeids"][i]), 0.0)
            continue
        yes, no = order[attributes["nodes_truenodeids"][i]], order[attributes["nodes_falsenodeids"][i]]
        at = wide(attributes["nodes_values"][i])
        made["thresholds"][k] = at if modes[i] == "BRANCH_LEQ" else np.nextafter(at, wide(-np.inf))
        made["features"][k] = attributes["nodes_featureids"][i]
        made["children_left"][k], made["children_right"][k] = yes, no
        made["children_default"][k] = yes if missing[i] else no
    return made
